// SPDX-License-Identifier: LGPL-2.1-or-later
//! Random starts: whatever is asked for, the payload runs and its status is passed on, or an error says what was wrong; no
//! combination ends without words, and nothing is left.
//!
//! `SPAWN_RANDOM_STARTS` says how many (150), `SPAWN_RANDOM_SEED` the first seed; each start has a seed of its own, which a
//! failure names. With `SPAWN_RANDOM_ALL` the first failure is not the end.

mod values;
mod words;

use crate::common::{Case, HostState, Outcome, Output, Program, Reason, fail, host_state, leftovers, tree};
use crate::support::{BOTH, Name, Tree};
use rustix::mount::MountPropagationFlags;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;
use words::{STATUS, Start, start};

/// A start that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(10);

/// What the payload may die of, or fail for, without a word of ours: it asked for it.
const HARMFUL: &[&str] = &["rlimit", "system-call-filter", "restrict-address-families"];

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What came of a start.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Came {
    Ran,
    Refused,
    Shown,
    Harmed,
}

/// Where the starts happen.
struct Scene {
    tree: PathBuf,
    dir: String,
}

impl Scene {
    fn make(case: &mut Case) -> Result<Self, Reason> {
        // Without the tools for it the options of links are about links that are not there.
        let _no_links = crate::network::own_network().and_then(|()| crate::network::ip("link add br0 type bridge"));
        // Mounts that come and go on the machine meanwhile are none of ours.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        let mut pristine = Tree::new(case)?;
        let moved = case.dir().join("pristine");
        std::fs::rename(&pristine.path, &moved)?;
        pristine.path = moved;
        let script = r#"cd "$1"; umask 022
            for f in usr/bin/*; do case $f in */busybox | */sh | */true) ;; *) rm "$f" ;; esac; done
            printf '#!/bin/sh\necho ran\nexit $1\n' >usr/bin/status; chmod 755 usr/bin/status; cp usr/bin/status status
            printf '#!/missing\n' >script; chmod 755 script
            rm usr/sbin/init; printf '#!/bin/sh\necho ran\nexit 42\n' >usr/sbin/init; chmod 755 usr/sbin/init
            ln -s / away; mkdir -p inner/old var/log/journal; cp -a usr bin sbin lib etc status inner
            mkdir -p inner/dev inner/proc inner/run inner/sys inner/tmp inner/root
            printf 'homeless:x:1001:1001::/nowhere/at/all:/bin/sh\nstrange:x:1002:1002::/etc/passwd/x:/bin/sh\n' >>etc/passwd
            cd ..; mkdir -p folder/below; echo x >folder/file; echo x >file; ln -s folder link; mkfifo fifo; mkdir 'a:b'"#;
        Program::new("sh").args(["-euc", script, "sh"]).arg(&pristine.path).run().expect_code(0);
        std::fs::set_permissions(case.dir(), PermissionsExt::from_mode(0o700))?;
        leftovers::adopt_orphans()?;
        // What a first start leaves for good is not of interest.
        let tree = case.dir().join("tree");
        tree::copy(&pristine.path, &tree);
        for name in BOTH {
            pristine.called(case, name, &[])?.args(["/status", "42"]).run().expect_code(STATUS);
        }
        let dir = case.dir().display().to_string();
        Ok(Self { tree, dir })
    }

    /// The folder as it was in the beginning.
    fn fresh(&self) {
        let script = r#"cd "$1"; rm -rf --one-file-system tree tree.nspawn upper new missing journal tree.chown; mkdir upper
            cp -a --reflink=auto pristine tree"#;
        Program::new("sh").args(["-euc", script, "sh", &self.dir]).run().expect_code(0);
    }

    fn run(&self, case: &Case, start: &Start) -> Result<Output, Reason> {
        self.fresh();
        if start.has_file() {
            std::fs::write(self.tree.with_extension("nspawn"), start.file(&self.dir))?;
        }
        let path = match start.name {
            Name::Spawn => Case::spawn_path(),
            Name::Nspawn => {
                case.spawn_as_nspawn()?;
                case.dir().join("systemd-nspawn")
            }
        };
        let program = match start.around {
            "" => Program::new(path),
            script => Program::new("/bin/sh").args(["-c", script, "sh"]).arg(path),
        };
        let program = program.arg("-D").arg(&self.tree).args(start.words(&self.dir)).args(start.program);
        let program = start.variables.iter().fold(program, |program, (name, value)| program.env(name, value));
        let program = program.dir(case.dir()).limit(LIMIT);
        catch_unwind(AssertUnwindSafe(|| program.run()))
            .map_err(|why| Reason::Fail(why.downcast_ref::<String>().cloned().unwrap_or_default()))
    }

    /// What came of the start, or what is wrong with it.
    fn check(&self, case: &Case, start: &Start) -> Result<Came, String> {
        let before = HostState::take(case.dir());
        let output = match self.run(case, start) {
            Ok(output) => output,
            Err(Reason::Fail(why) | Reason::Skip(why)) => return Err(why),
        };
        remove_supervisor();
        let came = judge(start, &output).map_err(|what| format!("{what}: {output}"))?;
        let mut left = before.difference();
        left.extend(leftovers::processes(Duration::from_secs(2)));
        left.extend(leftovers::locks(&self.tree));
        match left.is_empty() {
            true => Ok(came),
            false => Err(format!("left behind: {}: {output}", left.join(", "))),
        }
    }

    /// The smallest start that is still wrong, and what is wrong with it.
    fn shrink(&self, case: &Case, start: Start, what: String) -> (Start, String) {
        let (mut smallest, mut what) = (start, what);
        'again: for _ in 0..60 {
            for smaller in smallest.smaller() {
                if let Err(still) = self.check(case, &smaller) {
                    (smallest, what) = (smaller, still);
                    continue 'again;
                }
            }
            break;
        }
        (smallest, what)
    }
}

/// With `--keep-unit` it stays as long as the unit, which is this test's own.
fn remove_supervisor() {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    if let Some(root) = host_state::cgroup_root() {
        // Most starts have none.
        let _absent = std::fs::remove_dir(root.join(own).join("supervisor"));
    }
}

fn judge(start: &Start, output: &Output) -> Result<Came, String> {
    let Some(code) = output.status.code() else {
        return Err(format!("ended by signal {:?}", output.status.signal()));
    };
    for never in [
        "panicked",
        "RUST_BACKTRACE",
        "spoke out of turn",
        "did not say why",
        "was not ready within",
        // The kernel did not like something that nobody has looked at before.
        "where they are met, report this",
        // We have them, and the machine forbids nothing.
        "run it as root of the host with all capabilities",
    ] {
        if output.stderr.contains(never) {
            return Err(format!("it says {never:?}"));
        }
    }
    if let Some(line) = unexplained(&output.stderr) {
        return Err(format!("neither who asked for it nor what to do is said of {line:?}"));
    }
    let garbage = start.garbage.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let harmful = start.says(HARMFUL)
        || start.file.iter().any(|item| item.id().starts_with("Limit"))
        || ["Limit", "SystemCallFilter", "RestrictAddressFamilies"].iter().any(|key| garbage.contains(key));
    let shows = start.says(&["help", "version", "introspect-cli", "dry-run", "cleanup"]);
    let own = match start.name {
        Name::Spawn => (125..=127).contains(&code),
        Name::Nspawn => code == 1,
    };
    let ran = output.stdout.contains("ran\n") || output.stdout.contains("ran\r\n");
    if own && has_code(&output.stderr) {
        if std::env::var_os("SPAWN_RANDOM_SHOW").is_some() {
            eprintln!("{}", output.stderr);
        }
        return Ok(Came::Refused);
    }
    match code {
        STATUS => Ok(Came::Ran),
        0 if shows && (!output.stdout.is_empty() || start.around.contains(">&-")) => Ok(Came::Shown),
        0 if start.says(&["cleanup"]) => Ok(Came::Shown),
        _ if harmful => Ok(Came::Harmed),
        _ if ran => Err(format!("the payload's status became {code}")),
        _ => Err(format!("status {code} and no error code")),
    }
}

/// Whether one of the documented codes is said, as in "[E0504]".
fn has_code(text: &str) -> bool {
    spawn::error::Code::ALL.iter().any(|code| text.contains(&format!("[{code}]")))
}

/// An error of which neither the setting nor a remedy is told.
fn unexplained(text: &str) -> Option<&str> {
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let named = ["--", " -", "$", ".nspawn:"].iter().any(|sign| line.contains(sign));
        if !has_code(line) || named {
            continue;
        }
        let mut explained = false;
        while let Some(more) = lines.next_if(|line| line.starts_with("  ")) {
            explained |= more.starts_with("  asked for by ") || more.starts_with("  help: ");
        }
        if !explained {
            return Some(line);
        }
    }
    None
}

fn describe(seed: u64, start: &Start, what: &str) -> String {
    let mut text = format!("SPAWN_RANDOM_SEED={seed}: {what}");
    if start.has_file() {
        text += &format!("\nwith the file\n{}", String::from_utf8_lossy(&start.file("@DIR@")));
    }
    if !start.around.is_empty() {
        text += &format!("\nby {}", start.around);
    }
    for (name, value) in &start.variables {
        text += &format!("\nwith ${name}={value}");
    }
    text
}

pub fn starts_say_what_is_wrong_and_leave_nothing(case: &mut Case) -> Outcome {
    let scene = Scene::make(case)?;
    let first = number("SPAWN_RANDOM_SEED", 1);
    let count = number("SPAWN_RANDOM_STARTS", 150);
    let all = std::env::var_os("SPAWN_RANDOM_ALL").is_some();
    let shown = std::env::var_os("SPAWN_RANDOM_SHOW").is_some();
    let (mut came, mut wrong) = (Vec::new(), Vec::new());
    for seed in first..first + count {
        if shown {
            eprintln!("{}", describe(seed, &start(seed), &start(seed).words("@DIR@").join(" ")));
        }
        match scene.check(case, &start(seed)) {
            Ok(one) => {
                if shown {
                    eprintln!("{one:?}");
                }
                came.push(one);
            }
            Err(what) => {
                let (smallest, what) = scene.shrink(case, start(seed), what);
                wrong.push(describe(seed, &smallest, &what));
                if !all {
                    break;
                }
                eprintln!("{}\n", wrong.last().map(String::as_str).unwrap_or_default());
            }
        }
    }
    let of = |kind: Came| came.iter().filter(|one| **one == kind).count();
    let ran = of(Came::Ran);
    eprintln!(
        "{} starts from seed {first} on: {ran} ran, {} refused, {} shown, {} harmed by what was asked for, {} wrong",
        came.len() + wrong.len(),
        of(Came::Refused),
        of(Came::Shown),
        of(Came::Harmed),
        wrong.len()
    );
    match wrong.is_empty() {
        true if count >= 100 && ran * 4 < came.len() => fail(format!("only {ran} of {} starts ran", came.len())),
        true => Ok(()),
        false => fail(wrong.join("\n\n")),
    }
}
