// SPDX-License-Identifier: LGPL-2.1-or-later
//! A process that keeps a control group from being empty, so that nobody removes it yet.

use super::{PATIENCE, gone, within};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use spawn::cgroup::{Hierarchy, own_group};
use spawn::undo::Keeper;
use std::time::Duration;

#[test]
fn a_group_is_occupied_until_the_descriptor_is_closed() {
    if !geteuid().is_root() {
        return println!("skipped: needs root");
    }
    let Some(hierarchy) = Hierarchy::find().unwrap() else { return println!("skipped: no cgroup2 is mounted") };
    let own = Hierarchy::own_path().unwrap().unwrap();
    let made = own_group(&hierarchy, &own, &format!("test-occupy-{}", std::process::id())).unwrap();
    let directory = hierarchy.directory(made.payload.path()).unwrap();
    let keeper = Keeper::start().unwrap();
    let populated = || made.payload.is_populated().unwrap();
    for _ in 0..3 {
        let held = keeper.occupy(&directory).unwrap();
        within(PATIENCE, "a process", populated);
        drop(held);
        within(PATIENCE, "an empty group", || !populated());
    }
    let held = keeper.occupy(&directory).unwrap();
    within(PATIENCE, "a process", populated);
    let processes = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap();
    let process: i32 = processes.trim().parse().unwrap();
    let named = || std::fs::read(format!("/proc/{process}/comm")).unwrap() == b"(spawn-group)\n";
    within(PATIENCE, "its own name", named);
    let open = || std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    within(PATIENCE, "nothing but the pipe", || open() == 1);
    // Neither the keeper's death nor a signal that asks ends it.
    let pid = Pid::from_raw(keeper.process_id().unwrap().pid).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    kill_process(Pid::from_raw(process).unwrap(), Signal::TERM).unwrap();
    within(PATIENCE, "the keeper's end", || gone(pid.as_raw_nonzero().get()));
    std::thread::sleep(Duration::from_millis(50));
    assert!(populated());
    drop(held);
    within(PATIENCE, "an empty group", || !populated());
    made.removal.run(PATIENCE).unwrap();
    assert!(!directory.exists());
}
