// SPDX-License-Identifier: LGPL-2.1-or-later
//! Inside a host with systemd as PID 1: scope, machined, journald, units, machinectl.

#[path = "../common/mod.rs"]
mod common;

mod bed;
mod guest;
mod scope;

use common::runner::{self, cases};
use common::{Outcome, skip};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    runner::main(
        needs,
        cases![
            bed::systemd_is_the_suites,
            bed::machined_answers,
            bed::nspawn_runs_busybox,
            scope::properties_as_documented,
            scope::the_payload_has_a_group_of_its_own,
            scope::properties_that_were_asked_for,
            scope::wrong_properties_are_refused,
            scope::the_slice_can_be_chosen,
            scope::the_kill_signal_asks_the_payload,
            scope::systemctl_stop_is_an_orderly_shutdown[120],
            scope::signals_to_the_supervisor_are_an_orderly_stop[240],
            scope::a_name_in_use_is_refused,
            scope::the_name_of_a_foreign_unit_is_refused,
            scope::keep_unit_runs_in_the_callers_unit,
            scope::keep_unit_passes_statuses_on_and_133_not[120],
        ],
    )
}

fn needs() -> Outcome {
    if !Path::new("/run/systemd/system").is_dir() {
        return skip("systemd is not PID 1 here; make check runs this in nested hosts");
    }
    Ok(())
}
