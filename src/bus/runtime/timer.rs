// SPDX-License-Identifier: LGPL-2.1-or-later
//! Timers: an ordered map of deadlines, looked at by every wait.

use super::Shared;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Ends once its time has passed; dropping it cancels the timer.
pub(in crate::bus) struct Sleep {
    shared: Arc<Shared>,
    deadline: Instant,
    id: u64,
}

impl Sleep {
    pub(super) fn new(shared: Arc<Shared>, duration: Duration) -> Self {
        let id = shared.lock().id();
        let now = Instant::now();
        // A wait too long to express is as good as a day.
        let deadline = now.checked_add(duration).unwrap_or(now + Duration::from_secs(24 * 60 * 60));
        Self { shared, deadline, id }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let old = self.shared.lock().timers.insert((self.deadline, self.id), waker);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let old = self.shared.lock().timers.remove(&(self.deadline, self.id));
        drop(old);
    }
}
