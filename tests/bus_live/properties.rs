// SPDX-License-Identifier: LGPL-2.1-or-later
//! `--property=` values as a living PID 1 takes them.

use super::*;

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
    for name in list.split_once("There are ").unwrap().1.split(',').map(str::trim) {
        let value = match name {
            "Description" | "Slice" | "Delegate" | "DelegateSubgroup" | "DeviceAllow" => continue,
            "CollectMode" => "inactive".to_owned(),
            "KillMode" => "mixed".into(),
            "OOMPolicy" => "stop".into(),
            "DevicePolicy" | "ManagedOOMSwap" | "ManagedOOMMemoryPressure" => "auto".into(),
            "OnFailureJobMode" | "OnSuccessJobMode" => "fail".into(),
            "SourcePath" => "/etc/passwd".into(),
            _ if name.ends_with("PressureWatch") => "auto".into(),
            _ if name.ends_with("Action") => "none".into(),
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
