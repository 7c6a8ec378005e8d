// SPDX-License-Identifier: LGPL-2.1-or-later
//! Registration with systemd-machined: when, and what failing means.

use super::Session;
use super::place::{self, SharedBus};
use crate::bus::{self, Authentication, MachineRegistration, RegisteredBy};
use crate::error::{Code, Diagnostic, Result};
use crate::log::{self, MessageId};
use crate::model::Register;
use crate::plan::Unit;
use crate::undo::{Release, Ticket, Undo};
use rustix::fd::BorrowedFd;
use rustix::process::Pid;
use std::rc::Rc;

/// Registers the machine, as far as `--register=` asks for it: `yes` insists, `auto` goes on with a notice.
pub fn register(
    session: &Session<'_>,
    (pid, pidfd): (i32, BorrowedFd<'_>),
    ifindices: Vec<i32>,
    undo: &mut Undo,
    releases: &mut Vec<Ticket>,
) -> Result<Option<RegisteredBy>> {
    let plan = session.plan;
    let insists = plan.register == Register::Yes;
    let reachable = session.bus.borrow().is_some() || (plan.unit == Unit::Keep && bus::is_booted());
    if plan.register == Register::No || !(insists || reachable) {
        return Ok(None);
    }
    let registered = place::connect(&session.bus).map_err(Diagnostic::from).and_then(|()| {
        let machine = registration(session, pid, pidfd, ifindices)?;
        bus::register(session.bus.borrow_mut().as_mut(), &machine)
    });
    match registered {
        Ok(way) => {
            let (bus, name): (SharedBus, _) = (Rc::clone(&session.bus), plan.machine.to_string());
            let release = Release::Call(Box::new(move || bus::unregister(bus.borrow_mut().as_mut(), &name)));
            releases.push(undo.push(release, "the registration with machined")?);
            Ok(Some(way))
        }
        // A name that another machine has is a mistake, not something that is missing here.
        Err(d) if !insists && d.code() != Code::NameBusy => {
            let why = d.headline();
            log::notice!(session.log, MessageId::NoManager, step: "register", "{why}: the machine is not registered");
            Ok(None)
        }
        Err(d) => Err(d),
    }
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
