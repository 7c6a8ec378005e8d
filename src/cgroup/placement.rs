// SPDX-License-Identifier: LGPL-2.1-or-later
//! Where a machine's group goes when systemd does not make it.

use super::{Group, Hierarchy};
use crate::error::{Code, Diagnostic, Result};
use rustix::process::{Pid, getpid};
use serde::Serialize;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the removal of a group that a dead run left may take.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(5);

/// A group that was made, as data: the next start of the name can remove it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupRemoval {
    /// Where the group is.
    pub hierarchy: Hierarchy,
    /// The group, as `/proc/PID/cgroup` names it.
    pub path: PathBuf,
}

impl GroupRemoval {
    /// The group's directory.
    pub fn directory(&self) -> PathBuf {
        let below = self.hierarchy.relative(&self.path).unwrap_or_else(|| self.path.clone());
        self.hierarchy.mount_point.join(below.strip_prefix("/").unwrap_or(&below))
    }

    /// Kills what is left in the group and removes it with all groups in it. A group that is gone is fine.
    pub fn run(&self, patience: Duration) -> Result<()> {
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(Diagnostic::new(Code::ReleaseFailed, "cannot remove the root of the control groups"));
        };
        self.hierarchy.open(parent)?.remove_child(name, patience)
    }
}

/// A machine's group without a service manager.
#[derive(Debug)]
pub struct OwnGroup {
    /// `spawn-NAME`, without processes: the device policy and what was consumed belong here.
    pub group: Group,
    /// `payload` in it, for the machine's processes and, with a cgroup namespace, the root that they see.
    pub payload: Group,
    /// Takes back both.
    pub removal: GroupRemoval,
}

/// Makes the group `spawn-NAME`: below our own group, so that its limits hold for the machine too, or else below the
/// nearest ancestor that allows it. Controllers that the parent hands down are handed on to `payload`.
///
/// A group of that name without processes is what a killed run left, and is replaced; one with processes is an error.
pub fn own_group(hierarchy: &Hierarchy, own: &Path, machine: &str) -> Result<OwnGroup> {
    let name = format!("spawn-{machine}");
    let name = OsStr::new(&name);
    let mut first_error = None;
    for place in own.ancestors().filter(|p| hierarchy.relative(p).is_some()) {
        match own_group_in(hierarchy, place, name) {
            Ok(made) => return Ok(made),
            Err(d) if d.code() == Code::NameBusy => return Err(d),
            Err(d) => first_error.get_or_insert(d),
        };
    }
    // Outside of what is mounted (a cgroup namespace was entered): the root of the mount is all there is.
    own_group_in(hierarchy, &hierarchy.root, name).map_err(|d| first_error.unwrap_or(d))
}

fn own_group_in(hierarchy: &Hierarchy, place: &Path, name: &OsStr) -> Result<OwnGroup> {
    let parent = hierarchy.open(place)?;
    // Below a threaded group only threaded groups work, and those cannot hold a machine. The root has no such file.
    if parent.read("cgroup.type").is_ok_and(|t| t.trim_end() != "domain") {
        return Err(Diagnostic::new(
            Code::CgroupFailed,
            format!("cannot make a control group below {}", place.display()),
        )
        .cause("it is a threaded group"));
    }
    if let Ok(old) = parent.open_child(name) {
        if old.is_populated()? {
            return Err(Diagnostic::new(
                Code::NameBusy,
                format!("the control group {} has running processes", old.path().display()),
            )
            .help("stop that machine first, or choose another name with --machine="));
        }
        parent.remove_child(name, LEFTOVER_PATIENCE)?;
    }
    let group = parent.create_child(name)?;
    let removal = GroupRemoval { hierarchy: hierarchy.clone(), path: group.path().to_owned() };
    let payload = group.create_child(OsStr::new(PAYLOAD)).and_then(|payload| {
        // Best effort: what the kernel refuses is not counted and not limited.
        group.enable_controllers()?;
        Ok(payload)
    });
    match payload {
        Ok(payload) => Ok(OwnGroup { group, payload, removal }),
        Err(d) => {
            // The first error is the one to tell; an empty group that stays is replaced by the next start.
            group.remove_empty(OsStr::new(PAYLOAD));
            parent.remove_empty(name);
            Err(d)
        }
    }
}

/// The caller's unit, divided (`--keep-unit`): processes may only be in leaves (cgroups(7), no internal processes).
#[derive(Debug)]
pub struct SplitUnit {
    /// The unit's own group, without processes of ours.
    pub unit: Group,
    /// Where the payload goes.
    pub payload: Group,
    /// Takes `payload` back.
    pub removal: GroupRemoval,
}

/// Names of the two parts, as of systemd-nspawn and `DelegateSubgroup=`.
pub const SUPERVISOR: &str = "supervisor";
/// See [`SUPERVISOR`].
pub const PAYLOAD: &str = "payload";

/// Moves this process and its `helpers` to `supervisor/` of its unit's group, unless `DelegateSubgroup=supervisor` put it there already,
/// and makes `payload/` beside it. The `supervisor/` group stays until the unit ends, since we are in it.
pub fn split_unit(hierarchy: &Hierarchy, own: &Path, helpers: &[Pid]) -> Result<SplitUnit> {
    let unit = match (own.file_name(), own.parent()) {
        (Some(name), Some(parent)) if name == SUPERVISOR => hierarchy.open(parent)?,
        _ => {
            let unit = hierarchy.open(own)?;
            let supervisor = unit.ensure_child(OsStr::new(SUPERVISOR))?;
            // A process that stays behind keeps the unit's controllers from its parts (cgroups(7), "no internal
            // processes").
            helpers.iter().chain([&getpid()]).try_for_each(|pid| supervisor.attach(*pid))?;
            unit
        }
    };
    // What is left in it is from a run that a restart of the unit has already killed.
    unit.remove_child(OsStr::new(PAYLOAD), LEFTOVER_PATIENCE)?;
    let payload = unit.create_child(OsStr::new(PAYLOAD))?;
    let removal = GroupRemoval { hierarchy: hierarchy.clone(), path: payload.path().to_owned() };
    Ok(SplitUnit { unit, payload, removal })
}

#[cfg(test)]
mod tests {
    use super::super::Owner;
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::process::{Child, Command};
    use std::time::Instant;

    /// The hierarchy, our own place and a machine name of this test; or why the test cannot run here.
    fn scene(test: &str) -> Option<(Hierarchy, std::path::PathBuf, String)> {
        let skip = |why: &str| {
            eprintln!("skipped: {why}");
            None
        };
        if !rustix::process::geteuid().is_root() {
            return skip("needs root");
        }
        let Some(hierarchy) = Hierarchy::find().unwrap() else { return skip("no cgroup2 is mounted") };
        let own = Hierarchy::own_path().unwrap().unwrap();
        Some((hierarchy, own, format!("test-{test}-{}", std::process::id())))
    }

    fn sleeper_in(group: &Group) -> Child {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        group.attach(Pid::from_child(&child)).unwrap();
        child
    }

    #[test]
    fn a_group_of_its_own_lives_and_dies() {
        let Some((hierarchy, own, machine)) = scene("own") else { return };
        let OwnGroup { group, payload: mut deep, removal } = own_group(&hierarchy, &own, &machine).unwrap();
        deep.delegate(Owner { uid: 12345, gid: 12346 }).unwrap();
        let on_disk = hierarchy.mount_point.join(hierarchy.relative(deep.path()).unwrap());
        let owner = |p: &str| std::fs::metadata(on_disk.join(p)).map(|m| (m.uid(), m.gid())).unwrap();
        assert_eq!(
            (owner("."), owner("cgroup.procs"), owner("cgroup.max.depth")),
            ((12345, 12346), (12345, 12346), (0, 0))
        );
        for level in ["a", "b", "c"] {
            deep = deep.create_child(OsStr::new(level)).unwrap();
        }
        let mut child = sleeper_in(&deep);
        assert!(group.is_populated().unwrap());
        assert!(!group.wait_empty(Duration::from_millis(20)).unwrap());
        assert_eq!(own_group(&hierarchy, &own, &machine).unwrap_err().code(), Code::NameBusy);

        let before = Instant::now();
        removal.run(Duration::from_secs(5)).unwrap();
        assert!(before.elapsed() < Duration::from_secs(5));
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(9));
        assert!(!group.is_populated().unwrap());
        assert!(group.wait_empty(Duration::ZERO).unwrap());
        group.kill().unwrap();
        removal.run(Duration::ZERO).unwrap();
    }

    #[test]
    fn an_empty_leftover_is_replaced() {
        let Some((hierarchy, own, machine)) = scene("left") else { return };
        let old = own_group(&hierarchy, &own, &machine).unwrap();
        old.payload.create_child(OsStr::new("deeper")).unwrap();
        let new = own_group(&hierarchy, &own, &machine).unwrap();
        assert_eq!(new.removal, old.removal);
        assert!(new.payload.open_child(OsStr::new("deeper")).is_err());
        assert_eq!(new.payload.controllers().unwrap(), new.group.controllers().unwrap());
        new.removal.run(Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn a_unit_is_divided_once() {
        let Some((hierarchy, own, machine)) = scene("unit") else { return };
        let OwnGroup { group: unit, removal, .. } = own_group(&hierarchy, &own, &machine).unwrap();
        // As with DelegateSubgroup=supervisor: nothing of this process moves.
        let supervisor = unit.create_child(OsStr::new(SUPERVISOR)).unwrap();
        let split = split_unit(&hierarchy, supervisor.path(), &[]).unwrap();
        assert_eq!(split.unit.path(), unit.path());
        assert_eq!(split.payload.path(), unit.path().join(PAYLOAD));
        let again = split_unit(&hierarchy, supervisor.path(), &[]).unwrap();
        assert_eq!(again.payload.path(), split.payload.path());
        again.removal.run(Duration::ZERO).unwrap();
        assert!(unit.open_child(OsStr::new(PAYLOAD)).is_err());
        removal.run(Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn a_name_cannot_leave_its_group() {
        let Some((hierarchy, own, _)) = scene("name") else { return };
        let group = hierarchy.open(&own).unwrap();
        for bad in ["", ".", "..", "a/b"] {
            assert!(group.create_child(OsStr::new(bad)).is_err(), "{bad:?}");
        }
    }
}
