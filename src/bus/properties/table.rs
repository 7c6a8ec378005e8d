// SPDX-License-Identifier: LGPL-2.1-or-later
//! Which properties a scope has, and what their values are (systemd.unit(5), systemd.scope(5), systemd.kill(5),
//! systemd.resource-control(5)).

use super::number::TimeUnit;

/// How a property's value is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// yes or no
    Bool,
    /// Any text.
    Text,
    /// One of these words.
    Choice(&'static str),
    /// Words, each added to what is there; none empties the list.
    Words,
    /// yes, no or a list of controllers.
    Delegate,
    /// A signal.
    Signal,
    /// Bytes, percentage of the machine's memory, or infinity.
    Size { empty: u64 },
    /// A number, percentage of what the machine can have, or infinity.
    Tasks { empty: u64 },
    /// 1 to 10000.
    Weight,
    /// 1 to 10000 or idle.
    CpuWeight,
    /// Percentage of one CPU.
    CpuQuota,
    /// A time span; a bare number is in this unit.
    Time(TimeUnit),
    /// A percentage.
    PressureLimit,
    /// A set of small numbers.
    Set,
    /// A device and its access.
    DeviceAllow,
    /// A path and a number.
    PathNumber(Number),
    /// IP networks.
    Prefixes,
    /// `[~]WORD…`
    Filter,
}

/// The number beside a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// Bytes or operations a second, K is 1000.
    Bytes,
    /// 1 to 10000.
    Weight,
    /// A time span.
    Time,
}

const LIMIT: Kind = Kind::Size { empty: u64::MAX };
const FLOOR: Kind = Kind::Size { empty: 0 };
const RATE: Kind = Kind::PathNumber(Number::Bytes);
const SECONDS: Kind = Kind::Time(TimeUnit::Second);
const MICROSECONDS: Kind = Kind::Time(TimeUnit::Microsecond);
const WATCH: Kind = Kind::Choice("auto, on, off, skip");
const JOB_MODE: Kind = Kind::Choice(
    "fail, replace, replace-irreversibly, isolate, flush, ignore-dependencies, ignore-requirements, triggering, \
     restart-dependencies",
);
const ACTION: Kind = Kind::Choice(
    "none, exit, exit-force, reboot, reboot-force, reboot-immediate, poweroff, poweroff-force, poweroff-immediate, \
     soft-reboot, soft-reboot-force, kexec, kexec-force, halt, halt-force, halt-immediate",
);
const OOM_MODE: Kind = Kind::Choice("auto, kill");

/// Name and kind, in the order of the man pages.
const TABLE: &[(&str, Kind)] = &[
    // systemd.unit(5)
    ("Description", Kind::Text),
    ("Documentation", Kind::Words),
    ("CollectMode", Kind::Choice("inactive, inactive-or-failed")),
    ("DefaultDependencies", Kind::Bool),
    ("StopWhenUnneeded", Kind::Bool),
    ("RefuseManualStop", Kind::Bool),
    ("AllowIsolate", Kind::Bool),
    ("SourcePath", Kind::Text),
    ("FailureAction", ACTION),
    ("SuccessAction", ACTION),
    ("RebootArgument", Kind::Text),
    ("JobTimeoutAction", ACTION),
    ("JobTimeoutRebootArgument", Kind::Text),
    ("OnFailureJobMode", JOB_MODE),
    ("OnSuccessJobMode", JOB_MODE),
    ("IgnoreOnIsolate", Kind::Bool),
    ("SurviveFinalKillSignal", Kind::Bool),
    ("JobTimeoutSec", SECONDS),
    ("JobRunningTimeoutSec", SECONDS),
    ("After", Kind::Words),
    ("Before", Kind::Words),
    ("Wants", Kind::Words),
    ("Requires", Kind::Words),
    ("Requisite", Kind::Words),
    ("BindsTo", Kind::Words),
    ("PartOf", Kind::Words),
    ("Upholds", Kind::Words),
    ("Conflicts", Kind::Words),
    ("OnFailure", Kind::Words),
    ("OnSuccess", Kind::Words),
    ("PropagatesStopTo", Kind::Words),
    ("StopPropagatedFrom", Kind::Words),
    ("JoinsNamespaceOf", Kind::Words),
    ("RequiresMountsFor", Kind::Words),
    ("WantsMountsFor", Kind::Words),
    // systemd.scope(5)
    ("RuntimeMaxSec", SECONDS),
    ("RuntimeMaxUSec", MICROSECONDS),
    ("RuntimeRandomizedExtraSec", SECONDS),
    ("TimeoutStopSec", SECONDS),
    ("TimeoutStopUSec", MICROSECONDS),
    ("OOMPolicy", Kind::Choice("continue, stop, kill")),
    // systemd.kill(5)
    ("KillMode", Kind::Choice("control-group, mixed, process, none")),
    ("KillSignal", Kind::Signal),
    ("RestartKillSignal", Kind::Signal),
    ("FinalKillSignal", Kind::Signal),
    ("WatchdogSignal", Kind::Signal),
    ("SendSIGHUP", Kind::Bool),
    ("SendSIGKILL", Kind::Bool),
    // systemd.resource-control(5)
    ("Slice", Kind::Text),
    ("Delegate", Kind::Delegate),
    ("DelegateSubgroup", Kind::Text),
    ("CPUAccounting", Kind::Bool),
    ("CPUWeight", Kind::CpuWeight),
    ("StartupCPUWeight", Kind::CpuWeight),
    ("CPUQuota", Kind::CpuQuota),
    ("CPUQuotaPeriodSec", SECONDS),
    ("AllowedCPUs", Kind::Set),
    ("StartupAllowedCPUs", Kind::Set),
    ("AllowedMemoryNodes", Kind::Set),
    ("StartupAllowedMemoryNodes", Kind::Set),
    ("MemoryAccounting", Kind::Bool),
    ("MemoryMin", FLOOR),
    ("MemoryLow", FLOOR),
    ("StartupMemoryLow", FLOOR),
    ("DefaultMemoryMin", FLOOR),
    ("DefaultMemoryLow", FLOOR),
    ("DefaultStartupMemoryLow", FLOOR),
    ("MemoryHigh", LIMIT),
    ("StartupMemoryHigh", LIMIT),
    ("MemoryMax", LIMIT),
    ("StartupMemoryMax", LIMIT),
    ("MemorySwapMax", LIMIT),
    ("StartupMemorySwapMax", LIMIT),
    ("MemoryZSwapMax", LIMIT),
    ("StartupMemoryZSwapMax", LIMIT),
    ("MemoryZSwapWriteback", Kind::Bool),
    ("MemoryPressureWatch", WATCH),
    ("MemoryPressureThresholdSec", SECONDS),
    ("CPUPressureWatch", WATCH),
    ("CPUPressureThresholdSec", SECONDS),
    ("IOPressureWatch", WATCH),
    ("IOPressureThresholdSec", SECONDS),
    ("TasksAccounting", Kind::Bool),
    ("TasksMax", Kind::Tasks { empty: u64::MAX }),
    ("IOAccounting", Kind::Bool),
    ("IOWeight", Kind::Weight),
    ("StartupIOWeight", Kind::Weight),
    ("IODeviceWeight", Kind::PathNumber(Number::Weight)),
    ("IOReadBandwidthMax", RATE),
    ("IOWriteBandwidthMax", RATE),
    ("IOReadIOPSMax", RATE),
    ("IOWriteIOPSMax", RATE),
    ("IODeviceLatencyTargetSec", Kind::PathNumber(Number::Time)),
    ("IPAccounting", Kind::Bool),
    ("IPAddressAllow", Kind::Prefixes),
    ("IPAddressDeny", Kind::Prefixes),
    ("IPIngressFilterPath", Kind::Words),
    ("IPEgressFilterPath", Kind::Words),
    ("RestrictNetworkInterfaces", Kind::Filter),
    ("DeviceAllow", Kind::DeviceAllow),
    ("DevicePolicy", Kind::Choice("auto, closed, strict")),
    ("ManagedOOMSwap", OOM_MODE),
    ("ManagedOOMMemoryPressure", OOM_MODE),
    ("ManagedOOMMemoryPressureLimit", Kind::PressureLimit),
    ("ManagedOOMMemoryPressureDurationSec", SECONDS),
    ("ManagedOOMPreference", Kind::Choice("none, avoid, omit")),
    ("CoredumpReceive", Kind::Bool),
];

/// The kind of a property, by its exact name.
pub(super) fn kind(name: &str) -> Option<Kind> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// Every name.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}
