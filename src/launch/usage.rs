// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the container consumes: followed while it runs, told when it is gone.

use super::Session;
use super::place::Place;
use crate::cgroup::{OomWatch, Usage};
use crate::error::Result;
use crate::log::{self, MessageId};
use crate::supervise::{Request, Source};
use crate::sys::child;
use rustix::fd::{AsFd, BorrowedFd};
use std::time::Instant;

/// The last figures of a container. systemd removes the group as soon as it is empty, so they are taken early.
#[derive(Default)]
pub struct Consumed(Usage);

impl Consumed {
    /// Takes the figures of a container whose first process is gone. Where its group is gone too, the kernel still has the
    /// CPU time of that process and of all that it has waited for.
    pub fn last_sample(&mut self, place: &Place, leader: BorrowedFd<'_>) {
        self.sample(place);
        if place.group().is_some() && self.0.cpu.is_none() {
            self.0.cpu = child::cpu_time(leader).ok().flatten();
        }
    }

    /// Takes the figures as they are now.
    pub fn sample(&mut self, place: &Place) {
        if let (Some(hierarchy), Some(group)) = (&place.hierarchy, place.group()) {
            let earlier = std::mem::take(&mut self.0);
            self.0 = Usage::read(hierarchy, group).or_earlier(earlier);
        }
    }

    /// Tells them, to the journal and with `-v`.
    pub fn tell(&self, session: &Session<'_>) {
        let (name, usage) = (&session.plan.machine, &self.0);
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

    /// Tells of kills since the last look.
    pub fn look(&mut self) {
        let Some(group) = self.place.group() else { return };
        let name = &self.session.plan.machine;
        match self.watch.new_kills(group) {
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
        self.look();
        Ok(Vec::new())
    }
}
