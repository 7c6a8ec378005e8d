// SPDX-License-Identifier: LGPL-2.1-or-later
//! The keeper, seen from the supervisor.

use super::perform::wait_readable;
use super::process::ProcessId;
use super::release::Release;
use crate::error::{Code, Diagnostic, Result};
use crate::sys::programs::wire::{self, MAX_ENTRIES, MAX_ONE_TEXT, MAX_TEXT, Op};
use crate::sys::programs::{KEEPER, above_stdio, sealed_memfd};
use crate::sys::spawn_program::{Started, start_detached};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, IoSlice};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, sendmsg,
    shutdown, socketpair,
};
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, getpid, pidfd_open};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// How long a message may wait for a keeper that does not take it (it was stopped, say).
const SEND_PATIENCE: Duration = Duration::from_secs(2);
/// How long the keeper may take to end when it was told that everything is done.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// A process that holds a copy of the undo list and runs it when this process is killed.
///
/// It lives in the host's namespaces, in a session of its own, blocks all signals, and takes about 30 kB of memory. It
/// ends when it was told that everything is done, or when the list has been run.
#[derive(Debug)]
pub struct Keeper {
    socket: OwnedFd,
    process: Started,
    id: OnceCell<Option<ProcessId>>,
    /// Bytes of text of each release that it holds, by id, counted as `list.rs` counts them.
    held: HashMap<u32, usize>,
}

impl Keeper {
    /// Starts it. Nothing but its connection and a pidfd of the caller is inherited.
    ///
    /// # Errors
    /// [`Code::Prepare`] when the process cannot be made. One that cannot run its program shows at a later push.
    pub fn start() -> Result<Self> {
        Self::try_start().map_err(|errno| {
            Diagnostic::new(Code::Prepare, "cannot start the keeper, the process that cleans up after a killed spawn")
                .errno(errno)
        })
    }

    fn try_start() -> rustix::io::Result<Self> {
        let image = sealed_memfd(c"spawn-keeper", KEEPER)?;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&ours, Timeout::Send, Some(SEND_PATIENCE))?;
        let myself = pidfd_open(getpid(), PidfdFlags::empty())?;
        let process = start_detached(image.as_fd(), c"(spawn-keeper)", [theirs.as_fd(), myself.as_fd()])?;
        Ok(Self { socket: above_stdio(ours)?, process, id: OnceCell::new(), held: HashMap::new() })
    }

    /// Lets it make, on the side, the move between control groups that is slow because it is the first for a while: to
    /// be called as early as possible before PID 1 makes a scope. Until it is done the keeper does nothing else, 16 ms
    /// at most; without a scope to be made that would only be time lost at the end.
    pub fn ease_moves(&self) {
        // A keeper that does not run shows at the next push.
        let _told = self.send(Op::StayInGroup, 0, None, &[]);
    }

    /// Lets it leave messages in the connection for a while instead of waking for each of them. Not for a supervisor that
    /// calls [`occupy`](Self::occupy).
    pub fn gather(&self) {
        // As above.
        let _told = self.send(Op::Gather, 0, None, &[]);
    }

    /// Lets it put a process into the control group with this directory. It does nothing and stays until what comes back is
    /// let go, by this process or by its end.
    pub fn occupy(&self, group: &Path) -> Result<Occupied> {
        let failed = |errno: Errno| {
            Diagnostic::new(Code::Prepare, format!("cannot occupy the control group {}", group.display())).errno(errno)
        };
        let (family, kind, flags) = (AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC);
        let (theirs, ours) = socketpair(family, kind, flags, None).map_err(failed)?;
        let mut text = group.as_os_str().as_bytes().to_vec();
        text.push(0);
        self.send(Op::Occupy, 0, Some(theirs.as_fd()), &text)?;
        above_stdio(ours).map(Occupied).map_err(failed)
    }

    /// Which process it is.
    pub fn process_id(&self) -> Option<ProcessId> {
        *self.id.get_or_init(|| ProcessId::of(self.process.pid))
    }

    /// Its pidfd, readable when it is gone: nothing then cleans up after this process.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.process.pidfd.as_fd()
    }

    /// Whether it is gone.
    pub fn has_ended(&self) -> bool {
        wait_readable(self.pidfd(), Duration::ZERO) == Ok(true)
    }

    /// The connection. Clones of this process close it.
    pub fn connection(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Hands a release over. When this returns, it will be run even if this process is killed right away.
    pub(super) fn push(&mut self, id: u32, release: &Release) -> Result<()> {
        let Some((op, fd, text)) = release.as_message() else { return Ok(()) };
        let size = text.len() + 1;
        let full = self.held.len() == MAX_ENTRIES || self.held.values().sum::<usize>() + size > MAX_TEXT;
        if full || text.len() >= MAX_ONE_TEXT || text.contains(&0) && op != Op::RestoreTerminal {
            let limit = format!("at most {MAX_ENTRIES} releases and {MAX_TEXT} bytes of paths without NUL bytes fit");
            return Err(Diagnostic::new(Code::Prepare, "the keeper cannot take a further release").cause(limit));
        }
        self.send(op, id, fd, &text)?;
        self.held.insert(id, size);
        Ok(())
    }

    /// Takes a release back that was done or is not wanted any more.
    pub(super) fn released(&mut self, id: u32) -> Result<()> {
        if self.held.remove(&id).is_some() { self.send(Op::Released, id, None, &[]) } else { Ok(()) }
    }

    /// Tells it that everything is done and waits until it has ended.
    ///
    /// # Errors
    /// [`Code::ReleaseFailed`] when it does not end.
    pub fn finish(self) -> Result<()> {
        let told = self.send(Op::Done, 0, None, &[]);
        // One that gathers messages sees the end of the connection at once.
        let Self { socket, process, .. } = self;
        drop(socket);
        let pidfd = process.pidfd.as_fd();
        let waited = match wait_readable(pidfd, END_PATIENCE) {
            Ok(true) => rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED).map(|_| ()),
            Ok(false) => Err(Errno::TIMEDOUT),
            Err(errno) => Err(errno),
        };
        told?;
        match waited {
            // ECHILD: whoever reaps all children was faster.
            Ok(()) | Err(Errno::CHILD) => Ok(()),
            Err(errno) => Err(Diagnostic::new(Code::ReleaseFailed, "the keeper does not end").errno(errno)),
        }
    }

    fn send(&self, op: Op, id: u32, fd: Option<BorrowedFd<'_>>, text: &[u8]) -> Result<()> {
        let header = wire::header(op, id, text.len() as u32);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if let Some(fd) = &fd {
            ancillary.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(fd)));
        }
        let parts = [IoSlice::new(&header), IoSlice::new(text)];
        rustix::io::retry_on_intr(|| sendmsg(&self.socket, &parts, &mut ancillary, SendFlags::NOSIGNAL))
            .map(|_| ())
            .map_err(|errno| {
                let errno = self.process.failure().unwrap_or(errno);
                Diagnostic::new(Code::Prepare, "the keeper does not run").errno(errno)
            })
    }
}

/// A process that keeps a control group from being empty ([`Keeper::occupy`]). Dropping it waits until that is gone.
#[derive(Debug)]
pub struct Occupied(OwnedFd);

impl Occupied {
    /// Lets the process end, without waiting for it.
    pub fn let_go(&self) {
        // Fails only when the other end is gone, which is what is wanted.
        let _ended = shutdown(&self.0, Shutdown::Write);
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.let_go();
        // The message to the keeper, its copy and the process hold the other end: the last of them hangs up.
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        let _told_by_who_needs_the_group = poll(&mut [PollFd::new(&self.0, PollFlags::empty())], Some(&second));
    }
}
