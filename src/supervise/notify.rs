// SPDX-License-Identifier: LGPL-2.1-or-later
//! sd_notify(3) in both directions: what the payload's first process says, and what our own manager hears.

use super::fd_store::{self, Storing};
use super::stdio::may_be_passed;
use crate::config::Invocation;
use crate::error::{Code, Diagnostic, Result};
use crate::log::escape;
use libsystemd::daemon::{self, NotifyState};
use rustix::fs::{AtFlags, Gid, Mode, Uid};
use rustix::io::{Errno, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use rustix::process::Pid;
use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// The socket's name in `/run/host`; `$NOTIFY_SOCKET` of the payload is `/run/host/notify`.
pub const SOCKET_NAME: &str = "notify";
/// The largest message that is looked at (`NOTIFY_BUFFER_MAX` of systemd).
const MESSAGE_LIMIT: usize = 4096;
/// A longer status is cut here.
const STATUS_LIMIT: usize = 512;

/// What the payload said in one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PayloadNotice {
    /// `STATUS=`, without control characters.
    pub status: Option<String>,
    /// `READY=1`
    pub ready: bool,
}

impl PayloadNotice {
    /// Reads `KEY=VALUE` lines; unknown keys are left out, of a repeated key the last one counts.
    pub fn parse(message: &[u8]) -> Self {
        let mut notice = Self::default();
        for line in message.split(|b| *b == b'\n') {
            if line == b"READY=1" {
                notice.ready = true;
            } else if let Some(status) = line.strip_prefix(b"STATUS=") {
                let mut text = String::new();
                escape::line(&status[..status.len().min(STATUS_LIMIT)], &mut text);
                notice.status = Some(text).filter(|t| !t.is_empty());
            }
        }
        notice
    }

    /// Takes in what was said later: a new status replaces the old one, ready stays ready.
    pub fn merge(&mut self, later: Self) {
        self.ready |= later.ready;
        self.status = later.status.or(self.status.take());
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What one look at the socket gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// The payload's first process said something.
    Notice(PayloadNotice),
    /// A message of somebody else, too long, or without anything of interest: dropped.
    Nothing,
    /// The socket is empty for now.
    Drained,
}

/// The socket that the payload's first process writes to.
#[derive(Debug)]
pub struct NotifyServer {
    socket: OwnedFd,
    fds: Fds,
    /// What is to be stored and has not been taken yet.
    storing: RefCell<Vec<Storing>>,
    /// Something was not stored since it could not be passed to the payload again.
    refused: Cell<bool>,
}

/// What becomes of descriptors that the payload sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fds {
    /// Nobody wants them.
    Dropped,
    /// Our service manager keeps those that a program of this name may be passed.
    Kept(Invocation),
}

impl AsFd for NotifyServer {
    /// To be watched for input.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl NotifyServer {
    /// Makes the socket; every message will carry its sender.
    pub fn new(fds: Fds) -> Result<Self> {
        let failed = |e: Errno| Diagnostic::new(Code::NotifyFailed, "cannot make the notify socket").errno(e);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).map_err(failed)?;
        rustix::net::sockopt::set_socket_passcred(&socket, true).map_err(failed)?;
        Ok(Self { socket, fds, storing: RefCell::default(), refused: Cell::default() })
    }

    /// Gives it its name in `directory` (the container's `/run/host`, which may be a mount that is not attached yet)
    /// with mode 0200, owned by the container's root as the host sees it.
    pub fn bind_at(&self, directory: impl AsFd, uid: u32, gid: u32) -> Result<()> {
        let failed =
            |e: Errno| Diagnostic::new(Code::NotifyFailed, "cannot bind the container's notify socket").errno(e);
        let directory = directory.as_fd();
        // bind(2) knows no directory fd. The socket file takes its mode from the socket's own inode.
        rustix::fs::fchmod(&self.socket, Mode::WUSR).map_err(failed)?;
        let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd());
        rustix::net::bind(&self.socket, &SocketAddrUnix::new(path).map_err(failed)?).map_err(failed)?;
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(directory, SOCKET_NAME, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)
    }

    /// Takes one message, without waiting. `leader` is the payload's first process in our PID namespace; as we are its
    /// parent and have not waited for it, its number cannot be anybody else's.
    pub fn receive(&self, leader: Pid) -> Result<Received> {
        let mut bytes = [0; MESSAGE_LIMIT];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1), ScmRights(fd_store::MOST))];
        // With room for the sender only the kernel releases passed fds by itself. Closing them here would let a FUSE
        // file of the payload hold us up in its flush.
        let room = match self.fds {
            Fds::Dropped => rustix::cmsg_space!(ScmCredentials(1)),
            Fds::Kept(_) => space.len(),
        };
        let mut control = RecvAncillaryBuffer::new(&mut space[..room]);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let message = match rustix::net::recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)
        {
            Ok(message) => message,
            Err(Errno::AGAIN) => return Ok(Received::Drained),
            Err(Errno::INTR) => return Ok(Received::Nothing),
            Err(e) => return Err(Diagnostic::new(Code::NotifyFailed, "cannot read the notify socket").errno(e)),
        };
        let (mut from_leader, mut fds) = (false, Vec::new());
        for part in control.drain() {
            match part {
                RecvAncillaryMessage::ScmCredentials(sender) => from_leader = sender.pid == leader,
                RecvAncillaryMessage::ScmRights(passed) => fds.extend(passed),
                _ => {}
            }
        }
        if !from_leader || message.flags.contains(ReturnFlags::TRUNC) {
            return Ok(Received::Nothing);
        }
        let bytes = &bytes[..message.bytes];
        if let Fds::Kept(invocation) = self.fds {
            let passed = fds.len();
            fds.retain(|fd| may_be_passed(fd.as_fd(), invocation));
            self.refused.set(self.refused.get() || fds.len() < passed);
            self.storing.borrow_mut().extend(Storing::parse(bytes, fds));
        }
        let notice = PayloadNotice::parse(bytes);
        Ok(if notice.is_empty() { Received::Nothing } else { Received::Notice(notice) })
    }

    /// What the messages that were received want of our manager's store, in their order.
    pub fn take_storing(&self) -> Vec<Storing> {
        self.storing.take()
    }

    /// Whether anything has been left out of it so far that could not be passed to the payload again: it would not start.
    pub fn has_refused(&self) -> bool {
        self.refused.get()
    }
}

/// When our own manager hears that we are ready (`--notify-ready=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyWhen {
    /// As soon as the payload runs.
    Started,
    /// When the payload says so.
    PayloadReady,
}

/// Why the machine ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to, or ended by itself.
    Terminating,
    /// It will be started again.
    Restarting,
}

/// One line of a message to the manager.
type Words = Vec<NotifyState>;

/// The payload runs, as process `leader` of the host.
fn on_started(when: ReadyWhen, leader: Pid) -> Words {
    let mut words = vec![
        NotifyState::Status("Container started.".into()),
        NotifyState::Other(format!("X_NSPAWN_LEADER_PID={}", leader.as_raw_nonzero())),
    ];
    if when == ReadyWhen::Started {
        words.push(NotifyState::Ready);
    }
    words
}

/// The payload said something. Its `READY=1` goes on in either mode.
fn on_payload(notice: &PayloadNotice) -> Words {
    let mut words = Vec::new();
    words.extend(notice.status.iter().map(|s| NotifyState::Status(format!("Container running: {s}"))));
    words.extend(notice.ready.then_some(NotifyState::Ready));
    words
}

/// The machine ends or was asked to.
fn on_ending(ending: Ending) -> Words {
    let status = match ending {
        Ending::Terminating => "Terminating...",
        Ending::Restarting => "Restarting...",
    };
    vec![NotifyState::Stopping, NotifyState::Status(status.into())]
}

/// Tells our own service manager (`$NOTIFY_SOCKET`) how the machine does. Without one every call does nothing.
#[derive(Debug)]
pub struct ManagerNotify {
    ready: ReadyWhen,
    watchdog: Option<Watchdog>,
}

/// The manager wants a sign of life before each deadline (sd_watchdog_enabled(3)).
#[derive(Debug, Clone, Copy)]
struct Watchdog {
    /// Half of what the manager allows.
    interval: Duration,
    due: Instant,
}

impl ManagerNotify {
    /// Reads the environment: `$NOTIFY_SOCKET`, `$WATCHDOG_USEC`, `$WATCHDOG_PID`. Keep-alives count from `now`.
    pub fn new(ready: ReadyWhen, now: Instant) -> Self {
        Self::with_watchdog(ready, daemon::watchdog_enabled(false), now)
    }

    fn with_watchdog(ready: ReadyWhen, allowed: Option<Duration>, now: Instant) -> Self {
        let interval = allowed.filter(|t| !t.is_zero()).map(|t| t / 2);
        Self { ready, watchdog: interval.map(|interval| Watchdog { interval, due: now + interval }) }
    }

    /// The payload runs, as process `leader` of the host.
    pub fn started(&self, leader: Pid) -> Result<()> {
        send(&on_started(self.ready, leader))
    }

    /// Passes on what the payload said.
    pub fn payload(&self, notice: &PayloadNotice) -> Result<()> {
        send(&on_payload(notice))
    }

    /// Passes on what is to be stored, or dropped from the store.
    pub fn store(&self, storing: &Storing) -> Result<()> {
        let (words, fds) = storing.words();
        let fds: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        tell(&words, &fds)
    }

    /// A word of our own on how it goes.
    pub fn status(&self, text: &str) -> Result<()> {
        send(&[NotifyState::Status(escape::text(&text.replace('\n', " ")))])
    }

    /// The machine ends or was asked to.
    pub fn ending(&self, ending: Ending) -> Result<()> {
        send(&on_ending(ending))
    }

    /// When the next sign of life is due, if any is wanted.
    pub fn keep_alive_due(&self) -> Option<Instant> {
        self.watchdog.map(|w| w.due)
    }

    /// Gives the sign of life if it is due. A late call does not make up for the ones that were missed.
    pub fn keep_alive(&mut self, now: Instant) -> Result<()> {
        match &mut self.watchdog {
            Some(w) if w.due <= now => {
                w.due = now + w.interval;
                send(&[NotifyState::Watchdog])
            }
            _ => Ok(()),
        }
    }
}

fn send(words: &[NotifyState]) -> Result<()> {
    if words.is_empty() { Ok(()) } else { tell(words, &[]) }
}

fn tell(words: &[NotifyState], fds: &[RawFd]) -> Result<()> {
    daemon::notify_with_fds(false, words, fds)
        .map(drop)
        .map_err(|e| Diagnostic::new(Code::NotifyFailed, "cannot notify the service manager").cause(e.to_string()))
        .map_err(|d| d.help("see what $NOTIFY_SOCKET names, or unset it where no service manager waits"))
}

#[cfg(test)]
mod tests;
