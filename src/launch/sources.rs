// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the supervisor's loop serves besides leader, signals and console.

use super::{Session, boot::registration};
use crate::bus::BusEvent;
use crate::error::Result;
use crate::log::Level;
use crate::plan::Plan;
use crate::supervise::notify::{ManagerNotify, NotifyServer, PayloadNotice, Received};
use crate::supervise::{Request, Source};
use crate::undo::Control;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::Pid;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a bus that was restarted may take to be there again.
const RECONNECT: Duration = Duration::from_secs(5);

/// How many notifications one turn of the loop takes: a payload that never stops sending must not keep us from signals
/// and the console. What is left shows as readable again, and our manager hears one message a turn.
const MESSAGES_A_TURN: usize = 32;

/// The payload's notify socket, and the watchdog of our own manager.
pub struct NotifySource<'a> {
    server: &'a NotifyServer,
    leader: Pid,
    manager: &'a Rc<RefCell<ManagerNotify>>,
}

impl<'a> NotifySource<'a> {
    /// Listens for that leader.
    pub fn new(server: &'a NotifyServer, leader: Pid, manager: &'a Rc<RefCell<ManagerNotify>>) -> Self {
        Self { server, leader, manager }
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
        Ok(Vec::new())
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
            .map_err(|e| {
                crate::error::Diagnostic::new(crate::error::Code::SuperviseFailed, "cannot serve the control socket")
                    .errno(e)
            })?;
        Ok(Vec::new())
    }
}

/// The system bus: requests to stop, and the repair of what a restart of bus or machined has lost.
pub struct BusSource<'a> {
    session: &'a Session<'a>,
    leader: (Pid, BorrowedFd<'a>),
    /// The runtime's epoll set, held by a descriptor of its own as the connection may be replaced.
    fd: OwnedFd,
}

impl<'a> BusSource<'a> {
    /// `None` when there is no connection.
    pub fn new(session: &'a Session<'a>, leader: Pid, pidfd: BorrowedFd<'a>) -> Option<Self> {
        let fd = session.bus.borrow().as_ref()?.fd().try_clone_to_owned().ok()?;
        Some(Self { session, leader: (leader, pidfd), fd })
    }

    fn repair(&mut self) -> Result<()> {
        let mut bus = self.session.bus.borrow_mut();
        let Some(bus) = bus.as_mut() else { return Ok(()) };
        let machine = registration(self.session, self.leader.0.as_raw_nonzero().get(), self.leader.1, Vec::new())?;
        if bus.repair_registration(&machine)?.is_some() {
            self.session.log.say(Level::Notice, "machined had lost the machine; it is registered again");
        }
        Ok(())
    }
}

impl Source for BusSource<'_> {
    fn name(&self) -> &'static str {
        "the system bus"
    }
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
    fn deadline(&self) -> Option<Instant> {
        self.session.bus.borrow().as_ref().and_then(|b| b.next_deadline())
    }
    fn turn(&mut self, _now: Instant) -> Result<Vec<Request>> {
        let events = match self.session.bus.borrow_mut().as_mut() {
            Some(bus) => bus.poll_events()?,
            None => Vec::new(),
        };
        let mut requests = Vec::new();
        for event in events {
            match event {
                BusEvent::RequestStop => requests.push(Request::Stop),
                BusEvent::MachinedRestarted => self.repair()?,
                BusEvent::SystemdRestarted => {}
                BusEvent::Disconnected => {
                    self.session.log.say(
                        Level::Warning,
                        "the system bus was restarted: systemctl stop of the scope kills the container from now on, \
                         machinectl poweroff stays orderly",
                    );
                    let back = match self.session.bus.borrow_mut().as_mut() {
                        Some(bus) => bus.reconnect(RECONNECT),
                        None => Ok(()),
                    };
                    back.map_err(crate::error::Diagnostic::from)?;
                    self.repair()?;
                }
            }
        }
        Ok(requests)
    }
}
