// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the host has of a running container: its unit, machined's record, links, control groups; and what is left of it.

use super::facts::{Facts, Masks};
use super::lines::Line;
use super::run;
use crate::common::Program;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const UNIT: &str = "Id,Description,LoadState,ActiveState,SubState,Slice,Delegate,DelegateControllers,KillMode,\
    KillSignal,SendSIGHUP,DevicePolicy,DeviceAllow,TasksMax,CPUWeight,MemoryMax,CollectMode,ControlGroup,\
    CoredumpReceive,TimeoutStopUSec,OOMPolicy,Transient,Controller,RuntimeMaxUSec,ManagedOOMPreference";
const MACHINE: &str = "Name,Id,Class,Service,RootDirectory,State,Unit,Subgroup,NetworkInterfaces,Leader";

/// Links, units and files that come and go with containers.
pub struct Picture {
    links: BTreeSet<String>,
    left: BTreeSet<String>,
}

impl Picture {
    pub fn take() -> Self {
        Self { links: links().into_keys().collect(), left: left() }
    }

    /// What is there that was not there before the run, after the host had a moment.
    pub fn leftovers(&self, masks: &Masks, facts: &mut Facts) {
        let deadline = Instant::now() + Duration::from_secs(3);
        loop {
            let new: Vec<String> = left().difference(&self.left).cloned().collect();
            if new.is_empty() || Instant::now() > deadline {
                new.iter().for_each(|what| facts.add(&masks.apply("", &format!("left.{what}")), "there"));
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn left() -> BTreeSet<String> {
    let mut left: BTreeSet<String> = links().into_keys().map(|name| format!("link {name}")).collect();
    for folder in [
        "/run/systemd/machines",
        "/run/systemd/nspawn",
        "/run/systemd/nspawn/propagate",
        "/run/systemd/nspawn/unix-export",
        "/run/spawn",
        "/run/systemd/transient",
        "/tmp",
        "/var/tmp",
        "/var/log/journal",
    ] {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            left.insert(format!("{folder}/{}", entry.file_name().to_string_lossy()));
        }
    }
    // Made by the first start and there for good.
    for folder in ["locks", "propagate", "unix-export"] {
        left.remove(&format!("/run/systemd/nspawn/{folder}"));
    }
    // A file that two starts of a name lock stays, so that both lock the same one.
    left.retain(|name| !name.contains("systemd-private-") && !name.ends_with(".lock"));
    left
}

/// Asks systemd, machined and the kernel.
pub fn describe(line: &Line, before: &Picture, masks: &Masks, facts: &mut Facts) {
    let mut machine = Facts::default();
    show(&["machinectl", "show", line.machine], MACHINE, "machine", masks, &mut machine);
    // Up to 257 machined makes the scope, under a name of its own; what is not registered has made it itself.
    let own = line.unit.map_or_else(|| format!("{}.scope", line.machine), str::to_owned);
    let unit = machine.get("machine.Unit").map_or(own, str::to_owned);
    show(&["systemctl", "show", &unit], UNIT, "unit", masks, facts);
    let links = links();
    for (key, value) in machine.fields {
        let value = match key.as_str() {
            "machine.Leader" => leader(&value, masks, facts),
            "machine.NetworkInterfaces" => value
                .split_whitespace()
                .map(|index| links.iter().find(|(_, link)| link.index == index).map_or(index, |(name, _)| name))
                .collect::<Vec<_>>()
                .join(" "),
            _ => value,
        };
        facts.add(&key, value);
    }
    for (name, link) in links.iter().filter(|(name, _)| !before.links.contains(*name)) {
        facts.add(&format!("host.link.{name}"), link.text.clone());
    }
    let group = facts.get("unit.ControlGroup").unwrap_or_default().to_owned();
    groups(&group, facts);
    for pid in run::probes() {
        let path = format!("/proc/{}/cgroup", pid.as_raw_nonzero());
        let text = fs::read_to_string(path).unwrap_or_default();
        let own = text.lines().find(|l| l.starts_with("0::")).unwrap_or("-");
        facts.add("host.payload.cgroup", own);
    }
}

fn show(words: &[&str], wanted: &str, prefix: &str, masks: &Masks, facts: &mut Facts) {
    let output = Program::new(format!("/usr/bin/{}", words[0])).args(&words[1..]).run();
    facts.add(&format!("{prefix}.known"), format!("{}", output.status.success()));
    for (key, value) in output.stdout.lines().filter_map(|l| l.split_once('=')) {
        if !wanted.split(',').any(|name| name == key) {
            continue;
        }
        let key = format!("{prefix}.{key}");
        let value = if key == "unit.Controller" && !value.is_empty() { "somebody" } else { value };
        facts.add(&key, masks.apply(&key, value));
    }
}

/// The leader is a number; what it is tells more.
fn leader(pid: &str, masks: &Masks, facts: &mut Facts) -> String {
    let path = Path::new("/proc").join(pid);
    let read = |name: &str| fs::read_to_string(path.join(name)).unwrap_or_default();
    facts.add(
        "machine.leader.cgroup",
        masks.apply("", read("cgroup").lines().find(|l| l.starts_with("0::")).unwrap_or("-")),
    );
    let status = read("status");
    let field = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap_or("-");
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    let pids = field("NSpid");
    format!("{} in its namespace", pids.split(' ').nth(1).unwrap_or("-"))
}

struct Link {
    index: String,
    text: String,
}

/// Interfaces of the host but `lo`.
fn links() -> BTreeMap<String, Link> {
    let output = Program::new("/usr/sbin/ip").args(["-json", "-details", "link"]).run();
    let list: serde_json::Value = serde_json::from_str(&output.stdout).unwrap_or_default();
    let Some(list) = list.as_array() else { return BTreeMap::new() };
    list.iter()
        .filter_map(|link| {
            let name = link["ifname"].as_str()?.to_owned();
            let flags: Vec<&str> = link["flags"].as_array()?.iter().filter_map(|f| f.as_str()).collect();
            let text = format!(
                "{} {} {} mtu {} queue {} names {}",
                link["linkinfo"]["info_kind"],
                link["address"],
                if flags.contains(&"UP") { "up" } else { "down" },
                link["mtu"],
                link["txqlen"],
                link["altnames"]
            );
            (name != "lo").then(|| (name, Link { index: link["ifindex"].to_string(), text }))
        })
        .collect()
}

/// Control groups below the unit's, and how many processes are in each.
fn groups(unit: &str, facts: &mut Facts) {
    let Some(root) = crate::common::host_state::cgroup_root() else { return };
    let top = root.join(unit.trim_start_matches('/'));
    if unit.is_empty() || !top.is_dir() {
        return;
    }
    let mut waiting = vec![top.clone()];
    while let Some(group) = waiting.pop() {
        let name = group.strip_prefix(&top).map_or_else(|_| String::new(), |p| p.display().to_string());
        let procs = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        let owner = fs::metadata(group.join("cgroup.procs")).map(|m| {
            use std::os::unix::fs::MetadataExt;
            format!("{:o} {}:{}", m.mode(), m.uid(), m.gid())
        });
        facts.add(
            &format!("host.group./{name}"),
            format!("{} processes, {}", procs.lines().count(), owner.unwrap_or_default()),
        );
        if let Ok(entries) = fs::read_dir(&group) {
            waiting.extend(entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()));
        }
    }
}
