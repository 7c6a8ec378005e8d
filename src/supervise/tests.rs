// SPDX-License-Identifier: LGPL-2.1-or-later
//! The loop and the forwarder on real pseudo-terminals, pipes and processes. Every wait is bounded.

use super::pty::Pty;
use super::pty::tests::host_pty;
use super::*;
use crate::config::Invocation;
use crate::sys::termios::TermState;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};
use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio as ChildStdio};
use std::rc::Rc;
use std::thread::{self, JoinHandle};

const LIMIT: Duration = Duration::from_secs(20);

fn dup(fd: impl AsFd) -> OwnedFd {
    rustix::io::fcntl_dupfd_cloexec(fd, 3).unwrap()
}

fn make_raw(fd: impl AsFd) {
    let mut state = TermState::read(&fd).unwrap();
    state.make_input_raw();
    state.make_output_raw();
    state.apply(&fd).unwrap();
}

/// Waits for `fd` and reads once; empty after `LIMIT` or at the end.
fn read_some(fd: impl AsFd) -> Vec<u8> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
    let mut buf = vec![0; 65536];
    let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)).unwrap();
    let n = if ready == 0 { 0 } else { rustix::io::read(&fd, &mut buf).unwrap_or(0) };
    buf.truncate(n);
    buf
}

fn read_until(fd: impl AsFd, mut done: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut all = Vec::new();
    while !done(&all) {
        let some = read_some(&fd);
        if some.is_empty() {
            break;
        }
        all.extend(some);
    }
    all
}

fn write_all(fd: impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let n = rustix::io::write(&fd, bytes).unwrap();
        bytes = &bytes[n..];
    }
}

/// A byte pattern without the hotkeys' introducer.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).map(|b| if b == 0x1d { 0 } else { b }).collect()
}

/// Runs the console alone until `done`.
fn drive(console: &mut Console<'_>, mut done: impl FnMut() -> bool) -> usize {
    let mut events = EventLoop::new().unwrap();
    let give_up = Instant::now() + LIMIT;
    let mut turns = 0;
    console.start(&events, Instant::now()).unwrap();
    while !done() {
        assert!(Instant::now() < give_up, "still not done after {turns} turns");
        let soon = Instant::now() + Duration::from_millis(20);
        let deadline = if console.has_work() { Instant::now() } else { soon };
        for ready in events.wait(Some(deadline)).unwrap() {
            if let Token::Console(i) = ready.token {
                console.note(i, ready);
            }
        }
        console.pump(&events, Instant::now());
        turns += 1;
    }
    turns
}

/// A payload on a pseudo-terminal, and everything that `run` wants.
struct Scene {
    child: Child,
    pty: Option<Pty>,
    events: Rc<RefCell<Vec<Event>>>,
}

impl Scene {
    fn new(script: &str) -> Self {
        let pty = host_pty();
        let end = || ChildStdio::from(dup(&pty.slave));
        let child = Command::new("sh").args(["-c", script]).stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        Self { child, pty: Some(pty), events: Rc::default() }
    }

    fn wait_for_start(&self) {
        let pty = self.pty.as_ref().unwrap();
        assert!(read_until(&pty.master, |b| b.contains(&b'\n')).starts_with(b"ready"));
    }

    fn run(&self, console: &mut Console<'_>, signals: &Signals, sources: Vec<&mut dyn Source>) -> Outcome {
        let pid = self.child.id() as i32;
        let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        run(Running {
            leader: Leader { pid, pidfd: pidfd.as_fd() },
            console,
            signals,
            stop: StopPolicy::new(None, Invocation::Spawn),
            sources,
            observer: &mut |event| {
                // Other tests of this process have children too.
                if !matches!(event, Event::ChildEnded { .. }) {
                    self.events.borrow_mut().push(event);
                }
            },
        })
        .unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Only does something when a test failed half-way.
        let _ = self.child.kill();
    }
}

#[test]
fn a_megabyte_both_ways() {
    const SIZE: usize = 1 << 20;
    let (outer, inner) = (host_pty(), host_pty());
    let payload_side = dup(&inner.slave);
    make_raw(&payload_side);
    let tapped = Rc::new(RefCell::new(Vec::new()));
    let tap = tapped.clone();
    let mut console = Console::new().tap(Box::new(move |b| tap.borrow_mut().extend_from_slice(b)));
    let viewer = Viewer::Interactive { input: outer.slave.as_fd(), output: outer.slave.as_fd() };
    console.attach(inner, viewer).unwrap();

    // Raw mode comes with start(): typing before would be echoed by the outer terminal.
    make_raw(&outer.slave);
    let keyboard = dup(&outer.master);
    let typed = thread::spawn(move || write_all(&keyboard, &pattern(SIZE)));
    let payload: JoinHandle<Vec<u8>> = thread::spawn(move || {
        let mut got = Vec::new();
        while got.len() < SIZE {
            let some = read_some(&payload_side);
            assert!(!some.is_empty(), "the payload waits for input after {} bytes", got.len());
            write_all(&payload_side, &some);
            got.extend(some);
        }
        got
    });
    let screen = dup(&outer.master);
    let shown: JoinHandle<Vec<u8>> = thread::spawn(move || read_until(&screen, |b| b.len() >= SIZE));
    drive(&mut console, || typed.is_finished() && payload.is_finished() && shown.is_finished());
    typed.join().unwrap();
    assert!(payload.join().unwrap() == pattern(SIZE));
    assert!(shown.join().unwrap() == pattern(SIZE));
    assert!(*tapped.borrow() == pattern(SIZE));
}

#[test]
fn relays_carry_everything_and_pass_on_the_end() {
    let outer = host_pty();
    make_raw(&outer.slave);
    let (stdin, to_payload) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (from_payload, stdout) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let mut console = Console::new();
    console.relay_in(outer.slave.as_fd(), to_payload).unwrap();
    console.relay_out(from_payload, outer.slave.as_fd()).unwrap();
    let payload = thread::spawn(move || {
        let mut total = 0;
        while total < 300_000 {
            let some = read_some(&stdin);
            assert!(!some.is_empty());
            write_all(&stdout, &some);
            total += some.len();
        }
        drop(stdout);
        // The terminal goes back to lines, so that the end-of-file key ends input.
        read_some(&stdin)
    });
    let keyboard = dup(&outer.master);
    let typed = thread::spawn(move || write_all(&keyboard, &pattern(300_000)));
    let (screen, slave) = (dup(&outer.master), dup(&outer.slave));
    let shown = thread::spawn(move || {
        let shown = read_until(&screen, |b| b.len() >= 300_000);
        let lines = TermState::read(host_pty().slave).unwrap();
        lines.apply(&slave).unwrap();
        write_all(&screen, b"\x04");
        shown
    });
    drive(&mut console, || typed.is_finished() && payload.is_finished() && shown.is_finished());
    assert!(shown.join().unwrap() == pattern(300_000));
    assert_eq!(payload.join().unwrap(), b"", "end of file");
}

#[test]
fn a_blocked_viewer_costs_nothing_and_loses_nothing() {
    let inner = host_pty();
    make_raw(&inner.slave);
    let payload = dup(&inner.slave);
    fcntl_setfl(&payload, fcntl_getfl(&payload).unwrap() | OFlags::NONBLOCK).unwrap();
    let (viewer, output) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let mut console = Console::new();
    console.attach(inner, Viewer::ReadOnly { output: output.as_fd() }).unwrap();
    // Fill everything on the way: both buffers and the pipe.
    let mut written = 0;
    let mut last_progress = Instant::now();
    let turns = drive(&mut console, || {
        if let Ok(n) = rustix::io::write(&payload, &[b'x'; 4096]) {
            written += n;
            last_progress = Instant::now();
        }
        last_progress.elapsed() > Duration::from_millis(300)
    });
    assert!(written > 65536 && written < 1 << 20, "{written}");
    let cpu = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let (before, start) = (cpu(), Instant::now());
    let idle_turns = drive(&mut console, || start.elapsed() > Duration::from_millis(400));
    let used = (cpu().tv_sec - before.tv_sec) * 1_000_000 + (cpu().tv_nsec - before.tv_nsec) / 1000;
    assert!(idle_turns < 40 && used < 40_000, "{idle_turns} turns after {turns}, {used} µs of CPU");
    let reader = thread::spawn(move || read_until(&viewer, |b| b.len() >= written).len());
    drive(&mut console, || reader.is_finished());
    assert_eq!(reader.join().unwrap(), written);
}

#[test]
fn a_passive_console_does_not_block_the_payload() {
    let inner = host_pty();
    let payload = dup(&inner.slave);
    make_raw(&payload);
    let seen = Rc::new(RefCell::new(0));
    let tap = seen.clone();
    let mut console = Console::new().tap(Box::new(move |b| *tap.borrow_mut() += b.len()));
    console.attach(inner, Viewer::Passive).unwrap();
    let writer = thread::spawn(move || write_all(&payload, &pattern(500_000)));
    drive(&mut console, || *seen.borrow() == 500_000);
    writer.join().unwrap();
}

#[test]
fn the_window_follows_the_terminal() {
    let (outer, inner, next) = (host_pty(), host_pty(), host_pty());
    let (container, next_container) = (dup(&inner.slave), dup(&next.slave));
    let size = |fd: &OwnedFd| tcgetwinsize(fd).map(|s| (s.ws_col, s.ws_row)).unwrap();
    let fallback = size_from_environment(Some("90".as_ref()), Some("30".as_ref()));
    let mut console = Console::new().fallback_size(fallback);
    let viewer = Viewer::Interactive { input: outer.slave.as_fd(), output: outer.slave.as_fd() };
    console.attach(inner, viewer).unwrap();
    assert_eq!(size(&container), (90, 30), "the terminal does not know");
    tcsetwinsize(&outer.master, Winsize { ws_row: 40, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    console.resize();
    assert_eq!(size(&container), (132, 40));
    console.replace_pty(next).unwrap();
    assert_eq!(size(&next_container), (132, 40), "the next boot begins with it");
}

#[test]
fn output_is_complete_and_the_terminal_restored_when_the_payload_is_gone() {
    let mut scene = Scene::new("stty raw -echo; head -c 200000 /dev/zero; exit 7");
    let outer = host_pty();
    let before = TermState::read(&outer.slave).unwrap().to_bytes();
    let screen = dup(&outer.master);
    let shown = thread::spawn(move || read_until(&screen, |b| b.len() >= 200_000).len());
    let signals = Signals::block().unwrap();
    let mut console = Console::new();
    let viewer = Viewer::Interactive { input: outer.slave.as_fd(), output: outer.slave.as_fd() };
    console.attach(scene.pty.take().unwrap(), viewer).unwrap();
    let outcome = scene.run(&mut console, &signals, vec![]);
    assert_eq!(outcome, Outcome::Exited(7));
    assert_eq!(console.last_byte(), Some(0));
    assert_ne!(TermState::read(&outer.slave).unwrap().to_bytes(), before, "raw until the console is dropped");
    drop(console);
    assert_eq!(TermState::read(&outer.slave).unwrap().to_bytes(), before);
    assert_eq!(shown.join().unwrap(), 200_000);
    assert!(scene.child.try_wait().is_err(), "reaped");
}

#[test]
fn the_end_of_piped_input_is_the_end_of_file_key() {
    for (input, lines) in [(&b"one\ntwo\n"[..], 2), (b"one\nhalf", 1), (b"", 0)] {
        let mut scene = Scene::new("stty -echo; echo ready; wc -l");
        scene.wait_for_start();
        let (source, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        write_all(&writer, input);
        drop(writer);
        let (result, output) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let signals = Signals::block().unwrap();
        let mut console = Console::new();
        let viewer = Viewer::Interactive { input: source.as_fd(), output: output.as_fd() };
        console.attach(scene.pty.take().unwrap(), viewer).unwrap();
        assert_eq!(scene.run(&mut console, &signals, vec![]), Outcome::Exited(0));
        assert_eq!(read_some(&result), format!("{lines}\r\n").as_bytes());
    }
}

#[test]
fn hotkeys_from_the_terminal() {
    for (keys, script, outcome, hotkey) in [
        ("\x1d\x1d\x1d", "echo ready; exec sleep 60", Outcome::Signaled(9), Hotkey::Stop),
        (
            "\x1d\x1dp",
            "trap 'exit 3' 38; echo ready; while :; do sleep 0.02; done",
            Outcome::Exited(3),
            Hotkey::PowerOff,
        ),
        ("\x1d\x1dr", "trap 'exit 4' 39; echo ready; while :; do sleep 0.02; done", Outcome::Exited(4), Hotkey::Reboot),
    ] {
        let mut scene = Scene::new(script);
        scene.wait_for_start();
        let outer = host_pty();
        let signals = Signals::block().unwrap();
        let mut console = Console::new();
        let viewer = Viewer::Interactive { input: outer.slave.as_fd(), output: outer.slave.as_fd() };
        make_raw(&outer.slave);
        console.attach(scene.pty.take().unwrap(), viewer).unwrap();
        write_all(&outer.master, keys.as_bytes());
        assert_eq!(scene.run(&mut console, &signals, vec![]), outcome);
        assert_eq!(scene.events.borrow().first(), Some(&Event::Hotkey(hotkey)));
    }
}

#[test]
fn a_stop_signal_asks_who_listens_and_kills_who_does_not() {
    use nix::sys::signal::{Signal, raise};
    for (signal, script, outcome, told) in [
        (
            Signal::SIGTERM,
            "trap 'exit 5' TERM; echo ready; while :; do sleep 0.02; done",
            Outcome::Exited(5),
            Event::Stopping,
        ),
        (
            Signal::SIGHUP,
            "trap 'exit 6' TERM; echo ready; while :; do sleep 0.02; done",
            Outcome::Exited(6),
            Event::Stopping,
        ),
        (Signal::SIGQUIT, "echo ready; exec sleep 60", Outcome::Signaled(9), Event::Killed),
    ] {
        let mut scene = Scene::new(script);
        scene.wait_for_start();
        // The harness may have been started by nohup(1).
        crate::sys::disposition::set(signal, crate::sys::disposition::Disposition::Default).unwrap();
        let signals = Signals::block().unwrap();
        let mut console = Console::new();
        console.attach(scene.pty.take().unwrap(), Viewer::Passive).unwrap();
        // The shell has not executed the sleep yet when it said so, or it has: neither listens.
        raise(signal).unwrap();
        assert_eq!(scene.run(&mut console, &signals, vec![]), outcome);
        assert_eq!(*scene.events.borrow(), [told]);
    }
}

/// Reads one byte for each turn and answers with the next of its lines.
struct Script {
    fd: OwnedFd,
    lines: Vec<Result<Vec<Request>>>,
    deadline: Option<Instant>,
}

impl Source for Script {
    fn name(&self) -> &'static str {
        "the script"
    }
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
    fn turn(&mut self, _now: Instant) -> Result<Vec<Request>> {
        if self.deadline.take().is_none() {
            rustix::io::read(&self.fd, &mut [0; 1]).unwrap();
        }
        self.lines.remove(0)
    }
}

#[test]
fn sources_are_served_warned_about_and_obeyed() {
    let mut scene = Scene::new("echo ready; exec sleep 60");
    scene.wait_for_start();
    let warning = Diagnostic::new(Code::BusCall, "the bus is gone");
    let (fd, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    write_all(&writer, b"1234");
    // Its fd stays readable: served again after the error, it would run out of lines and panic.
    let mut failing = Script { fd, lines: vec![Ok(vec![]), Err(warning.clone())], deadline: None };
    let (fd, _writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let soon = Instant::now() + Duration::from_millis(100);
    let mut timed = Script { fd, lines: vec![Ok(vec![Request::Kill, Request::Finished])], deadline: Some(soon) };
    let signals = Signals::block().unwrap();
    let mut console = Console::new();
    console.attach(scene.pty.take().unwrap(), Viewer::Passive).unwrap();
    let outcome = scene.run(&mut console, &signals, vec![&mut failing, &mut timed]);
    assert_eq!(outcome, Outcome::Signaled(9));
    assert!(Instant::now() >= soon);
    let told = scene.events.borrow();
    assert_eq!(*told, [Event::Warning(warning.note("the script is no longer served")), Event::Killed]);
    assert_eq!(failing.lines.len(), 0);
}

#[test]
fn a_process_listens_to_what_it_handles_or_blocks() {
    let mut scene = Scene::new("trap : TERM; echo ready; while :; do sleep 0.02; done");
    scene.wait_for_start();
    let pid = scene.child.id() as i32;
    assert_eq!(listens(pid, SignalNumber::TERM), Listens::Yes);
    assert_eq!(listens(i32::MAX, SignalNumber::TERM), Listens::Yes, "not to be seen");
    scene.child.kill().unwrap();
    scene.child.wait().unwrap();
    // A shell blocks signals while it forks; this one does not fork.
    let mut scene = Scene::new("echo ready; exec sleep 60");
    scene.wait_for_start();
    assert_eq!(listens(scene.child.id() as i32, SignalNumber::TERM), Listens::No);
    scene.child.kill().unwrap();
    scene.child.wait().unwrap();
}

/// More than the console's buffer (16 KiB) and less than that and the terminal's (8 KiB) hold together: the payload is
/// gone before anybody reads.
const LEFT_BEHIND: usize = 22_000;

/// A payload that leaves output behind; its viewer is a full pipe, to be read by the function when the payload is gone.
fn leave_behind<R: Send + 'static>(
    tap: Tap<'_>,
    read: impl FnOnce(OwnedFd) -> R + Send + 'static,
) -> (Outcome, Vec<Event>, R) {
    let mut scene = Scene::new(&format!("stty raw -echo; echo ready; head -c 1; exec head -c {LEFT_BEHIND} /dev/zero"));
    scene.wait_for_start();
    write_all(&scene.pty.as_ref().unwrap().master, b"0");
    let (viewer, output) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    rustix::pipe::fcntl_setpipe_size(&output, 4096).unwrap();
    write_all(&output, &[b'x'; 4096]);
    let signals = Signals::block().unwrap();
    let mut console = Console::new().tap(tap);
    console.attach(scene.pty.take().unwrap(), Viewer::ReadOnly { output: output.as_fd() }).unwrap();
    let stat = format!("/proc/{}/stat", scene.child.id());
    let reader = thread::spawn(move || {
        let give_up = Instant::now() + LIMIT;
        while !std::fs::read_to_string(&stat).unwrap().contains(") Z ") && Instant::now() < give_up {
            thread::sleep(Duration::from_millis(10));
        }
        read(viewer)
    });
    let outcome = scene.run(&mut console, &signals, vec![]);
    let result = reader.join().unwrap();
    (outcome, scene.events.take(), result)
}

#[test]
fn a_slow_viewer_gets_the_last_output() {
    let (outcome, events, got) =
        leave_behind(Box::new(|_| ()), |viewer| read_until(&viewer, |b| b.len() > 4096 + LEFT_BEHIND).len());
    assert_eq!((outcome, events, got), (Outcome::Exited(0), vec![], 4096 + 1 + LEFT_BEHIND));
}

#[test]
fn a_stop_signal_ends_the_wait_for_a_viewer() {
    use nix::sys::signal::{Signal, raise};
    let mut seen: usize = 0;
    let tap: Tap<'_> = Box::new(move |bytes| {
        // More than the buffer holds can only come while the rest is flushed.
        let before = seen;
        seen += bytes.len();
        if before <= 16384 && seen > 16384 {
            raise(Signal::SIGTERM).unwrap();
        }
    });
    let (outcome, events, viewer) = leave_behind(tap, |viewer| {
        let mut left = 5 * 4096;
        while left > 0 {
            left -= rustix::io::read(&viewer, &mut [0; 4096][..left.min(4096)]).unwrap();
        }
        viewer
    });
    assert_eq!(outcome, Outcome::Exited(0));
    assert!(matches!(&events[..], [Event::Warning(d)] if d.code() == Code::ConsoleFailed), "{events:?}");
    drop(viewer);
}

#[test]
fn a_hang_up_of_the_console_is_survived_without_spinning() {
    if Command::new("perl").arg("-v").output().is_err() {
        eprintln!("skipped: needs perl for TIOCVHANGUP");
        return;
    }
    let program = r#"my $p = readlink "/proc/self/fd/0"; syswrite STDOUT, "ready\n";
        select(undef, undef, undef, 0.3); ioctl(STDIN, 0x5437, 0) or die;
        select(undef, undef, undef, 0.5); open(F, ">", $p); syswrite F, "after\n"; close F; exit 9"#;
    let mut scene = Scene::new(&format!("exec perl -e '{program}'"));
    scene.wait_for_start();
    let (viewer, output) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let signals = Signals::block().unwrap();
    let mut console = Console::new();
    console.attach(scene.pty.take().unwrap(), Viewer::ReadOnly { output: output.as_fd() }).unwrap();
    let cpu = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let before = cpu();
    assert_eq!(scene.run(&mut console, &signals, vec![]), Outcome::Exited(9));
    let used = (cpu().tv_sec - before.tv_sec) * 1_000_000 + (cpu().tv_nsec - before.tv_nsec) / 1000;
    assert!(used < 40_000, "{used} µs of CPU");
    assert_eq!(read_some(&viewer), b"after\r\n");
}
