// SPDX-License-Identifier: LGPL-2.1-or-later
//! The keeper, as the supervisor's loop serves it: another one takes its place when it is killed.

use super::place::Place;
use super::{Session, record};
use crate::error::{Code, Diagnostic, Result};
use crate::log::{self, MessageId};
use crate::supervise::{Request, Source};
use crate::undo::{Keeper, Undo};
use rustix::event::epoll;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::cell::RefCell;
use std::time::Instant;

/// Watches the keeper of an undo list.
pub struct KeeperSource<'a> {
    session: &'a Session<'a>,
    place: &'a Place,
    leader: i32,
    undo: &'a RefCell<&'a mut Undo>,
    /// Holds the pidfd of the keeper of the day.
    watch: OwnedFd,
}

impl<'a> KeeperSource<'a> {
    /// Watches the keeper of that list.
    pub fn new(
        session: &'a Session<'a>,
        place: &'a Place,
        leader: i32,
        undo: &'a RefCell<&'a mut Undo>,
    ) -> Result<Self> {
        let watch = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(unwatched)?;
        let source = Self { session, place, leader, undo, watch };
        source.watch()?;
        Ok(source)
    }

    fn watch(&self) -> Result<()> {
        let undo = self.undo.borrow();
        let Some(keeper) = undo.keeper() else { return Ok(()) };
        epoll::add(&self.watch, keeper.pidfd(), epoll::EventData::new_u64(0), epoll::EventFlags::IN).map_err(unwatched)
    }
}

fn unwatched(errno: rustix::io::Errno) -> Diagnostic {
    Diagnostic::new(Code::SuperviseFailed, "cannot watch the keeper, the process that cleans up after a killed spawn")
        .errno(errno)
}

impl Source for KeeperSource<'_> {
    fn name(&self) -> &'static str {
        "the keeper"
    }
    fn fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
    fn turn(&mut self, _now: Instant) -> Result<Vec<Request>> {
        if let Some(old) = self.undo.borrow().keeper() {
            // Closing its pidfd is not enough: until it executes its program the new keeper has a copy.
            epoll::delete(&self.watch, old.pidfd()).map_err(unwatched)?;
        }
        self.undo.borrow_mut().replace_keeper(Keeper::start()?)?;
        self.watch()?;
        record::boot(self.session, self.place, self.leader, &self.undo.borrow())?;
        let what = "the keeper was killed; another one takes its place";
        log::warning!(self.session.log, MessageId::Degraded, "{what}");
        Ok(Vec::new())
    }
}
