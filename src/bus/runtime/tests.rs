// SPDX-License-Identifier: LGPL-2.1-or-later
use super::*;
use rustix::pipe::{PipeFlags, pipe_with};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::AtomicUsize;
use zbus::runtime::Interest;
use zbus::runtime::traits::{PollIo, Runtime as _, TaskHandle};

async fn read_byte(io: &source::Registered, stream: &UnixStream) -> io::Result<u8> {
    std::future::poll_fn(|cx| {
        io.poll_io(cx, Interest::Readable, || {
            let mut byte = [0];
            (&*stream).read_exact(&mut byte)?;
            Ok(byte[0])
        })
    })
    .await
}

fn registered_pair(rt: &Runtime) -> (source::Registered, UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let owned = OwnedFd::from(near.try_clone().unwrap());
    (rt.register_io_source(IoSource::from(owned)).unwrap(), near, far)
}

fn thread_count() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// The harness has threads of its own that come and go, so the count is taken in a process with one test.
#[test]
fn no_thread_is_ever_started() {
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "bus::runtime::tests::thread_count_in_a_process_of_its_own", "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by no_thread_is_ever_started"]
fn thread_count_in_a_process_of_its_own() {
    let before = thread_count();
    let rt = Runtime::new().unwrap();
    let (io, near, mut far) = registered_pair(&rt);
    let spawned = rt.spawn("echo", async move {
        far.write_all(b"x").unwrap();
        far
    });
    let inside = rt.spawn_blocking(thread_count);
    let (byte, during) = rt.block_on(async { (read_byte(&io, &near).await.unwrap(), inside.await) }).unwrap();
    let far = rt.block_on(spawned).unwrap().unwrap();
    rt.block_on(rt.sleep(Duration::from_millis(2))).unwrap();
    drop(far);
    assert_eq!((byte, during, thread_count()), (b'x', before, before));
}

#[test]
fn timers_end_in_order_of_their_time() {
    let rt = Runtime::new().unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    for millis in [300_u64, 100, 200] {
        let (order, sleep) = (order.clone(), rt.sleep(Duration::from_millis(millis)));
        rt.spawn("timer", async move {
            sleep.await;
            order.lock().unwrap().push(millis);
        })
        .detach();
    }
    let start = Instant::now();
    rt.block_on(rt.sleep(Duration::from_millis(400))).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(400));
    assert_eq!(*order.lock().unwrap(), [100, 200, 300]);
    assert_eq!(rt.next_deadline(), None);
}

#[test]
fn a_timeout_gives_none_and_leaves_no_timer() {
    let rt = Runtime::new().unwrap();
    let slow = rt.timeout(std::future::pending::<()>(), Duration::from_millis(5));
    assert_eq!(rt.block_on(slow).unwrap(), None);
    assert_eq!(rt.block_on(rt.timeout(async { 7 }, Duration::from_secs(60))).unwrap(), Some(7));
    assert_eq!(rt.next_deadline(), None);
}

#[test]
fn a_watched_descriptor_ends_the_wait_early() {
    let rt = Runtime::new().unwrap();
    let (quiet, _keep) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (report, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (hung_up, closed) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    rustix::io::write(&write, b"!").unwrap();
    let forever = std::future::pending::<()>();
    assert_eq!(rt.block_on_watching(forever, &[quiet.as_fd(), report.as_fd()]).unwrap(), Watched::Ready(1));
    drop(closed);
    let forever = std::future::pending::<()>();
    assert_eq!(rt.block_on_watching(forever, &[hung_up.as_fd()]).unwrap(), Watched::Ready(0));
    // What is done already wins over what is readable.
    assert_eq!(rt.block_on_watching(async { 3 }, &[report.as_fd()]).unwrap(), Watched::Done(3));
    let slept = rt.block_on_watching(rt.sleep(Duration::from_millis(5)), &[quiet.as_fd()]).unwrap();
    assert_eq!(slept, Watched::Done(()));
}

#[test]
fn turn_never_waits_and_the_descriptor_says_when() {
    let rt = Runtime::new().unwrap();
    let (io, near, mut far) = registered_pair(&rt);
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    rt.spawn("reader", async move {
        while read_byte(&io, &near).await.is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    })
    .detach();
    rt.turn().unwrap();
    assert!(!readable(rt.fd()));
    far.write_all(b"abc").unwrap();
    assert!(readable(rt.fd()));
    rt.turn().unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 3);
    assert!(!readable(rt.fd()));
}

fn readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&Timespec::default())).unwrap() == 1
}

#[test]
fn a_full_send_buffer_is_waited_for() {
    let rt = Runtime::new().unwrap();
    let (io, near, mut far) = registered_pair(&rt);
    let bytes = vec![7_u8; 4 << 20];
    let total = bytes.len();
    let writer = rt.spawn("writer", async move {
        let mut sent = 0;
        while sent < bytes.len() {
            let write = |cx: &mut Context<'_>| io.poll_io(cx, Interest::Writable, || (&near).write(&bytes[sent..]));
            sent += std::future::poll_fn(write).await.unwrap();
        }
    });
    rt.turn().unwrap();
    let mut received = 0;
    let mut buffer = vec![0; 1 << 16];
    while received < total {
        received += far.read(&mut buffer).unwrap();
        rt.turn().unwrap();
    }
    rt.block_on(writer).unwrap().unwrap();
}

#[test]
fn dropping_a_handle_cancels_its_task() {
    let rt = Runtime::new().unwrap();
    let alive = Arc::new(());
    let held = alive.clone();
    let handle = rt.spawn("idle", async move {
        std::future::pending::<()>().await;
        drop(held);
    });
    rt.turn().unwrap();
    assert_eq!(Arc::strong_count(&alive), 2);
    drop(handle);
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn connecting_reaches_paths_and_abstract_names() {
    let rt = Runtime::new().unwrap();
    let path = std::env::temp_dir().join(format!("spawn-runtime-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    assert!(rt.block_on(rt.connect_unix(&path)).unwrap().is_ok());
    drop(listener);
    let refused = rt.block_on(rt.connect_unix(&path)).unwrap().unwrap_err();
    std::fs::remove_file(&path).unwrap();
    let missing = rt.block_on(rt.connect_unix(&path)).unwrap().unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    let nobody = Path::new(OsStr::from_bytes(b"\0spawn-nobody-listens-here"));
    assert_eq!(rt.block_on(rt.connect_unix(nobody)).unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}
