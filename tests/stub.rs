// SPDX-License-Identifier: LGPL-2.1-or-later
//! The stub PID 1, in PID namespaces of its own.

use spawn::sys::programs::STUB;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// PID 1 of the namespace: blocks signals, forks the program and becomes the stub, as spawn's init does.
const LAUNCHER: &str = r#"
use POSIX;
my ($stub, $manner, $script) = @ARGV;
POSIX::sigprocmask(SIG_BLOCK, POSIX::SigSet->new(1..31, 34..64));
my $pid = fork;
if (!$pid) {
    POSIX::sigprocmask(SIG_SETMASK, POSIX::SigSet->new());
    exec "sh", "-c", $script;
}
select(undef, undef, undef, 0.2) if $script eq "exit 5";
%ENV = (container => "spawn", container_uuid => "x");
exec {$stub} "(spawn-init)", $pid, $manner eq "nspawn" ? ($manner) : ();
"#;

/// How a container ended.
#[derive(Debug, PartialEq)]
enum End {
    Exit(i32),
    Killed(i32),
}

struct Container {
    unshare: Child,
    output: BufReader<ChildStdout>,
}

impl Container {
    /// Runs `script` as PID 2 under the stub. `namespaces` are further options of unshare(1).
    fn start(manner: &str, namespaces: &[&str], script: &str) -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).args(namespaces);
        unshare.args(["perl", "-e", LAUNCHER]).arg(stub()).args([manner, script]);
        let mut unshare = unshare.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(unshare.stdout.take().unwrap());
        Self { unshare, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().into()
    }

    /// Sends a signal to the stub, from outside of the namespace.
    fn signal(&self, signal: &str) {
        let pid = self.unshare.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        assert!(Command::new("kill").args([&format!("-{signal}"), children.trim()]).status().unwrap().success());
    }

    fn end(mut self) -> (End, String) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let status = loop {
            if let Some(status) = self.unshare.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let end = status.code().map_or_else(|| End::Killed(status.signal().unwrap()), End::Exit);
        (end, rest)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ended = (self.unshare.kill(), self.unshare.wait());
    }
}

/// The stub as a file: perl runs programs by path only.
fn stub() -> &'static PathBuf {
    static STUB_FILE: OnceLock<PathBuf> = OnceLock::new();
    STUB_FILE.get_or_init(|| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("stub");
        let unfinished = path.with_extension(std::process::id().to_string());
        std::fs::write(&unfinished, STUB).unwrap();
        std::fs::set_permissions(&unfinished, PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::rename(unfinished, &path).unwrap();
        path
    })
}

fn can_run() -> bool {
    let can = rustix::process::geteuid().is_root();
    if !can {
        eprintln!("skipped: needs root to make a PID namespace");
    }
    can
}

/// A program that says `ready`, then waits and acts as the trap says.
fn waiting(trap: &str) -> String {
    format!("{trap}; echo ready; while :; do sleep 0.02; done")
}

#[test]
fn it_ends_as_the_program_does() {
    if !can_run() {
        return;
    }
    for (manner, script, end) in [
        ("spawn", "exit 0", End::Exit(0)),
        ("spawn", "exit 133", End::Exit(133)),
        ("spawn", "kill -KILL $$", End::Exit(137)),
        ("nspawn", "kill -KILL $$", End::Exit(255)),
        ("nspawn", "exit 7", End::Exit(7)),
        // Has ended before the stub starts.
        ("spawn", "exit 5", End::Exit(5)),
    ] {
        assert_eq!(Container::start(manner, &[], script).end().0, end, "{manner}: {script}");
    }
}

#[test]
fn orphans_are_reaped() {
    if !can_run() {
        return;
    }
    let script =
        "for i in 1 2 3 4 5; do (sleep 0.1 & exec true); done; sleep 0.5; cat /proc/[0-9]*/stat | grep -c ') Z '";
    assert_eq!(Container::start("spawn", &[], script).end().1, "0\n");
}

#[test]
fn signals_are_passed_on() {
    if !can_run() {
        return;
    }
    for name in ["TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH"] {
        let mut container = Container::start("spawn", &[], &waiting(&format!("trap 'exit 9' {name}")));
        assert_eq!(container.line(), "ready");
        container.signal(name);
        assert_eq!(container.end().0, End::Exit(9), "{name}");
    }
    let mut container = Container::start(
        "nspawn",
        &[],
        &waiting("trap 'exit 9' TERM; (sleep 0.5; kill -USR1 $$) & trap 'exit 3' USR1"),
    );
    assert_eq!(container.line(), "ready");
    container.signal("TERM");
    assert_eq!(container.end().0, End::Exit(3), "systemd-nspawn's stub ignores SIGTERM");
}

#[test]
fn power_off_and_reboot_are_orderly() {
    if !can_run() {
        return;
    }
    // reboot(2): the parent sees the namespace's init killed by SIGINT after a power off, by SIGHUP after a reboot.
    let (off, again) = (2, 1);
    for (number, end) in [(3, off), (4, off), (13, off), (14, off), (5, again), (6, again), (15, again), (16, again)] {
        let mut container = Container::start("spawn", &[], &waiting("trap '' HUP; trap 'echo told; exit 3' TERM"));
        assert_eq!(container.line(), "ready");
        // As glibc counts; the kernel's own SIGRTMIN is 32.
        container.signal(&(34 + number).to_string());
        assert_eq!(container.end(), (End::Killed(end), "told\n".into()), "SIGRTMIN+{number}");
    }
    let mut container = Container::start("nspawn", &[], &waiting("trap '' TERM"));
    assert_eq!(container.line(), "ready");
    container.signal("INT");
    assert_eq!(container.end().0, End::Killed(again), "SIGHUP ends what ignores SIGTERM");
}

#[test]
fn nothing_of_the_caller_shows_in_it() {
    if !can_run() {
        return;
    }
    let script = "sleep 0.2; cat /proc/1/comm; tr '\\0' ' ' </proc/1/environ; echo; \
                  for f in /proc/1/fd/*; do echo ${f##*/} $(readlink $f); done";
    let shown = "(spawn-init)\ncontainer=spawn container_uuid=x \n0 /dev/null\n1 /dev/null\n2 /dev/null\n";
    assert_eq!(Container::start("spawn", &[], script).end().1, shown);
    // Its environment tells a program what it runs in, with a user namespace as well.
    assert_eq!(Container::start("spawn", &["--user", "--map-root-user"], script).end().1, shown);
}
