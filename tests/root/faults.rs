// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault injection over the system calls of a start without systemd.

use crate::common::faults::{PROBE, Sweep};
use crate::common::{Case, Outcome, crowd, in_use, killing};

fn sweep(case: &mut Case, options: &[&str], optional: &'static [&'static str]) -> Outcome {
    let tree = case.busybox_tree("tree")?;
    let program = case.spawn().arg("-D").arg(&tree).args(["-M", "faulty"]).args(options).args(["/bin/sh", "-c", PROBE]);
    Sweep { case, program, tree, optional }.run()
}

/// What the Plan has as optional.
const OPTIONAL: &[&str] = &["/dev/mqueue", "/sys/fs/cgroup", "/etc/localtime", "/etc/resolv.conf", "fuse", "net"];

pub fn every_call_fails_closed_without_user_namespace(case: &mut Case) -> Outcome {
    sweep(case, &["--private-users=no"], OPTIONAL)
}

pub fn every_call_fails_closed_with_user_namespace(case: &mut Case) -> Outcome {
    sweep(case, &["--private-users=1879048192:65536"], OPTIONAL)
}

pub fn every_call_fails_closed_with_stub_and_user(case: &mut Case) -> Outcome {
    sweep(case, &["--private-users=pick", "--as-pid2", "--user=user", "--private-network", "--read-only"], OPTIONAL)
}

/// Everything on a machine without systemd, in a user namespace and with a link.
const LINKED: &[&str] = &["--network-veth"];

pub fn killed_supervisor_leaves_nothing(case: &mut Case) -> Outcome {
    killing::supervisor(case, &[])
}

pub fn killed_supervisor_leaves_no_link(case: &mut Case) -> Outcome {
    killing::supervisor(case, LINKED)
}

pub fn supervisor_and_keeper_killed(case: &mut Case) -> Outcome {
    killing::both(case, &[])
}

pub fn supervisor_and_keeper_killed_with_link(case: &mut Case) -> Outcome {
    killing::both(case, LINKED)
}

pub fn killed_keeper_is_replaced(case: &mut Case) -> Outcome {
    killing::keeper(case, &[])
}

pub fn hup_quit_and_term_are_orderly(case: &mut Case) -> Outcome {
    killing::orderly(case, &[])
}

pub fn hundred_at_once(case: &mut Case) -> Outcome {
    crowd::hundred(case, &[])
}

pub fn tree_in_use(case: &mut Case) -> Outcome {
    in_use::tree(case, &[])
}

pub fn name_in_use(case: &mut Case) -> Outcome {
    in_use::name(case, &[])
}

pub fn not_a_tree(case: &mut Case) -> Outcome {
    in_use::not_a_tree(case)
}

pub fn read_only_host(case: &mut Case) -> Outcome {
    in_use::read_only_host(case, &[])
}

pub fn tree_without_idmap(case: &mut Case) -> Outcome {
    in_use::tree_without_idmap(case)
}
