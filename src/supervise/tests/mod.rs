// SPDX-License-Identifier: LGPL-2.1-or-later
//! The loop and the forwarder on real pseudo-terminals, pipes and processes. Every wait is bounded.

mod forward;
mod serve;

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
