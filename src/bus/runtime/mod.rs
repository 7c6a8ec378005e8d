// SPDX-License-Identifier: LGPL-2.1-or-later
//! The runtime that a zbus connection runs on: one epoll descriptor, one thread, never another one.
//!
//! zbus starts threads of its own unless it is handed a [`traits::Runtime`]. A process that clones children must not have
//! threads (a child inherits locks that another thread held), so everything here runs on the caller's thread, and only
//! while the caller is inside [`Runtime::block_on`], [`Runtime::block_on_watching`] or [`Runtime::turn`]. No eventfd is
//! needed for the same reason: whoever wakes a task does it on this thread, before the next wait.

mod source;
mod task;
#[cfg(test)]
mod tests;
mod timer;

pub(super) use task::Handle;

use rustix::event::{PollFd, PollFlags, Timespec, epoll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::pin::{Pin, pin};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use zbus::runtime::{IoSource, traits};

/// How long to wait before another try when the bus has no room for one more connection in its backlog.
const BACKLOG_RETRY: Duration = Duration::from_millis(1);

/// A handle to the runtime; clones share one epoll descriptor and one set of tasks.
#[derive(Clone)]
pub(super) struct Runtime(Arc<Shared>);

/// What ended [`Runtime::block_on_watching`].
#[derive(Debug, PartialEq)]
pub(super) enum Watched<T> {
    /// The future's output.
    Done(T),
    /// The watched descriptor of this index became readable (or its peer is gone); the future was dropped.
    Ready(usize),
}

struct Shared {
    epoll: OwnedFd,
    state: Mutex<State>,
}

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
struct State {
    next_id: u64,
    /// `None` while the task is being polled.
    tasks: HashMap<u64, Option<Job>>,
    ready: VecDeque<u64>,
    timers: BTreeMap<(Instant, u64), Waker>,
    sources: HashMap<u64, source::Waiting>,
}

impl Shared {
    /// Nothing may be dropped or woken while the guard lives: both can come back here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Wakes the future that `block_on` was given.
struct RootWaker(AtomicBool);

impl Wake for RootWaker {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Runtime {
    /// A runtime without tasks. Fails when no epoll descriptor can be had (epoll_create1(2)).
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self(Arc::new(Shared { epoll, state: Mutex::default() })))
    }

    /// The epoll descriptor: readable when [`Runtime::turn`] has something to do. Epoll descriptors nest.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.epoll.as_fd()
    }

    /// When [`Runtime::turn`] must be called at the latest; `None` when only the descriptor counts.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let state = self.0.lock();
        if !state.ready.is_empty() {
            return Some(Instant::now());
        }
        state.timers.keys().next().map(|(at, _)| *at)
    }

    /// Does everything that can be done without waiting.
    pub(super) fn turn(&self) -> io::Result<()> {
        loop {
            self.run_ready();
            self.collect(Some(Duration::ZERO))?;
            if self.0.lock().ready.is_empty() {
                return Ok(());
            }
        }
    }

    /// Drives `future`, and every task beside it, to the future's end.
    pub(super) fn block_on<F: Future>(&self, future: F) -> io::Result<F::Output> {
        match self.block_on_watching(future, &[])? {
            Watched::Done(output) => Ok(output),
            Watched::Ready(_) => unreachable!("nothing was watched"),
        }
    }

    /// As [`Runtime::block_on`], but gives up as soon as one of `watched` is readable or hung up. A future that is done
    /// by then wins.
    pub(super) fn block_on_watching<F: Future>(
        &self,
        future: F,
        watched: &[BorrowedFd<'_>],
    ) -> io::Result<Watched<F::Output>> {
        let mut future = pin!(future);
        let root = Arc::new(RootWaker(AtomicBool::new(true)));
        let waker = Waker::from(root.clone());
        let mut cx = Context::from_waker(&waker);
        loop {
            self.run_ready();
            if root.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                    return Ok(Watched::Done(output));
                }
                // What it has woken runs before the wait.
                continue;
            }
            if !self.0.lock().ready.is_empty() {
                continue;
            }
            let limit = self.next_deadline().map(|at| at.saturating_duration_since(Instant::now()));
            if watched.is_empty() {
                self.collect(limit)?;
                continue;
            }
            let ready = self.wait_beside(watched, limit)?;
            self.collect(Some(Duration::ZERO))?;
            if let Some(index) = ready {
                self.run_ready();
                if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                    return Ok(Watched::Done(output));
                }
                return Ok(Watched::Ready(index));
            }
        }
    }

    /// `future`, or `None` once `limit` has passed.
    pub(super) async fn timeout<F: Future>(&self, future: F, limit: Duration) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut sleep = traits::Runtime::sleep(self, limit);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Pin::new(&mut sleep).poll(cx).map(|()| None),
        })
        .await
    }

    /// Waits for our own descriptor or one of `watched`; the index of the first ready one of those.
    fn wait_beside(&self, watched: &[BorrowedFd<'_>], limit: Option<Duration>) -> io::Result<Option<usize>> {
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(watched.len() + 1);
        fds.push(PollFd::from_borrowed_fd(self.fd(), PollFlags::IN));
        fds.extend(watched.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)));
        match rustix::event::poll(&mut fds, limit.map(timespec).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(fds[1..].iter().position(|fd| !fd.revents().is_empty()))
    }

    /// Waits at most `limit` for readiness and timers and wakes whoever waits for them.
    fn collect(&self, limit: Option<Duration>) -> io::Result<()> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(16);
        let idle = limit == Some(Duration::ZERO) && self.0.lock().sources.is_empty();
        if !idle {
            let buffer = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.0.epoll, buffer, limit.map(timespec).as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let mut wake = Vec::new();
        {
            let mut state = self.0.lock();
            for event in &events {
                let (token, flags) = (event.data.u64(), event.flags);
                if let Some(waiting) = state.sources.get_mut(&token) {
                    waiting.take(flags, &mut wake);
                }
            }
            let now = Instant::now();
            while let Some(entry) = state.timers.first_entry()
                && entry.key().0 <= now
            {
                wake.push(entry.remove());
            }
        }
        wake.into_iter().for_each(Waker::wake);
        Ok(())
    }
}

/// Rounded up, so that a wait never ends just before its deadline and spins.
fn timespec(limit: Duration) -> Timespec {
    Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: i32::MAX.into(), tv_nsec: 0 })
}

impl traits::Runtime for Runtime {
    type RegisteredIoSource = source::Registered;
    type Sleep = timer::Sleep;
    type Task<T>
        = task::Handle<T>
    where
        T: Send + 'static;

    fn register_io_source(&self, source: IoSource) -> io::Result<source::Registered> {
        source::Registered::new(self.0.clone(), source)
    }

    fn sleep(&self, duration: Duration) -> timer::Sleep {
        timer::Sleep::new(self.0.clone(), duration)
    }

    fn spawn<T>(&self, _name: &str, future: impl Future<Output = T> + Send + 'static) -> task::Handle<T>
    where
        T: Send + 'static,
    {
        self.spawn_task(future)
    }

    async fn connect_tcp(&self, _address: SocketAddr) -> io::Result<IoSource> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn connect_unix(&self, path: &Path) -> io::Result<IoSource> {
        let address = match path.as_os_str().as_bytes() {
            [0, name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
            name => SocketAddrUnix::new(OsStr::from_bytes(name))?,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        loop {
            match rustix::net::connect(&socket, &address) {
                Ok(()) => return Ok(socket.into()),
                Err(Errno::AGAIN) => traits::Runtime::sleep(self, BACKLOG_RETRY).await,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn spawn_process(
        &self,
        _command: Command,
        _stdin: Stdio,
        _stdout: Stdio,
        _stderr: Stdio,
    ) -> io::Result<Pin<Box<dyn Future<Output = io::Result<ExitStatus>> + Send + 'static>>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The default starts a thread; this runs the work at once instead. zbus asks for it only for what is not used here
    /// (host names, nonce files, groups of a peer).
    fn spawn_blocking<T>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = T> + Send + 'static>>
    where
        T: Send + 'static,
    {
        Box::pin(std::future::ready(work()))
    }
}
