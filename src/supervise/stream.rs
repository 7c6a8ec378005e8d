// SPDX-License-Identifier: LGPL-2.1-or-later
//! One end of a forwarding: reads and writes that never block, also on files shared with other processes.

use super::event::{EventLoop, Pollable, Token, Watch};
use super::terminal::{Position, position};
use crate::error::{Code, Diagnostic, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec, read, write};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// How it is kept from blocking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// A file description of our own, set to `O_NONBLOCK`.
    Own,
    /// A shared socket: `MSG_DONTWAIT`.
    Socket,
    /// Another shared description: asked with poll(2) before each small read or write.
    Shared,
}

/// The most that is written to a shared description at once: poll(2) promises that much for a pipe.
const SHARED_CHUNK: usize = 512;

/// What is done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It is read.
    Source,
    /// It is written.
    Sink,
}

/// What a read or write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing now; an event will come.
    NotNow,
    /// Nothing more ever: end of file, or nobody reads.
    Gone(Option<Errno>),
}

/// One end.
pub struct Stream {
    fd: OwnedFd,
    access: Access,
    /// For edge-triggered events: nobody has said `EAGAIN` since the last one.
    pub readable: bool,
    /// The same for writing.
    pub writable: bool,
    /// It is a terminal.
    pub is_terminal: bool,
    always_ready: bool,
}

impl Stream {
    /// Takes a file description that is ours alone: sets it to `O_NONBLOCK`.
    pub fn own(fd: OwnedFd) -> Result<Self> {
        let failed = |e| Diagnostic::new(Code::ConsoleFailed, "cannot make a console stream non-blocking").errno(e);
        let flags = fcntl_getfl(&fd).map_err(failed)?;
        fcntl_setfl(&fd, flags | OFlags::NONBLOCK).map_err(failed)?;
        Ok(Self::with(fd, Access::Own))
    }

    /// Uses a description that other processes have too, without touching its flags: terminals and pipes are opened
    /// anew, which gives a description of our own.
    pub fn share(fd: BorrowedFd<'_>, direction: Direction) -> Result<Self> {
        let failed = |e| {
            let what = match direction {
                Direction::Source => "use standard input",
                Direction::Sink => "use standard output or error",
            };
            Diagnostic::new(Code::ConsoleFailed, format!("cannot {what} for the console")).errno(e)
        };
        let file_type = FileType::from_raw_mode(fstat(fd).map_err(failed)?.st_mode);
        if matches!(file_type, FileType::CharacterDevice | FileType::Fifo) {
            let mode = match direction {
                Direction::Source => OFlags::RDONLY,
                Direction::Sink => OFlags::WRONLY,
            };
            let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
            let flags = mode | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            if let Ok(own) = open(path, flags, Mode::empty()) {
                return Ok(Self::with(own, Access::Own));
            }
        }
        let shared = fcntl_dupfd_cloexec(fd, 3).map_err(failed)?;
        let access = if file_type == FileType::Socket { Access::Socket } else { Access::Shared };
        Ok(Self::with(shared, access))
    }

    fn with(fd: OwnedFd, access: Access) -> Self {
        let is_terminal = rustix::termios::isatty(&fd);
        Self { fd, access, readable: false, writable: false, is_terminal, always_ready: false }
    }

    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Plugs it into the loop.
    pub fn register(&mut self, events: &EventLoop, token: Token) -> Result<()> {
        self.always_ready = events.add(self.fd.as_fd(), token, Watch::Edges)? == Pollable::AlwaysReady;
        (self.readable, self.writable) = (self.always_ready, self.always_ready);
        Ok(())
    }

    /// Whether it is a terminal that somebody else has in the foreground: reading it would be refused.
    pub fn is_in_background(&self) -> bool {
        self.is_terminal && position(self.fd.as_fd()) == Position::Background
    }

    /// Reads at most `buf.len()` bytes.
    pub fn read(&mut self, buf: &mut [u8]) -> Moved {
        let done = match self.access {
            Access::Own => read(&self.fd, buf),
            Access::Socket => match recv(&self.fd, &mut *buf, RecvFlags::DONTWAIT) {
                Ok((n, _)) => Ok(n),
                Err(e) => Err(e),
            },
            Access::Shared if !self.poll(PollFlags::IN, Duration::ZERO) => Err(Errno::AGAIN),
            Access::Shared => read(&self.fd, buf),
        };
        let moved = sort(done);
        if moved == Moved::NotNow {
            self.readable = self.always_ready;
        }
        moved
    }

    /// Writes some of `bytes`, which must not be empty.
    pub fn write(&mut self, bytes: &[u8]) -> Moved {
        let done = match self.access {
            Access::Own => write(&self.fd, bytes),
            Access::Socket => send(&self.fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Access::Shared if !self.poll(PollFlags::OUT, Duration::ZERO) => Err(Errno::AGAIN),
            Access::Shared => write(&self.fd, &bytes[..bytes.len().min(SHARED_CHUNK)]),
        };
        let moved = sort(done);
        if moved == Moved::NotNow {
            self.writable = self.always_ready;
        }
        moved
    }

    /// Waits until it can be written; false when that took longer than `limit`.
    pub fn wait_writable(&self, limit: Duration) -> bool {
        self.poll(PollFlags::OUT, limit)
    }

    /// Waits until it can be read; false when that took longer than `limit`.
    pub fn wait_readable(&self, limit: Duration) -> bool {
        self.poll(PollFlags::IN, limit)
    }

    fn poll(&self, flags: PollFlags, limit: Duration) -> bool {
        let timeout = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
        matches!(poll(&mut [PollFd::new(&self.fd, flags)], Some(&timeout)), Ok(1..))
    }
}

fn sort(done: rustix::io::Result<usize>) -> Moved {
    match done {
        Ok(0) => Moved::Gone(None),
        Ok(n) => Moved::Bytes(n),
        Err(Errno::AGAIN | Errno::INTR) => Moved::NotNow,
        Err(e) => Moved::Gone(Some(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    #[test]
    fn flags_of_shared_descriptions_stay() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut source = Stream::share(reader.as_fd(), Direction::Source).unwrap();
        let mut sink = Stream::share(writer.as_fd(), Direction::Sink).unwrap();
        assert_eq!(source.access, Access::Own);
        assert_eq!(source.read(&mut [0; 4]), Moved::NotNow);
        assert_eq!(sink.write(b"abc"), Moved::Bytes(3));
        assert_eq!(source.read(&mut [0; 4]), Moved::Bytes(3));
        for fd in [&reader, &writer] {
            assert!(!fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK));
        }
        drop((writer, sink));
        assert_eq!(source.read(&mut [0; 4]), Moved::Gone(None));
    }

    #[test]
    fn a_full_pipe_and_a_full_socket_do_not_block() {
        let (_reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let shared = fcntl_dupfd_cloexec(&writer, 3).unwrap();
        let (a, _b) = std::os::unix::net::UnixStream::pair().unwrap();
        for mut sink in [Stream::with(shared, Access::Shared), Stream::share(a.as_fd(), Direction::Sink).unwrap()] {
            sink.writable = true;
            let mut total = 0;
            while let Moved::Bytes(n) = sink.write(&[0; 4096]) {
                total += n;
                assert!(total < 16 << 20, "{:?} takes without end", sink.access);
            }
            assert!(total > 0 && !sink.writable);
        }
    }
}
