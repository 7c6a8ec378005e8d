// SPDX-License-Identifier: LGPL-2.1-or-later
//! The forwarder alone: nothing is lost, nothing spins, the window follows.

use super::*;

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
