// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a container start may leave behind on the host, before and after.

use super::Program;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

/// How long the host may take to clean up after a container's end.
const SETTLE: Duration = Duration::from_secs(5);

/// Units that come and go by themselves, or stay for good after their first use.
const NOISE: [&str; 12] = [
    "machine.slice",
    "systemd-machined.service",
    "systemd-machined.socket",
    "systemd-hostnamed.service",
    "systemd-logind.service",
    "systemd-tmpfiles-clean.service",
    "user.slice",
    "user-0.slice",
    "user@0.service",
    "user-runtime-dir@0.service",
    "run-user-0.mount",
    "bed.service",
];

/// A sorted list of facts: `mount …`, `cgroup …`, `unit …`, `link …`, `file …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostState {
    facts: BTreeSet<String>,
    /// Of the test itself: not part of the picture.
    own_dir: PathBuf,
}

impl HostState {
    /// Takes the picture, once PID 1 is done with the scopes that ended before; `own_dir` is the case's folder.
    pub fn take(own_dir: &Path) -> Self {
        let deadline = Instant::now() + SETTLE;
        while empty_scopes() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        Self::picture(own_dir)
    }

    fn picture(own_dir: &Path) -> Self {
        let mut facts = BTreeSet::new();
        facts.extend(mounts());
        facts.extend(cgroups());
        facts.extend(units());
        facts.extend(links());
        for folder in ["/run/spawn", "/run/systemd/machines"] {
            // The lock files of names stay.
            let is_lock = |fact: &String| fact.starts_with("file /run/spawn/.") && fact.ends_with(".lock");
            facts.extend(names("file", Path::new(folder)).into_iter().filter(|fact| !is_lock(fact)));
        }
        // Below these the first level is there for good once it was used; lock files may stay.
        for folder in subfolders(Path::new("/run/systemd/nspawn")) {
            if folder.file_name().is_some_and(|name| name != "locks") {
                facts.extend(names("file", &folder));
            }
        }
        for folder in ["/tmp", "/var/tmp"] {
            facts.extend(names("file", Path::new(folder)).into_iter().filter(|fact| {
                let path = Path::new(fact.strip_prefix("file ").unwrap_or(fact));
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                !own_dir.starts_with(path) && !name.starts_with("systemd-private-") && !name.ends_with(".log")
            }));
        }
        HostState { facts, own_dir: own_dir.to_owned() }
    }

    /// Panics with the difference when the host, given a few seconds, does not look as before.
    #[track_caller]
    pub fn assert_unchanged(&self) {
        let difference = self.difference();
        assert!(difference.is_empty(), "the host is not as before:\n{}", difference.join("\n"));
    }

    /// What is there now (`+ …`) or gone (`- …`), once the host had a few seconds to become as before.
    pub fn difference(&self) -> Vec<String> {
        let deadline = Instant::now() + SETTLE;
        loop {
            let now = HostState::picture(&self.own_dir);
            let mut difference: Vec<String> =
                now.facts.difference(&self.facts).map(|fact| format!("+ {fact}")).collect();
            difference.extend(self.facts.difference(&now.facts).map(|fact| format!("- {fact}")));
            if difference.is_empty() || Instant::now() >= deadline {
                return difference;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Mounts without their numbers, which change with every remount of something else.
fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    table
        .lines()
        .map(|line| line.splitn(4, ' ').last().unwrap_or(line))
        .filter(|line| !line.contains("/run/user/0 ") && !line.contains("/run/credentials/"))
        .map(|line| format!("mount {line}"))
        .collect()
}

/// Network interfaces of this process's namespace; /sys may show another one's.
fn links() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/net/dev").expect("/proc is mounted");
    table.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| format!("link {}", name.trim())).collect()
}

/// Mount point of the cgroup2 hierarchy.
pub fn cgroup_root() -> Option<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").ok()?;
    table
        .lines()
        .find(|line| line.split_once(" - ").is_some_and(|(_, rest)| rest.starts_with("cgroup2 ")))
        .and_then(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
}

fn cgroups() -> Vec<String> {
    let Some(root) = cgroup_root() else { return Vec::new() };
    let mut found = Vec::new();
    let mut waiting = vec![root];
    while let Some(folder) = waiting.pop() {
        for group in subfolders(&folder) {
            if !is_noise(&group.file_name().unwrap_or_default().to_string_lossy()) {
                found.push(format!("cgroup {}", group.display()));
            }
            // Machines live below machine.slice; what is below the other noise is noise too.
            if group.ends_with("machine.slice") || !is_noise(&group.file_name().unwrap_or_default().to_string_lossy()) {
                waiting.push(group);
            }
        }
    }
    found
}

/// Whether a scope of a machine is there that has no process any more. PID 1 hears of that a little later.
fn empty_scopes() -> bool {
    let machines = cgroup_root().map(|root| subfolders(&root.join("machine.slice"))).unwrap_or_default();
    machines.iter().any(|group| {
        let events = fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
        group.extension().is_some_and(|kind| kind == "scope") && events.contains("populated 0")
    })
}

fn is_noise(unit: &str) -> bool {
    NOISE.contains(&unit) || unit.starts_with("session-") || unit.starts_with("run-credentials-")
}

fn units() -> Vec<String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Vec::new();
    }
    let list = Program::new("systemctl").args(["list-units", "--all", "--plain", "--no-legend", "--no-pager"]).run();
    list.stdout
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (unit, _loaded, active) = (words.next()?, words.next()?, words.next()?);
            // Units that are merely known come and go as others refer to them. PID 1 reads the mount table, which is
            // compared above, up to a second late.
            let late = unit.ends_with(".mount") && active == "active";
            (active != "inactive" && !late && !is_noise(unit)).then(|| format!("unit {unit} {active}"))
        })
        .collect()
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    entries(folder).into_iter().filter(|path| path.is_dir() && !path.is_symlink()).collect()
}

fn names(kind: &str, folder: &Path) -> Vec<String> {
    entries(folder).into_iter().map(|path| format!("{kind} {}", path.display())).collect()
}

/// What is in a folder; one that is not there (any more) is empty.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let list = fs::read_dir(folder).and_then(|list| list.collect::<io::Result<Vec<_>>>());
    list.map(|list| list.into_iter().map(|entry| entry.path()).collect()).unwrap_or_default()
}
