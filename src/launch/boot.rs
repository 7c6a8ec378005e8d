// SPDX-License-Identifier: LGPL-2.1-or-later
//! The start of one boot of the container: from the plan to the payload's first instruction.

use super::place::{self, Place};
use super::register::{self, Entry};
use super::{Session, console, links, ports, record};
use crate::bus::RegisteredBy;
use crate::error::{Code, Diagnostic, Origin, Result};
use crate::exec::{self, Mapping, Released};
use crate::log::{self, MessageId};
use crate::net::Addresses;
use crate::plan::Unit;
use crate::prepare::{self, Context, DevicePolicy, Prepared, SharedDirectory};
use crate::supervise::notify::{Fds, ManagerNotify, NotifyServer, ReadyWhen};
use crate::supervise::pty::Pty;
use crate::undo::{Release, Ticket, Undo};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::process::Pid;
use rustix::termios::tcsetwinsize;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

const CAP_MKNOD: u64 = 1 << 27;

/// A running boot.
pub struct Boot {
    pub(super) released: Released,
    pub(super) leader: Pid,
    pub(super) place: Place,
    pub(super) notify: NotifyServer,
    pub(super) manager: Rc<RefCell<ManagerNotify>>,
    pub(super) pty: Option<Pty>,
    pub(super) relays: [Option<OwnedFd>; 3],
    /// The machine among those of machined; `None` when it is not to be there.
    pub(super) registered: Option<Entry>,
    /// Where ports of the host lead, when there are any.
    pub(super) addresses: Option<Addresses>,
    /// In order of acquisition.
    pub(super) releases: Vec<Ticket>,
    /// Stays open as long as the payload runs.
    pub(super) _held: Vec<OwnedFd>,
}

impl Boot {
    /// Starts the payload. The sequence: the stager is cloned; while it builds the tree the place for the processes is
    /// made; init is cloned into it; its ids are mapped, it is registered and linked while the last mounts are made;
    /// then it is released.
    pub fn start(session: &Session<'_>, shared: &[SharedDirectory], undo: &mut Undo) -> Result<Self> {
        let plan = session.plan;
        let mut releases = Vec::new();
        let notify = NotifyServer::new(if plan.fd_store { Fds::Kept(plan.invocation) } else { Fds::Dropped })?;
        let early = match plan.unit {
            Unit::Scope { .. } => None,
            Unit::Keep | Unit::Own { .. } => Some(place::make_now(session, undo, &mut releases)?),
        };
        let Prepared { stager, init, pty, relays, passed, children_ends, held, releases: of_mounts, skipped: _ } =
            prepare(session, shared, &notify, early.as_ref())?;
        for (release, words) in of_mounts {
            releases.push(undo.push(release, words)?);
        }
        let mut cloned = exec::start(&stager, &init, &passed)?;
        releases.push(undo.push(kill(cloned.pidfd())?, "the process that builds the mounts")?);
        // The children have their copies.
        drop(children_ends);
        let place = match early {
            Some(place) => place,
            None => place::scope(session, &mut cloned, undo, &mut releases)?,
        };
        let entered = cloned.enter(plan, place.fd())?;
        releases.push(undo.push(kill(entered.pidfd())?, "the container's first process")?);
        if let Some(bus) = session.bus.borrow_mut().as_mut() {
            bus.scope_is_inhabited();
        }
        record::boot(session, &place, entered.pid(), undo)?;
        let mapping = entered.map(plan, session.range.as_ref().map(|r| r.range))?;
        let (mapping, Joined { registered, addresses }) = join(session, &place, mapping, undo, &mut releases)?;
        let mapped = mapping.wait_mounted(plan)?;
        place::enable_controllers(&place);
        let released = mapped.release(plan)?;
        // Not before: as long as a child shares these pages, each that is written to when it is freed would be copied.
        drop((stager, init));
        let leader = Pid::from_raw(released.pid)
            .ok_or_else(|| Diagnostic::new(Code::ChildGone, "the container's first process has no pid"))?;
        say_started(session, &released, leader, registered.as_ref().and_then(|entry| entry.way));
        let ready = if plan.notify_ready { ReadyWhen::PayloadReady } else { ReadyWhen::Started };
        let manager = Rc::new(RefCell::new(ManagerNotify::new(ready, Instant::now())));
        Ok(Self { released, leader, place, notify, manager, pty, relays, registered, addresses, releases, _held: held })
    }
}

/// Everything that can fail outside the container.
fn prepare(
    session: &Session<'_>,
    shared: &[SharedDirectory],
    notify: &NotifyServer,
    early: Option<&Place>,
) -> Result<Prepared> {
    let devices = match early.is_some_and(|p| p.no_device_policy) {
        true => DevicePolicy::Missing,
        false => DevicePolicy::Holds,
    };
    let context = Context {
        tree: &session.tree,
        range: session.range.as_ref().map(|r| r.range),
        uuid: session.uuid,
        tried: Cell::new(session.tried.take()),
        notify,
        stdio: &session.plan.stdio,
        credentials: &session.credentials,
        shared,
        withheld: withheld(session, early),
        devices,
    };
    let prepared = prepare::run(session.plan, &context)?;
    prepared.skipped.iter().for_each(|skipped| say_skipped(session, skipped));
    if let Some(pty) = &prepared.pty {
        // Before the payload can ask for it.
        let _best_effort = tcsetwinsize(&pty.master, console::window_size());
    }
    Ok(prepared)
}

/// What ties init to the host.
struct Joined {
    registered: Option<Entry>,
    addresses: Option<Addresses>,
}

/// Links init's network to the host's and registers it, while the stager makes the last mounts.
fn join(
    session: &Session<'_>,
    place: &Place,
    mapping: Mapping,
    undo: &mut Undo,
    releases: &mut Vec<Ticket>,
) -> Result<(Mapping, Joined)> {
    let joined = links::make(session, place, mapping.pid(), undo, releases).and_then(|links| {
        let leader = (mapping.pid(), mapping.pidfd());
        let registered = register::register(session, leader, links, undo, releases)?;
        Ok(Joined { registered, addresses: ports::addresses(session, mapping.pid())? })
    });
    match joined {
        Ok(joined) => Ok((mapping, joined)),
        // A dead child is the reason, and has said its own.
        Err(d) => Err(mapping.blame(session.plan, d)),
    }
}

/// An optional part is missing: that is worth a warning for who has asked for it.
fn say_skipped(session: &Session<'_>, skipped: &Diagnostic) {
    match skipped.asked_by() {
        None | Some(Origin::Default) => log::info!(session.log, MessageId::Degraded, step: "mount", "{skipped}"),
        Some(_) => log::warning!(session.log, MessageId::Degraded, step: "mount", "{skipped}"),
    }
}

fn say_started(session: &Session<'_>, released: &Released, leader: Pid, way: Option<RegisteredBy>) {
    session.log.set_leader(Some(leader));
    released.skipped.iter().for_each(|skipped| say_skipped(session, skipped));
    let (machine, pid) = (&session.plan.machine, released.pid);
    log::info!(session.log, MessageId::Started, "{machine} runs; its first process is {pid}");
    if let Some(way) = way {
        let way = register::words(way);
        log::info!(session.log, MessageId::Registered, step: "register", "registered with machined over {way}");
    }
}

fn kill(pidfd: BorrowedFd<'_>) -> Result<Release> {
    let held = pidfd.try_clone_to_owned();
    held.map(Release::KillProcess)
        .map_err(|e| Diagnostic::new(Code::Prepare, "cannot hold on to the descriptor of a process").io(&e))
}

/// Capabilities that cannot be given: what we lack ourselves, where no user namespace makes new ones, and the making of
/// device nodes where no policy says which may be used.
fn withheld(session: &Session<'_>, place: Option<&Place>) -> u64 {
    let mut withheld = 0;
    if place.is_some_and(|p| p.no_device_policy) {
        withheld |= CAP_MKNOD;
    }
    if session.range.is_none()
        && let Ok(own) = rustix::thread::capabilities(None)
    {
        withheld |= !own.permitted.bits();
    }
    withheld
}
