// SPDX-License-Identifier: LGPL-2.1-or-later
//! Both directions of notifications.

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
    assert_eq!(text(on_started(ReadyWhen::PayloadReady, pid)), "STATUS=Container started. | X_NSPAWN_LEADER_PID=42");
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
    fn new(test: &str, fds: Fds) -> Self {
        let dir = std::env::temp_dir().join(format!("spawn-test-notify-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let fd = rustix::fs::open(&dir, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let server = NotifyServer::new(fds).unwrap();
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
    let scene = Scene::new("leader", Fds::Dropped);
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

fn send(scene: &Scene, text: &[u8], fd: BorrowedFd<'_>) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    let text = [std::io::IoSlice::new(text)];
    rustix::net::sendmsg(&scene.client, &text, &mut control, SendFlags::empty()).unwrap();
}

/// Sends the message with a pipe's write end; returns its read end.
fn send_with_fd(scene: &Scene, text: &[u8]) -> OwnedFd {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    send(scene, text, write.as_fd());
    read
}

/// End of file: no copy of the other end is left anywhere.
fn is_closed(read: &OwnedFd, patience: i64) -> bool {
    let patience = rustix::event::Timespec { tv_sec: patience, tv_nsec: 0 };
    let mut polled = [rustix::event::PollFd::new(read, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&patience)) == Ok(1) && rustix::io::read(read, &mut [0; 1]) == Ok(0)
}

#[test]
fn passed_fds_are_not_kept() {
    let me = rustix::process::getpid();
    let notice = PayloadNotice { status: None, ready: true };
    for (test, fds, text) in [
        ("dropped", Fds::Dropped, b"READY=1\nFDSTORE=1".as_slice()),
        ("not-to-be-stored", Fds::Kept(Invocation::Spawn), b"READY=1"),
    ] {
        let scene = Scene::new(test, fds);
        let read = send_with_fd(&scene, text);
        assert_eq!(scene.server.receive(me).unwrap(), Received::Notice(notice.clone()));
        assert!(is_closed(&read, 5), "{test}");
        assert!(scene.server.take_storing().is_empty());
    }
}

#[test]
fn fds_of_the_leader_are_kept_for_the_manager() {
    let scene = Scene::new("kept", Fds::Kept(Invocation::Spawn));
    let (me, other) = (rustix::process::getpid(), Pid::from_raw(1).unwrap());
    let foreign = send_with_fd(&scene, b"FDSTORE=1\nFDNAME=a");
    assert_eq!(scene.server.receive(other).unwrap(), Received::Nothing);
    assert!(is_closed(&foreign, 5) && scene.server.take_storing().is_empty());
    let read = send_with_fd(&scene, b"FDSTORE=1\nFDNAME=a\nREADY=1");
    assert!(matches!(scene.server.receive(me).unwrap(), Received::Notice(_)));
    let storing = scene.server.take_storing();
    assert_eq!(storing.iter().map(|s| s.words().1.len()).collect::<Vec<_>>(), [1]);
    assert!(!is_closed(&read, 0));
    drop(storing);
    assert!(is_closed(&read, 5));
}

#[test]
fn what_could_not_be_passed_again_is_not_kept() {
    let (me, text) = (rustix::process::getpid(), b"FDSTORE=1\nFDNAME=a");
    for (invocation, kept) in [(Invocation::Spawn, 0), (Invocation::SystemdNspawn, 1)] {
        let scene = Scene::new(&format!("directory-{kept}"), Fds::Kept(invocation));
        send(&scene, text, std::fs::File::open("/").unwrap().as_fd());
        assert_eq!(scene.server.receive(me).unwrap(), Received::Nothing);
        assert_eq!((scene.server.take_storing().len(), scene.server.has_refused()), (kept, kept == 0));
        send_with_fd(&scene, text);
        assert_eq!(scene.server.receive(me).unwrap(), Received::Nothing);
        assert_eq!(scene.server.take_storing().len(), 1);
    }
}
