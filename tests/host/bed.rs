// SPDX-License-Identifier: LGPL-2.1-or-later
//! The nested host is what the tests take it for.

use crate::common::{Case, HostState, Outcome, Program};
use crate::guest::systemd_version;

pub fn systemd_is_the_suites(_: &mut Case) -> Outcome {
    let suite = Case::suite()?;
    let version = systemd_version();
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
