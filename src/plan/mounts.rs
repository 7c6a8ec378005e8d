// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every mount of a container, in order: the API file systems, what was asked for, masks and read-only parts.
//!
//! The set is systemd-nspawn's (`src/nspawn/nspawn-mount.c`, `mount_all()`), the order is our own: everything but the
//! late steps is done before the container's namespaces exist.

use super::api_mounts::{api, own, shows_parts};
use super::step::{Action, Content, LayerOwners, Missing, MountStep, Shared, Source, Step, WriteHow};
use super::{Facts, Network, UserNamespace, mount_options};
use crate::config::{Invocation, Settings};
use crate::error::{Origin, Sourced};
use crate::model::*;
use crate::userdb::BoundUser;
use rustix::mount::MountAttrFlags as A;
use std::path::{Path, PathBuf};

pub(super) const RSD: A = A::MOUNT_ATTR_NOSUID.union(A::MOUNT_ATTR_NODEV).union(A::MOUNT_ATTR_NOEXEC);
pub(super) const RO_RSD: A = RSD.union(A::MOUNT_ATTR_RDONLY);
pub(super) const SND: A = A::MOUNT_ATTR_NOSUID.union(A::MOUNT_ATTR_NODEV).union(A::MOUNT_ATTR_STRICTATIME);

/// As systemd-nspawn limits what a volatile system may keep in memory (systemd `src/shared/mount-setup.h`,
/// `TMPFS_LIMITS_VAR`).
const VOLATILE: &str = "mode=0755,size=25%,nr_inodes=1m";

pub(super) const NO_CGROUPS: &str = "programs run without seeing control groups";
const INCOMPLETE: &str = "programs may be found without it";
const NO_SELINUX: &str = "programs may ask for labels that nobody sets";
pub(super) const CONVENIENCE: &str = "the container works without it";

pub(super) fn step(target: impl Into<PathBuf>, source: Source, attributes: A, missing: Missing) -> Step {
    let mount = MountStep { target: target.into(), source, attributes, missing, late: false };
    Step { action: Action::Mount(mount), origin: Origin::Default, optional: None }
}

pub(super) fn late(mut step: Step) -> Step {
    if let Action::Mount(m) = &mut step.action {
        m.late = true;
    }
    step
}

pub(super) fn optional(mut step: Step, why: &'static str) -> Step {
    step.optional = Some(why);
    step
}

pub(super) fn tmpfs(target: &str, attributes: A, options: &str, content: Content) -> Step {
    step(target, Source::Tmpfs { options: options.into(), content }, attributes, Missing::Create)
}

pub(super) fn inside(path: &str, recursive: bool) -> Source {
    Source::Inside { path: path.into(), recursive }
}

/// All steps of the stager.
pub fn steps(s: &Settings, f: &Facts, user: &UserNamespace, network: &Network, users: &[BoundUser]) -> Vec<Step> {
    let mut steps = root(s, f, user);
    steps.extend(api(s, network));
    let (early, late_selinux) = if shows_parts(s, network) { (None, selinux(f)) } else { (selinux(f), None) };
    steps.extend(early);
    steps.extend(shared(s, f, user));
    let (below_proc, elsewhere): (Vec<_>, Vec<_>) = custom(s, user, users).into_iter().partition(|s| below(s, "/proc"));
    steps.extend(elsewhere);
    steps.extend(files(s, f, network));
    // Message queues of the host are not shown to a user namespace, whose they are not.
    let hidden = user.is_some() && s.share_ipc.as_ref().is_some_and(|share| share.value);
    steps.extend(own(s, network).into_iter().filter(|step| !(hidden && step.is_mqueue())));
    steps.extend(late_selinux.map(late));
    steps.extend(below_proc.into_iter().map(late));
    steps
}

fn below(step: &Step, dir: &str) -> bool {
    matches!(&step.action, Action::Mount(m) if m.target.starts_with(dir))
}

fn root(s: &Settings, f: &Facts, user: &UserNamespace) -> Vec<Step> {
    let origin = tree_origin(s);
    let idmap = user.idmapped();
    let mut source = f.tree.path.clone();
    if let Some(pivot) = &s.pivot_root {
        source.extend(pivot.value.new.strip_prefix("/"));
    }
    let asked = s.volatile.as_ref().map_or(Origin::Default, |v| v.origin.clone());
    let by_volatile = |mut step: Step| {
        step.origin = asked.clone();
        step
    };
    let mut own = Vec::new();
    let (action, origin) = match volatile(s) {
        Volatile::Yes => {
            own.push(by_volatile(step("/usr", Source::Usr { idmap }, A::MOUNT_ATTR_RDONLY, Missing::Create)));
            (Action::MountEmpty { tree: source, options: VOLATILE.into() }, asked.clone())
        }
        Volatile::State => {
            own.push(by_volatile(tmpfs("/var", A::MOUNT_ATTR_STRICTATIME, VOLATILE, Content::Empty)));
            (Action::MountTree { source, read_only: true, idmap }, origin)
        }
        Volatile::Overlay => (Action::MountOverlay { lower: source, read_only: false, idmap }, asked.clone()),
        Volatile::No if said(&s.ephemeral) => {
            (Action::MountOverlay { lower: source, read_only: said(&s.read_only), idmap }, origin)
        }
        Volatile::No => (Action::MountTree { source, read_only: said(&s.read_only), idmap }, origin),
    };
    let mut steps = vec![
        Step { action, origin, optional: None },
        Step { action: Action::PivotRoot, origin: Origin::Default, optional: None },
    ];
    steps.extend(own);
    steps.push(Step { action: Action::CompleteRoot, origin: Origin::Default, optional: Some(INCOMPLETE) });
    if let Some(Sourced { value: PivotRoot { old: Some(old), .. }, origin }) = &s.pivot_root {
        let whole = Source::OldRoot { read_only: tree_is_kept(s), idmap };
        steps.push(Step { origin: origin.clone(), ..step(old, whole, A::empty(), Missing::Fail) });
    }
    steps
}

/// `--volatile=`
pub fn volatile(s: &Settings) -> Volatile {
    s.volatile.as_ref().map_or(Volatile::No, |v| v.value)
}

/// `-x --template=` without a directory: a throw-away copy of the template itself.
pub fn template_is_tree(s: &Settings) -> bool {
    s.template.is_some() && s.directory.is_none() && said(&s.ephemeral)
}

/// Whether nothing is written to the tree itself.
pub fn tree_is_kept(s: &Settings) -> bool {
    said(&s.read_only) || said(&s.ephemeral) || volatile(s) != Volatile::No
}

/// Who chose the tree.
pub fn tree_origin(s: &Settings) -> Origin {
    let directory = s.directory.as_ref().map(|d| d.origin.clone());
    directory.or_else(|| s.machine.as_ref().map(|m| m.origin.clone())).unwrap_or(Origin::Default)
}

fn said(flag: &Option<Sourced<bool>>) -> bool {
    flag.as_ref().is_some_and(|f| f.value)
}

/// Where the host's SELinux is in force programs in the container are to see so, and that they cannot change it: they
/// take a selinuxfs that is read-only for SELinux being off (selinux(8), `is_selinux_enabled(3)`).
fn selinux(f: &Facts) -> Option<Step> {
    let path = "/sys/fs/selinux";
    let source = Source::Host { path: path.into(), recursive: false, idmap: BindIdmap::None };
    f.host.selinux.then(|| optional(step(path, source, RO_RSD, Missing::Create), NO_SELINUX))
}

/// What host and container share while it runs. A tree that is thrown away has no journal that lasts.
fn shared(s: &Settings, f: &Facts, user: &UserNamespace) -> Vec<Step> {
    let make = |target: &str, what, attributes| {
        optional(step(target, Source::Shared { what }, attributes, Missing::Create), CONVENIENCE)
    };
    let mut steps = Vec::new();
    // systemd-nspawn makes both for every container; under our own name they are there for whom they are of use.
    let compatible = s.invocation == Invocation::SystemdNspawn;
    if f.systemd && (compatible || s.register.as_ref().is_none_or(|r| r.value != Register::No)) {
        // machined refuses to bind into a user namespace.
        if !user.is_some() {
            steps.push(make("/run/host/incoming", Shared::Incoming, A::MOUNT_ATTR_RDONLY));
        }
        if compatible || s.start_mode.as_ref().is_some_and(|m| m.value == StartMode::Boot) {
            steps.push(make("/run/host/unix-export", Shared::UnixExport, RSD | A::MOUNT_ATTR_NOSYMFOLLOW));
        }
    }
    if s.link_journal.as_ref().is_none_or(|l| l.value != LinkJournal::No) && !said(&s.ephemeral) {
        steps.push(make("/var/log/journal", Shared::Journal, RSD));
    }
    if let Some(forward) = &s.forward_journal {
        let socket = Source::Shared { what: Shared::JournalSocket };
        let attributes = RO_RSD.difference(A::MOUNT_ATTR_NOEXEC);
        let made = step(super::forward::SOCKET, socket, attributes, Missing::Fail);
        steps.push(Step { origin: forward.origin.clone(), ..made });
    }
    steps
}

/// A single program of another user than root reads its credentials, where nothing in the container can gain powers by
/// which others of its users would be kept from them (systemd-nspawn(1), `--set-credential=`). Below a stub as well under
/// our own name: the stub has no powers that its program lacks.
pub(super) fn credentials_for_all(s: &Settings) -> bool {
    let single = s.start_mode.as_ref().is_none_or(|m| match m.value {
        StartMode::Pid1 => true,
        StartMode::Pid2 => s.invocation == Invocation::Spawn,
        StartMode::Boot => false,
    });
    let other = s.user.as_ref().is_some_and(|u| !matches!(u.value.as_str(), "root" | "0"));
    single && other && said(&s.no_new_privileges)
}

/// What those who gave credentials to another user than root should hear, where they stay root's.
pub(super) fn unreadable_credentials(s: &Settings) -> Option<String> {
    let user = s.user.as_ref().filter(|u| !matches!(u.value.as_str(), "root" | "0"))?;
    let own = s.invocation == Invocation::Spawn && !s.credentials.is_empty() && !credentials_for_all(s);
    let booted = s.start_mode.as_ref().is_some_and(|m| m.value == StartMode::Boot);
    let way = if booted { "" } else { "; with --no-new-privileges=yes it can" };
    own.then(|| format!("the user {} cannot read the credentials, which are for root{way}", user.value))
}

/// What was asked for, parents first.
fn custom(s: &Settings, user: &UserNamespace, users: &[BoundUser]) -> Vec<Step> {
    let owners = match (user.idmapped(), s.invocation) {
        (false, _) => LayerOwners::Unmapped,
        (true, Invocation::Spawn) => LayerOwners::Mapped,
        (true, Invocation::SystemdNspawn) => LayerOwners::MappedIfPossible,
    };
    let mut steps: Vec<Step> = s.mounts.iter().map(|m| one(&m.value, &m.origin, owners)).collect();
    steps.extend(users.iter().map(home));
    steps.sort_by(|a, b| target(a).cmp(target(b)));
    steps
}

/// The home of a user of the host.
fn home(user: &BoundUser) -> Step {
    let source = Source::Home { path: user.home.clone(), owner: user.host, seen_as: user.id };
    Step { origin: user.origin.clone(), ..step(user.home_inside(), source, A::empty(), Missing::Fail) }
}

fn target(step: &Step) -> &Path {
    match &step.action {
        Action::Mount(m) => &m.target,
        _ => Path::new("/"),
    }
}

fn one(mount: &CustomMount, origin: &Origin, owners: LayerOwners) -> Step {
    let mut made = match mount {
        CustomMount::Bind(b) => {
            let source = match &b.source {
                BindSource::Host(path) => Source::Host { path: path.clone(), recursive: b.recursive, idmap: b.idmap },
                BindSource::Image(path) => Source::Inside { path: path.clone(), recursive: b.recursive },
                BindSource::Temporary => Source::Tmpfs { options: "mode=0755".into(), content: Content::Empty },
            };
            let attributes = if b.read_only { A::MOUNT_ATTR_RDONLY } else { A::empty() };
            step(&b.target, source, attributes, Missing::Create)
        }
        CustomMount::Tmpfs(t) => {
            let base = A::MOUNT_ATTR_NODEV | A::MOUNT_ATTR_STRICTATIME;
            let (attributes, options) = mount_options::split(&t.options, base);
            step(&t.target, Source::Tmpfs { options, content: Content::Empty }, attributes, Missing::Create)
        }
        CustomMount::Overlay(o) => {
            let (lower, upper, read_only) = (o.lower.clone(), o.upper.clone(), o.read_only);
            let attributes = if read_only { A::MOUNT_ATTR_RDONLY } else { A::empty() };
            step(&o.target, Source::Overlay { lower, upper, read_only, owners }, attributes, Missing::Create)
        }
        CustomMount::Inaccessible(path) => step(path, Source::Inaccessible, RO_RSD, Missing::Fail),
    };
    made.origin = origin.clone();
    made
}

/// resolv.conf and localtime.
fn files(s: &Settings, f: &Facts, network: &Network) -> Vec<Step> {
    let mut steps = Vec::new();
    let etc_writable = match volatile(s) {
        Volatile::Yes | Volatile::Overlay => true,
        Volatile::State => false,
        Volatile::No => !said(&s.read_only) && (!f.tree.read_only || said(&s.ephemeral)),
    };
    let etc = if etc_writable { Etc::Writable } else { Etc::ReadOnly };
    let (mode, origin) = sourced(&s.resolv_conf, ResolvConf::Auto);
    let made = resolv_conf(mode, f, network.resolves_as_host(s.invocation), etc);
    steps.extend(made.map(|made| Step { origin, ..optional(made, CONVENIENCE) }));
    let (mode, origin) = sourced(&s.timezone, Timezone::Auto);
    steps.extend(localtime(mode, f, etc).map(|made| Step { origin, ..optional(made, CONVENIENCE) }));
    steps
}

/// Whether `/etc` of the container can be written to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Etc {
    Writable,
    ReadOnly,
}

fn resolv_conf(mode: ResolvConf, f: &Facts, as_host: bool, etc: Etc) -> Option<Step> {
    use ResolvConf::*;
    const AT: &str = "/etc/resolv.conf";
    let source = match mode {
        Off => return None,
        Delete => return Some(remove(AT)),
        Auto if !as_host => return None,
        Auto => match f.host.resolv_conf.clone() {
            Some(path) => path,
            None => return (etc == Etc::Writable).then(|| remove(AT)),
        },
        CopyHost | ReplaceHost | BindHost => "/etc/resolv.conf".into(),
        CopyStatic | ReplaceStatic | BindStatic => "/usr/lib/systemd/resolv.conf".into(),
        CopyUplink | ReplaceUplink | BindUplink => "/run/systemd/resolve/resolv.conf".into(),
        CopyStub | ReplaceStub | BindStub => "/run/systemd/resolve/stub-resolv.conf".into(),
    };
    Some(match mode {
        BindHost | BindStatic | BindUplink | BindStub => bind_file(AT, source, etc),
        ReplaceHost | ReplaceStatic | ReplaceUplink | ReplaceStub => file_step(AT, source, WriteHow::Replace, etc),
        _ => file_step(AT, source, WriteHow::Truncate, etc),
    })
}

fn localtime(mode: Timezone, f: &Facts, etc: Etc) -> Option<Step> {
    const AT: &str = "/etc/localtime";
    let zone = f.host.zone.clone().filter(|_| etc == Etc::Writable);
    let link = |zone| Step { action: Action::TimezoneLink { zone }, origin: Origin::Default, optional: None };
    match (mode, zone) {
        (Timezone::Off, _) => None,
        (Timezone::Delete, _) => Some(remove(AT)),
        (Timezone::Auto, _) if !f.host.localtime => (etc == Etc::Writable).then(|| remove(AT)),
        (_, _) if !f.host.localtime => None,
        (Timezone::Auto | Timezone::Symlink, Some(zone)) => Some(link(zone)),
        (Timezone::Bind | Timezone::Symlink, _) => Some(bind_file(AT, AT.into(), etc)),
        (Timezone::Auto | Timezone::Copy, _) => Some(file_step(AT, AT.into(), WriteHow::Replace, etc)),
    }
}

fn remove(path: &str) -> Step {
    Step { action: Action::RemoveFile { path: path.into() }, origin: Origin::Default, optional: None }
}

/// A file of the host written into the image, or mounted where that cannot be.
fn file_step(path: &str, source: PathBuf, how: WriteHow, etc: Etc) -> Step {
    if etc == Etc::ReadOnly {
        return bind_file(path, source, etc);
    }
    let action = Action::WriteFile { path: path.into(), source, how };
    Step { action, origin: Origin::Default, optional: None }
}

fn bind_file(path: &str, source: PathBuf, etc: Etc) -> Step {
    let source = Source::Host { path: source, recursive: false, idmap: BindIdmap::None };
    let missing = if etc == Etc::Writable { Missing::Create } else { Missing::Fail };
    step(path, source, A::MOUNT_ATTR_RDONLY | A::MOUNT_ATTR_NOSUID | A::MOUNT_ATTR_NODEV, missing)
}

fn sourced<T: Copy>(said: &Option<Sourced<T>>, default: T) -> (T, Origin) {
    said.as_ref().map_or((default, Origin::Default), |s| (s.value, s.origin.clone()))
}
