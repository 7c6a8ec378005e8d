// SPDX-License-Identifier: LGPL-2.1-or-later
//! `--cleanup`: what a killed container has left is removed, nothing is started.

use super::place::{self, SharedBus};
use crate::config::Invocation;
use crate::log::Logger;
use crate::model::MachineName;
use crate::undo::{BASE, RuntimeDir, Undo};
use std::path::Path;

/// Removes what is left of the machine and returns the exit status. One that runs is left alone, which is a failure.
pub fn cleanup(machine: &MachineName, invocation: Invocation, log: &Logger) -> u8 {
    log.set_machine(machine.as_str());
    let mut undo = Undo::unkept();
    let claimed = RuntimeDir::claim(Path::new(BASE), machine.as_str(), &mut undo);
    let mut failures = Vec::new();
    match claimed {
        Ok((_dir, None)) => {}
        Ok((_dir, Some(stale))) => {
            failures.extend(stale.failures);
            if let Some(scope) = stale.scope {
                failures.extend(place::forget_scope(&SharedBus::default(), &scope, machine).err());
            }
        }
        Err(d) => failures.push(d),
    }
    failures.extend(undo.run());
    failures.iter().for_each(|d| log.failure(d));
    failures.first().map_or(0, |d| super::failure_status(invocation, d))
}
