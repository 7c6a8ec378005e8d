// SPDX-License-Identifier: LGPL-2.1-or-later
//! Inside a virtual machine with the suite's own kernel: what needs cgroup controllers, and starts on older kernels.
//! `tests/check vm` makes one and runs this in it, and again with SELinux, for which there are cases of its own.

#[path = "../common/mod.rs"]
mod common;
mod limits;
mod nfs;
mod selinux;
mod starts;

use common::runner::{self, cases};
use common::{Case, Outcome, Program, Reason, skip, tree};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    if selinux::in_force() {
        return runner::main(
            selinux::needs,
            cases![
                selinux::what_is_labelled_is_what_systemd_nspawn_labels[240],
                selinux::without_options_the_labels_are_those_of_systemd_nspawn[240],
                selinux::the_top_of_a_copy_is_labelled_as_the_tree[240],
                selinux::a_label_that_the_policy_lacks_is_refused_before_anything_is_touched[240],
                selinux::an_enforced_policy_lets_the_payload_have_what_is_its_own[240],
                starts::nothing_is_left[240],
            ],
        );
    }
    runner::main(
        needs,
        cases![
            limits::memory_max_as_a_property_holds[240],
            limits::memory_max_set_later_holds_and_the_oom_kill_is_reported[240],
            limits::tasks_max_bounds_a_fork_bomb[240],
            limits::cpu_quota_and_weights_reach_the_group[240],
            limits::limits_of_the_slice_apply[240],
            limits::the_consumption_is_told[240],
            limits::the_consumption_of_short_runs_is_told[240],
            starts::as_every_user_namespace_asks_for[240],
            starts::an_idmapped_root_on_ext4_keeps_the_owners[240],
            starts::by_every_way_to_run_a_program[240],
            starts::a_debian_tree_boots_reboots_and_powers_off[480],
            nfs::a_tree_on_nfs_starts_without_a_user_namespace[240],
            nfs::a_tree_on_nfs_that_keeps_root_out[240],
            starts::nothing_is_left[240],
        ],
    )
}

fn needs() -> Outcome {
    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    if !controllers.split_whitespace().any(|name| name == "memory") {
        return skip("no memory controller here; tests/check vm runs this in a virtual machine");
    }
    if !Path::new("/vm/spawn").exists() {
        return skip("this is not one of our virtual machines; tests/check vm makes them");
    }
    Ok(())
}

/// Everything is ten times slower than on a real machine, more beside other work.
const PATIENCE: Duration = Duration::from_secs(120);

/// spawn with one program in a busybox tree of the case's own.
fn spawn(case: &Case, machine: &str) -> Result<(Program, PathBuf), Reason> {
    let tree = case.dir().join("tree");
    if !tree.exists() {
        // Quicker here than making one, which takes hundreds of processes.
        tree::copy(Path::new("/var/lib/machines/busybox"), &tree);
    }
    Ok((case.spawn().limit(PATIENCE).arg("-D").arg(&tree).arg(format!("--machine={machine}")), tree))
}

/// A file of the machine's scope, whatever slice it is in.
fn scope_file(slice: &str, machine: &str, name: &str) -> String {
    let path = format!("/sys/fs/cgroup/{slice}/{machine}.scope/{name}");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().to_owned()
}

#[track_caller]
fn wait_until(what: &str, there: impl FnMut() -> bool) {
    wait_within(PATIENCE, what, there);
}

#[track_caller]
fn wait_within(limit: Duration, what: &str, mut there: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !there() {
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A container in the background, killed when dropped.
struct Running {
    child: std::process::Child,
    said: PathBuf,
}

impl Running {
    fn start(case: &Case, program: &Program) -> Result<Self, Reason> {
        let said = case.dir().join("said");
        let file = fs::File::create(&said)?;
        let mut command = program.command();
        command.stdin(std::process::Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Ok(Self { child: command.spawn()?, said })
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until("the end of spawn", || {
            status = self.child.try_wait().expect("our own child can be waited for");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Has ended already in every test that passes.
        let _ =
            rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
