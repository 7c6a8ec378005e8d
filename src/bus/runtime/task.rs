// SPDX-License-Identifier: LGPL-2.1-or-later
//! Background tasks and the handles to them.

use super::{Runtime, Shared};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use zbus::runtime::traits;

/// Queues its task when woken. Weak: a waker kept somewhere must not keep the runtime.
struct TaskWaker {
    shared: Weak<Shared>,
    id: u64,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.shared.upgrade() {
            let mut state = shared.lock();
            if !state.ready.contains(&self.id) {
                state.ready.push_back(self.id);
            }
        }
    }
}

/// What a task leaves for its handle.
enum Slot<T> {
    Running(Option<Waker>),
    Done(Option<T>),
}

/// The handle to a task: its output when awaited; dropping it cancels the task.
pub(in crate::bus) struct Handle<T> {
    shared: Weak<Shared>,
    id: u64,
    slot: Arc<Mutex<Slot<T>>>,
    detached: bool,
}

impl Runtime {
    pub(super) fn spawn_task<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Handle<T> {
        let slot = Arc::new(Mutex::new(Slot::Running(None)));
        let result = slot.clone();
        let job = Box::pin(async move {
            let output = future.await;
            let old = std::mem::replace(
                &mut *result.lock().unwrap_or_else(PoisonError::into_inner),
                Slot::Done(Some(output)),
            );
            if let Slot::Running(Some(waker)) = old {
                waker.wake();
            }
        });
        let mut state = self.0.lock();
        let id = state.id();
        state.tasks.insert(id, Some(job));
        state.ready.push_back(id);
        Handle { shared: Arc::downgrade(&self.0), id, slot, detached: false }
    }

    /// Polls every task that is ready, those made ready meanwhile included.
    pub(super) fn run_ready(&self) {
        loop {
            let (id, mut job) = {
                let mut state = self.0.lock();
                let Some(id) = state.ready.pop_front() else { return };
                match state.tasks.get_mut(&id).and_then(Option::take) {
                    Some(job) => (id, job),
                    None => continue,
                }
            };
            let waker = Waker::from(Arc::new(TaskWaker { shared: Arc::downgrade(&self.0), id }));
            let done = job.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            let mut state = self.0.lock();
            if done {
                state.tasks.remove(&id);
            } else if let Some(place) = state.tasks.get_mut(&id) {
                *place = Some(job);
                continue;
            }
            // Done, or cancelled while it ran. Dropping a job can come back here, so not under the lock.
            drop(state);
            drop(job);
        }
    }
}

impl<T: Send + 'static> Future for Handle<T> {
    type Output = io::Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *slot {
            Slot::Done(output) => Poll::Ready(output.take().ok_or_else(|| io::Error::other("awaited twice"))),
            Slot::Running(waker) => {
                let old = waker.replace(cx.waker().clone());
                drop(slot);
                drop(old);
                Poll::Pending
            }
        }
    }
}

impl<T: Send + 'static> traits::TaskHandle<T> for Handle<T> {
    fn detach(mut self) {
        self.detached = true;
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        if !self.detached
            && let Some(shared) = self.shared.upgrade()
        {
            let job = shared.lock().tasks.remove(&self.id);
            drop(job);
        }
    }
}
