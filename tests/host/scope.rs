// SPDX-License-Identifier: LGPL-2.1-or-later
//! systemd owns the control group: the scope, its properties, and what systemctl does to it.

use crate::common::{Case, HostState, Outcome, Program, background::Background};
use crate::guest::{BOOT, BUSYBOX, DEBIAN, Guest, SOON, group_of, name_for, need_debian, systemd_version, unit, until};
use rustix::process::Signal;
use std::time::Duration;

const SLEEP: [&str; 5] = ["--directory", BUSYBOX, "--quiet", "sleep", "60"];

pub fn properties_as_documented(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let mut guest = Guest::start(case, SLEEP);
    guest.wait_registered();
    for (property, value) in [
        ("Description", format!("Container {}", guest.name)),
        ("Slice", "machine.slice".into()),
        ("Delegate", "yes".into()),
        ("CollectMode", "inactive-or-failed".into()),
        ("DevicePolicy", "closed".into()),
        ("ActiveState", "active".into()),
        ("ControlGroup", format!("/machine.slice/{}", guest.scope())),
    ] {
        assert_eq!(guest.unit(property), value, "{property}");
    }
    let allowed = guest.unit("DeviceAllow");
    for device in ["/dev/net/tun rwm", "char-pts rw", "/dev/fuse rwm"] {
        assert!(allowed.contains(device), "{device} in {allowed}");
    }
    assert!(guest.unit("Controller").starts_with(':'));
    Program::new("systemctl").args(["stop", &guest.scope()]).run().expect_code(0);
    guest.end(SOON);
    before.assert_unchanged();
    Ok(())
}

pub fn the_payload_has_a_group_of_its_own(case: &mut Case) -> Outcome {
    let guest = Guest::start(case, SLEEP);
    guest.wait_registered();
    let leader = guest.leader();
    assert_eq!(group_of(leader)?, format!("/machine.slice/{}/payload", guest.scope()));
    let shown = Program::new("systemd-cgls").args(["--no-pager", "--unit", &guest.scope()]).run().expect_code(0);
    assert!(shown.stdout.contains("payload") && shown.stdout.contains("sleep 60"), "{}", shown.stdout);
    let status = Program::new("systemctl").args(["status", "--no-pager", &guest.scope()]).run().expect_code(0);
    assert!(status.stdout.contains("active (running)"), "{}", status.stdout);
    // The supervisor stays where it was called.
    assert_eq!(group_of(guest.supervisor())?, group_of(std::process::id())?);
    drop(guest);
    // Its control groups are its own world.
    let inside = case.spawn().args(["--directory", BUSYBOX, "cat", "/proc/self/cgroup"]).run();
    let inside = inside.expect_code(0).stdout;
    assert!(inside.lines().any(|line| line == "0::/"), "{inside}");
    Ok(())
}

pub fn properties_that_were_asked_for(case: &mut Case) -> Outcome {
    let asked = [
        ("TasksMax=77", "TasksMax", "77"),
        ("MemoryMax=64M", "MemoryMax", "67108864"),
        ("CPUWeight=50", "CPUWeight", "50"),
        ("CPUQuota=20%", "CPUQuotaPerSecUSec", "200ms"),
        ("SendSIGHUP=yes", "SendSIGHUP", "yes"),
        ("DeviceAllow=/dev/full r", "DeviceAllow", "/dev/full r"),
        ("IOWeight=123", "IOWeight", "123"),
    ];
    let mut args: Vec<String> = asked.iter().map(|(p, ..)| format!("--property={p}")).collect();
    args.extend(SLEEP.map(str::to_owned));
    let guest = Guest::start(case, args);
    guest.wait_registered();
    for (said, property, value) in asked {
        let shown = guest.unit(property);
        assert!(shown.contains(value), "{said}: {property}={shown}");
    }
    let scope = guest.scope();
    Program::new("systemctl").args(["set-property", "--runtime", &scope, "TasksMax=50"]).run().expect_code(0);
    assert_eq!(guest.unit("TasksMax"), "50");
    Ok(())
}

pub fn wrong_properties_are_refused(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    for (property, named) in [("NoSuchThing=1", "NoSuchThing"), ("MemoryMax=much", "MemoryMax")] {
        let property = format!("--property={property}");
        let run = case.spawn().args([&property, "--directory", BUSYBOX, "true"]).run().expect_code(125);
        assert!(run.stderr.contains(named), "{run}");
    }
    let unknown = case.spawn().args(["--property=NoSuchThing=1", "--directory", BUSYBOX, "true"]).run();
    assert!(unknown.stderr.contains("MemoryMax"), "the list of what is known: {unknown}");
    before.assert_unchanged();
    Ok(())
}

pub fn the_slice_can_be_chosen(case: &mut Case) -> Outcome {
    let guest = Guest::start(case, ["--slice=spawntest"].into_iter().chain(SLEEP));
    guest.wait_registered();
    assert_eq!(guest.unit("Slice"), "spawntest.slice");
    assert_eq!(guest.unit("ControlGroup"), format!("/spawntest.slice/{}", guest.scope()));
    Ok(())
}

pub fn the_kill_signal_asks_the_payload(case: &mut Case) -> Outcome {
    let script = "trap 'echo asked >/asked; exit 5' USR1; echo up >/up; while :; do sleep 0.1; done";
    let tree = case.busybox_tree("tree")?;
    let args = ["--kill-signal=SIGUSR1", "--directory", &tree.to_string_lossy(), "--quiet", "sh", "-c", script];
    let mut guest = Guest::start(case, args);
    until("the trap is set", SOON, || tree.join("up").exists());
    assert_eq!(guest.unit("KillSignal"), "10");
    assert_eq!(guest.unit("KillMode"), "mixed");
    Program::new("systemctl").args(["stop", &guest.scope()]).run().expect_code(0);
    assert_eq!(guest.end(SOON).code(), Some(5));
    assert!(tree.join("asked").exists());
    Ok(())
}

pub fn systemctl_stop_is_an_orderly_shutdown(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let mut guest = Guest::boot(case, ["--quiet"])?;
    assert_eq!(guest.unit("KillSignal"), "37");
    if systemd_version() >= 255 {
        assert_eq!(guest.unit("CoredumpReceive"), "yes");
    }
    Program::new("systemctl").args(["stop", &guest.scope()]).limit(BOOT).run().expect_code(0);
    assert_eq!(guest.end(SOON).code(), Some(0));
    // Its own shutdown has spoken, on the console that nobody watched.
    let journal = Program::new("journalctl").args(["-t", &guest.name, "-o", "cat", "--no-pager"]).run();
    assert!(journal.stdout.contains("Reached target") && journal.stdout.contains("Shutdown"), "{}", journal.stdout);
    before.assert_unchanged();
    Ok(())
}

pub fn signals_to_the_supervisor_are_an_orderly_stop(case: &mut Case) -> Outcome {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::HUP, rustix::process::Signal::QUIT] {
        let mut guest = Guest::boot(case, ["--quiet"])?;
        guest.signal(signal)?;
        assert_eq!(guest.end(BOOT).code(), Some(0), "{signal:?}");
    }
    Ok(())
}

pub fn a_name_in_use_is_refused(case: &mut Case) -> Outcome {
    let mut guest = Guest::start(case, SLEEP);
    guest.wait_registered();
    let before = HostState::take(case.dir());
    let second = case.spawn().arg(format!("--machine={}", guest.name)).args(["-D", BUSYBOX, "true"]).run();
    assert!(second.stderr.contains(&guest.name) && second.stderr.contains("in use"), "{second}");
    second.expect_code(125);
    before.assert_unchanged();
    assert!(guest.is_running());
    Ok(())
}

pub fn the_name_of_a_foreign_unit_is_refused(case: &mut Case) -> Outcome {
    let name = name_for(case);
    let scope = format!("--unit={name}");
    let foreign = Program::new("systemd-run").args(["--scope", "--quiet", &scope, "sleep", "60"]);
    let mut foreign = Guest::of(foreign.start(), &name);
    until("the foreign scope is there", SOON, || unit(&foreign.scope(), "ActiveState") == "active");
    let before = HostState::take(case.dir());
    let run = case.spawn().arg(format!("--machine={name}")).args(["-D", BUSYBOX, "true"]).run();
    assert!(run.stderr.contains(&foreign.scope()) && run.stderr.contains("exists already"), "{run}");
    run.expect_code(125);
    before.assert_unchanged();
    assert!(foreign.is_running());
    Ok(())
}

/// `systemd-run` with the arguments of a unit that spawn may run in.
fn in_unit(case: &Case, options: &[&str]) -> Program {
    Program::new("systemd-run")
        .args(["--quiet", "--wait", "--pipe", "--collect", "--property=Delegate=yes"])
        .args(options)
        .arg(Case::spawn_path())
        .args(["--keep-unit", "--quiet", "--directory", BUSYBOX])
        .arg(format!("--machine={}", name_for(case)))
}

pub fn keep_unit_runs_in_the_callers_unit(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let service = format!("{}.service", name_for(case));
    let run = in_unit(case, &["--unit", &service]).args(["sh", "-c", "echo up; exec sleep 60"]);
    let mut run = Guest::of(run.start(), &name_for(case));
    run.wait_registered();
    let group = group_of(run.leader())?;
    assert!(group.ends_with(&format!("/{service}/payload")), "{group}");
    let group = group_of(unit(&service, "MainPID").parse()?)?;
    assert!(group.ends_with(&format!("/{service}/supervisor")), "{group}");
    assert_eq!(run.show("Unit"), service);
    Program::new("systemctl").args(["stop", &service]).run().expect_code(0);
    run.end(SOON);
    before.assert_unchanged();
    Ok(())
}

pub fn keep_unit_passes_statuses_on_and_133_not(case: &mut Case) -> Outcome {
    for (payload, status) in [(0, 0), (7, 7), (132, 132), (133, 1), (134, 134)] {
        in_unit(case, &[]).args(["sh", "-c", &format!("exit {payload}")]).run().expect_code(status);
    }
    // A guest that reboots asks its manager to start it again.
    in_unit(case, &[]).args(["reboot", "-f"]).run().expect_code(133);
    in_unit(case, &[]).args(["poweroff", "-f"]).run().expect_code(0);
    Ok(())
}

/// Init of the guest finds its group by the whole path then.
pub fn a_guest_without_a_cgroup_namespace_boots(case: &mut Case) -> Outcome {
    need_debian()?;
    for users in ["--private-users=no", "--private-users=pick"] {
        let name = name_for(case);
        let words = ["--ephemeral", "--directory", DEBIAN, "--boot", "--console=passive", users, "--machine", &name];
        let mut guest = Guest::of(case.spawn().env("SYSTEMD_NSPAWN_USE_CGNS", "no").args(words).start(), &name);
        guest.wait_booted();
        let show = ["--machine", &name, "show", "--value", "-p", "ControlGroup", "systemd-journald.service"];
        let group = Program::new("systemctl").args(show).run().expect_code(0).stdout;
        let expected = format!("/machine.slice/{name}.scope/payload/system.slice/systemd-journald.service");
        assert_eq!(group.trim(), expected, "{users}");
        guest.signal(Signal::TERM)?;
        assert!(guest.end(BOOT).success(), "{users}");
    }
    Ok(())
}

/// A start that comes while systemd executes itself anew, as it does when its package is upgraded, waits for it.
pub fn a_start_outlives_a_systemd_that_is_executed_anew(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let end = case.dir().join("end");
    let script = "until [ -e \"$1\" ]; do systemctl daemon-reexec; sleep 0.1; done";
    let upgrades = Program::new("/bin/sh").args(["-c", script, "sh"]).arg(&end).limit(Duration::from_secs(100));
    let mut upgrades = Background::start(&upgrades, case.dir(), "upgrades")?;
    let name = format!("--machine={}", name_for(case));
    let start = || case.spawn().args(["-q", &name, "--console=pipe", "--directory", BUSYBOX, "echo", "runs"]).run();
    let runs: Vec<_> = (0..30).map(|_| start()).collect();
    std::fs::write(&end, "")?;
    upgrades.wait(SOON)?;
    runs.into_iter().for_each(|run| assert_eq!(run.expect_code(0).stdout, "runs\n"));
    until("systemd is there again", SOON, || Program::new("systemctl").arg("is-system-running").run().status.success());
    before.assert_unchanged();
    Ok(())
}
