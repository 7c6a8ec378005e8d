// SPDX-License-Identifier: LGPL-2.1-or-later
//! Limits that a kernel with cgroup controllers enforces.

use crate::common::{Case, Outcome, Output, Program};
use crate::{PATIENCE, Running, scope_file, spawn, wait_until};
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
    Program::new("systemctl")
        .args(["set-property", "--runtime", "later.scope", "MemoryMax=64M"])
        .limit(PATIENCE)
        .run()
        .expect_code(0);
    assert_eq!(scope_file("machine.slice", "later", "memory.max"), "67108864");
    fs::write(tree.join("go"), "")?;
    assert_eq!(running.end(), Some(137), "{}", running.said());
    let told = "the kernel killed 1 process of later for want of memory";
    assert_eq!(running.said().matches(&format!("spawn: {told}\n")).count(), 1, "{}", running.said());
    assert!(running.said().contains(", 1 OOM kill\n"), "{}", running.said());
    let journal = Program::new("journalctl").args(["--output=cat", "SPAWN_MACHINE=later"]).run().expect_code(0);
    assert_eq!(journal.stdout.lines().filter(|line| *line == told).count(), 1, "{journal}");
    let kill =
        ["--output=cat", "--priority=warning", "SPAWN_MACHINE=later", "MESSAGE_ID=ef72001a54a6488a8c53617e0177022b"];
    let kill = Program::new("journalctl").args(kill).run().expect_code(0);
    assert_eq!(kill.stdout, format!("{told}\n"));
    Ok(())
}

pub fn tasks_max_bounds_a_fork_bomb(case: &mut Case) -> Outcome {
    let (program, _) = spawn(case, "bomb")?;
    // A shell that cannot fork ends.
    let bomb = "i=0; while [ $i -lt 40 ]; do sleep 60 & i=$((i+1)); echo $i; done";
    let bound = program.args(["--property=TasksMax=20", "sh", "-c", bomb]).run().expect_code(2);
    assert!(bound.stderr.contains("fork"), "{bound}");
    let started = bound.stdout.lines().count();
    assert!((1..20).contains(&started), "{bound}");
    let (program, _) = spawn(case, "bomb")?;
    let free = program.args(["--property=TasksMax=90", "sh", "-c", bomb]).run().expect_code(0);
    assert_eq!(free.stdout.lines().count(), 40, "{free}");
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
    Program::new("systemctl").arg("daemon-reload").limit(PATIENCE).run().expect_code(0);
    let run = program.args(["--slice=small.slice", "sh", "-c", EAT]).run();
    fs::remove_file(unit)?;
    Program::new("systemctl").arg("daemon-reload").limit(PATIENCE).run().expect_code(0);
    run.expect_code(137);
    Ok(())
}

/// The number before `unit` in the summary.
fn figure(summary: &str, unit: &str) -> f64 {
    let before = summary.split_once(unit).unwrap_or_else(|| panic!("no {unit:?} in {summary}")).0;
    let number = before.trim().rsplit(' ').next().unwrap_or_default();
    number.parse().unwrap_or_else(|_| panic!("no number before {unit:?} in {summary}"))
}

/// The summary of `-v`, which is in the journal as well.
fn summary_of(machine: &str, run: &Output) -> String {
    let start = format!("spawn: {machine} consumed ");
    let told: Vec<&str> = run.stderr.lines().filter_map(|line| line.strip_prefix(&start)).collect();
    assert_eq!(told.len(), 1, "{run}");
    Program::new("journalctl").arg("--sync").limit(PATIENCE).run().expect_code(0);
    let journal = Program::new("journalctl").args(["--output=cat", &format!("SPAWN_MACHINE={machine}")]);
    let journal = journal.limit(PATIENCE).run().expect_code(0);
    assert!(journal.stdout.contains(&format!("{machine} consumed {}", told[0])), "{journal}");
    told[0].to_owned()
}

pub fn the_consumption_is_told(case: &mut Case) -> Outcome {
    let (program, tree) = spawn(case, "consumer")?;
    fs::write(tree.join("big"), vec![7; 4 << 20])?;
    Program::new("sh").args(["-c", "sync; echo 3 >/proc/sys/vm/drop_caches"]).limit(PATIENCE).run().expect_code(0);
    let work = "dd if=/dev/zero of=/dev/null bs=50M count=1 2>/dev/null; cat /big >/dev/null; \
                dd if=/dev/zero of=/new bs=1M count=3 conv=fsync 2>/dev/null; sleep 1 & sleep 1 & sleep 1 & wait";
    let run = program.args(["-v", "--private-users=no", "sh", "-c", work]).run().expect_code(0);
    let summary = summary_of("consumer", &run);
    // 50 MiB are 52.4 MB, 4 MiB 4.2 MB, 3 MiB 3.1 MB; programs and metadata come on top.
    for (unit, range) in
        [(" s CPU", 0.01..60.0), (" MB memory peak", 52.4..70.0), (" MB read", 4.2..12.0), (" MB written", 3.1..5.0)]
    {
        let number = figure(&summary, unit);
        assert!(range.contains(&number), "{number}{unit}: {summary}");
    }
    assert_eq!(figure(&summary, " tasks peak"), 4.0, "{summary}");
    assert_eq!(figure(&summary, " OOM kills"), 0.0, "{summary}");
    Ok(())
}

/// A payload that ends at once, and ones that the kernel kills: what systemd would clear away first.
pub fn the_consumption_of_short_runs_is_told(case: &mut Case) -> Outcome {
    for machine in ["short-1", "short-2", "short-3"] {
        let (program, _) = spawn(case, machine)?;
        let summary = summary_of(machine, &program.args(["-v", "--private-users=no", "true"]).run().expect_code(0));
        assert_eq!(figure(&summary, " tasks peak"), 1.0, "{summary}");
        assert_eq!(figure(&summary, " OOM kills"), 0.0, "{summary}");
        assert!(summary.contains("B memory peak") && summary.contains("B read"), "{summary}");
    }
    let (program, _) = spawn(case, "killed")?;
    let program = program.args(["-v", "--private-users=no", "--property=MemoryMax=64M"]);
    let run = program.args(["dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]).run().expect_code(137);
    let summary = summary_of("killed", &run);
    assert_eq!(run.stderr.matches("the kernel killed 1 process of killed for want of memory").count(), 1, "{run}");
    // The limit of 64 MiB.
    assert_eq!(figure(&summary, " MB memory peak"), 67.1, "{summary}");
    assert_eq!(figure(&summary, " OOM kill"), 1.0, "{summary}");
    assert!(!summary.contains("OOM kills"), "{summary}");
    Ok(())
}
