// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the container consumes: followed while it runs, told when it is gone.

use super::Session;
use super::place::Place;
use crate::cgroup::usage::oom_kills;
use crate::cgroup::{OomWatch, Usage};
use crate::error::Result;
use crate::log::{self, MessageId};
use crate::supervise::{Request, Source};
use crate::sys::child;
use crate::undo::Occupied;
use rustix::fd::{AsFd, BorrowedFd};
use std::time::Instant;

/// The last figures of a container.
pub struct Consumed {
    usage: Usage,
    occupied: Option<Occupied>,
}

impl Consumed {
    /// Nothing yet. `occupied` is what keeps the group until its last figures are taken.
    pub fn new(occupied: Option<Occupied>) -> Self {
        Self { usage: Usage::default(), occupied }
    }

    /// Takes the figures of a container whose first process is gone, and lets its group go. Where it is gone already, since
    /// somebody has killed all of the scope, the kernel still has the CPU time of that process and of all that it has
    /// waited for.
    pub fn last_sample(&mut self, place: &Place, leader: BorrowedFd<'_>) {
        self.sample(place);
        if place.group().is_some() && self.usage.cpu.is_none() {
            self.usage.cpu = child::cpu_time(leader).ok().flatten();
        }
        if let Some(occupied) = &self.occupied {
            occupied.let_go();
        }
    }

    /// Waits until nothing of ours is in the group, which systemd is told to clear away next: it would otherwise be there
    /// for a moment longer, and the next start of the name would find it.
    pub fn leave(&mut self) {
        self.occupied = None;
    }

    /// Takes the figures as they are now.
    pub fn sample(&mut self, place: &Place) {
        if let (Some(hierarchy), Some(group)) = (&place.hierarchy, place.group()) {
            let earlier = std::mem::take(&mut self.usage);
            self.usage = Usage::read(hierarchy, group, place.payload.as_ref()).or_earlier(earlier);
        }
    }

    /// How many processes were killed for want of memory.
    pub fn oom_kills(&self) -> Option<u64> {
        self.usage.oom_kills
    }

    /// Tells them, to the journal and with `-v`.
    pub fn tell(&self, session: &Session<'_>) {
        let (name, usage) = (&session.plan.machine, &self.usage);
        log::info!(session.log, MessageId::Consumed, step: "end", "{name} {usage}");
    }
}

/// Tells of each kill for want of memory while the container runs.
pub struct OomSource<'a> {
    session: &'a Session<'a>,
    place: &'a Place,
    watch: OomWatch,
}

impl<'a> OomSource<'a> {
    /// `None` where nothing counts the memory.
    pub fn new(session: &'a Session<'a>, place: &'a Place) -> Option<Self> {
        Some(Self { session, place, watch: OomWatch::new(place.group()?)? })
    }

    /// Tells of kills since the last time, where there were `kills` in all.
    pub fn tell(&mut self, kills: Option<u64>) {
        let name = &self.session.plan.machine;
        match self.watch.new_kills(kills) {
            0 => {}
            n => log::warning!(
                self.session.log,
                MessageId::OomKill,
                "the kernel killed {n} process{} of {name} for want of memory",
                if n == 1 { "" } else { "es" }
            ),
        }
    }
}

impl Source for OomSource<'_> {
    fn name(&self) -> &'static str {
        "the count of out-of-memory kills"
    }
    fn fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
    fn turn(&mut self, _now: Instant) -> Result<Vec<Request>> {
        self.tell(self.place.group().and_then(oom_kills));
        Ok(Vec::new())
    }
}
