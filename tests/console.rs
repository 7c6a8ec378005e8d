// SPDX-License-Identifier: LGPL-2.1-or-later
//! The supervisor's terminal handling under a real job-control shell on a pseudo-terminal of its own: in the background,
//! brought to the foreground, suspended, without a controlling terminal. Every wait is bounded.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Uid;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::termios::{LocalModes, tcgetattr};
use spawn::config::Invocation;
use spawn::supervise::pty::{Pty, allocate};
use spawn::supervise::{Console, Leader, Outcome, Running, Signals, StopPolicy, Viewer, run};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

fn pty() -> Pty {
    allocate(File::open("/dev/pts").unwrap().as_fd(), Uid::ROOT).unwrap()
}

fn can_run() -> bool {
    let missing = if !rustix::process::geteuid().is_root() {
        "needs root for its pseudo-terminals"
    } else if allocate(File::open("/dev/pts").unwrap().as_fd(), Uid::ROOT).is_err() {
        "needs a devpts on /dev/pts"
    } else if !Command::new("setsid")
        .args(["env", "--block-signal=HUP", "--default-signal", "true"])
        .status()
        .is_ok_and(|s| s.success())
    {
        "needs setsid(1) of util-linux and env(1) of coreutils 8.31 or newer"
    } else {
        return true;
    };
    eprintln!("skipped: {missing}");
    false
}

/// What runs inside the scenes: a supervisor on its own standard input and output, with `cat` as the container. Says
/// "up PID" and, at the end, the outcome on standard error, which the scene reads.
#[test]
#[ignore = "is the program that the other tests start"]
fn supervisor() {
    let inner = pty();
    let end = || Stdio::from(rustix::io::fcntl_dupfd_cloexec(&inner.slave, 3).unwrap());
    let signals = Signals::block().unwrap();
    // In a session of its own on the container's terminal, as a payload is, and with no signal blocked.
    let mut cat = Command::new("setsid");
    cat.args(["--ctty", "env", "--default-signal", "sh", "-c", "echo payload is up; exec cat"]);
    let mut cat = cat.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    let mut helper = Command::new("sh").args(["-c", "kill -39 $$"]).spawn().unwrap();
    let pid = cat.id() as i32;
    let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    let mut console = Console::new();
    let (input, output) = (std::io::stdin(), std::io::stdout());
    console.attach(inner, Viewer::Interactive { input: input.as_fd(), output: output.as_fd() }).unwrap();
    eprintln!("up {}", std::process::id());
    let outcome = run(Running {
        leader: Leader { pid, pidfd: pidfd.as_fd() },
        console: &mut console,
        signals: &signals,
        stop: StopPolicy::new(None, Invocation::SystemdNspawn),
        sources: vec![],
        observer: &mut |event| {
            eprintln!("event {event:?}");
        },
    });
    drop(console);
    assert!(cat.try_wait().is_err(), "reaped by the loop");
    // The loop may have reaped it too, or not have been there long enough.
    let _ = helper.wait();
    eprintln!("outcome {outcome:?}");
}

/// A session on a pseudo-terminal, led by a shell that knows the supervisor as `$S`.
struct Session {
    shell: Child,
    terminal: Pty,
    log: std::io::PipeReader,
    log_text: String,
    screen: String,
    supervisor: Option<Pid>,
}

impl Session {
    fn new(setsid: &str, script: &str) -> Self {
        let terminal = pty();
        let end = || Stdio::from(rustix::io::fcntl_dupfd_cloexec(&terminal.slave, 3).unwrap());
        let (log, log_end) = std::io::pipe().unwrap();
        let me = std::env::current_exe().unwrap();
        // The harness has a thread of its own, which must not take the signals that are the supervisor's.
        let blocked = "--block-signal=HUP,INT,QUIT,TERM,CHLD,WINCH,CONT,TSTP,TTIN,TTOU";
        let supervisor =
            format!("env {blocked} {} --exact supervisor --ignored --nocapture --test-threads=1 2>&3", me.display());
        let shell = Command::new("setsid")
            .args([
                setsid,
                "--wait",
                "sh",
                "-c",
                &format!("exec 3>&2; S='{supervisor}'; s() {{ eval exec \"$S\"; }}; {script}"),
            ])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(end())
            .stdout(end())
            .stderr(log_end)
            .spawn()
            .unwrap();
        Self { shell, terminal, log, log_text: String::new(), screen: String::new(), supervisor: None }
    }

    /// Reads the supervisor's standard error until `text` has come.
    fn expect_log(&mut self, text: &str) {
        expect(&self.log, &mut self.log_text, text);
    }

    /// The same for the terminal's screen.
    fn expect_screen(&mut self, text: &str) {
        expect(&self.terminal.master, &mut self.screen, text);
    }

    fn expect_supervisor(&mut self) {
        self.expect_log("up ");
        let pid = expect(&self.log, &mut self.log_text, "\n");
        self.supervisor = Pid::from_raw(pid.trim().parse().unwrap());
    }

    fn state(&self) -> char {
        let pid = self.supervisor.unwrap().as_raw_nonzero();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().chars().next().unwrap()
    }

    fn type_in(&self, keys: &str) {
        assert_eq!(rustix::io::write(&self.terminal.master, keys.as_bytes()).unwrap(), keys.len());
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.terminal.slave).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    fn wait_until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let give_up = Instant::now() + LIMIT;
        while !condition(self) {
            assert!(Instant::now() < give_up, "waited in vain until {what}; screen: {:?}", self.screen);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(pid) = self.supervisor {
            let _ = kill_process(pid, Signal::CONT);
            let _ = kill_process(pid, Signal::TERM);
        }
        // Both only matter when a test failed half-way.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Reads until `wanted` has come, and takes everything up to its end out of `text`.
fn expect(fd: impl AsFd, text: &mut String, wanted: &str) -> String {
    let give_up = Instant::now() + LIMIT;
    loop {
        if let Some(at) = text.find(wanted) {
            return text.drain(..at + wanted.len()).collect();
        }
        let left = give_up.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap();
        assert!(ready > 0, "waited in vain for {wanted:?}, have {text:?}");
        let mut buf = [0; 4096];
        let n = rustix::io::read(&fd, &mut buf).unwrap();
        assert!(n > 0, "ended before {wanted:?}, have {text:?}");
        text.push_str(&String::from_utf8_lossy(&buf[..n]));
    }
}

#[test]
fn a_background_job_leaves_the_terminal_alone_until_it_is_brought_forward() {
    if !can_run() {
        return;
    }
    let script = "set -m; s & read line; echo \"got <$line>\"; fg %1 >/dev/null; echo back; fg %1 >/dev/null; echo end";
    let mut session = Session::new("--ctty", script);
    session.expect_supervisor();
    session.expect_screen("payload is up");
    assert!(!session.is_raw());
    // The shell in the foreground gets what is typed, from a terminal that still edits lines.
    session.type_in("hexx\x7f\x7fllo\n");
    session.expect_screen("got <hello>");
    // Brought to the foreground without a SIGCONT: goes raw by itself.
    session.wait_until("it is raw", Session::is_raw);
    session.type_in("through\r");
    session.expect_screen("through\r\nthrough\r\n");
    // Suspended: the terminal is given back to the shell, which goes on.
    kill_process(session.supervisor.unwrap(), Signal::TSTP).unwrap();
    session.expect_screen("back");
    // The next fg continues it: raw again, then ended by a hotkey.
    session.wait_until("it is raw again", |s| s.is_raw() && s.state() != 'T');
    session.type_in("again\r");
    session.expect_screen("again\r\nagain\r\n");
    session.type_in("\x1d\x1d\x1d");
    session.expect_log(&format!("outcome {:?}", Ok::<_, ()>(Outcome::Signaled(9))));
    session.expect_screen("end");
    assert!(!session.is_raw());
    assert!(session.shell.wait().unwrap().success());
}

#[test]
fn a_background_job_never_stops_for_the_terminal() {
    if !can_run() {
        return;
    }
    // With tostop even output of a background job would stop it.
    let mut session = Session::new("--ctty", "set -m; stty tostop; s & read line; kill %1; wait; echo end");
    session.expect_supervisor();
    session.expect_screen("payload is up");
    for _ in 0..30 {
        assert_ne!(session.state(), 'T');
        assert!(!session.is_raw());
        std::thread::sleep(Duration::from_millis(50));
    }
    session.type_in("\n");
    session.expect_log(&format!("outcome {:?}", Ok::<_, ()>(Outcome::Signaled(9))));
    session.expect_screen("end");
}

#[test]
fn without_a_controlling_terminal_it_is_used_but_not_acquired() {
    if !can_run() {
        return;
    }
    // No --ctty: the shell leads a session without a terminal, as under su(1) or a service.
    let mut session = Session::new("--fork", "(s); echo end");
    session.expect_supervisor();
    session.expect_log("ending: Signaled(39)");
    session.expect_screen("payload is up");
    session.wait_until("it is raw", Session::is_raw);
    session.type_in("hello\r");
    session.expect_screen("hello\r\nhello\r\n");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", session.supervisor.unwrap().as_raw_nonzero())).unwrap();
    let tty_nr = stat.rsplit(") ").next().unwrap().split(' ').nth(4).unwrap();
    assert_eq!(tty_nr, "0", "no controlling terminal");
    session.type_in("\x1d\x1d\x1d");
    session.expect_log("outcome");
    session.expect_screen("end");
    assert!(!session.is_raw());
}

#[test]
fn under_su_with_and_without_a_terminal_of_its_own() {
    if !can_run() {
        return;
    }
    if !Command::new("su").args(["root", "-s", "/bin/sh", "-c", "true"]).status().is_ok_and(|s| s.success()) {
        eprintln!("skipped: su(1) does not work here");
        return;
    }
    for option in ["", "--pty"] {
        let mut session = Session::new("--ctty", &format!("su {option} root -s /bin/sh -c \"$S\"; echo end"));
        session.expect_supervisor();
        session.expect_screen("payload is up");
        session.wait_until("it is raw", Session::is_raw);
        session.type_in("hello\r");
        session.expect_screen("hello\r\nhello\r\n");
        assert_ne!(session.state(), 'T');
        session.type_in("\x1d\x1d\x1d");
        session.expect_log("outcome Ok(Signaled(9))");
        session.expect_screen("end");
        assert!(!session.is_raw());
    }
}

#[test]
fn a_terminal_that_goes_away_ends_the_container() {
    if !can_run() {
        return;
    }
    let mut session = Session::new("--ctty", "s");
    session.expect_supervisor();
    session.wait_until("it is raw", Session::is_raw);
    // Closing the master hangs up: SIGHUP for the foreground group, and reads that end.
    session.terminal = pty();
    session.expect_log("outcome Ok(Signaled(9))");
}
