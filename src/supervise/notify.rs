// SPDX-License-Identifier: LGPL-2.1-or-later
//! sd_notify(3) in both directions: what the payload's first process says, and what our own manager hears.

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
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
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
}

impl AsFd for NotifyServer {
    /// To be watched for input.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl NotifyServer {
    /// Makes the socket; every message will carry its sender.
    pub fn new() -> Result<Self> {
        let failed = |e: Errno| Diagnostic::new(Code::NotifyFailed, "cannot make the notify socket").errno(e);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).map_err(failed)?;
        rustix::net::sockopt::set_socket_passcred(&socket, true).map_err(failed)?;
        Ok(Self { socket })
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
        // Room for the sender only: the kernel then releases passed fds by itself. Closing them here would let a FUSE
        // file of the payload hold us up in its flush.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let message = match rustix::net::recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags)
        {
            Ok(message) => message,
            Err(Errno::AGAIN) => return Ok(Received::Drained),
            Err(Errno::INTR) => return Ok(Received::Nothing),
            Err(e) => return Err(Diagnostic::new(Code::NotifyFailed, "cannot read the notify socket").errno(e)),
        };
        let from_leader =
            control.drain().any(|m| matches!(m, RecvAncillaryMessage::ScmCredentials(c) if c.pid == leader));
        if !from_leader || message.flags.contains(ReturnFlags::TRUNC) {
            return Ok(Received::Nothing);
        }
        let notice = PayloadNotice::parse(&bytes[..message.bytes]);
        Ok(if notice.is_empty() { Received::Nothing } else { Received::Notice(notice) })
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
    if words.is_empty() {
        return Ok(());
    }
    daemon::notify(false, words)
        .map(drop)
        .map_err(|e| Diagnostic::new(Code::NotifyFailed, "cannot notify the service manager").cause(e.to_string()))
        .map_err(|d| d.help("see what $NOTIFY_SOCKET names, or unset it where no service manager waits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustix::fs::OFlags;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;

    #[test]
    fn messages_of_the_payload() {
        let parsed = |m: &[u8]| {
            let n = PayloadNotice::parse(m);
            (n.status, n.ready)
        };
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(parsed(b"READY=1\nSTATUS=Up.\n"), (some("Up."), true));
        assert_eq!(parsed(b"STATUS=a\x1b[2J\nSTATUS=b\xff\nMAINPID=7\nERRNO=2"), (some("b\\xff"), false));
        assert_eq!(parsed(b"READY=0\nREADY=11\n READY=1\nSTATUS="), (None, false));
        assert_eq!(parsed(&[b"STATUS=", [b'x'; 600].as_slice()].concat()), (Some("x".repeat(STATUS_LIMIT)), false));
    }

    #[test]
    fn notices_are_merged() {
        let mut said = PayloadNotice::default();
        for message in [b"STATUS=a\nREADY=1".as_slice(), b"STATUS=b", b"READY=1", b"X=1"] {
            said.merge(PayloadNotice::parse(message));
        }
        assert_eq!(said, PayloadNotice { status: Some("b".into()), ready: true });
    }

    proptest! {
        #[test]
        fn any_message_gives_a_harmless_status(message in proptest::collection::vec(any::<u8>(), 0..300)) {
            let status = PayloadNotice::parse(&[b"STATUS=", message.as_slice()].concat()).status.unwrap_or_default();
            prop_assert!(!status.chars().any(|c| c.is_control() && c != '\t'));
        }
    }

    #[test]
    fn what_the_manager_hears() {
        let text = |w: Words| w.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
        let pid = Pid::from_raw(42).unwrap();
        assert_eq!(
            text(on_started(ReadyWhen::PayloadReady, pid)),
            "STATUS=Container started. | X_NSPAWN_LEADER_PID=42"
        );
        assert_eq!(
            text(on_started(ReadyWhen::Started, pid)),
            "STATUS=Container started. | X_NSPAWN_LEADER_PID=42 | READY=1"
        );
        let notice = PayloadNotice { status: Some("Up.".into()), ready: true };
        assert_eq!(text(on_payload(&notice)), "STATUS=Container running: Up. | READY=1");
        assert_eq!(text(on_payload(&PayloadNotice::default())), "");
        assert_eq!(text(on_ending(Ending::Restarting)), "STOPPING=1 | STATUS=Restarting...");
    }

    #[test]
    fn the_watchdog_is_fed_at_half_its_time() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut manager = ManagerNotify::with_watchdog(ReadyWhen::Started, Some(4 * second), now);
        assert_eq!(manager.keep_alive_due(), Some(now + 2 * second));
        manager.keep_alive(now + second).unwrap();
        assert_eq!(manager.keep_alive_due(), Some(now + 2 * second));
        manager.keep_alive(now + 9 * second).unwrap();
        assert_eq!(manager.keep_alive_due(), Some(now + 11 * second));
        assert_eq!(ManagerNotify::with_watchdog(ReadyWhen::Started, None, now).keep_alive_due(), None);
    }

    struct Scene {
        dir: PathBuf,
        server: NotifyServer,
        client: UnixDatagram,
    }

    impl Scene {
        fn new(test: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("spawn-test-notify-{test}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            let fd = rustix::fs::open(&dir, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
            let server = NotifyServer::new().unwrap();
            let me = std::fs::metadata(&dir).unwrap();
            server.bind_at(&fd, me.uid(), me.gid()).unwrap();
            let client = UnixDatagram::unbound().unwrap();
            client.connect(dir.join(SOCKET_NAME)).unwrap();
            Self { dir, server, client }
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.dir).unwrap();
        }
    }

    #[test]
    fn only_the_leader_is_heard() {
        let scene = Scene::new("leader");
        let meta = std::fs::metadata(scene.dir.join(SOCKET_NAME)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o7777, 0o200);
        let me = rustix::process::getpid();
        let other = Pid::from_raw(1).unwrap();
        scene.client.send(b"READY=1").unwrap();
        scene.client.send(b"READY=1").unwrap();
        scene.client.send(&[b"READY=1\nSTATUS=", [b'x'; MESSAGE_LIMIT].as_slice()].concat()).unwrap();
        scene.client.send(b"FDSTORE=1").unwrap();
        assert_eq!(scene.server.receive(other).unwrap(), Received::Nothing);
        let notice = PayloadNotice { status: None, ready: true };
        assert_eq!(scene.server.receive(me).unwrap(), Received::Notice(notice));
        assert_eq!(scene.server.receive(me).unwrap(), Received::Nothing);
        assert_eq!(scene.server.receive(me).unwrap(), Received::Nothing);
        assert_eq!(scene.server.receive(me).unwrap(), Received::Drained);
    }

    #[test]
    fn passed_fds_are_not_kept() {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
        let scene = Scene::new("fds");
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let fds = [write.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let text = [std::io::IoSlice::new(b"READY=1")];
        rustix::net::sendmsg(&scene.client, &text, &mut control, SendFlags::empty()).unwrap();
        drop(write);
        let notice = PayloadNotice { status: None, ready: true };
        assert_eq!(scene.server.receive(rustix::process::getpid()).unwrap(), Received::Notice(notice));
        // End of file: no copy of the other end is left anywhere.
        let patience = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };
        let mut polled = [rustix::event::PollFd::new(&read, rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut polled, Some(&patience)).unwrap(), 1);
        assert_eq!(rustix::io::read(&read, &mut [0; 1]).unwrap(), 0);
    }
}
