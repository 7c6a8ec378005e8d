// SPDX-License-Identifier: LGPL-2.1-or-later
//! Inside a host with systemd as PID 1: scope, machined, journald, units, machinectl.

#[path = "../common/mod.rs"]
mod common;
mod faults;

use common::runner::{self, cases};
use common::{Case, HostState, Outcome, Program, skip};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    runner::main(
        needs,
        cases![
            bed::systemd_is_the_suites,
            bed::machined_answers,
            bed::nspawn_runs_busybox,
            faults::every_call_fails_closed_in_a_scope[400],
            faults::killed_supervisor_leaves_nothing[300],
            faults::supervisor_and_keeper_killed,
            faults::killed_keeper_is_replaced,
            faults::hup_quit_and_term_are_orderly,
            faults::hundred_at_once[300],
            faults::name_in_use,
            faults::name_of_a_foreign_unit,
            faults::tree_in_use_by_the_other_launcher,
        ],
    )
}

fn needs() -> Outcome {
    if !Path::new("/run/systemd/system").is_dir() {
        return skip("systemd is not PID 1 here; make check runs this in nested hosts");
    }
    Ok(())
}

/// The nested host is what the tests take it for.
mod bed {
    use super::*;

    pub fn systemd_is_the_suites(_: &mut Case) -> Outcome {
        let suite = Case::suite()?;
        let said = Program::new("systemctl").arg("--version").run().expect_code(0).stdout;
        let version: u32 = said.split_whitespace().nth(1).unwrap_or_default().parse()?;
        match suite.as_str() {
            "bookworm" => assert_eq!(version, 252),
            "trixie" => assert_eq!(version, 257),
            _ => assert!(version >= 262, "systemd {version}"),
        }
        Ok(())
    }

    pub fn machined_answers(_: &mut Case) -> Outcome {
        let list = Program::new("machinectl").args(["list", "--no-legend", "--no-pager"]).run().expect_code(0);
        assert_eq!(list.stdout, "");
        Ok(())
    }

    pub fn nspawn_runs_busybox(case: &mut Case) -> Outcome {
        let tree = case.busybox_tree("tree")?;
        let before = HostState::take(case.dir());
        let run = case
            .nspawn()?
            .args(["--quiet", "--pipe", "--directory"])
            .arg(&tree)
            .args(["sh", "-c", "echo hi; exit 7"])
            .run();
        assert_eq!(run.expect_code(7).stdout, "hi\n");
        before.assert_unchanged();
        Ok(())
    }
}
