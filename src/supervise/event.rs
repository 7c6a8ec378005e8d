// SPDX-License-Identifier: LGPL-2.1-or-later
//! The epoll instance of the supervisor and what can be plugged into it.

use crate::error::{Code, Diagnostic, Result};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Instant;

/// Whose file descriptor became ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// The leader's pidfd.
    Leader,
    /// The signalfd.
    Signals,
    /// A stream of the console, by index.
    Console(u32),
    /// A [`Source`], by index.
    Source(u32),
}

impl Token {
    fn words(self) -> &'static str {
        match self {
            Token::Leader => "the container's first process",
            Token::Signals => "for signals",
            Token::Console(_) => "the container's console",
            Token::Source(_) => "what goes on beside the container: its notifications, the control socket, the bus",
        }
    }
    fn to_u64(self) -> u64 {
        let (kind, index) = match self {
            Token::Leader => (0u64, 0),
            Token::Signals => (1, 0),
            Token::Console(i) => (2, i),
            Token::Source(i) => (3, i),
        };
        kind << 32 | u64::from(index)
    }
    fn from_u64(data: u64) -> Option<Self> {
        let index = data as u32;
        match data >> 32 {
            0 => Some(Token::Leader),
            1 => Some(Token::Signals),
            2 => Some(Token::Console(index)),
            3 => Some(Token::Source(index)),
            _ => None,
        }
    }
}

/// How readiness is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// As long as it can be read.
    Readable,
    /// Each time that it becomes readable or writable: who asks for this must go on until `EAGAIN`.
    Edges,
}

/// Whether the kernel can tell when a file is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pollable {
    /// Events will come.
    Yes,
    /// epoll refused it (`EPERM`): regular files and some devices are always ready.
    AlwaysReady,
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Whose.
    pub token: Token,
    /// It can be read, or has hung up, or is in error: a read will tell.
    pub readable: bool,
    /// It can be written, or has hung up, or is in error: a write will tell.
    pub writable: bool,
}

/// The epoll instance.
pub struct EventLoop {
    epoll: OwnedFd,
    buffer: Vec<epoll::Event>,
}

impl EventLoop {
    /// Makes one.
    pub fn new() -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| failed("make an epoll instance", e))?;
        Ok(Self { epoll, buffer: Vec::with_capacity(16) })
    }

    /// Watches `fd`, which must be [removed](Self::remove) before it is closed if other descriptors share its file.
    pub fn add(&self, fd: BorrowedFd<'_>, token: Token, watch: Watch) -> Result<Pollable> {
        let flags = match watch {
            Watch::Readable => epoll::EventFlags::IN,
            Watch::Edges => epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET,
        };
        match epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token.to_u64()), flags) {
            Ok(()) => Ok(Pollable::Yes),
            Err(Errno::PERM) => Ok(Pollable::AlwaysReady),
            Err(e) => {
                Err(failed(&format!("watch {}", token.words()), e)
                    .help("raise fs.epoll.max_user_watches with sysctl(8)"))
            }
        }
    }

    /// Stops watching `fd`; one that is not watched is fine.
    pub fn remove(&self, fd: BorrowedFd<'_>) {
        // Only fails for what is not watched, which is what the caller wants.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits until something is ready or `deadline` has passed; `None` waits without limit.
    pub fn wait(&mut self, deadline: Option<Instant>) -> Result<Vec<Ready>> {
        let timeout = deadline.map(|d| {
            let left = d.saturating_duration_since(Instant::now());
            // Never early: a rounded-down millisecond would make the loop spin just before the deadline.
            let millis = left.as_nanos().div_ceil(1_000_000).min(3_600_000) as i64;
            Timespec { tv_sec: millis / 1000, tv_nsec: (millis % 1000) * 1_000_000 }
        });
        self.buffer.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.buffer), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(failed("wait for events", e)),
        }
        let ended = epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        Ok(self
            .buffer
            .iter()
            .filter_map(|event| {
                let (flags, data) = (event.flags, event.data);
                Some(Ready {
                    token: Token::from_u64(data.u64())?,
                    readable: flags.intersects(epoll::EventFlags::IN | ended),
                    writable: flags.intersects(epoll::EventFlags::OUT | ended),
                })
            })
            .collect())
    }
}

/// Something that the supervisor's loop serves besides leader, signals and console: bus, notify socket, port proxy.
pub trait Source {
    /// What it is, for messages ("the system bus").
    fn name(&self) -> &'static str;
    /// Readable (level-triggered) when [`Source::turn`] has something to do; the same fd as long as the loop runs.
    fn fd(&self) -> BorrowedFd<'_>;
    /// When [`Source::turn`] must be called even if the fd stays silent.
    fn deadline(&self) -> Option<Instant> {
        None
    }
    /// Does what can be done without blocking and says what the supervisor shall do.
    ///
    /// # Errors
    /// The error is reported as a warning and the source is no longer served: the container goes on.
    fn turn(&mut self, now: Instant) -> Result<Vec<Request>>;
}

/// What a [`Source`] can ask of the supervisor.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// An orderly stop, as SIGTERM to the supervisor (systemd's `RequestStop` on the scope).
    Stop,
    /// Kill the payload now.
    Kill,
    /// Something a person should hear of.
    Warn(Diagnostic),
    /// The source is finished; it is no longer served.
    Finished,
}

fn failed(what: &str, errno: Errno) -> Diagnostic {
    Diagnostic::new(Code::SuperviseFailed, format!("cannot {what}")).errno(errno)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::os::fd::AsFd;
    use std::time::Duration;

    #[test]
    fn tokens_survive_the_kernel() {
        for token in [Token::Leader, Token::Signals, Token::Console(7), Token::Source(u32::MAX)] {
            assert_eq!(Token::from_u64(token.to_u64()), Some(token));
        }
        assert_eq!(Token::from_u64(u64::MAX), None);
    }

    #[test]
    fn readiness_and_deadlines() {
        let mut events = EventLoop::new().unwrap();
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        assert_eq!(events.add(reader.as_fd(), Token::Source(3), Watch::Readable).unwrap(), Pollable::Yes);
        let before = Instant::now();
        assert_eq!(events.wait(Some(before + Duration::from_millis(30))).unwrap(), []);
        assert!(before.elapsed() >= Duration::from_millis(30));
        rustix::io::write(&writer, b"x").unwrap();
        let ready = Ready { token: Token::Source(3), readable: true, writable: false };
        assert_eq!(events.wait(None).unwrap(), [ready]);
        assert_eq!(events.wait(None).unwrap(), [ready], "level-triggered");
        events.remove(reader.as_fd());
        assert_eq!(events.wait(Some(Instant::now())).unwrap(), []);
    }

    #[test]
    fn a_regular_file_is_always_ready() {
        let events = EventLoop::new().unwrap();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(events.add(file.as_fd(), Token::Console(0), Watch::Edges).unwrap(), Pollable::AlwaysReady);
    }
}
