// SPDX-License-Identifier: LGPL-2.1-or-later
use super::*;
use crate::error::Origin;
use PropertyValue as V;

fn parse(text: &str) -> Result<TypedProperty> {
    let (name, value) = text.split_once('=').unwrap();
    let property = UnitProperty { name: name.into(), value: value.into() };
    TypedProperty::parse(&Sourced::new(property, Origin::Option(format!("--property={text}"))))
}

fn texts(list: &[&str]) -> V {
    V::Texts(list.iter().map(|word| (*word).to_owned()).collect())
}

#[track_caller]
fn is(text: &str, name: &str, value: V) {
    assert_eq!(parse(text), Ok(TypedProperty::new(name, value)), "{text}");
}

#[track_caller]
fn refused(text: &str, allowed: &str) {
    let diagnostic = parse(text).expect_err(text);
    assert_eq!(diagnostic.code(), Code::PropertyUnknown);
    assert_eq!(diagnostic.asked_by(), Some(&Origin::Option(format!("--property={text}"))));
    assert!(diagnostic.remedy().unwrap().contains(allowed), "{text}: {diagnostic}");
}

#[test]
fn memory_is_bytes_a_share_or_infinity() {
    is("MemoryMax=1048576", "MemoryMax", V::U64(1 << 20));
    is("MemoryMax=64M", "MemoryMax", V::U64(64 << 20));
    is("MemoryHigh=1.5G", "MemoryHigh", V::U64(3 << 29));
    is("MemoryHigh=1G 512M", "MemoryHigh", V::U64(3 << 29));
    is("MemorySwapMax=2T", "MemorySwapMax", V::U64(2 << 40));
    is("MemoryMax=infinity", "MemoryMax", V::U64(u64::MAX));
    is("MemoryMax=", "MemoryMax", V::U64(u64::MAX));
    is("MemoryLow=", "MemoryLow", V::U64(0));
    is("MemoryMax=100%", "MemoryMaxScale", V::U32(u32::MAX));
    // What `systemd-run --property=MemoryMin=12.5%` sends.
    is("MemoryMin=12.5%", "MemoryMinScale", V::U32(536_870_912));
    for bad in ["64X", "101%", "-1", "1M 1G", "1.2.3", "1 2", "20E", "M", "0.001%"] {
        refused(&format!("MemoryMax={bad}"), "bytes, with K");
    }
}

#[test]
fn what_happens_when_a_scope_fails_can_be_said() {
    is("FailureAction=reboot-force", "FailureAction", V::Text("reboot-force".into()));
    is("OnFailureJobMode=replace", "OnFailureJobMode", V::Text("replace".into()));
    is("JoinsNamespaceOf=a.service", "JoinsNamespaceOf", texts(&["a.service"]));
    is("WatchdogSignal=ABRT", "WatchdogSignal", V::I32(6));
    is("CPUPressureThresholdSec=1s", "CPUPressureThresholdUSec", V::U64(1_000_000));
    is("IOPressureWatch=off", "IOPressureWatch", V::Text("off".into()));
    refused("SuccessAction=restart", "soft-reboot");
}

#[test]
fn tasks_are_counted() {
    is("TasksMax=100", "TasksMax", V::U64(100));
    is("TasksMax=infinity", "TasksMax", V::U64(u64::MAX));
    is("TasksMax=10%", "TasksMaxScale", V::U32(429_496_730));
    refused("TasksMax=1K", "a number");
}

#[test]
fn cpu_has_weights_quotas_and_sets() {
    is("CPUWeight=200", "CPUWeight", V::U64(200));
    is("CPUWeight=idle", "CPUWeight", V::U64(0));
    is("IOWeight=", "IOWeight", V::U64(u64::MAX));
    refused("IOWeight=idle", "1 to 10000");
    refused("CPUWeight=0", "1 to 10000");
    is("CPUQuota=20%", "CPUQuotaPerSecUSec", V::U64(200_000));
    is("CPUQuota=250%", "CPUQuotaPerSecUSec", V::U64(2_500_000));
    is("CPUQuota=", "CPUQuotaPerSecUSec", V::U64(u64::MAX));
    refused("CPUQuota=0%", "above 0%");
    refused("CPUQuota=20", "above 0%");
    is("CPUQuotaPeriodSec=10ms", "CPUQuotaPeriodUSec", V::U64(10_000));
    is("AllowedCPUs=0-3,9", "AllowedCPUs", V::Bytes(vec![0x0f, 0x02]));
    is("AllowedMemoryNodes=", "AllowedMemoryNodes", V::Bytes(vec![]));
    refused("AllowedCPUs=3-1", "ranges");
    refused("AllowedCPUs=9999", "ranges");
}

#[test]
fn times_become_microseconds() {
    is("RuntimeMaxSec=90", "RuntimeMaxUSec", V::U64(90_000_000));
    is("RuntimeMaxSec=1h 20min", "RuntimeMaxUSec", V::U64(4_800_000_000));
    is("TimeoutStopSec=1.5s", "TimeoutStopUSec", V::U64(1_500_000));
    is("TimeoutStopUSec=1500", "TimeoutStopUSec", V::U64(1_500));
    is("TimeoutStopSec=infinity", "TimeoutStopUSec", V::U64(u64::MAX));
    is("JobTimeoutSec=2d3h", "JobTimeoutUSec", V::U64(183_600_000_000));
    for bad in ["1x", "s", "-5", "5 parsecs"] {
        refused(&format!("RuntimeMaxSec={bad}"), "time span");
    }
}

#[test]
fn killing_takes_words_signals_and_switches() {
    is("KillMode=mixed", "KillMode", V::Text("mixed".into()));
    refused("KillMode=maybe", "control-group, mixed, process, none");
    is("KillSignal=SIGTERM", "KillSignal", V::I32(15));
    is("KillSignal=KILL", "KillSignal", V::I32(9));
    is("KillSignal=RTMIN+3", "KillSignal", V::I32(37));
    is("KillSignal=SIGRTMAX-1", "KillSignal", V::I32(63));
    is("KillSignal=12", "KillSignal", V::I32(12));
    refused("KillSignal=65", "signal");
    refused("KillSignal=SIGNOPE", "signal");
    is("SendSIGHUP=yes", "SendSIGHUP", V::Bool(true));
    refused("SendSIGKILL=perhaps", "yes or no");
}

#[test]
fn devices_have_paths_and_access() {
    let pair = |a: &str, b: &str| V::Pairs(vec![(a.into(), b.into())]);
    is("DeviceAllow=/dev/fuse rw", "DeviceAllow", pair("/dev/fuse", "rw"));
    is("DeviceAllow=char-pts", "DeviceAllow", pair("char-pts", ""));
    is("DeviceAllow=", "DeviceAllow", V::Pairs(vec![]));
    refused("DeviceAllow=/dev/fuse rx", "rwm");
    refused("DeviceAllow=/etc/passwd", "below /dev");
    refused("DevicePolicy=open", "auto, closed, strict");
}

#[test]
fn io_has_a_path_and_a_rate() {
    let path = |n| V::PathNumbers(vec![("/dev/sda".into(), n)]);
    is("IOReadBandwidthMax=/dev/sda 5M", "IOReadBandwidthMax", path(5_000_000));
    is("IOWriteIOPSMax=/dev/sda infinity", "IOWriteIOPSMax", path(u64::MAX));
    is("IODeviceWeight=/dev/sda 300", "IODeviceWeight", path(300));
    is("IODeviceLatencyTargetSec=/dev/sda 25ms", "IODeviceLatencyTargetUSec", path(25_000));
    refused("IOReadBandwidthMax=/dev/sda", "bytes a second");
    refused("IODeviceWeight=sda 300", "a path and a weight");
    refused("IODeviceWeight=/dev/sda 0", "a path and a weight");
}

#[test]
fn networks_have_names_and_prefixes() {
    let any = vec![(2, vec![0; 4], 0), (10, vec![0; 16], 0)];
    is("IPAddressDeny=any", "IPAddressDeny", V::Prefixes(any));
    is(
        "IPAddressAllow=10.1.0.0/16 192.0.2.7",
        "IPAddressAllow",
        V::Prefixes(vec![(2, vec![10, 1, 0, 0], 16), (2, vec![192, 0, 2, 7], 32)]),
    );
    refused("IPAddressAllow=10.0.0.0/33", "addresses");
    refused("IPAddressAllow=nowhere", "addresses");
    is(
        "RestrictNetworkInterfaces=~eth0 eth1",
        "RestrictNetworkInterfaces",
        V::Filter(false, vec!["eth0".into(), "eth1".into()]),
    );
}

#[test]
fn units_have_texts_and_lists() {
    is("Description=A box", "Description", V::Text("A box".into()));
    is("After=a.service b.service", "After", texts(&["a.service", "b.service"]));
    is("Documentation=man:spawn(1)", "Documentation", texts(&["man:spawn(1)"]));
    is("Delegate=yes", "Delegate", V::Bool(true));
    is("Delegate=cpu memory", "DelegateControllers", texts(&["cpu", "memory"]));
    is("ManagedOOMMemoryPressureLimit=50%", "ManagedOOMMemoryPressureLimit", V::U32(0x8000_0000));
    refused("ManagedOOMSwap=sometimes", "auto, kill");
    refused("CollectMode=never", "inactive-or-failed");
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_first() {
    let diagnostic = parse("memorymaxx=1").unwrap_err();
    let help = diagnostic.remedy().unwrap();
    assert!(help.starts_with("did you mean MemoryMax? There are MemoryMax, "), "{help}");
    assert_eq!(help.split(',').count(), table::names().count());
    let shown = diagnostic.to_string();
    let widest = shown.lines().map(str::len).max();
    assert!(shown.lines().count() > 10 && widest.is_some_and(|n| (90..=100).contains(&n)), "{widest:?}: {shown}");
}

#[test]
fn every_value_has_the_signature_that_it_says() {
    let signature = |value: V| TypedProperty::new("X", value).variant().value_signature().to_string();
    assert_eq!(signature(V::Bool(true)), "b");
    assert_eq!(signature(V::I32(1)), "i");
    assert_eq!(signature(V::U32(1)), "u");
    assert_eq!(signature(V::U64(1)), "t");
    assert_eq!(signature(V::Text("x".into())), "s");
    assert_eq!(signature(V::Texts(vec![])), "as");
    assert_eq!(signature(V::Bytes(vec![])), "ay");
    assert_eq!(signature(V::Pairs(vec![])), "a(ss)");
    assert_eq!(signature(V::PathNumbers(vec![])), "a(st)");
    assert_eq!(signature(V::Prefixes(vec![])), "a(iayu)");
    assert_eq!(signature(V::Filter(true, vec![])), "(bas)");
}

#[test]
fn no_name_is_there_twice() {
    let mut names: Vec<&str> = table::names().collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
}
