// SPDX-License-Identifier: LGPL-2.1-or-later
//! The bus code against a living PID 1, bus and machined. Run as root on a systemd host of your own, one at a time:
//! `cargo test --test bus_live -- --ignored --test-threads=1`.

mod interfaces;
mod measure;
mod properties;

use rustix::fd::{AsFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use spawn::bus::properties::{PropertyValue, TypedProperty};
use spawn::bus::*;
use spawn::error::Code;
use spawn::model::Id128;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process to put into a scope; killed when dropped.
struct Leader {
    child: Child,
    pidfd: OwnedFd,
}

impl Leader {
    fn new() -> Self {
        let child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        Self { child, pidfd }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn cgroup(&self) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/cgroup", self.child.id())).unwrap();
        text.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // Dead already in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bus() -> Bus {
    Bus::connect(WAIT).unwrap()
}

fn request<'a>(unit: &'a str, leader: &'a Leader, extra: &'a [TypedProperty]) -> ScopeRequest<'a> {
    ScopeRequest {
        unit,
        description: "Container of the bus test",
        slice: "machine.slice",
        kill: Some(KillPolicy { signal: 37 }),
        devices: &[],
        coredump_receive: true,
        extra,
        leader_pidfd: leader.pidfd.as_fd(),
        leader_pid: leader.pid(),
    }
}

fn start(bus: &mut Bus, unit: &str, leader: &Leader) {
    assert_eq!(bus.start_scope(&request(unit, leader, &[]), &[]).unwrap(), ScopeStart::Started);
}

fn output(program: &str, args: &[&str]) -> String {
    let run = Command::new(program).args(args).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr))
}

fn machine<'a>(name: &'a str, leader: &'a Leader) -> MachineRegistration<'a> {
    MachineRegistration {
        name,
        id: Id128::from_bytes([7; 16]),
        service: "bus-test",
        leader_pid: leader.pid(),
        leader_pidfd: leader.pidfd.as_fd(),
        root_directory: Some("/usr".into()),
        ifindices: vec![1],
        authentication: Authentication::Silent,
    }
}

/// Waits for an event; the bus's own descriptor says when to look.
fn wait_for(bus: &mut Bus, wanted: BusEvent) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if bus.poll_events().unwrap().contains(&wanted) {
            return;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "no {wanted:?} within 10 s");
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(bus.fd(), rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&left.try_into().unwrap())).unwrap();
    }
}

/// A registration that goes on while the loop does other things.
fn register_meanwhile(bus: &mut Bus, machine: &MachineRegistration<'_>) -> spawn::error::Result<Option<RegisteredBy>> {
    let mut registering = bus.start_registering(machine)?;
    let deadline = Instant::now() + 3 * WAIT;
    loop {
        let left = bus.next_deadline().unwrap_or(deadline).min(deadline).saturating_duration_since(Instant::now());
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(bus.fd(), rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&left.try_into().unwrap())).unwrap();
        bus.turn().unwrap();
        if let Some(outcome) = registering.outcome() {
            return outcome;
        }
        assert!(Instant::now() < deadline, "no outcome");
    }
}

#[test]
fn without_a_bus_the_error_says_so() {
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "no_bus_child", "--ignored", "--test-threads=1"])
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/nobody-made-this-socket")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
#[ignore = "run by without_a_bus_the_error_says_so"]
fn no_bus_child() {
    if std::env::var_os("DBUS_SYSTEM_BUS_ADDRESS").is_none() {
        return;
    }
    let Err(ConnectError::NoBus(diagnostic)) = Bus::connect(WAIT) else { panic!("connected") };
    assert_eq!(diagnostic.code(), Code::BusUnavailable);
    assert!(diagnostic.headline().contains("ENOENT"), "{diagnostic}");
}

#[test]
#[ignore = "needs a systemd host"]
fn a_scope_starts_and_stops() {
    let (mut bus, mut leader, unit) = (bus(), Leader::new(), "bus-test-plain.scope");
    assert!(is_booted());
    assert!(bus.systemd_version().unwrap() >= 252);
    start(&mut bus, unit, &leader);
    assert_eq!(leader.cgroup(), format!("/machine.slice/{unit}"));
    let wanted =
        ["Description", "Delegate", "CollectMode", "Slice", "Controller", "DevicePolicy", "KillMode", "KillSignal"];
    let shown = output("systemctl", &["show", "-p", &wanted.join(","), unit]);
    for line in [
        "Description=Container of the bus test",
        "Delegate=yes",
        "CollectMode=inactive-or-failed",
        "Slice=machine.slice",
        &format!("Controller={}", bus.unique_name()),
        "DevicePolicy=closed",
        "KillMode=mixed",
        "KillSignal=37",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
    bus.stop_scope(unit).unwrap();
    assert_eq!(leader.child.wait().unwrap().signal(), Some(9));
    bus.wait_unit_gone(unit).unwrap();
    assert!(output("systemctl", &["show", "-p", "LoadState", unit]).contains("not-found"));
    // What is not there is fine.
    bus.stop_scope(unit).unwrap();
    bus.wait_unit_gone(unit).unwrap();
}

#[test]
#[ignore = "needs a systemd host"]
fn a_property_that_systemd_does_not_know_is_named() {
    let (mut bus, leader, unit) = (bus(), Leader::new(), "bus-test-unknown.scope");
    let extra = [TypedProperty::new("NoSuchProperty", PropertyValue::Bool(true))];
    let diagnostic = bus.start_scope(&request(unit, &leader, &extra), &[]).unwrap_err();
    assert_eq!(diagnostic.code(), Code::PropertyUnknown);
    assert!(diagnostic.headline().contains("NoSuchProperty"), "{diagnostic}");
}

#[test]
#[ignore = "needs a systemd host"]
fn a_name_in_use_is_refused_and_stays_untouched() {
    let (mut first, mut second, unit) = (bus(), bus(), "bus-test-busy.scope");
    let (one, two) = (Leader::new(), Leader::new());
    start(&mut first, unit, &one);
    let before = two.cgroup();
    let diagnostic = second.start_scope(&request(unit, &two, &[]), &[]).unwrap_err();
    assert_eq!(diagnostic.code(), Code::NameBusy);
    assert!(diagnostic.to_string().contains(unit) && diagnostic.to_string().contains("systemctl stop"), "{diagnostic}");
    assert_eq!(two.cgroup(), before);
    assert_eq!(one.cgroup(), format!("/machine.slice/{unit}"));
    first.stop_scope(unit).unwrap();
}

#[test]
#[ignore = "needs a systemd host"]
fn a_name_can_be_used_again_at_once() {
    let unit = "bus-test-again.scope";
    for round in 0..30 {
        let (mut bus, mut leader) = (bus(), Leader::new());
        start(&mut bus, unit, &leader);
        match round % 3 {
            0 => leader.kill(),
            1 => bus.stop_scope(unit).unwrap(),
            // Only the connection ends, as when the supervisor is killed.
            _ => drop(bus),
        }
        leader.kill();
    }
    bus().wait_unit_gone(unit).unwrap();
}

#[test]
#[ignore = "needs a systemd host"]
fn fifty_scopes_start_at_once() {
    let start_one = |n: usize| {
        let (mut bus, leader, unit) = (bus(), Leader::new(), format!("bus-test-many-{n}.scope"));
        start(&mut bus, &unit, &leader);
        assert_eq!(leader.cgroup(), format!("/machine.slice/{unit}"));
        bus.stop_scope(&unit).unwrap();
        bus.wait_unit_gone(&unit).unwrap();
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50).map(|n| scope.spawn(move || start_one(n))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
#[ignore = "needs a systemd host"]
fn a_dead_leader_is_an_error_and_leaves_no_unit() {
    let (mut bus, mut leader, unit) = (bus(), Leader::new(), "bus-test-dead.scope");
    leader.kill();
    let diagnostic = bus.start_scope(&request(unit, &leader, &[]), &[]).unwrap_err();
    assert_eq!(diagnostic.code(), Code::ScopeFailed, "{diagnostic}");
    bus.stop_scope(unit).unwrap();
    bus.wait_unit_gone(unit).unwrap();
}

#[test]
#[ignore = "needs a systemd host"]
fn a_readable_report_pipe_ends_the_wait_and_the_scope_can_be_ended() {
    let (mut bus, mut leader, unit) = (bus(), Leader::new(), "bus-test-report.scope");
    let (read, write) = rustix::pipe::pipe().unwrap();
    rustix::io::write(&write, b"x").unwrap();
    let ended = bus.start_scope(&request(unit, &leader, &[]), &[read.as_fd()]).unwrap();
    assert_eq!(ended, ScopeStart::Interrupted(0));
    bus.stop_scope(unit).unwrap();
    bus.wait_unit_gone(unit).unwrap();
    leader.kill();
}

#[test]
#[ignore = "needs a systemd host"]
fn systemctl_stop_asks_the_controller() {
    let (mut bus, leader, unit) = (bus(), Leader::new(), "bus-test-request.scope");
    start(&mut bus, unit, &leader);
    output("systemctl", &["stop", "--no-block", unit]);
    wait_for(&mut bus, BusEvent::RequestStop);
    bus.stop_scope(unit).unwrap();
}

#[test]
#[ignore = "needs a systemd host; re-executes its PID 1"]
fn y_the_controller_is_asked_after_a_reexec_too() {
    let (mut bus, leader, unit) = (bus(), Leader::new(), "bus-test-reexec.scope");
    start(&mut bus, unit, &leader);
    output("systemctl", &["daemon-reexec"]);
    wait_for(&mut bus, BusEvent::SystemdRestarted);
    output("systemctl", &["stop", "--no-block", unit]);
    wait_for(&mut bus, BusEvent::RequestStop);
    bus.stop_scope(unit).unwrap();
    bus.wait_unit_gone(unit).unwrap();
}

#[test]
#[ignore = "needs a systemd host"]
fn a_signal_of_a_stranger_is_not_believed() {
    let (mut bus, leader, unit) = (bus(), Leader::new(), "bus-test-stranger.scope");
    start(&mut bus, unit, &leader);
    let path = "/org/freedesktop/systemd1/unit/bus_2dtest_2dstranger_2escope";
    let destination = format!("--destination={}", bus.unique_name());
    let signal = ["emit", &destination, path, "org.freedesktop.systemd1.Scope", "RequestStop"];
    let said = output("busctl", &signal);
    assert!(said.is_empty(), "{said}");
    // A call of our own comes back after the signal has arrived.
    bus.systemd_version().unwrap();
    assert_eq!(bus.poll_events().unwrap(), []);
    bus.stop_scope(unit).unwrap();
}

#[test]
#[ignore = "needs a systemd host with machined"]
fn a_machine_is_registered_over_dbus_first_and_varlink_later() {
    let (mut bus, leader, unit, name) = (bus(), Leader::new(), "bus-test-machine.scope", "bus-test-machine");
    start(&mut bus, unit, &leader);
    // From 258 on a socket unit starts it.
    output("systemctl", &["stop", "systemd-machined.socket", "systemd-machined.service"]);
    let way = register(Some(&mut bus), &machine(name, &leader)).unwrap();
    println!("without machined running: {way:?}");
    assert_ne!(way, RegisteredBy::Varlink);
    check_machine(name, unit, &leader);
    unregister(Some(&mut bus), name).unwrap();
    wait_unlisted(name);

    let way = register(Some(&mut bus), &machine(name, &leader)).unwrap();
    println!("with machined running: {way:?}");
    check_machine(name, unit, &leader);
    match register(Some(&mut bus), &machine(name, &leader)) {
        // Over D-Bus it is asked whose it is.
        Err(RegisterError::Refused(diagnostic)) => assert_eq!(diagnostic.code(), Code::NameBusy, "{diagnostic}"),
        Ok(way) => assert_eq!(way, RegisteredBy::Varlink, "it was not this call that did it"),
        Err(error) => panic!("{error:?}"),
    }
    unregister(Some(&mut bus), name).unwrap();
    wait_unlisted(name);
    unregister(Some(&mut bus), name).unwrap();
    bus.stop_scope(unit).unwrap();
}

/// machined forgets a machine when it is idle next, not before it answers.
fn wait_unlisted(name: &str) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while output("machinectl", &["list"]).contains(name) {
        assert!(Instant::now() < deadline, "{name} is still listed");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn check_machine(name: &str, unit: &str, leader: &Leader) {
    let shown = output("machinectl", &["show", name]);
    for line in [
        format!("Name={name}"),
        "Id=07070707070707070707070707070707".into(),
        "Service=bus-test".into(),
        format!("Unit={unit}"),
        format!("Leader={}", leader.child.id()),
        "Class=container".into(),
        "RootDirectory=/usr".into(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
}

#[test]
#[ignore = "needs a systemd host with machined"]
fn a_restart_of_machined_is_heard_of_and_repaired() {
    let (mut bus, leader, unit, name) = (bus(), Leader::new(), "bus-test-repair.scope", "bus-test-repair");
    start(&mut bus, unit, &leader);
    register(Some(&mut bus), &machine(name, &leader)).unwrap();
    assert_eq!(bus.poll_events().unwrap(), []);
    output("systemctl", &["restart", "systemd-machined.service"]);
    wait_for(&mut bus, BusEvent::MachinedRestarted);
    assert_eq!(register_meanwhile(&mut bus, &machine(name, &leader)).unwrap(), None);
    check_machine(name, unit, &leader);
    // Another first process is another machine.
    let other = Leader::new();
    let refused = register_meanwhile(&mut bus, &machine(name, &other)).unwrap_err();
    assert_eq!(refused.code(), Code::RegisterFailed);
    assert!(refused.headline().contains("exists"), "{refused}");
    bus.unregister_unsure(name, Pid::from_child(&other.child)).unwrap();
    check_machine(name, unit, &leader);
    // Lost with its state.
    output("systemctl", &["stop", "systemd-machined.service"]);
    std::fs::remove_file(format!("/run/systemd/machines/{name}")).unwrap();
    assert!(register_meanwhile(&mut bus, &machine(name, &leader)).unwrap().is_some());
    check_machine(name, unit, &leader);
    bus.unregister_unsure(name, Pid::from_child(&leader.child)).unwrap();
    wait_unlisted(name);
    bus.stop_scope(unit).unwrap();
}

#[test]
#[ignore = "needs a systemd host with machined; restarts its bus"]
fn z_a_restart_of_the_bus_is_survived() {
    let (mut bus, leader, unit, name) = (bus(), Leader::new(), "bus-test-restart.scope", "bus-test-restart");
    start(&mut bus, unit, &leader);
    register(Some(&mut bus), &machine(name, &leader)).unwrap();
    output("systemctl", &["restart", "dbus.service"]);
    wait_for(&mut bus, BusEvent::Disconnected);
    // A machined of systemd 258 or later is not on the bus until PID 1 has replaced it.
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = bus.reconnect(WAIT) {
        assert!(Instant::now() < deadline, "{error:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    let again = loop {
        match register_meanwhile(&mut bus, &machine(name, &leader)) {
            Ok(way) => break way,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!(again, None);
    // PID 1 stops a machined that has lost the bus only after a while; nobody reaches it over the bus until then.
    while output("systemctl", &["is-active", "systemd-machined"]).starts_with("active")
        && !output("busctl", &["list", "--acquired"]).contains("org.freedesktop.machine1")
    {
        assert!(Instant::now() < deadline, "machined is not back");
        std::thread::sleep(Duration::from_millis(50));
    }
    check_machine(name, unit, &leader);
    unregister(Some(&mut bus), name).unwrap();
    bus.stop_scope(unit).unwrap();
    bus.wait_unit_gone(unit).unwrap();
}

/// Its group never holds a living process, so that nothing tells systemd when it is empty.
#[test]
#[ignore = "needs a systemd host"]
fn a_scope_around_a_dead_leader_goes_away() {
    for round in 0..10 {
        let (mut bus, mut leader, unit) = (bus(), Leader::new(), "bus-test-dead.scope");
        leader.child.kill().unwrap();
        let mut fds = [rustix::event::PollFd::new(&leader.pidfd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&Duration::from_secs(5).try_into().unwrap())).unwrap();
        // Not waited for, so that its pid still means it.
        let started = bus.start_scope(&request(unit, &leader, &[]), &[]);
        bus.stop_scope(unit).unwrap();
        bus.wait_unit_gone(unit).unwrap_or_else(|d| panic!("round {round}, start {started:?}: {d}"));
    }
}
