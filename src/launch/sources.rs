// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the supervisor's loop serves for every container: the notify socket and the control socket.

use crate::error::{Code, Diagnostic, Result};
use crate::plan::Plan;
use crate::supervise::notify::{ManagerNotify, NotifyServer, PayloadNotice, Received};
use crate::supervise::{Request, Source};
use crate::undo::Control;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::process::Pid;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// How many notifications one turn of the loop takes: a payload that never stops sending must not keep us from signals
/// and the console. What is left shows as readable again, and our manager hears one message a turn.
const MESSAGES_A_TURN: usize = 32;

/// The payload's notify socket, and the watchdog of our own manager.
pub struct NotifySource<'a> {
    server: &'a NotifyServer,
    leader: Pid,
    manager: &'a Rc<RefCell<ManagerNotify>>,
    /// That something was not stored is told once.
    told_refused: bool,
}

impl<'a> NotifySource<'a> {
    /// Listens for that leader.
    pub fn new(server: &'a NotifyServer, leader: Pid, manager: &'a Rc<RefCell<ManagerNotify>>) -> Self {
        Self { server, leader, manager, told_refused: false }
    }
}

impl Source for NotifySource<'_> {
    fn name(&self) -> &'static str {
        "the container's notify socket"
    }
    fn fd(&self) -> BorrowedFd<'_> {
        self.server.as_fd()
    }
    fn deadline(&self) -> Option<Instant> {
        self.manager.borrow().keep_alive_due()
    }
    fn turn(&mut self, now: Instant) -> Result<Vec<Request>> {
        let mut manager = self.manager.borrow_mut();
        if manager.keep_alive_due().is_some_and(|at| at <= now) {
            manager.keep_alive(now)?;
        }
        let mut said = PayloadNotice::default();
        for _ in 0..MESSAGES_A_TURN {
            match self.server.receive(self.leader)? {
                Received::Notice(notice) => said.merge(notice),
                Received::Nothing => {}
                Received::Drained => break,
            }
        }
        manager.payload(&said)?;
        // One that cannot be stored is no reason not to hear the others.
        let refused = self.server.take_storing().into_iter().filter_map(|storing| manager.store(&storing).err());
        let mut warnings: Vec<Request> = refused.map(Request::Warn).collect();
        if self.server.has_refused() && !std::mem::replace(&mut self.told_refused, true) {
            let what = "the payload wants to store a terminal, a directory or a block device: it is not stored";
            let d = Diagnostic::new(Code::NotifyFailed, what);
            warnings.push(Request::Warn(d.note("it could not be passed to the payload again")));
        }
        Ok(warnings)
    }
}

/// `/run/spawn/NAME/control`.
pub struct ControlSource<'a> {
    control: &'a mut Control,
    plan: &'a Plan,
    leader: i32,
}

impl<'a> ControlSource<'a> {
    /// Answers for that container.
    pub fn new(control: &'a mut Control, plan: &'a Plan, leader: i32) -> Self {
        Self { control, plan, leader }
    }
}

impl Source for ControlSource<'_> {
    fn name(&self) -> &'static str {
        "the control socket"
    }
    fn fd(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }
    fn turn(&mut self, _now: Instant) -> Result<Vec<Request>> {
        let (machine, leader) = (self.plan.machine.as_str(), self.leader);
        self.control
            .serve(|| serde_json::json!({ "machine": machine, "leader": leader, "state": "running" }))
            .map_err(|e| Diagnostic::new(Code::SuperviseFailed, "cannot serve the control socket").errno(e))?;
        Ok(Vec::new())
    }
}
