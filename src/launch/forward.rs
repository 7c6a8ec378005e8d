// SPDX-License-Identifier: LGPL-2.1-or-later
//! `--forward-journal=`: takes the connections of the guest's journald and lets systemd-journal-remote(8) store what comes.
//!
//! A process of its own reads each connection to its end and then goes by itself, so nothing that the guest has written
//! is lost at the end. They come one after the other, since two must not write to one file.

use crate::error::{Code, Diagnostic, Result};
use crate::log::{self, Logger, MessageId};
use crate::model::UidRange;
use crate::plan::{ForwardJournal, JOURNAL_SOCKET, Shared};
use crate::prepare::SharedDirectory;
use crate::supervise::{Request, Source};
use crate::sys::child::Ending;
use crate::sys::process::borrow_fd;
use crate::undo::{Release, RuntimeDir, Ticket, Undo};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{Access, AtFlags, CWD, Gid, IFlags, Mode, OFlags, Uid};
use rustix::io::{Errno, FdFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::cell::RefCell;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The socket's name in the machine's directory below `/run/spawn`.
const NAME: &str = "journal-socket";
/// How many connections may wait: journald has one, and another one while it is restarted.
const BACKLOG: i32 = 8;
/// How long the last entries may take to be stored once the container is gone.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a guest waits after a failure: its journald would connect again at once.
const PAUSE: Duration = Duration::from_secs(5);
/// Where programs of systemd tell what is wrong, when there is a journald.
const HOST_JOURNAL: &str = "/run/systemd/journal/socket";

/// The socket, and the process that stores what comes from it.
pub struct Forward {
    plan: ForwardJournal,
    /// How many descriptors from 3 on are for the payload alone.
    passed: u32,
    listener: OwnedFd,
    /// Holds what is waited for: a connection, or the end of the process.
    watch: OwnedFd,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    receiver: Option<Receiver>,
    /// How it has ended, when somebody else has reaped it.
    fate: Option<Ending>,
    /// No connection is taken before.
    pause: Option<Instant>,
}

struct Receiver {
    child: Child,
    pidfd: OwnedFd,
    ticket: Ticket,
}

impl Forward {
    /// Makes the directory of the journal and the socket, which belongs to the container's root.
    ///
    /// # Errors
    /// [`Code::JournalForward`], saying what cannot be made.
    pub fn make(
        plan: &ForwardJournal,
        passed: u32,
        runtime: &RuntimeDir,
        range: Option<UidRange>,
    ) -> Result<(Self, SharedDirectory)> {
        let made = make_directory(plan.file.parent().unwrap_or(Path::new("/")));
        let path = runtime.path().join(NAME);
        made.and_then(|()| Self::listen(plan, passed, &path, range)).map_err(|d| d.origin(&plan.origin))
    }

    fn listen(
        plan: &ForwardJournal,
        passed: u32,
        path: &Path,
        range: Option<UidRange>,
    ) -> Result<(Self, SharedDirectory)> {
        let failed = |e: Errno| {
            Diagnostic::new(Code::JournalForward, format!("cannot listen for the journal on {}", path.display()))
                .errno(e)
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed)?;
        // The socket file takes its mode from the socket's own inode.
        rustix::fs::fchmod(&listener, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        rustix::net::bind(&listener, &SocketAddrUnix::new(path).map_err(failed)?).map_err(failed)?;
        let root = range.map_or(0, |r| r.base);
        let (uid, gid) = (Some(Uid::from_raw(root)), Some(Gid::from_raw(root)));
        rustix::fs::chownat(CWD, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
        rustix::net::listen(&listener, BACKLOG).map_err(failed)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let watch = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed)?;
        let forward = Self { plan: plan.clone(), passed, listener, watch, state: RefCell::default() };
        forward.watch(forward.listener.as_fd())?;
        let shared = SharedDirectory { what: Shared::JournalSocket, directory, target: JOURNAL_SOCKET.into() };
        Ok((forward, shared))
    }

    /// Somebody else has reaped a child of ours.
    pub fn child_ended(&self, pid: i32, ending: Ending) {
        let mut state = self.state.borrow_mut();
        if state.receiver.as_ref().is_some_and(|r| r.child.id() as i32 == pid) {
            state.fate = Some(ending);
        }
    }

    /// Waits until what the container has sent is stored; the container must be gone.
    pub fn finish(&self, log: &Logger, undo: &mut Undo) {
        let until = Instant::now() + PATIENCE;
        let told = |d: Diagnostic| log::warning!(log, MessageId::Degraded, step: "journal", "{d}");
        loop {
            let running = self.state.borrow().receiver.as_ref().map(|r| (has_ended(r.pidfd.as_fd(), until), r.ticket));
            match running {
                Some((true, _)) => self.reap(undo).into_iter().for_each(&told),
                Some((false, ticket)) => {
                    let late = self.failure("systemd-journal-remote does not end; it is killed");
                    told(undo.release(ticket).err().unwrap_or(late));
                    return;
                }
                None => match self.accept(undo) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(d) => return told(d),
                },
            }
        }
    }

    fn failure(&self, what: &str) -> Diagnostic {
        Diagnostic::new(Code::JournalForward, what)
            .origin(&self.plan.origin)
            .note(format!("entries of the guest may be missing in {}", self.plan.file.display()))
    }

    fn watch(&self, fd: BorrowedFd<'_>) -> Result<()> {
        match epoll::add(&self.watch, fd, epoll::EventData::new_u64(0), epoll::EventFlags::IN) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(unwatched(e)),
        }
    }

    fn unwatch(&self, fd: BorrowedFd<'_>) -> Result<()> {
        match epoll::delete(&self.watch, fd) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(unwatched(e)),
        }
    }

    /// Does what is to be done by now.
    fn turn(&self, now: Instant, undo: &mut Undo) -> Result<()> {
        let running = self.state.borrow().receiver.as_ref().map(|r| has_ended(r.pidfd.as_fd(), now));
        if running == Some(false) {
            return Ok(());
        }
        if let Some(wrong) = self.reap(undo) {
            return self.pause(now).and(Err(wrong));
        }
        if self.state.borrow().pause.is_some_and(|until| now < until) {
            return Ok(());
        }
        self.state.borrow_mut().pause = None;
        self.watch(self.listener.as_fd())?;
        match self.accept(undo) {
            Ok(_) => Ok(()),
            Err(wrong) => self.pause(now).and(Err(wrong)),
        }
    }

    fn pause(&self, now: Instant) -> Result<()> {
        self.state.borrow_mut().pause = Some(now + PAUSE);
        self.unwatch(self.listener.as_fd())
    }

    /// Takes a connection that is there and starts who reads it.
    fn accept(&self, undo: &mut Undo) -> Result<bool> {
        let connection = match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC) {
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return Ok(false),
            taken => taken.map_err(|e| self.failure("cannot take the guest's connection for its journal").errno(e))?,
        };
        let receiver = self.start(connection, undo)?;
        self.unwatch(self.listener.as_fd())?;
        self.watch(receiver.pidfd.as_fd())?;
        let mut state = self.state.borrow_mut();
        (state.receiver, state.fate) = (Some(receiver), None);
        Ok(true)
    }

    fn start(&self, connection: OwnedFd, undo: &mut Undo) -> Result<Receiver> {
        let program = &self.plan.program;
        let failed = |e: std::io::Error| self.failure(&format!("cannot run {}", program.display())).io(&e);
        let mut output = std::ffi::OsString::from("--output=");
        output.push(&self.plan.file);
        let mut command = Command::new(program);
        command.arg("--split-mode=none").arg(output).args(self.plan.limits()).arg("-");
        command.env_clear().env("SYSTEMD_JOURNAL_REMOTE_CONFIG_FILE", "/dev/null");
        command.stdin(connection).stdout(Stdio::null()).current_dir("/");
        if Path::new(HOST_JOURNAL).exists() {
            command.env("SYSTEMD_LOG_TARGET", "journal").stderr(Stdio::null());
        }
        // The keys of a terminal are not for it.
        command.process_group(0);
        self.pass_on(FdFlags::CLOEXEC);
        let child = command.spawn();
        self.pass_on(FdFlags::empty());
        let child = child.map_err(failed)?;
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).map_err(|e| failed(e.into()))?;
        let copy = pidfd.try_clone().map_err(failed)?;
        let ticket = undo.push(Release::EndProcess(copy), "the process that stores the guest's journal")?;
        Ok(Receiver { child, pidfd, ticket })
    }

    /// What is passed by socket activation is open across execve(2), for the payload's next boot too.
    fn pass_on(&self, flags: FdFlags) {
        for fd in 3..3 + self.passed as RawFd {
            // Only one that is not open has none, and that was refused.
            let _set = rustix::io::fcntl_setfd(borrow_fd(fd), flags);
        }
    }

    /// Forgets the process that has ended; returns what was wrong with it.
    fn reap(&self, undo: &mut Undo) -> Option<Diagnostic> {
        let mut state = self.state.borrow_mut();
        let Receiver { mut child, pidfd, ticket } = state.receiver.take()?;
        undo.forget(ticket);
        // Copies of it in other processes would keep it in the set.
        let unwatched = self.unwatch(pidfd.as_fd());
        let ended_well = match (child.try_wait(), state.fate.take()) {
            (Ok(Some(status)), _) => status.success(),
            (_, fate) => fate.is_none_or(|fate| fate == Ending::Exited(0)),
        };
        if ended_well {
            return unwatched.err();
        }
        let program = self.plan.program.display();
        let d = self.failure(&format!("{program} has failed to store the guest's journal"));
        Some(d.help("see what it says with: journalctl -t systemd-journal-remote"))
    }
}

fn unwatched(errno: Errno) -> Diagnostic {
    Diagnostic::new(Code::JournalForward, "cannot watch the socket for the guest's journal").errno(errno)
}

/// Whether the process is gone, waiting for it.
fn has_ended(pidfd: BorrowedFd<'_>, until: Instant) -> bool {
    loop {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).unwrap_or_default();
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            ready => return ready == Ok(1),
        }
    }
}

/// The directory is the caller's to keep. Journals are written in the middle, which copy-on-write makes slow.
fn make_directory(path: &Path) -> Result<()> {
    let failed = |e: &std::io::Error| {
        Diagnostic::new(Code::JournalForward, format!("cannot store a journal in {}", path.display()))
            .io(e)
            .help("name a directory that can be written to, or a file in one whose name ends in .journal")
    };
    std::fs::create_dir_all(path).map_err(|e| failed(&e))?;
    rustix::fs::access(path, Access::WRITE_OK).map_err(|e| failed(&e.into()))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| failed(&e.into()))?;
    // Only some file systems know it.
    let _best_effort = rustix::fs::ioctl_getflags(&directory)
        .and_then(|is| rustix::fs::ioctl_setflags(&directory, is | IFlags::NOCOW));
    Ok(())
}

/// Forwards the journal as long as the loop runs.
pub struct ForwardSource<'a> {
    forward: &'a Forward,
    undo: &'a RefCell<&'a mut Undo>,
}

impl<'a> ForwardSource<'a> {
    /// Serves that socket.
    pub fn new(forward: &'a Forward, undo: &'a RefCell<&'a mut Undo>) -> Self {
        Self { forward, undo }
    }
}

impl Source for ForwardSource<'_> {
    fn name(&self) -> &'static str {
        "the socket for the guest's journal"
    }
    fn fd(&self) -> BorrowedFd<'_> {
        self.forward.watch.as_fd()
    }
    fn deadline(&self) -> Option<Instant> {
        self.forward.state.borrow().pause
    }
    fn turn(&mut self, now: Instant) -> Result<Vec<Request>> {
        let done = self.forward.turn(now, &mut self.undo.borrow_mut());
        Ok(done.err().map(Request::Warn).into_iter().collect())
    }
}
