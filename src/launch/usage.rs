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
use std::time::{Duration, Instant};

/// The last figures of a container. systemd removes the group as soon as it is empty, which is before its last process
/// can be waited for, so it may be faster than we are.
#[derive(Default)]
pub struct Consumed {
    usage: Usage,
    ended: Option<Ended>,
}

/// The figures once the first process was gone.
struct Ended {
    /// Where the group was still there.
    usage: Usage,
    /// CPU time of the first process and of all that it has waited for, as the kernel remembers it.
    cpu: Option<Duration>,
}

impl Consumed {
    /// Takes the figures of a container whose first process is gone.
    pub fn last_sample(&mut self, place: &Place, leader: BorrowedFd<'_>) {
        if let (Some(hierarchy), Some(group)) = (&place.hierarchy, place.group()) {
            let usage = Usage::read(hierarchy, group);
            self.ended = Some(Ended { usage, cpu: child::cpu_time(leader).ok().flatten() });
        }
    }

    /// Completes the last figures: from systemd, which reads a scope's group before it removes it, then from what was
    /// read earlier. `memory`: whether the container's memory was counted.
    pub fn complete(&mut self, session: &Session<'_>, place: &Place, memory: Memory) {
        let Some(Ended { usage, cpu }) = self.ended.take() else { return };
        let lost = usage.cpu.is_none() || (memory == Memory::Counted && usage.memory_peak.is_none());
        let remembered = match (&place.scope, session.bus.borrow_mut().as_mut()) {
            // Without an answer these figures are not told, which is all that is lost.
            (Some(scope), Some(bus)) if lost => bus.scope_usage(scope).unwrap_or_default(),
            _ => Usage::default(),
        };
        let usage = usage.or_earlier(remembered).or_earlier(Usage { cpu, ..Usage::default() });
        self.usage = usage.or_earlier(std::mem::take(&mut self.usage));
    }

    /// Takes the figures as they are now.
    pub fn sample(&mut self, place: &Place) {
        if let (Some(hierarchy), Some(group)) = (&place.hierarchy, place.group()) {
            let earlier = std::mem::take(&mut self.usage);
            self.usage = Usage::read(hierarchy, group).or_earlier(earlier);
        }
    }

    /// Tells them, to the journal and with `-v`.
    pub fn tell(&self, session: &Session<'_>) {
        let (name, usage) = (&session.plan.machine, &self.usage);
        log::info!(session.log, MessageId::Consumed, step: "end", "{name} {usage}");
    }
}

/// Whether a group's memory is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Its figures are there.
    Counted,
    /// The hierarchy has no memory controller.
    NotCounted,
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
