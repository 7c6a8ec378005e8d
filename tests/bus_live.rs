// SPDX-License-Identifier: LGPL-2.1-or-later
//! The bus code against a living PID 1, bus and machined. Run as root on a systemd host of your own, one at a time:
//! `cargo test --test bus_live -- --ignored --test-threads=1`.

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
fn typed_properties_reach_the_unit() {
    let (mut bus, leader, unit) = (bus(), Leader::new(), "bus-test-typed.scope");
    let said = [
        ("MemoryMax", "64M", "MemoryMax=67108864"),
        ("TasksMax", "77", "TasksMax=77"),
        ("CPUQuota", "150%", "CPUQuotaPerSecUSec=1.500000s"),
        ("CPUWeight", "300", "CPUWeight=300"),
        ("AllowedCPUs", "0-1", "AllowedCPUs=0-1"),
        ("RuntimeMaxSec", "1h", "RuntimeMaxUSec=1h"),
        ("TimeoutStopSec", "7s", "TimeoutStopUSec=7s"),
        ("DeviceAllow", "/dev/fuse rwm", "DeviceAllow=/dev/fuse rwm"),
        ("IPAddressDeny", "10.0.0.0/8", "IPAddressDeny=10.0.0.0/8"),
        ("After", "basic.target", "basic.target"),
        ("OOMPolicy", "kill", "OOMPolicy=kill"),
        ("SendSIGHUP", "yes", "SendSIGHUP=yes"),
        ("ManagedOOMPreference", "omit", "ManagedOOMPreference=omit"),
        ("IODeviceWeight", "/dev/null 300", "IODeviceWeight=/dev/null 300"),
        ("RestrictNetworkInterfaces", "~lo", "RestrictNetworkInterfaces=~lo"),
    ];
    let extra: Vec<TypedProperty> = said
        .iter()
        .map(|(name, value, _)| {
            let property = spawn::model::UnitProperty { name: (*name).into(), value: (*value).into() };
            TypedProperty::parse(&spawn::error::Sourced::new(property, spawn::error::Origin::Default)).unwrap()
        })
        .collect();
    assert_eq!(bus.start_scope(&request(unit, &leader, &extra), &[]).unwrap(), ScopeStart::Started);
    let shown = output("systemctl", &["show", unit]);
    for (_, _, line) in said {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    bus.stop_scope(unit).unwrap();
}

#[test]
#[ignore = "needs a systemd host"]
fn every_property_of_the_table_is_typed_as_systemd_wants_it() {
    let mut bus = bus();
    let example = |help: &str| {
        let words = [
            ("yes", "yes or no"),
            ("64M", "bytes, with"),
            ("100", "a weight"),
            ("10%", "a percentage"),
            ("5s", "a time span"),
        ];
        words.iter().find(|(_, text)| help.contains(text)).map(|(value, _)| (*value).to_owned())
    };
    let parse = |name: &str, value: &str| {
        let property = spawn::model::UnitProperty { name: name.into(), value: value.into() };
        TypedProperty::parse(&spawn::error::Sourced::new(property, spawn::error::Origin::Default))
    };
    let list = parse("", "").unwrap_err().remedy().unwrap().to_owned();
    let (mut taken, mut unknown) = (Vec::new(), Vec::new());
    for name in list.split_once(": ").unwrap().1.split(", ") {
        let value = match name {
            "Description" | "Slice" | "Delegate" | "DelegateSubgroup" | "DeviceAllow" => continue,
            "CollectMode" => "inactive".to_owned(),
            "KillMode" => "mixed".into(),
            "OOMPolicy" => "stop".into(),
            "DevicePolicy" | "ManagedOOMSwap" | "ManagedOOMMemoryPressure" | "MemoryPressureWatch" => "auto".into(),
            "ManagedOOMPreference" => "none".into(),
            "AllowedCPUs" | "StartupAllowedCPUs" | "AllowedMemoryNodes" | "StartupAllowedMemoryNodes" => "0".into(),
            "Documentation" => "man:spawn(1)".into(),
            // A unit that names one that stays loaded here stays loaded itself.
            "OnSuccess" | "OnFailure" => "bus-test-none.target".into(),
            "RequiresMountsFor" | "WantsMountsFor" => "/usr".into(),
            "IPIngressFilterPath" | "IPEgressFilterPath" => String::new(),
            "IPAddressAllow" | "IPAddressDeny" => "10.0.0.0/8".into(),
            "IODeviceWeight" => "/dev/null 100".into(),
            "IODeviceLatencyTargetSec" => "/dev/null 5ms".into(),
            _ if name.starts_with("IORead") || name.starts_with("IOWrite") => "/dev/null 5M".into(),
            _ if name.ends_with("Signal") && !name.starts_with("Survive") => "SIGTERM".into(),
            _ => parse(name, "?")
                .err()
                .and_then(|d| example(d.remedy().unwrap()))
                .unwrap_or_else(|| "basic.target".into()),
        };
        let property = parse(name, &value).unwrap();
        let (leader, unit) = (Leader::new(), "bus-test-table.scope");
        match bus.start_scope(&request(unit, &leader, std::slice::from_ref(&property)), &[]) {
            Ok(_) => taken.push(name),
            Err(diagnostic) => {
                assert_eq!(diagnostic.code(), Code::PropertyUnknown, "{name}={value}: {diagnostic}");
                unknown.push(name);
            }
        }
        bus.stop_scope(unit).unwrap();
    }
    println!("taken: {}\nnot known to this systemd: {unknown:?}", taken.len());
    assert!(taken.len() > 70, "{taken:?}");
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
    assert!(!output("machinectl", &["list"]).contains(name));

    let way = register(Some(&mut bus), &machine(name, &leader)).unwrap();
    println!("with machined running: {way:?}");
    check_machine(name, unit, &leader);
    let diagnostic = register(Some(&mut bus), &machine(name, &leader)).unwrap_err();
    assert_eq!(diagnostic.code(), Code::NameBusy, "{diagnostic}");
    unregister(Some(&mut bus), name).unwrap();
    assert!(!output("machinectl", &["list"]).contains(name));
    unregister(Some(&mut bus), name).unwrap();
    bus.stop_scope(unit).unwrap();
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
    assert_eq!(bus.repair_registration(&machine(name, &leader)).unwrap(), None);
    check_machine(name, unit, &leader);
    // Lost with its state.
    output("systemctl", &["stop", "systemd-machined.service"]);
    std::fs::remove_file(format!("/run/systemd/machines/{name}")).unwrap();
    assert!(bus.repair_registration(&machine(name, &leader)).unwrap().is_some());
    check_machine(name, unit, &leader);
    unregister(Some(&mut bus), name).unwrap();
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
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = bus.reconnect(WAIT) {
        assert!(Instant::now() < deadline, "{error:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(bus.repair_registration(&machine(name, &leader)).unwrap(), None);
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

#[test]
#[ignore = "needs a systemd host"]
fn the_living_services_have_every_member_of_dbus_interfaces() {
    let services = [
        ("org.freedesktop.DBus", "/org/freedesktop/DBus"),
        ("org.freedesktop.systemd1", "/org/freedesktop/systemd1"),
        ("org.freedesktop.systemd1", "/org/freedesktop/systemd1/unit/init_2escope"),
        ("org.freedesktop.machine1", "/org/freedesktop/machine1"),
        ("org.freedesktop.resolve1", "/org/freedesktop/resolve1"),
    ];
    let mut living = Vec::new();
    for (service, path) in services {
        let xml = output("busctl", &["introspect", "--xml-interface", service, path]);
        match zbus_xml::Node::from_reader(xml.as_bytes()) {
            Ok(node) => living.extend(members(&node).into_iter().map(|(name, text, _)| format!("{name} {text}"))),
            Err(_) => println!("skipped: {service} does not run here"),
        }
    }
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/dbus-interfaces")).unwrap() {
        let xml = std::fs::read(entry.unwrap().path()).unwrap();
        for (name, text, optional) in members(&zbus_xml::Node::from_reader(&*xml).unwrap()) {
            let interface = name.rsplit_once('.').unwrap().0;
            let there = living.contains(&format!("{name} {text}"));
            let served = living.iter().any(|member| member.starts_with(interface));
            match (there, optional || !served) {
                (true, _) => {}
                (false, true) => println!("skipped: {name} is not served here"),
                (false, false) => panic!("{name} {text} is not among\n{}", living.join("\n")),
            }
        }
    }
}

/// Name, signatures, whether it may be missing.
fn members(node: &zbus_xml::Node<'_>) -> Vec<(String, String, bool)> {
    use zbus_xml::ArgDirection;
    let mut list = Vec::new();
    for interface in node.interfaces() {
        let name = |member: &str| format!("{}.{member}", interface.name());
        for method in interface.methods() {
            let side = |out: bool| -> String {
                let args = method.args().iter().filter(|arg| (arg.direction() == Some(ArgDirection::Out)) == out);
                args.map(|arg| arg.ty().to_string()).collect()
            };
            let optional = method.annotations().iter().any(|note| note.name() == "io.spawn.Optional");
            list.push((name(method.name().as_str()), format!("({}) → ({})", side(false), side(true)), optional));
        }
        for signal in interface.signals() {
            let args: String = signal.args().iter().map(|arg| arg.ty().to_string()).collect();
            list.push((name(signal.name().as_str()), format!("signal ({args})"), false));
        }
        for property in interface.properties() {
            list.push((name(property.name().as_str()), format!("property {}", property.ty()), false));
        }
    }
    list
}

#[test]
#[ignore = "a measurement, not a test"]
fn measure() {
    let mut rows: [(&str, Vec<f64>); 4] =
        [("connect", vec![]), ("scope, back to back", vec![]), ("scope, after 0.5 s", vec![]), ("register", vec![])];
    let (unit, name) = ("bus-test-measure.scope", "bus-test-measure");
    for round in 0..40 {
        let spaced = round >= 20;
        if spaced {
            std::thread::sleep(Duration::from_millis(500));
        }
        let leader = Leader::new();
        let mut at = Instant::now();
        let mut lap = |row: usize| {
            rows[row].1.push(at.elapsed().as_secs_f64() * 1e3);
            at = Instant::now();
        };
        let mut bus = bus();
        lap(0);
        start(&mut bus, unit, &leader);
        lap(1 + usize::from(spaced));
        register(Some(&mut bus), &machine(name, &leader)).unwrap();
        lap(3);
        unregister(Some(&mut bus), name).unwrap();
        bus.stop_scope(unit).unwrap();
        bus.wait_unit_gone(unit).unwrap();
    }
    for (what, mut times) in rows {
        times.sort_by(f64::total_cmp);
        let n = times.len();
        println!(
            "{what:20} median {:.2} ms, 10 % {:.2}, 90 % {:.2} ({n})",
            times[n / 2],
            times[n / 10],
            times[n * 9 / 10]
        );
    }
}
