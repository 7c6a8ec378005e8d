// SPDX-License-Identifier: LGPL-2.1-or-later
//! Where the container's processes live: a scope, the caller's unit, or a control group of our own.

use super::Session;
use crate::bus::{
    self, Bus, ConnectError, DeviceAccess, KillPolicy, ScopeRequest, ScopeStart, properties::TypedProperty,
};
use crate::cgroup::devices::{Access, DevicePolicy};
use crate::cgroup::{self, Group, GroupRemoval, Hierarchy};
use crate::error::{Code, Diagnostic, Result};
use crate::exec::Cloned;
use crate::log::{self, MessageId};
use crate::model::{MachineName, StartMode};
use crate::plan::{Plan, Unit};
use crate::sys::small_file;
use crate::undo::{Occupied, PathRelease, Release, Ticket, Undo};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::Pid;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The one connection to the system bus, which releases use as well.
pub type SharedBus = Rc<RefCell<Option<Bus>>>;

/// Where init is cloned into, and what to read the figures from.
pub struct Place {
    /// The payload's group.
    pub payload: Option<Group>,
    /// The group above it, where controllers are enabled once it holds no process itself.
    pub above: Option<Group>,
    /// The hierarchy.
    pub hierarchy: Option<Hierarchy>,
    /// While it is open, a process of ours keeps systemd from removing the scope's group.
    pub occupied: Option<Occupied>,
    /// The scope, when there is one.
    pub scope: Option<String>,
    /// There is no device policy, so device nodes must not be made.
    pub no_device_policy: bool,
}

impl Place {
    const NOWHERE: Place =
        Place { payload: None, above: None, hierarchy: None, occupied: None, scope: None, no_device_policy: true };

    /// The outermost group of the container's own.
    pub fn group(&self) -> Option<&Group> {
        self.above.as_ref().or(self.payload.as_ref())
    }

    /// The payload's group as a descriptor.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.payload.as_ref().map(AsFd::as_fd)
    }
}

/// The place that can be made before any process exists: the caller's unit, or a group of our own.
pub fn make_now(session: &Session<'_>, undo: &mut Undo, releases: &mut Vec<Ticket>) -> Result<Place> {
    match &session.plan.unit {
        Unit::Keep => keep(session, undo, releases),
        _ => own(session, undo, releases),
    }
}

/// The scope, made around the process that was cloned.
pub fn scope(session: &Session<'_>, cloned: &mut Cloned, undo: &mut Undo, releases: &mut Vec<Ticket>) -> Result<Place> {
    match connect(&session.bus) {
        Ok(()) => in_scope(session, cloned, undo, releases),
        Err(ConnectError::NoBus(d)) if matches!(session.plan.unit, Unit::Scope { fallback: true, .. }) => {
            let why = d.headline();
            log::notice!(session.log, MessageId::NoManager, "{why}: the container runs without a scope");
            let place = own(session, undo, releases)?;
            match place.no_device_policy {
                // Init has been told already which capabilities it keeps.
                true => Err(d.help("say --scope=no to start without a scope and without device nodes")),
                false => Ok(place),
            }
        }
        Err(e) => Err(e.into()),
    }
}

/// Connects to the system bus once.
pub fn connect(bus: &SharedBus) -> std::result::Result<(), ConnectError> {
    let mut held = bus.borrow_mut();
    if held.is_none() {
        *held = Some(Bus::connect(bus::WAIT)?);
    }
    Ok(())
}

/// Gets rid of a scope that a killed supervisor has left.
pub fn forget_scope(bus: &SharedBus, unit: &str, machine: &MachineName) -> Result<()> {
    connect(bus)?;
    match bus.borrow_mut().as_mut() {
        Some(bus) => {
            bus.forget_scope(unit)?;
            // machined may not have noticed yet, and would refuse the name.
            crate::bus::unregister(Some(bus), machine.as_str())
        }
        None => Ok(()),
    }
}

fn in_scope(session: &Session<'_>, cloned: &mut Cloned, undo: &mut Undo, releases: &mut Vec<Ticket>) -> Result<Place> {
    let plan = session.plan;
    let Unit::Scope { name, slice, properties, devices, .. } = &plan.unit else { return Ok(Place::NOWHERE) };
    let extra: Vec<TypedProperty> = properties.iter().map(TypedProperty::parse).collect::<Result<_>>()?;
    let devices = device_access(devices);
    let description = format!("Container {}", plan.machine);
    let pid = Pid::from_raw(cloned.pid()).ok_or_else(|| Diagnostic::new(Code::Clone, "the stager has no pid"))?;
    let hierarchy = hierarchy(session)?;
    let group = hierarchy.mount_point.join(slice.group()).join(name);
    let home = hierarchy.open(&Hierarchy::own_path()?.unwrap_or_else(|| "/".into()))?;
    releases.push(undo.push(Release::EmptyScope { group, home: hold(&home)? }, "the scope's control group")?);
    let group = Path::new("/").join(slice.group()).join(name);
    let started = {
        let mut bus = session.bus.borrow_mut();
        let Some(bus) = bus.as_mut() else { return Ok(Place::NOWHERE) };
        let request = ScopeRequest {
            unit: name,
            description: &description,
            slice: slice.as_str(),
            kill: plan.process.kill_signal.map(|s| KillPolicy { signal: s.number() }),
            devices: &devices,
            coredump_receive: plan.process.mode == StartMode::Boot,
            extra: &extra,
            leader_pidfd: cloned.pidfd(),
            leader_pid: pid,
        };
        bus.start_scope(&request, &[cloned.report()])
    };
    let release = release_scope(session, name, hierarchy.clone(), group);
    match started {
        Ok(ScopeStart::Started) => releases.push(undo.push(release, format!("the unit {name}"))?),
        Ok(ScopeStart::Interrupted(_)) => {
            releases.push(undo.push(release, format!("the unit {name}"))?);
            return Err(cloned.failure(plan));
        }
        Err(d) => return Err(d),
    }
    let unit = hierarchy.open(&cgroup_of(cloned.pid())?)?;
    let payload = unit.ensure_child(OsStr::new(cgroup::PAYLOAD))?;
    delegate(session, &payload)?;
    let occupied = session.occupies.then(|| occupy(&hierarchy, &unit, undo)).flatten();
    Ok(Place {
        payload: Some(payload),
        above: Some(unit),
        occupied,
        hierarchy: Some(hierarchy),
        scope: Some(name.clone()),
        no_device_policy: false,
    })
}

/// A process beside the payload: else systemd would remove the group, and the figures of what was consumed, at the moment
/// of the payload's end. Without it some of them may not be told.
fn occupy(hierarchy: &Hierarchy, unit: &Group, undo: &Undo) -> Option<Occupied> {
    let beside = unit.ensure_child(OsStr::new(cgroup::SUPERVISOR)).ok()?;
    undo.keeper()?.occupy(&hierarchy.directory(beside.path())?).ok()
}

fn release_scope(session: &Session<'_>, name: &str, hierarchy: Hierarchy, group: PathBuf) -> Release {
    let (bus, unit) = (Rc::clone(&session.bus), name.to_string());
    Release::Call(Box::new(move || {
        let mut bus = bus.borrow_mut();
        let Some(bus) = bus.as_mut() else { return Ok(()) };
        let barren = bus.scope_may_be_barren(&unit);
        bus.stop_scope(&unit)?;
        // PID 1 would wait for its end until a time limit, and the name would be taken for as long.
        match barren.then(|| hierarchy.open(&group)) {
            Some(Ok(group)) => group.stir(),
            // Gone, as it should be.
            _ => Ok(()),
        }
    }))
}

fn device_access(devices: &[(PathBuf, &'static str)]) -> Vec<DeviceAccess> {
    // As systemd-nspawn allows beyond the standard pseudo devices.
    let usual = [("/dev/net/tun", "rwm"), ("char-pts", "rw"), ("/dev/fuse", "rwm")];
    let mut access: Vec<_> =
        usual.map(|(d, a)| DeviceAccess { device: d.into(), access: a.into() }).into_iter().collect();
    access.extend(
        devices
            .iter()
            .filter_map(|(path, words)| Some(DeviceAccess { device: path.to_str()?.into(), access: (*words).into() })),
    );
    access
}

fn hierarchy(session: &Session<'_>) -> Result<Hierarchy> {
    session.hierarchy.clone().ok_or_else(|| {
        Diagnostic::new(Code::CgroupFailed, "no cgroup2 hierarchy is mounted")
            .help("mount one: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
    })
}

/// The group of a process in the cgroup2 hierarchy (cgroups(7), `/proc/PID/cgroup`).
fn cgroup_of(pid: i32) -> Result<PathBuf> {
    let path = format!("/proc/{pid}/cgroup");
    let text = small_file::read(&path)
        .map_err(|e| Diagnostic::new(Code::CgroupFailed, format!("cannot read {path}")).io(&e))?;
    Hierarchy::own_path_in(&text)
        .ok_or_else(|| Diagnostic::new(Code::CgroupFailed, format!("{path} names no cgroup2 group")))
}

fn delegate(session: &Session<'_>, payload: &Group) -> Result<()> {
    match &session.range {
        Some(r) => payload.delegate(cgroup::Owner { uid: r.range.base, gid: r.range.base }),
        None => Ok(()),
    }
}

fn keep(session: &Session<'_>, undo: &mut Undo, releases: &mut Vec<Ticket>) -> Result<Place> {
    let hierarchy = hierarchy(session)?;
    let own = Hierarchy::own_path()?.unwrap_or_else(|| "/".into());
    let keeper = undo.keeper().and_then(|k| k.process_id()).and_then(|k| Pid::from_raw(k.pid));
    let split = cgroup::split_unit(&hierarchy, &own, keeper.as_slice())?;
    releases.push(undo.push(remove_group(&split.removal), "the payload's control group")?);
    releases.push(undo.push(kill_group(&split.payload)?, "the container's processes")?);
    delegate(session, &split.payload)?;
    // The unit's own device policy holds, as with systemd-nspawn.
    Ok(Place {
        payload: Some(split.payload),
        above: Some(split.unit),
        hierarchy: Some(hierarchy),
        occupied: None,
        scope: None,
        no_device_policy: false,
    })
}

fn remove_group(removal: &GroupRemoval) -> PathRelease {
    PathRelease::RemoveCgroup(removal.directory())
}

fn kill_group(group: &Group) -> Result<Release> {
    hold(group).map(Release::KillCgroup)
}

fn hold(group: &Group) -> Result<OwnedFd> {
    let held = group.as_fd().try_clone_to_owned();
    held.map_err(|e| Diagnostic::new(Code::CgroupFailed, "cannot hold on to a control group").io(&e))
}

/// A group of its own on whatever cgroup2 is mounted; without one, none.
fn own(session: &Session<'_>, undo: &mut Undo, releases: &mut Vec<Ticket>) -> Result<Place> {
    let Some(hierarchy) = session.hierarchy.clone() else {
        log::notice!(session.log, MessageId::Degraded, "no cgroup2 is mounted: the container gets no control group");
        return Ok(Place::NOWHERE);
    };
    let own = Hierarchy::own_path()?.unwrap_or_else(|| "/".into());
    let made = match cgroup::own_group(&hierarchy, &own, session.plan.machine.as_str()) {
        Ok(made) => made,
        Err(d) => {
            let why = d.headline();
            log::notice!(session.log, MessageId::Degraded, "{why}: the container gets no control group");
            return Ok(Place::NOWHERE);
        }
    };
    releases.push(undo.push(remove_group(&made.removal), "the container's control group")?);
    releases.push(undo.push(kill_group(&made.group)?, "the container's processes")?);
    delegate(session, &made.payload)?;
    let refused = policy(session.plan).attach(&made.group).err();
    if let Some(e) = refused {
        let why = crate::error::describe_errno(e.errno().raw_os_error());
        log::notice!(
            session.log,
            MessageId::Degraded,
            "no device policy ({why}): the container may not make device nodes"
        );
    }
    Ok(Place {
        payload: Some(made.payload),
        above: Some(made.group),
        hierarchy: Some(hierarchy),
        occupied: None,
        scope: None,
        no_device_policy: refused.is_some(),
    })
}

fn policy(plan: &Plan) -> DevicePolicy {
    let mut policy = DevicePolicy::usual();
    if let Unit::Own { devices } | Unit::Scope { devices, .. } = &plan.unit {
        for (path, words) in devices {
            if let Ok(stat) = rustix::fs::stat(path) {
                policy.allow_node(
                    stat.st_mode,
                    stat.st_rdev,
                    if words.contains('w') { Access::READ_WRITE } else { Access::READ },
                );
            }
        }
    }
    policy
}

/// Controllers are enabled once the group above the payload's holds no process itself.
pub fn enable_controllers(place: &Place) {
    if let Some(above) = &place.above {
        // Best effort, as each controller may be held back by the group above.
        let _refused = above.enable_controllers();
    }
}
