// SPDX-License-Identifier: LGPL-2.1-or-later
//! Sockets watched for readiness, edge-triggered: the operation is tried first and waits only after `EAGAIN`.

use super::Shared;
use rustix::event::epoll;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use zbus::runtime::{Interest, IoSource, traits};

/// Who waits for a socket.
#[derive(Default)]
pub(super) struct Waiting {
    read: Vec<Waker>,
    write: Vec<Waker>,
}

impl Waiting {
    /// Moves those that `flags` concerns to `wake`. A hang-up or error concerns both directions.
    pub(super) fn take(&mut self, flags: epoll::EventFlags, wake: &mut Vec<Waker>) {
        let over = epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        if flags.intersects(over | epoll::EventFlags::IN | epoll::EventFlags::RDHUP) {
            wake.append(&mut self.read);
        }
        if flags.intersects(over | epoll::EventFlags::OUT) {
            wake.append(&mut self.write);
        }
    }
}

/// A socket in the epoll set; leaves it when dropped, before the socket itself is closed.
pub(in crate::bus) struct Registered {
    shared: Arc<Shared>,
    source: IoSource,
    token: u64,
    /// Writability is asked for from the first full send buffer on: from the start it would only cause wake-ups.
    writes: AtomicBool,
}

impl Registered {
    pub(super) fn new(shared: Arc<Shared>, source: IoSource) -> io::Result<Self> {
        let token = {
            let mut state = shared.lock();
            let token = state.id();
            state.sources.insert(token, Waiting::default());
            token
        };
        let this = Self { shared, source, token, writes: AtomicBool::new(false) };
        let data = epoll::EventData::new_u64(token);
        epoll::add(&this.shared.epoll, &this.source, data, READ)?;
        Ok(this)
    }

    fn watch_writes(&self) -> io::Result<()> {
        if !self.writes.swap(true, Ordering::Relaxed) {
            let data = epoll::EventData::new_u64(self.token);
            epoll::modify(&self.shared.epoll, &self.source, data, READ | epoll::EventFlags::OUT)?;
        }
        Ok(())
    }
}

const READ: epoll::EventFlags = epoll::EventFlags::IN.union(epoll::EventFlags::RDHUP).union(epoll::EventFlags::ET);

impl traits::PollIo for Registered {
    fn poll_io<T>(
        &self,
        cx: &mut Context<'_>,
        interest: Interest,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        let Some(waiting) = state.sources.get_mut(&self.token) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let queue = match interest {
            Interest::Readable => &mut waiting.read,
            _ => &mut waiting.write,
        };
        let known = queue.iter().any(|other| other.will_wake(&waker));
        if !known {
            queue.push(waker);
        }
        drop(state);
        if interest != Interest::Readable
            && let Err(error) = self.watch_writes()
        {
            return Poll::Ready(Err(error));
        }
        Poll::Pending
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Fails only when `add` has failed before.
        let _ = epoll::delete(&self.shared.epoll, &self.source);
        let gone = self.shared.lock().sources.remove(&self.token);
        drop(gone);
    }
}
