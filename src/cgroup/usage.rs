// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a machine consumes: read from its group's files, cgroups-rs where that has them.
//!
//! Files: the kernel's Documentation/admin-guide/cgroup-v2.rst. What a kernel or a hierarchy lacks is `None`.

use super::{Group, Hierarchy};
use cgroups_rs::pid::PidController;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What was consumed so far, by the group and all below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// CPU time, user and system.
    pub cpu: Option<Duration>,
    /// Bytes of memory now.
    pub memory: Option<u64>,
    /// Most bytes of memory at one time (Linux 5.19).
    pub memory_peak: Option<u64>,
    /// Processes killed for want of memory.
    pub oom_kills: Option<u64>,
    /// Tasks now.
    pub tasks: Option<u64>,
    /// Most tasks at one time (Linux 6.1).
    pub tasks_peak: Option<u64>,
    /// Bytes read from and written to block devices.
    pub io: Option<Io>,
}

/// Bytes moved from and to block devices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Io {
    /// Read.
    pub read: u64,
    /// Written.
    pub written: u64,
}

impl Usage {
    /// Reads the group; never fails, and a group that is gone gives nothing. Processes of ours are in no `payload` group:
    /// where that one counts tasks, its count is taken.
    pub fn read(hierarchy: &Hierarchy, group: &Group, payload: Option<&Group>) -> Self {
        // Every group has this file: one without it is gone, and has none of the others.
        let Ok(cpu) = group.read("cpu.stat") else { return Self::default() };
        let peak = payload.and_then(|payload| number(payload, "pids.peak"));
        Self {
            cpu: keyed(&cpu, "usage_usec").map(Duration::from_micros),
            oom_kills: oom_kills(group),
            memory_peak: number(group, "memory.peak"),
            memory: number(group, "memory.current"),
            tasks: tasks(hierarchy, group),
            tasks_peak: peak.or_else(|| number(group, "pids.peak")),
            io: group.read("io.stat").ok().map(|t| io(&t)),
        }
    }

    /// The later of two readings, where it has a value: the last one may find the group half gone.
    pub fn or_earlier(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.or(earlier.cpu),
            memory: self.memory.or(earlier.memory),
            memory_peak: self.memory_peak.or(earlier.memory_peak),
            oom_kills: self.oom_kills.or(earlier.oom_kills),
            tasks: self.tasks.or(earlier.tasks),
            tasks_peak: self.tasks_peak.or(earlier.tasks_peak),
            io: self.io.or(earlier.io),
        }
    }
}

/// Processes of the group and all below it that were killed for want of memory.
pub fn oom_kills(group: &Group) -> Option<u64> {
    group.read("memory.events").ok().and_then(|t| keyed(&t, "oom_kill"))
}

/// "consumed 1.234 s CPU, 34.5 MB memory peak, 12 tasks peak, …"; what is not known is left out.
impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.cpu.map(|t| format!("{:.3} s CPU", t.as_secs_f64())));
        parts.extend(self.memory_peak.map(|n| format!("{} memory peak", Bytes(n))));
        parts.extend(self.tasks_peak.map(|n| format!("{n} tasks peak")));
        parts.extend(self.io.map(|io| format!("{} read, {} written", Bytes(io.read), Bytes(io.written))));
        parts.extend(self.oom_kills.map(|n| format!("{n} OOM kill{}", if n == 1 { "" } else { "s" })));
        match parts.is_empty() {
            true => f.write_str("consumed an unknown amount: this hierarchy counts nothing"),
            false => write!(f, "consumed {}", parts.join(", ")),
        }
    }
}

/// A number of bytes with a decimal unit.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        for unit in ["B", "kB", "MB", "GB"] {
            if value < 999.95 {
                return if unit == "B" { write!(f, "{} B", self.0) } else { write!(f, "{value:.1} {unit}") };
            }
            value /= 1000.0;
        }
        write!(f, "{value:.1} TB")
    }
}

/// Tasks now. Through the one controller of cgroups-rs: its `Cgroup` looks at every controller that there is, with
/// regular expressions, and wants a hierarchy at `/sys/fs/cgroup`; its memory controller panics when the group goes
/// meanwhile.
fn tasks(hierarchy: &Hierarchy, group: &Group) -> Option<u64> {
    let directory = hierarchy.directory(group.path())?;
    PidController::new(directory, true).get_pid_current().ok()
}

fn number(group: &Group, file: &str) -> Option<u64> {
    group.read(file).ok()?.trim_end().parse().ok()
}

/// The value of `key` in a file of `KEY VALUE` lines.
pub fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(' ')?.parse().ok())
}

/// The sum over all devices of an `io.stat`: `MAJOR:MINOR rbytes=N wbytes=N …`. Devices may lack their values.
pub fn io(text: &str) -> Io {
    let sum = |key: &str| {
        let values = text.split_ascii_whitespace().filter_map(|w| w.strip_prefix(key)?.parse::<u64>().ok());
        values.fold(0, u64::saturating_add)
    };
    Io { read: sum("rbytes="), written: sum("wbytes=") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::own_group;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn files_are_read_as_documented() {
        assert_eq!(keyed("usage_usec 12\nuser_usec 7\n", "user_usec"), Some(7));
        assert_eq!(keyed("oom 3\noom_kill 1\noom_group_kill 0\n", "oom_kill"), Some(1));
        assert_eq!(keyed("oom_killer 1\n", "oom_kill"), None);
        let text = "8:0 rbytes=100 wbytes=7 rios=1 wios=2 dbytes=9 dios=0\n7:1\n254:0 rbytes=1 wbytes=1\n";
        assert_eq!(io(text), Io { read: 101, written: 8 });
    }

    #[test]
    fn the_summary_names_what_is_known() {
        let usage = Usage {
            cpu: Some(Duration::from_millis(1234)),
            memory_peak: Some(34_500_000),
            tasks_peak: Some(12),
            io: Some(Io { read: 999, written: 999_960 }),
            oom_kills: Some(1),
            ..Usage::default()
        };
        assert_eq!(
            usage.to_string(),
            "consumed 1.234 s CPU, 34.5 MB memory peak, 12 tasks peak, 999 B read, 1.0 MB written, 1 OOM kill"
        );
        let partly = Usage { cpu: Some(Duration::ZERO), ..Usage::default() };
        assert_eq!(partly.to_string(), "consumed 0.000 s CPU");
        assert_eq!(Usage::default().or_earlier(usage.clone()), usage);
        assert!(Usage::default().to_string().contains("unknown"));
    }

    #[test]
    fn a_busy_process_is_seen_in_a_real_group() {
        let skip = |why: &str| eprintln!("skipped: {why}");
        if !rustix::process::geteuid().is_root() {
            return skip("needs root");
        }
        let Some(hierarchy) = Hierarchy::find().unwrap() else { return skip("no cgroup2 is mounted") };
        let own = Hierarchy::own_path().unwrap().unwrap();
        let own = own_group(&hierarchy, &own, &format!("test-usage-{}", std::process::id())).unwrap();
        let (group, payload) = (&own.group, &own.payload);
        let script = "read go; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let mut shell = Command::new("sh").args(["-c", script]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        payload.attach(rustix::process::Pid::from_child(&shell)).unwrap();
        drop(shell.stdin.take());
        shell.wait().unwrap();
        let usage = Usage::read(&hierarchy, group, None);
        let memory_here = group.controllers().unwrap().iter().any(|c| c == "memory");
        own.removal.run(Duration::from_secs(5)).unwrap();
        assert!(usage.cpu.unwrap() > Duration::ZERO, "{usage}");
        assert_eq!(usage.memory.is_some(), memory_here);
        assert_eq!(Usage::read(&hierarchy, group, None), Usage::default());
    }

    proptest! {
        /// Any text gives figures or none.
        #[test]
        fn any_statistics(text in "([a-z_]{0,5}[ =]?[0-9-]{0,22}[ \n]?){0,10}") {
            let found = keyed(&text, "usage_usec");
            prop_assert!(found.is_none_or(|n| text.contains(&n.to_string())));
            prop_assert_eq!(io(&text.replace("bytes", "")), Io { read: 0, written: 0 });
        }
    }
}
