// SPDX-License-Identifier: LGPL-2.1-or-later
//! A plan carried out: what is held for the container's life, and the loop over its boots.

mod boot;
mod bus_source;
mod console;
mod credentials;
mod exports;
mod journal;
mod keeper_source;
mod links;
mod place;
mod range;
mod record;
mod register;
mod serve;
mod sources;
mod usage;

use crate::config::Invocation;
use crate::error::{Diagnostic, Result};
use crate::log::Logger;
use crate::model::Id128;
use crate::plan::{Plan, Unit};
use crate::prepare::{self, Tree};
use crate::supervise::{Signals, StdioFacts, StdioPlan, UnitMode, Verdict, plan_stdio, verdict};
use crate::undo::{BASE, Control, Keeper, RuntimeDir, Undo};
use boot::Boot;
use console::HeldConsole;
use place::SharedBus;
use range::HeldRange;
use serve::Held;
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
    stdio: StdioPlan,
    credentials: Vec<(String, Vec<u8>)>,
    signals: Signals,
    runtime: RuntimeDir,
    bus: SharedBus,
}

/// Runs the container to its end and returns the exit status. Failures are reported through `log`.
pub fn run(plan: &Plan, log: &Logger) -> u8 {
    let mut undo = Undo::unkept();
    let mut result = run_in(plan, log, &mut undo);
    if undo.keeper().is_some_and(Keeper::has_ended) {
        let end = "the keeper, the process that cleans up after a killed spawn, had ended by then";
        result = result.map_err(|d| d.note(end));
    }
    for failure in undo.run() {
        log.failure(&failure);
    }
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

fn run_in(plan: &Plan, log: &Logger, undo: &mut Undo) -> Result<u8> {
    let keeper = Keeper::start()?;
    if matches!(plan.unit, Unit::Scope { .. }) {
        keeper.ease_moves();
    }
    undo.replace_keeper(keeper)?;
    // What is made for the container has the modes that are meant, whatever the caller's mask.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let signals = Signals::block()?;
    let stdio = plan_stdio(plan.console, &StdioFacts::of_this_process()).map_err(|mut d| d.remove(0))?;
    let (runtime, stale) = RuntimeDir::claim(Path::new(BASE), plan.machine.as_str(), undo)?;
    for failure in stale.iter().flat_map(|s| &s.failures) {
        log.failure(failure);
    }
    let tree = Tree::open(plan)?;
    let uuid = match plan.uuid {
        Some(id) => id,
        None => prepare::random_id()?,
    };
    let session = Session {
        plan,
        log,
        range: HeldRange::take(plan, &tree)?,
        credentials: credentials::read(&plan.credentials)?,
        tree,
        uuid,
        stdio,
        signals,
        runtime,
        bus: SharedBus::default(),
    };
    if let Some(scope) = stale.and_then(|s| s.scope) {
        place::forget_scope(&session, &scope);
    }
    record::plan(&session)?;
    let mut shared = exports::make(plan, session.range.as_ref().map(|r| r.range), log, undo);
    let (journal, mut journal_link) = journal::link(&session, undo)?;
    shared.extend(journal);
    let unit = if plan.unit == Unit::Keep { UnitMode::Keep } else { UnitMode::Own };
    say_starting(&session);
    let mut held = Held { console: HeldConsole::default(), control: Control::listen(&session.runtime)? };
    loop {
        let boot = Boot::start(&session, &shared, undo)?;
        if let Some(ticket) = journal_link.take() {
            undo.forget(ticket);
        }
        let outcome = boot.serve(&session, &mut held, undo)?;
        match verdict(outcome, plan.invocation, unit) {
            Verdict::Exit(status) => {
                held.console.close(undo);
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
