// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault injection over the system calls of a start without systemd.

use crate::common::faults::{PROBE, Sweep};
use crate::common::{Case, Outcome};

fn sweep(case: &mut Case, options: &[&str], optional: &'static [&'static str]) -> Outcome {
    let tree = case.busybox_tree("tree")?;
    let program = case.spawn().arg("-D").arg(&tree).args(["-M", "faulty"]).args(options).args(["/bin/sh", "-c", PROBE]);
    Sweep { case, program, tree, optional }.run()
}

/// What the Plan has as optional.
const OPTIONAL: &[&str] = &["/dev/mqueue", "/sys/fs/cgroup"];

pub fn every_call_fails_closed_without_user_namespace(case: &mut Case) -> Outcome {
    sweep(case, &["--private-users=no"], OPTIONAL)
}

pub fn every_call_fails_closed_with_user_namespace(case: &mut Case) -> Outcome {
    sweep(case, &["--private-users=1879048192:65536"], OPTIONAL)
}

pub fn every_call_fails_closed_with_stub_and_user(case: &mut Case) -> Outcome {
    sweep(case, &["--private-users=pick", "--as-pid2", "--user=user", "--private-network", "--read-only"], OPTIONAL)
}
