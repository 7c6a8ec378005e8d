// SPDX-License-Identifier: LGPL-2.1-or-later
//! A plan carried out: what is held for the container's life, and the loop over its boots.

mod boot;
mod credentials;
mod place;
mod range;
mod sources;

use crate::config::Invocation;
use crate::error::{Diagnostic, Result};
use crate::log::Logger;
use crate::model::Id128;
use crate::plan::{Plan, Unit};
use crate::prepare::{self, Tree};
use crate::supervise::{Outcome, Signals, StdioFacts, StdioPlan, UnitMode, Verdict, plan_stdio, verdict};
use crate::undo::{BASE, Keeper, RuntimeDir, Undo};
use boot::Boot;
use place::SharedBus;
use range::HeldRange;
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
    signals: &'a Signals,
    runtime: RuntimeDir,
    bus: SharedBus,
}

/// Runs the container to its end and returns the exit status. Failures are reported through `log`.
pub fn run(plan: &Plan, log: &Logger) -> u8 {
    log.set_machine(plan.machine.as_str());
    let mut undo = Undo::unkept();
    let result = Signals::block().and_then(|signals| {
        let result = run_in(plan, log, &signals, &mut undo);
        // Whoever asks us to end from here on asks for what is being done: machined 258 and later send SIGTERM to the
        // supervisor of a machine whose leader is gone.
        signals.keep_blocked();
        result
    });
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

fn run_in(plan: &Plan, log: &Logger, signals: &Signals, undo: &mut Undo) -> Result<u8> {
    let keeper = Keeper::start()?;
    if matches!(plan.unit, Unit::Scope { .. }) {
        keeper.ease_moves();
    }
    undo.replace_keeper(keeper)?;
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
    let unit = if plan.unit == Unit::Keep { UnitMode::Keep } else { UnitMode::Own };
    loop {
        let outcome = Boot::start(&session, undo)?.serve(&session, undo)?;
        say_ended(&session, outcome);
        match verdict(outcome, plan.invocation, unit) {
            Verdict::Exit(status) => return Ok(status),
            Verdict::Restart => {}
        }
    }
}

fn say_ended(session: &Session<'_>, outcome: Outcome) {
    use crate::log::Level;
    let name = &session.plan.machine;
    if session.plan.quiet {
        return;
    }
    match outcome {
        Outcome::PowerOff => session.log.say(Level::Info, &format!("{name} has powered off")),
        Outcome::Reboot => session.log.say(Level::Info, &format!("{name} reboots")),
        Outcome::Exited(_) => {}
        Outcome::Signaled(n) => session.log.say(Level::Info, &format!("{name} was ended by signal {n}")),
    }
}
