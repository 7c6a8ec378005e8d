// SPDX-License-Identifier: LGPL-2.1-or-later
//! Registration with systemd-machined: when, and what failing means.

use super::Session;
use super::place::{self, SharedBus};
use crate::bus::{self, Authentication, MachineRegistration, RegisterError, RegisteredBy};
use crate::error::{Code, Diagnostic, Result};
use crate::log::{self, MessageId};
use crate::model::Register;
use crate::plan::Unit;
use crate::undo::{Release, Ticket, Undo};
use rustix::fd::BorrowedFd;
use rustix::process::Pid;
use std::cell::Cell;
use std::rc::Rc;

/// The machine among those of machined.
pub struct Entry {
    /// The protocol; `None` when machined has not answered in time.
    pub way: Option<RegisteredBy>,
    /// The machine's links on the host.
    pub links: Vec<i32>,
    /// Whether machined has said that the machine is registered.
    pub confirmed: Rc<Cell<bool>>,
}

/// Registers the machine, as far as `--register=` asks for it: `yes` insists, `auto` goes on with a notice. `None` when it
/// stays without a registration.
pub fn register(
    session: &Session<'_>,
    (pid, pidfd): (i32, BorrowedFd<'_>),
    links: Vec<i32>,
    undo: &mut Undo,
    releases: &mut Vec<Ticket>,
) -> Result<Option<Entry>> {
    let plan = session.plan;
    let insists = plan.register == Register::Yes;
    let reachable = session.bus.borrow().is_some() || (plan.unit == Unit::Keep && bus::is_booted());
    if plan.register == Register::No || !(insists || reachable) {
        return Ok(None);
    }
    let connected = place::connect(&session.bus).map_err(|e| RegisterError::Refused(e.into()));
    let machine = registration(session, pid, pidfd, links.clone())?;
    let registered = connected.and_then(|()| bus::register(session.bus.borrow_mut().as_mut(), &machine));
    let way = match registered {
        Ok(way) => Some(way),
        Err(RegisterError::Unanswered(d)) if !insists => {
            let why = d.headline();
            log::notice!(session.log, MessageId::NoManager, step: "register", "{why}: it is tried again meanwhile");
            None
        }
        // A name that another machine has is a mistake, not something that is missing here.
        Err(RegisterError::Refused(d)) if !insists && d.code() != Code::NameBusy => {
            let why = d.headline();
            log::notice!(session.log, MessageId::NoManager, step: "register", "{why}: the machine is not registered");
            return Ok(None);
        }
        Err(e) => return Err(e.into()),
    };
    let confirmed = Rc::new(Cell::new(way.is_some()));
    let release = release(session, machine.leader_pid, Rc::clone(&confirmed));
    releases.push(undo.push(release, "the registration with machined")?);
    Ok(Some(Entry { way, links, confirmed }))
}

fn release(session: &Session<'_>, leader: Pid, confirmed: Rc<Cell<bool>>) -> Release {
    let (bus, name): (SharedBus, _) = (Rc::clone(&session.bus), session.plan.machine.to_string());
    Release::Call(Box::new(move || match bus.borrow_mut().as_mut() {
        Some(bus) if !confirmed.get() => bus.unregister_unsure(&name, leader),
        bus => bus::unregister(bus, &name),
    }))
}

/// The protocol in words.
pub fn words(way: RegisteredBy) -> &'static str {
    match way {
        RegisteredBy::Varlink => "Varlink",
        RegisteredBy::DBusProperties | RegisteredBy::DBusPositional => "D-Bus",
    }
}

/// What machined is told.
pub fn registration<'a>(
    session: &'a Session<'_>,
    pid: i32,
    pidfd: BorrowedFd<'a>,
    ifindices: Vec<i32>,
) -> Result<MachineRegistration<'a>> {
    let plan = session.plan;
    Ok(MachineRegistration {
        name: plan.machine.as_str(),
        id: Some(session.uuid),
        service: &plan.container_manager,
        leader_pid: Pid::from_raw(pid)
            .ok_or_else(|| Diagnostic::new(Code::ChildGone, "the container's first process has no pid"))?,
        leader_pidfd: pidfd,
        root_directory: (!plan.tree.ephemeral).then(|| plan.tree.path.clone()),
        ifindices,
        authentication: Authentication::Silent,
    })
}
