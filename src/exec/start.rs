// SPDX-License-Identifier: LGPL-2.1-or-later
//! The supervisor's side of the start, as types that can only be passed through in order: [`Cloned`] → [`Entered`] →
//! [`Mapping`] → [`Mapped`] → [`Released`]. Init cannot be released before its ids are mapped and its mounts are in place.

use super::init::Init;
use super::ops::{ChildEnds, Stager};
use super::report::{Kind, Record};
use super::stager;
use super::words;
use crate::error::{Code, Diagnostic, Result};
use crate::model::UidRange;
use crate::plan::Plan;
use crate::sys::clone::{Side, clone, flags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// How long the children may take for everything between two orders. File systems that hang are the only reason to
/// come near it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a child that could not be told to go on may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The supervisor's ends of the channels to the children.
pub struct Channels {
    report: OwnedFd,
    order: OwnedFd,
    release: OwnedFd,
    /// The home that init makes, for words.
    home: Option<CString>,
    /// What the children have skipped, as the plan allows.
    pub skipped: Vec<Diagnostic>,
}

/// The stager exists.
pub struct Cloned {
    channels: Channels,
    stager: (i32, OwnedFd),
}

/// Init exists, in its cgroup.
pub struct Entered {
    channels: Channels,
    stager: OwnedFd,
    leader: (i32, OwnedFd),
}

/// Init's ids are mapped, the last mounts are being made.
pub struct Mapping(Entered);

/// Init's ids are mapped and all mounts are in place.
pub struct Mapped {
    channels: Channels,
    leader: (i32, OwnedFd),
}

/// The payload runs.
pub struct Released {
    /// Init, as this process sees it.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
    /// What the children have skipped, as the plan allows.
    pub skipped: Vec<Diagnostic>,
}

/// Clones the stager. `passed` are the descriptors that init keeps beyond its own.
pub fn start(program: &Stager, init: &Init, passed: &[RawFd]) -> Result<Cloned> {
    let failed =
        |e: Errno| Diagnostic::new(Code::Clone, "cannot make the channels to the container's processes").errno(e);
    let (report_read, report) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    let (release, release_write) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    let ready = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    let (order_write, order) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(failed)?;
    let mut init_keeps: Vec<RawFd> = vec![report.as_raw_fd(), release.as_raw_fd(), ready.1.as_raw_fd()];
    init_keeps.extend(passed);
    init_keeps.extend(init.stub.as_ref().map(|s| s.program.as_raw_fd()));
    init_keeps.extend(init.handover.as_ref().map(|h| h.program.as_raw_fd()));
    let mut stager_keeps = init_keeps.clone();
    stager_keeps.extend([order.as_raw_fd(), ready.0.as_raw_fd()]);
    stager_keeps.extend(program.network.iter().map(AsRawFd::as_raw_fd));
    stager_keeps.extend(program.keep.iter().map(AsRawFd::as_raw_fd));
    for list in [&mut init_keeps, &mut stager_keeps] {
        list.sort_unstable();
        list.dedup();
    }
    let ends = ChildEnds { report, order, release, ready, stager_keeps, init_keeps };
    let (pid, pidfd) = match clone(flags::NEWNS, None) {
        Ok(Side::Child) => stager::run(program, init, &ends),
        Ok(Side::Parent { pid, pidfd }) => (pid, pidfd),
        Err(e) => return Err(clone_failed(e)),
    };
    let home = init.home.as_ref().map(|home| home.path.clone());
    let (order, release, skipped) = (order_write, release_write, Vec::new());
    let channels = Channels { report: report_read, order, release, home, skipped };
    Ok(Cloned { channels, stager: (pid, pidfd) })
}

fn clone_failed(e: Errno) -> Diagnostic {
    let d = Diagnostic::new(Code::Clone, "cannot clone the process that builds the container's mounts").errno(e);
    match e {
        Errno::PERM => {
            d.help("run as root with CAP_SYS_ADMIN; inside another container that power must be granted to it")
        }
        Errno::AGAIN | Errno::NOMEM | Errno::NOSPC => d.help("raise the limit of processes, or end some"),
        _ => d,
    }
}

impl Cloned {
    /// The stager's pid: what a scope is made for, as init does not exist yet.
    pub fn pid(&self) -> i32 {
        self.stager.0
    }
    /// The stager's pidfd.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.stager.1.as_fd()
    }
    /// Readable when a child has something to say, so also when it failed.
    pub fn report(&self) -> BorrowedFd<'_> {
        self.channels.report.as_fd()
    }
    /// What the children said last, when a wait for something else was broken off for it.
    pub fn failure(&mut self, plan: &Plan) -> Diagnostic {
        let stager = [self.stager.1.as_fd()];
        self.channels.next(plan, &stager, PATIENCE).err().unwrap_or_else(out_of_turn)
    }
    /// Orders the stager to clone init, into `cgroup` where there is one.
    pub fn enter(mut self, plan: &Plan, cgroup: Option<BorrowedFd<'_>>) -> Result<Entered> {
        let stager = [self.stager.1.as_fd()];
        let record = match self.channels.send_order(cgroup) {
            Ok(()) => self.channels.next(plan, &stager, PATIENCE)?,
            Err(e) => {
                let what = "cannot give the order to clone the container's first process";
                return Err(self.channels.unheard(
                    plan,
                    &stager,
                    LAST_WORDS,
                    Diagnostic::new(Code::Clone, what).errno(e),
                ));
            }
        };
        if record.kind != Kind::Cloned {
            return Err(out_of_turn());
        }
        let pid = Pid::from_raw(record.value).ok_or_else(out_of_turn)?;
        // We are its parent and have not waited for it, so the number still means it.
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
            .map_err(|e| Diagnostic::new(Code::Clone, "cannot open the container's first process").errno(e))?;
        Ok(Entered { channels: self.channels, stager: self.stager.1, leader: (record.value, pidfd) })
    }
}

fn out_of_turn() -> Diagnostic {
    Diagnostic::new(Code::ChildStep, "the container's processes spoke out of turn")
}

impl Entered {
    /// Init's pid.
    pub fn pid(&self) -> i32 {
        self.leader.0
    }
    /// Init's pidfd.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.leader.1.as_fd()
    }
    /// Readable when a child has something to say, so also when it failed.
    pub fn report(&self) -> BorrowedFd<'_> {
        self.channels.report.as_fd()
    }
    /// Maps the ids (user_namespaces(7)).
    pub fn map(self, plan: &Plan, range: Option<UidRange>) -> Result<Mapping> {
        let written = range.map_or(Ok(()), |range| write_maps(self.leader.0, range));
        let mapping = Mapping(self);
        match written {
            Ok(()) => Ok(mapping),
            Err(d) => Err(mapping.blame(plan, d)),
        }
    }
}

impl Mapping {
    /// Init's pid.
    pub fn pid(&self) -> i32 {
        self.0.leader.0
    }
    /// Init's pidfd.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.0.leader.1.as_fd()
    }
    /// The reason for which a child has ended, where it has: what was to be done to it failed because of that. Else
    /// `otherwise`.
    pub fn blame(mut self, plan: &Plan, otherwise: Diagnostic) -> Diagnostic {
        let children = [self.0.stager.as_fd(), self.0.leader.1.as_fd()];
        self.0.channels.unheard(plan, &children, Duration::ZERO, otherwise)
    }
    /// Waits until the last mount is in place and the stager is gone.
    pub fn wait_mounted(self, plan: &Plan) -> Result<Mapped> {
        let mut entered = self.0;
        loop {
            let children = [entered.stager.as_fd(), entered.leader.1.as_fd()];
            let record = entered.channels.next(plan, &children, PATIENCE)?;
            match record.kind {
                Kind::Mounted => break,
                Kind::Cloned | Kind::Failed => return Err(out_of_turn()),
                Kind::Skipped => {}
            }
        }
        // It ends right after its last record; waiting keeps the cgroup free of it.
        let _reaped = waitid(WaitId::PidFd(entered.stager.as_fd()), WaitIdOptions::EXITED);
        Ok(Mapped { channels: entered.channels, leader: entered.leader })
    }
}

fn write_maps(pid: i32, range: UidRange) -> Result<()> {
    let line = format!("0 {} {}\n", range.base, range.size);
    for name in ["uid_map", "gid_map"] {
        let path = format!("/proc/{pid}/{name}");
        std::fs::write(&path, &line).map_err(|e| {
            Diagnostic::new(
                Code::IdRange,
                format!(
                    "cannot map the user ids {} to {} into the container",
                    range.base,
                    range.base + (range.size - 1)
                ),
            )
            .io(&e)
            .note(format!("while writing {path}"))
            .help("CAP_SETUID and CAP_SETGID are needed, and the range must belong to the own user namespace")
        })?;
    }
    Ok(())
}

impl Mapped {
    /// Init's pid.
    pub fn pid(&self) -> i32 {
        self.leader.0
    }
    /// Init's pidfd.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.leader.1.as_fd()
    }
    /// Releases init and waits until it has executed the payload.
    pub fn release(mut self, plan: &Plan) -> Result<Released> {
        let leader = [self.leader.1.as_fd()];
        if let Err(e) = rustix::io::write(&self.channels.release, b"r") {
            let d = Diagnostic::new(Code::Clone, "cannot release the container's first process").errno(e);
            return Err(self.channels.unheard(plan, &leader, LAST_WORDS, d));
        }
        let until = Instant::now() + PATIENCE;
        loop {
            match self.channels.receive(&leader, until)? {
                Heard::End => break,
                Heard::Record(record) if record.kind == Kind::Skipped => {
                    let skipped = self.channels.failure(plan, &record);
                    self.channels.skipped.push(skipped);
                }
                Heard::Record(record) => return Err(self.channels.failure(plan, &record)),
                Heard::Gone => return Err(gone()),
            }
        }
        Ok(Released { pid: self.leader.0, pidfd: self.leader.1, skipped: self.channels.skipped })
    }
}

impl Channels {
    fn send_order(&self, cgroup: Option<BorrowedFd<'_>>) -> std::result::Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<BorrowedFd<'_>> = cgroup.into_iter().collect();
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&fds));
        }
        let iov = [rustix::io::IoSlice::new(b"c")];
        rustix::net::sendmsg(&self.order, &iov, &mut control, SendFlags::NOSIGNAL).map(drop)
    }

    fn failure(&self, plan: &Plan, record: &Record) -> Diagnostic {
        words::failure(plan, self.home.as_deref(), record)
    }

    /// The next record that is not about something skipped; a failure becomes its words.
    fn next(&mut self, plan: &Plan, children: &[BorrowedFd<'_>], patience: Duration) -> Result<Record> {
        let until = Instant::now() + patience;
        loop {
            let Heard::Record(record) = self.receive(children, until)? else { return Err(gone()) };
            match record.kind {
                Kind::Failed => return Err(self.failure(plan, &record)),
                Kind::Skipped => self.skipped.push(self.failure(plan, &record)),
                Kind::Cloned | Kind::Mounted => return Ok(record),
            }
        }
    }

    /// What to say when a child could not be told something: its own reason where it gives one, else `otherwise`.
    fn unheard(
        &mut self,
        plan: &Plan,
        children: &[BorrowedFd<'_>],
        patience: Duration,
        otherwise: Diagnostic,
    ) -> Diagnostic {
        match self.receive(children, Instant::now() + patience) {
            Ok(Heard::Record(record)) if record.kind == Kind::Failed => self.failure(plan, &record),
            _ => otherwise,
        }
    }

    /// What the children say next. One of `children` that has ended says nothing more, while others may hold the pipe
    /// open.
    fn receive(&mut self, children: &[BorrowedFd<'_>], until: Instant) -> Result<Heard> {
        let mut one_is_gone = false;
        loop {
            // What a child wrote before it ended is there by the time its end shows, but not in the same poll.
            let left = if one_is_gone { Duration::ZERO } else { until.saturating_duration_since(Instant::now()) };
            let timeout = Timespec::try_from(left).map_err(|_| deaf(Errno::INVAL))?;
            let mut fds = vec![PollFd::new(&self.report, PollFlags::IN)];
            fds.extend(children.iter().map(|pidfd| PollFd::new(pidfd, PollFlags::IN)));
            match poll(&mut fds, Some(&timeout)) {
                Err(Errno::INTR) => continue,
                Err(e) => return Err(deaf(e)),
                Ok(0) => return Err(late()),
                Ok(_) if !fds[0].revents().is_empty() => {}
                Ok(_) if one_is_gone => return Ok(Heard::Gone),
                Ok(_) => {
                    one_is_gone = true;
                    continue;
                }
            }
            let mut bytes = [0u8; Record::SIZE];
            match rustix::io::read(&self.report, &mut bytes) {
                Ok(0) => return Ok(Heard::End),
                Ok(Record::SIZE) => return Record::decode(&bytes).map(Heard::Record).ok_or_else(out_of_turn),
                Ok(_) => return Err(out_of_turn()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(deaf(e)),
            }
        }
    }
}

/// What came from the children.
enum Heard {
    Record(Record),
    /// Nobody holds the pipe open any more.
    End,
    /// One of them has ended and has not said why.
    Gone,
}

fn deaf(errno: Errno) -> Diagnostic {
    Diagnostic::new(Code::ChildStep, "cannot hear the container's processes").errno(errno)
}

fn late() -> Diagnostic {
    Diagnostic::new(Code::ChildStep, format!("the container was not ready within {} s", PATIENCE.as_secs()))
        .help("a file system that hangs is the usual reason: try the tree and the sources of binds with ls(1)")
}

fn gone() -> Diagnostic {
    Diagnostic::new(
        Code::ChildGone,
        "one of the container's processes ended before the program ran, and did not say why",
    )
    .help("look for an out-of-memory kill in the kernel's log, or for who sent SIGKILL")
}
