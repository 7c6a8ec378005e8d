// SPDX-License-Identifier: LGPL-2.1-or-later
//! One command line carried out with one launcher: what the payload says, what the host has meanwhile, what is left.

use super::facts::{self, Facts, Masks};
use super::lines::{End, Line, Streams};
use super::{host, tree};
use crate::common::{Case, Program, Pty, Reason, fail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a start or an end may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The probe's name; the kernel cuts it to 15 bytes in `comm`.
pub const PROBE: &str = "compat-probe";
const UUID: &str = "0123456789abcdef0123456789abcdef";
const IMAGE_ID: &str = "fedcba98765432100123456789abcdef";

/// A tree with few files, as it is copied for every run. `getent` is what systemd-nspawn resolves users with.
const TREE: &str = r#"umask 022; mkdir -p "$1"; cd "$1"
mkdir -p dev etc home/user mnt proc root run sys tmp usr/bin usr/lib usr/sbin var/tmp var/log
chmod 1777 tmp var/tmp; chmod 0700 root; chown 1000:1000 home/user
ln -s usr/bin bin; ln -s usr/sbin sbin; ln -s usr/lib lib
cp "$(command -v busybox)" usr/bin/busybox
for name in sh cat true false; do ln -s busybox usr/bin/$name; done
printf 'ID=small\nNAME=Small\nVERSION_ID=1\n' >usr/lib/os-release; ln -s ../usr/lib/os-release etc/os-release
printf 'root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/:/bin/false\nuser:x:1000:1000:user:/home/user:/bin/sh\n' >etc/passwd
printf 'root:x:0:\ndaemon:x:1:user\nstaff:x:50:user,daemon\nuser:x:1000:\n' >etc/group
cat >usr/bin/getent <<'END'
#!/usr/bin/busybox sh
case $1 in
passwd) /usr/bin/busybox grep "^$2:" /etc/passwd || exit 2 ;;
initgroups) echo "$2 $(/usr/bin/busybox awk -F: -v u="$2" '("," $4 ",") ~ ("," u ",") { printf " %s", $3 }' /etc/group)" ;;
*) exit 1 ;;
esac
END
chmod 755 usr/bin/getent"#;

/// Things that command lines refer to.
pub fn prepare_sources(case: &Case, probe: &Path) -> Result<(), Reason> {
    let pristine = case.dir().join("pristine");
    Program::new("sh").args(["-euc", TREE, "sh"]).arg(&pristine).run().expect_code(0);
    fs::copy(probe, pristine.join("usr/bin").join(PROBE))?;
    let folder = case.dir().join("folder");
    fs::create_dir(&folder)?;
    fs::write(folder.join("of-root"), "root\n")?;
    fs::write(folder.join("of-user"), "user\n")?;
    std::os::unix::fs::chown(folder.join("of-user"), Some(1000), Some(1000))?;
    fs::write(case.dir().join("file"), "text of a file\n")?;
    Ok(())
}

/// Runs `line` with `launcher` on a fresh tree.
pub fn run(case: &Case, line: &Line, launcher: &Path) -> Result<Facts, Reason> {
    let at = case.dir().join("tree");
    fresh_tree(case, &at, line)?;
    let before = tree::list(&at)?;
    let masks = Masks::new(&at, case.dir(), launcher, &[UUID, IMAGE_ID]);
    let mut facts = Facts::default();
    let host_before = host::Picture::take();
    let mut running = Running::start(&program(case, line, launcher, &at), line.streams)?;
    if line.program.is_none() && running.wait_for_probe(line, &at) {
        host::describe(line, &host_before, &masks, &mut facts);
        running.end(line.end)?;
    }
    let status = running.wait();
    remove_file(case, line)?;
    facts.add("end", describe_end(status));
    let (shown, complaints) = running.output();
    let report = fs::read_to_string(at.join("report")).unwrap_or_default();
    let rest = facts::take_probe(if line.to_file { &report } else { &shown }, &masks, &mut facts);
    let rest = if line.to_file { shown } else { rest };
    facts.add("stdout", facts::class(&rest));
    facts.add("stderr", facts::class(&complaints));
    facts.said = format!("stderr: {complaints:?} stdout: {rest:?}");
    tree::changes(&before, &tree::list(&at)?, &masks, &mut facts);
    host_before.leftovers(&masks, &mut facts);
    Ok(facts)
}

fn fresh_tree(case: &Case, at: &Path, line: &Line) -> Result<(), Reason> {
    let remove = Program::new("rm").args(["-rf", "--one-file-system", "--"]).arg(at).run();
    remove.expect_code(0);
    crate::common::tree::copy(&case.dir().join("pristine"), at);
    if let Some(text) = line.file {
        fs::write(
            settings_file(case, line),
            format!("{}\n", text.replace("@DIR@", &case.dir().display().to_string())),
        )?;
    }
    if let Some(script) = line.setup {
        Program::new("sh").args(["-ec", script]).dir(at).run().expect_code(0);
    }
    Ok(())
}

/// The file beside the tree that is read for the machine.
fn settings_file(case: &Case, line: &Line) -> PathBuf {
    case.dir().join(format!("{}.nspawn", line.machine))
}

/// Not left for the next line.
fn remove_file(case: &Case, line: &Line) -> Result<(), Reason> {
    if line.file.is_some() {
        fs::remove_file(settings_file(case, line))?;
    }
    Ok(())
}

fn program(case: &Case, line: &Line, launcher: &Path, tree: &Path) -> Program {
    let mut words: Vec<String> = Vec::new();
    if let Some(script) = line.around {
        words.extend(["sh", "-c", script, "sh"].map(str::to_owned));
    }
    words.push(launcher.display().to_string());
    words.push(format!("--directory={}", tree.display()));
    let dir = case.dir().display().to_string();
    words.extend(line.options.split_whitespace().map(|word| word.replace("@DIR@", &dir)));
    match line.program {
        Some(program) => words.extend(program.split_whitespace().map(str::to_owned)),
        // The file says what runs.
        None if line.file.is_some_and(|text| text.contains("Parameters=")) => {}
        None => {
            // The init that was put into the tree is found by itself.
            if !line.options.contains("--boot") {
                words.push(format!("/usr/bin/{PROBE}"));
            }
            if let End::Exit(status) = line.end {
                words.extend(["-e".to_owned(), status.to_string()]);
            }
            if line.to_file {
                words.extend(["-o", "/report"].map(str::to_owned));
            }
            words.extend(line.words.iter().map(|word| (*word).to_owned()));
        }
    }
    let first = words.remove(0);
    let first = if first == "sh" { "/bin/sh".to_owned() } else { first };
    Program::new(first).args(words).dir(case.dir())
}

fn describe_end(status: Option<ExitStatus>) -> String {
    match status {
        None => format!("not after {PATIENCE:?}"),
        Some(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("status {code}"),
            (_, signal) => format!("signal {}", signal.unwrap_or_default()),
        },
    }
}

type Shared = Arc<Mutex<Vec<u8>>>;

struct Running {
    child: Child,
    pty: Option<Pty>,
    stdout: Shared,
    stderr: Shared,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    fn start(program: &Program, streams: Streams) -> Result<Self, Reason> {
        let (stdout, stderr) = (Shared::default(), Shared::default());
        if streams == Streams::Terminal {
            let pty = Pty::open()?;
            let child = pty.start(program)?;
            return Ok(Self { child, pty: Some(pty), stdout, stderr, readers: Vec::new() });
        }
        let mut command = program.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let mut input = child.stdin.take().expect("stdin is piped");
        // A launcher that has ended without reading is fine.
        let _ = input.write_all(b"some input\n");
        drop(input);
        let readers = vec![
            collect(child.stdout.take().expect("stdout is piped"), Arc::clone(&stdout)),
            collect(child.stderr.take().expect("stderr is piped"), Arc::clone(&stderr)),
        ];
        Ok(Self { child, pty: None, stdout, stderr, readers })
    }

    /// Waits until the probe has said everything; false when the launcher ended first.
    fn wait_for_probe(&mut self, line: &Line, tree: &Path) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let said = match line.to_file {
                true => fs::read_to_string(tree.join("report")).unwrap_or_default().contains(facts::END),
                false => self.shown().contains(facts::END),
            };
            if said {
                return true;
            }
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return false;
            }
            thread::sleep(Duration::from_millis(4));
        }
        false
    }

    fn shown(&self) -> String {
        match &self.pty {
            Some(pty) => pty.shown(),
            None => String::from_utf8_lossy(&self.stdout.lock().expect("readers do not panic")).into_owned(),
        }
    }

    fn end(&self, how: End) -> Result<(), Reason> {
        let (pids, signal) = match how {
            End::Exit(_) => (probes(), Signal::USR1),
            End::Killed => (probes(), Signal::KILL),
            End::Stopped => (vec![Pid::from_child(&self.child)], Signal::TERM),
            End::ByItself => return Ok(()),
        };
        if pids.is_empty() {
            return fail("the probe that has spoken is not among the processes");
        }
        // One that is gone by itself shows in the exit status.
        for pid in pids {
            let _ = kill_process(pid, signal);
        }
        Ok(())
    }

    fn wait(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(4));
        }
        // Gone in the meantime is as good.
        for pid in probes() {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        None
    }

    fn output(&self) -> (String, String) {
        // The readers see the end of the pipes when the last holder is gone, which is about now.
        let deadline = Instant::now() + Duration::from_secs(2);
        while self.readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        if self.pty.is_some() {
            thread::sleep(Duration::from_millis(50));
        }
        let stderr = String::from_utf8_lossy(&self.stderr.lock().expect("readers do not panic")).into_owned();
        (self.shown(), stderr)
    }
}

fn collect(mut pipe: impl Read + Send + 'static, into: Shared) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut chunk = [0; 16384];
        while let Ok(count @ 1..) = pipe.read(&mut chunk) {
            into.lock().expect("nobody panics with the lock").extend(&chunk[..count]);
        }
    })
}

/// Processes that execute the probe, as init of a tree too.
pub fn probes() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let path: PathBuf = entry.ok()?.path();
            let pid: i32 = path.file_name()?.to_str()?.parse().ok()?;
            let words = fs::read(path.join("cmdline")).ok()?;
            let first = words.split(|b| *b == 0).next()?;
            let is_probe =
                first.ends_with(PROBE.as_bytes()) || words.windows(8).any(|w| w == b"\0t w o\0\0" || w == b"one\0t w ");
            let launcher =
                first.ends_with(b"systemd-nspawn") || first.ends_with(b"systemd-run") || first.ends_with(b"setsid");
            (is_probe && !launcher).then(|| Pid::from_raw(pid)).flatten()
        })
        .collect()
}
