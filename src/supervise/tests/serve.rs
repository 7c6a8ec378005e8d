// SPDX-License-Identifier: LGPL-2.1-or-later
//! The whole loop with a real process as the leader.

use super::*;

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
        assert_eq!(*scene.events.borrow(), [told, Event::Gone]);
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
    let no_longer = Event::Warning(warning.note("the script is no longer served"));
    assert_eq!(*told, [no_longer, Event::Killed, Event::Gone]);
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
    assert_eq!((outcome, events, got), (Outcome::Exited(0), vec![Event::Gone], 4096 + 1 + LEFT_BEHIND));
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
    assert!(matches!(&events[..], [Event::Gone, Event::Warning(d)] if d.code() == Code::ConsoleFailed), "{events:?}");
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
