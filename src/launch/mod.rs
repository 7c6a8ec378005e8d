// SPDX-License-Identifier: LGPL-2.1-or-later
//! A plan carried out: what is held for the container's life, and the loop over its boots.

mod boot;
mod bus_source;
mod cleanup;
mod console;
mod credentials;
mod exports;
mod forward;
mod journal;
mod keeper_source;
mod links;
mod place;
mod ports;
mod range;
mod record;
mod register;
mod serve;
mod sources;
mod usage;

use crate::cgroup::Hierarchy;
use crate::config::Invocation;
use crate::error::{Code, Diagnostic, Result};
use crate::image::TriedMap;
use crate::log::Logger;
use crate::model::Id128;
use crate::plan::{Plan, Unit};
use crate::prepare::{self, SharedDirectory, Tree};
use crate::supervise::{Signals, UnitMode, Verdict, verdict};
use crate::undo::{BASE, Control, Keeper, Release, RuntimeDir, Ticket, Undo};
use boot::Boot;
pub use cleanup::cleanup;
use console::HeldConsole;
use forward::Forward;
use place::SharedBus;
use range::HeldRange;
use rustix::fd::BorrowedFd;
use serve::Held;
use std::cell::Cell;
use std::path::Path;

/// Exit statuses of our own failures (env(1), timeout(1) and podman(1) use the same).
pub mod status {
    /// The container could not be started.
    pub const FAILED: u8 = 125;
    /// The program cannot be executed.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// The program was not found.
    pub const NOT_FOUND: u8 = 127;
    /// Every failure under the name systemd-nspawn.
    pub const NSPAWN: u8 = 1;
}

/// What is held for the container's life, across reboots of the guest.
pub(crate) struct Session<'a> {
    plan: &'a Plan,
    log: &'a Logger,
    tree: Tree,
    range: Option<HeldRange>,
    uuid: Id128,
    credentials: Vec<(String, Vec<u8>)>,
    signals: &'a Signals,
    runtime: RuntimeDir,
    hierarchy: Option<Hierarchy>,
    /// Whether a process of the keeper's holds the scope's group: where figures would be gone with it.
    occupies: bool,
    bus: SharedBus,
    /// Of the planning, for the first boot.
    tried: Cell<Option<TriedMap>>,
}

impl Session<'_> {
    /// Changes the owners of the tree's files, where that was asked for.
    fn give_tree(&self) -> Result<()> {
        match (&self.plan.tree.give, &self.range) {
            (Some(origin), Some(held)) => {
                crate::image::give_tree(self.tree.top(), held.range).map_err(|d| d.origin(origin))
            }
            _ => Ok(()),
        }
    }
}

/// What is begun while the plan is still being made, since it takes time by itself: the keeper, and the move between
/// control groups that it makes for PID 1's sake. Nothing is held by it yet.
pub struct Begun(Result<Keeper>);

impl Begun {
    /// Begins; `scope` says whether PID 1 will be asked for a scope.
    pub fn start(scope: bool) -> Self {
        let keeper = Keeper::start();
        if let (Ok(keeper), true) = (&keeper, scope) {
            keeper.ease_moves();
        }
        Self(keeper)
    }

    /// Ends it; there is no plan to carry out.
    pub fn give_up(self) {
        // It holds nothing, so whether it has ended well matters to nobody.
        let _ended = self.0.map(Keeper::finish);
    }
}

/// Runs the container to its end and returns the exit status. Failures are reported through `log`. `tried` is what the
/// planning has left ([`crate::plan::make`]).
pub fn run(plan: &Plan, log: &Logger, begun: Begun, tried: Option<TriedMap>) -> u8 {
    let mut undo = Undo::unkept();
    let result = Signals::block().and_then(|signals| {
        let result = run_in(plan, log, &signals, (begun, tried), &mut undo);
        // Whoever asks us to end from here on asks for what is being done: machined 258 and later send SIGTERM to the
        // supervisor of a machine whose leader is gone.
        signals.keep_blocked();
        result
    });
    release_all(&mut undo, log);
    match result {
        Ok(status) => status,
        Err(d) => {
            log.failure(&d);
            failure_status(plan.invocation, &d)
        }
    }
}

/// The exit status for a failure of our own.
pub fn failure_status(invocation: Invocation, d: &Diagnostic) -> u8 {
    use crate::error::Code;
    match (invocation, d.code()) {
        (Invocation::SystemdNspawn, _) => status::NSPAWN,
        (_, Code::PayloadNotFound) => status::NOT_FOUND,
        (_, Code::PayloadNotExecutable) => status::NOT_EXECUTABLE,
        _ => status::FAILED,
    }
}

fn release_all(undo: &mut Undo, log: &Logger) {
    for failure in undo.run() {
        log.failure(&failure);
    }
}

fn run_in(
    plan: &Plan,
    log: &Logger,
    signals: &Signals,
    (begun, tried): (Begun, Option<TriedMap>),
    undo: &mut Undo,
) -> Result<u8> {
    let asked = range::ask(plan);
    let keeper = begun.0?;
    let scope = matches!(plan.unit, Unit::Scope { .. });
    let hierarchy = Hierarchy::find()?;
    let occupies = scope && hierarchy.as_ref().is_some_and(Hierarchy::counts);
    if !occupies {
        keeper.gather();
    }
    undo.replace_keeper(keeper)?;
    // What is made for the container has the modes that are meant, whatever the caller's mask.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let (runtime, stale) = RuntimeDir::claim(Path::new(BASE), plan.machine.as_str(), undo)?;
    for failure in stale.iter().flat_map(|s| &s.failures) {
        log.failure(failure);
    }
    let tree = Tree::open(plan, undo)?;
    let uuid = match plan.uuid {
        Some(id) => id,
        None => prepare::random_id()?,
    };
    let session = Session {
        plan,
        log,
        range: HeldRange::take(plan, asked)?,
        credentials: credentials::read(&plan.credentials)?,
        tree,
        uuid,
        signals,
        runtime,
        hierarchy,
        occupies,
        bus: SharedBus::default(),
        tried: Cell::new(tried),
    };
    for lock in session.tree.locks() {
        hold(lock, "the lock of the tree", undo)?;
    }
    if let Some(lock) = session.range.as_ref().and_then(HeldRange::lock) {
        hold(lock, "the lock of the range of user ids", undo)?;
    }
    if let Some(scope) = stale.and_then(|s| s.scope) {
        place::forget_scope(&session.bus, &scope, &plan.machine).unwrap_or_else(|d| log.failure(&d));
    }
    session.give_tree()?;
    record::plan(&session)?;
    let mut shared = exports::make(plan, session.range.as_ref().map(|r| r.range), log, undo);
    let (journal, journal_link) = journal::link(&session, undo)?;
    shared.extend(journal);
    let mut held = Held { console: HeldConsole::default(), control: Control::listen(&session.runtime)?, forward: None };
    if let Some(forward) = &plan.forward_journal {
        let range = session.range.as_ref().map(|r| r.range);
        let (forward, socket) = Forward::make(forward, plan.process.listen_fds, &session.runtime, range)?;
        held.forward = Some(forward);
        shared.push(socket);
    }
    say_starting(&session);
    let mut result = boots(&session, &mut held, &shared, journal_link, undo);
    if undo.keeper().is_some_and(Keeper::has_ended) {
        let end = "the keeper, the process that cleans up after a killed spawn, had ended by then";
        result = result.map_err(|d| d.note(end));
    }
    // The tree and the range stay locked until the last process is gone.
    release_all(undo, log);
    // The connection ends with the process, which is near.
    std::mem::forget(session.bus.take());
    result
}

/// A copy for the keeper, so that a lock outlives a killed supervisor as long as the container does.
fn hold(lock: BorrowedFd<'_>, words: &'static str, undo: &mut Undo) -> Result<()> {
    let copy = lock.try_clone_to_owned();
    let copy = copy.map_err(|e| Diagnostic::new(Code::Prepare, format!("cannot hold on to {words}")).io(&e))?;
    undo.push(Release::Hold(copy), words).map(drop)
}

fn boots(
    session: &Session<'_>,
    held: &mut Held,
    shared: &[SharedDirectory],
    mut journal_link: Option<Ticket>,
    undo: &mut Undo,
) -> Result<u8> {
    let unit = if session.plan.unit == Unit::Keep { UnitMode::Keep } else { UnitMode::Own };
    loop {
        let boot = Boot::start(session, shared, undo)?;
        if let Some(ticket) = journal_link.take() {
            undo.forget(ticket);
        }
        let outcome = boot.serve(session, held, undo)?;
        match verdict(outcome, session.plan.invocation, unit) {
            Verdict::Exit(status) => {
                held.console.close(undo);
                held.forward.iter().for_each(|forward| forward.finish(session.log, undo));
                return Ok(status);
            }
            Verdict::Restart => {}
        }
    }
}

/// systemd-nspawn's word before the start; under our own name only what is out of the ordinary is said.
fn say_starting(session: &Session<'_>) {
    let plan = session.plan;
    if plan.invocation == Invocation::SystemdNspawn && !plan.quiet {
        let (name, tree) = (&plan.machine, plan.tree.path.display());
        crate::log::notice!(session.log, crate::log::MessageId::Notice, "Starting container {name} on {tree}.");
    }
}
