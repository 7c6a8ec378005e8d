// SPDX-License-Identifier: LGPL-2.1-or-later
//! Limits that a kernel with cgroup controllers enforces.

use crate::common::{Case, Outcome, Program, skip};
use crate::{Running, scope_file, spawn, wait_until};
use std::fs;

/// Touches 200 MB; ends with dd's status, 137 when the kernel has killed it.
const EAT: &str = "dd if=/dev/zero of=/dev/null bs=200M count=1 2>/dev/null; exit $?";

pub fn memory_max_as_a_property_holds(case: &mut Case) -> Outcome {
    let (program, _) = spawn(case, "eater")?;
    let free = program.args(["sh", "-c", EAT]).run().expect_code(0);
    assert!(!free.stderr.contains("OOM kill"), "{free}");
    let (program, _) = spawn(case, "eater")?;
    program.args(["--property=MemoryMax=64M", "sh", "-c", EAT]).run().expect_code(137);
    Ok(())
}

pub fn memory_max_set_later_holds_and_the_oom_kill_is_reported(case: &mut Case) -> Outcome {
    let (program, tree) = spawn(case, "later")?;
    let wait_and_eat = format!("echo waiting; while [ ! -e /go ]; do sleep 0.2; done; {EAT}");
    let mut running = Running::start(case, &program.args(["-v", "sh", "-c", &wait_and_eat]))?;
    wait_until("the payload", || running.said().contains("waiting"));
    Program::new("systemctl").args(["set-property", "--runtime", "later.scope", "MemoryMax=64M"]).run().expect_code(0);
    assert_eq!(scope_file("machine.slice", "later", "memory.max"), "67108864");
    fs::write(tree.join("go"), "")?;
    assert_eq!(running.end(), Some(137), "{}", running.said());
    let told = "the kernel killed 1 process of later for want of memory";
    assert!(running.said().contains(told), "{}", running.said());
    let journal = Program::new("journalctl").args(["--output=cat", "SPAWN_MACHINE=later"]).run().expect_code(0);
    assert!(journal.stdout.contains(told), "{journal}");
    Ok(())
}

pub fn tasks_max_bounds_a_fork_bomb(case: &mut Case) -> Outcome {
    let (program, tree) = spawn(case, "bomb")?;
    let bomb = "b() { while :; do sleep 60 & done; }; b & while [ ! -e /stop ]; do :; done";
    let program = program.args(["--property=TasksMax=20", "sh", "-c", bomb]);
    let mut running = Running::start(case, &program)?;
    let events = "/sys/fs/cgroup/machine.slice/bomb.scope/pids.events";
    wait_until("the limit", || fs::read_to_string(events).is_ok_and(|text| text.trim() != "max 0"));
    let tasks: u32 = scope_file("machine.slice", "bomb", "pids.current").parse()?;
    assert!((15..=20).contains(&tasks), "{tasks}");
    assert_eq!(scope_file("machine.slice", "bomb", "pids.max"), "20");
    fs::write(tree.join("stop"), "")?;
    assert_eq!(running.end(), Some(0), "{}", running.said());
    Ok(())
}

pub fn cpu_quota_and_weights_reach_the_group(case: &mut Case) -> Outcome {
    let (program, tree) = spawn(case, "quota")?;
    let program = program.args(["--property=CPUQuota=20%", "--property=CPUWeight=50", "--property=MemoryHigh=100M"]);
    let spin = "i=0; while [ ! -e /stop ]; do i=$((i+1)); done";
    let mut running = Running::start(case, &program.args(["sh", "-c", spin]))?;
    let throttled = || {
        let stat = fs::read_to_string("/sys/fs/cgroup/machine.slice/quota.scope/cpu.stat").unwrap_or_default();
        let line = stat.lines().find_map(|line| line.strip_prefix("nr_throttled "))?.parse::<u64>().ok()?;
        (line > 0).then_some(line)
    };
    wait_until("throttling", || throttled().is_some());
    assert_eq!(scope_file("machine.slice", "quota", "cpu.max"), "20000 100000");
    assert_eq!(scope_file("machine.slice", "quota", "cpu.weight"), "50");
    assert_eq!(scope_file("machine.slice", "quota", "memory.high"), "104857600");
    fs::write(tree.join("stop"), "")?;
    assert_eq!(running.end(), Some(0), "{}", running.said());
    Ok(())
}

pub fn limits_of_the_slice_apply(case: &mut Case) -> Outcome {
    let (program, _) = spawn(case, "sliced")?;
    let unit = "/run/systemd/system/small.slice";
    fs::write(unit, "[Slice]\nMemoryMax=64M\n")?;
    Program::new("systemctl").arg("daemon-reload").run().expect_code(0);
    let run = program.args(["--slice=small.slice", "sh", "-c", EAT]).run();
    fs::remove_file(unit)?;
    Program::new("systemctl").arg("daemon-reload").run().expect_code(0);
    run.expect_code(137);
    Ok(())
}

/// The number before `unit` in the summary, which leaves out what could not be read.
fn figure(summary: &str, unit: &str) -> Option<f64> {
    let number = summary.split_once(unit)?.0.trim().rsplit(' ').next().unwrap_or_default();
    Some(number.parse().unwrap_or_else(|_| panic!("no number before {unit:?} in {summary}")))
}

pub fn the_consumption_is_told(case: &mut Case) -> Outcome {
    let (program, tree) = spawn(case, "consumer")?;
    fs::write(tree.join("big"), vec![7; 4 << 20])?;
    Program::new("sh").args(["-c", "sync; echo 3 >/proc/sys/vm/drop_caches"]).run().expect_code(0);
    let work = "dd if=/dev/zero of=/dev/null bs=50M count=1 2>/dev/null; cat /big >/dev/null; \
                dd if=/dev/zero of=/new bs=1M count=3 conv=fsync 2>/dev/null; sleep 2 & sleep 2 & wait";
    let run = program.args(["-v", "--private-users=no", "sh", "-c", work]).run().expect_code(0);
    let summary = run.stderr.lines().find(|line| line.contains("consumed")).unwrap_or_else(|| panic!("{run}"));
    let expected = [
        (" s CPU", 0.01..60.0),
        (" OOM kill", 0.0..1.0),
        (" MB memory peak", 50.0..120.0),
        (" tasks peak", 3.0..9.0),
        (" MB read", 4.0..100.0),
        (" MB written", 3.0..100.0),
    ];
    let told = expected.iter().filter_map(|(unit, range)| Some((figure(summary, unit)?, unit, range)));
    let mut count = 0;
    for (number, unit, range) in told {
        assert!(range.contains(&number), "{number}{unit}: {summary}");
        count += 1;
    }
    assert!(summary.contains(" s CPU"), "{summary}");
    match count < expected.len() {
        // systemd removes the group once it is empty, and this processor is slow.
        true => skip(format!("some figures were gone before they were read: {summary}")),
        false => Ok(()),
    }
}
