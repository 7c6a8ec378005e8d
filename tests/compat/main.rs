// SPDX-License-Identifier: LGPL-2.1-or-later
//! The same command lines run by systemd-nspawn and by spawn under that name; what payload and host see is compared field
//! by field. Wanted differences are in `accepted/`, each with its reason; every other one is a failure.

#[path = "../common/mod.rs"]
mod common;

mod accepted;
mod bind_user;
mod boot;
mod compare;
mod facts;
mod harness;
mod host;
mod lines;
mod run;
mod settings;
mod settings_files;
mod settings_pools;
mod topics;
mod tree;

use common::runner::{self, cases};
use common::{Outcome, skip};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let status = runner::main(
        needs,
        cases![
            harness::globs,
            harness::nspawn_agrees_with_itself,
            harness::probe_sees_a_difference,
            settings::generated_files[120],
            topics::start[120],
            topics::identity[120],
            topics::powers[120],
            topics::limits[120],
            topics::mounts[180],
            topics::network[120],
            topics::users[180],
            topics::streams[180],
            topics::units[180],
            topics::ends[180],
            topics::not_built[120],
            topics::refused[120],
            topics::files[240],
            bind_user::records_and_homes[120],
            boot::debian_boots_and_powers_off[180],
            topics::every_accepted_row_is_needed,
        ],
    );
    topics::forget();
    status
}

fn needs() -> Outcome {
    if !Path::new("/run/systemd/system").is_dir() {
        return skip("systemd is not PID 1 here; make check runs this in nested hosts");
    }
    Ok(())
}
