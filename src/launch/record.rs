// SPDX-License-Identifier: LGPL-2.1-or-later
//! What is written down about a running machine.

use super::Session;
use super::place::Place;
use crate::error::{Code, Diagnostic, Result};
use crate::undo::{Group, NO_PROC, ProcessId, Record, Undo};

/// Writes the plan, which holds no secrets, for whoever asks later what runs here.
pub fn plan(session: &Session<'_>) -> Result<()> {
    let json = serde_json::to_string(session.plan)
        .map_err(|e| Diagnostic::new(Code::Prepare, "cannot write the plan down").cause(e.to_string()))?;
    session.runtime.write_plan(&json)
}

/// Writes who runs the machine and where, for a later start that has to clean up.
pub fn boot(session: &Session<'_>, place: &Place, leader: i32, undo: &Undo) -> Result<()> {
    let failed = |e: std::io::Error| {
        Diagnostic::new(Code::Prepare, "cannot read in /proc what tells this process apart").io(&e).help(NO_PROC)
    };
    let mut record = Record::of_this_process().map_err(failed)?;
    record.keeper = undo.keeper().and_then(|k| k.process_id());
    record.scope = place.scope.clone();
    record.group = group(place);
    record.leader = ProcessId::of(leader);
    record.undo = undo.recordable();
    session.runtime.write_record(&record)
}

/// The payload's group by its directory; one that cannot be named so is left to the leader's record.
fn group(place: &Place) -> Option<Group> {
    let (hierarchy, payload) = (place.hierarchy.as_ref()?, place.payload.as_ref()?);
    Group::at(&hierarchy.directory(payload.path())?).ok()
}
