// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every mount of a container, in order: the API file systems, what was asked for, masks and read-only parts.
//!
//! The set is systemd-nspawn's (`src/nspawn/nspawn-mount.c`, `mount_all()`), the order is our own: everything but the
//! late steps is done before the container's namespaces exist.

use super::step::{Action, Content, Missing, MountStep, Shared, Source, Step, WriteHow};
use super::{Facts, Network, UserNamespace};
use crate::config::{Invocation, Settings};
use crate::error::{Origin, Sourced};
use crate::model::*;
use rustix::mount::MountAttrFlags as A;
use std::path::{Path, PathBuf};

const RSD: A = A::MOUNT_ATTR_NOSUID.union(A::MOUNT_ATTR_NODEV).union(A::MOUNT_ATTR_NOEXEC);
const RO_RSD: A = RSD.union(A::MOUNT_ATTR_RDONLY);
const SND: A = A::MOUNT_ATTR_NOSUID.union(A::MOUNT_ATTR_NODEV).union(A::MOUNT_ATTR_STRICTATIME);

const NO_CGROUPS: &str = "programs run without seeing control groups";
const NO_SELINUX: &str = "programs may ask for labels that nobody sets";
const CONVENIENCE: &str = "the container works without it";

fn step(target: impl Into<PathBuf>, source: Source, attributes: A, missing: Missing) -> Step {
    let mount = MountStep { target: target.into(), source, attributes, missing, late: false };
    Step { action: Action::Mount(mount), origin: Origin::Default, optional: None }
}

fn late(mut step: Step) -> Step {
    if let Action::Mount(m) = &mut step.action {
        m.late = true;
    }
    step
}

fn optional(mut step: Step, why: &'static str) -> Step {
    step.optional = Some(why);
    step
}

fn tmpfs(target: &str, attributes: A, options: &str, content: Content) -> Step {
    step(target, Source::Tmpfs { options: options.into(), content }, attributes, Missing::Create)
}

fn inside(path: &str, recursive: bool) -> Source {
    Source::Inside { path: path.into(), recursive }
}

/// All steps of the stager.
pub fn steps(s: &Settings, f: &Facts, user: &UserNamespace, network: &Network) -> Vec<Step> {
    let mut steps = root(s, f, user);
    steps.extend(api(s, network));
    let (early, late_selinux) = if network.is_own() { (None, selinux(f)) } else { (selinux(f), None) };
    steps.extend(early);
    steps.extend(shared(s, f, user));
    let (below_proc, elsewhere): (Vec<_>, Vec<_>) = custom(s).into_iter().partition(|s| below(s, "/proc"));
    steps.extend(elsewhere);
    steps.extend(files(s, f, network));
    steps.extend(own(network));
    steps.extend(late_selinux.map(late));
    steps.extend(below_proc.into_iter().map(late));
    steps
}

fn below(step: &Step, dir: &str) -> bool {
    matches!(&step.action, Action::Mount(m) if m.target.starts_with(dir))
}

fn root(s: &Settings, f: &Facts, user: &UserNamespace) -> Vec<Step> {
    let origin = tree_origin(s);
    let idmap = matches!(user, UserNamespace::Fixed { idmap: true, .. } | UserNamespace::Pick { idmap: true, .. });
    let source = f.tree.path.clone();
    let action = if said(&s.ephemeral) {
        Action::MountOverlay { lower: source, idmap }
    } else {
        Action::MountTree { source, read_only: said(&s.read_only), idmap }
    };
    vec![
        Step { action, origin, optional: None },
        Step { action: Action::PivotRoot, origin: Origin::Default, optional: None },
    ]
}

/// Who chose the tree.
pub fn tree_origin(s: &Settings) -> Origin {
    let directory = s.directory.as_ref().map(|d| d.origin.clone());
    directory.or_else(|| s.machine.as_ref().map(|m| m.origin.clone())).unwrap_or(Origin::Default)
}

fn said(flag: &Option<Sourced<bool>>) -> bool {
    flag.as_ref().is_some_and(|f| f.value)
}

fn api(s: &Settings, network: &Network) -> Vec<Step> {
    let shared = "mode=01777,size=10%,nr_inodes=400k";
    let mut steps = Vec::new();
    if s.tmpfs_tmp.as_ref().is_none_or(|t| t.value) {
        steps.push(tmpfs("/tmp", SND, shared, Content::Empty));
    }
    if !network.is_own() {
        steps.push(step("/sys", Source::Sysfs, RO_RSD, Missing::Create));
    }
    let nosuid = A::MOUNT_ATTR_NOSUID.union(A::MOUNT_ATTR_STRICTATIME);
    steps.push(tmpfs("/dev", nosuid, "mode=0755,size=4m,nr_inodes=64k", Content::Dev));
    steps.push(step("/dev/pts", Source::Devpts, A::MOUNT_ATTR_NOSUID.union(A::MOUNT_ATTR_NOEXEC), Missing::Create));
    steps.push(tmpfs("/dev/shm", SND, shared, Content::Empty));
    steps.push(tmpfs("/run", SND, "mode=0755,size=20%,nr_inodes=800k", Content::Run));
    steps.push(tmpfs("/run/host", RO_RSD, "mode=0755,size=4m,nr_inodes=1k", Content::RunHost));
    if !s.credentials.is_empty() {
        let mode = if credentials_for_all(s) { "mode=0555" } else { "mode=0500" };
        steps.push(tmpfs("/run/host/credentials", RO_RSD, mode, Content::Credentials));
    }
    steps
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
    steps
}

/// A single program of another user than root reads its credentials, where nothing in the container can gain powers by
/// which others of its users would be kept from them (systemd-nspawn(1), `--set-credential=`).
fn credentials_for_all(s: &Settings) -> bool {
    let single = s.start_mode.as_ref().is_none_or(|m| m.value == StartMode::Pid1);
    let other = s.user.as_ref().is_some_and(|u| !matches!(u.value.as_str(), "root" | "0"));
    single && other && said(&s.no_new_privileges)
}

/// Mounts of the container's own namespaces, and what covers parts of them.
fn own(network: &Network) -> Vec<Step> {
    let mut steps = vec![
        step("/proc", Source::Proc, RSD, Missing::Create),
        step("/proc/sys", inside("/proc/sys", true), RO_RSD, Missing::Skip),
    ];
    if network.private {
        steps.push(step("/proc/sys/net", inside("/proc/sys/net", false), RSD, Missing::Skip));
    }
    for file in ["kallsyms", "kcore", "keys", "sysrq-trigger", "timer_list"] {
        steps.push(step(format!("/proc/{file}"), Source::Inaccessible, RO_RSD, Missing::Skip));
    }
    for dir in ["acpi", "apm", "asound", "bus", "fs", "irq", "scsi"] {
        let path = format!("/proc/{dir}");
        steps.push(step(path.clone(), inside(&path, false), RO_RSD, Missing::Skip));
    }
    let boot_id = "/run/host/proc-sys-kernel-random-boot-id";
    steps.push(step("/proc/sys/kernel/random/boot_id", inside(boot_id, false), RO_RSD, Missing::Skip));
    steps.push(step("/proc/kmsg", inside("/run/host/proc-kmsg", false), RO_RSD, Missing::Skip));
    steps.push(optional(step("/dev/mqueue", Source::Mqueue, RSD, Missing::Create), CONVENIENCE));
    if network.is_own() {
        steps.push(step("/sys", Source::SysfsParts, RO_RSD, Missing::Create));
    }
    steps.push(optional(step("/sys/fs/cgroup", Source::Cgroup2, RSD, Missing::Skip), NO_CGROUPS));
    steps.into_iter().map(late).collect()
}

/// What was asked for, parents first.
fn custom(s: &Settings) -> Vec<Step> {
    let mut steps: Vec<Step> = s.mounts.iter().map(|m| one(&m.value, &m.origin)).collect();
    steps.sort_by(|a, b| target(a).cmp(target(b)));
    steps
}

fn target(step: &Step) -> &Path {
    match &step.action {
        Action::Mount(m) => &m.target,
        _ => Path::new("/"),
    }
}

fn one(mount: &CustomMount, origin: &Origin) -> Step {
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
            let source = Source::Tmpfs { options: t.options.clone(), content: Content::Empty };
            step(&t.target, source, A::MOUNT_ATTR_NODEV | A::MOUNT_ATTR_STRICTATIME, Missing::Create)
        }
        // Overlays are refused before this point.
        CustomMount::Overlay(o) => step(&o.target, inside("/", false), A::empty(), Missing::Fail),
        CustomMount::Inaccessible(path) => step(path, Source::Inaccessible, RO_RSD, Missing::Fail),
    };
    made.origin = origin.clone();
    made
}

/// resolv.conf and localtime.
fn files(s: &Settings, f: &Facts, network: &Network) -> Vec<Step> {
    let mut steps = Vec::new();
    let etc_writable = (!said(&s.read_only) && !f.tree.read_only) || said(&s.ephemeral);
    let (mode, origin) = sourced(&s.resolv_conf, ResolvConf::Auto);
    let host = |path: &str, how| Some((PathBuf::from(path), how));
    let copied = match mode {
        ResolvConf::Auto if !network.resolves_as_host(s.invocation) => None,
        ResolvConf::Auto => f.host.resolv_conf.clone().map(|p| (p, WriteHow::Truncate)),
        ResolvConf::CopyHost => host("/etc/resolv.conf", WriteHow::Truncate),
        ResolvConf::CopyStatic => host("/usr/lib/systemd/resolv.conf", WriteHow::Truncate),
        ResolvConf::CopyUplink => host("/run/systemd/resolve/resolv.conf", WriteHow::Truncate),
        ResolvConf::CopyStub => host("/run/systemd/resolve/stub-resolv.conf", WriteHow::Truncate),
        _ => None,
    };
    if let Some((source, how)) = copied {
        let made = file_step("/etc/resolv.conf", source, how, etc_writable);
        steps.push(Step { origin, ..optional(made, CONVENIENCE) });
    }
    let (mode, origin) = sourced(&s.timezone, Timezone::Auto);
    let zone = f.host.zone.clone().filter(|_| mode == Timezone::Auto && etc_writable);
    if let Some(zone) = zone {
        let action = Action::TimezoneLink { zone };
        steps.push(Step { action, origin, optional: Some(CONVENIENCE) });
    } else if mode != Timezone::Off && f.host.localtime {
        let made = file_step("/etc/localtime", "/etc/localtime".into(), WriteHow::Replace, etc_writable);
        steps.push(Step { origin, ..optional(made, CONVENIENCE) });
    }
    steps
}

fn file_step(path: &str, source: PathBuf, how: WriteHow, writable: bool) -> Step {
    if writable {
        let action = Action::WriteFile { path: path.into(), source, how };
        return Step { action, origin: Origin::Default, optional: None };
    }
    let source = Source::Host { path: source, recursive: false, idmap: BindIdmap::None };
    step(path, source, A::MOUNT_ATTR_RDONLY | A::MOUNT_ATTR_NOSUID | A::MOUNT_ATTR_NODEV, Missing::Fail)
}

fn sourced<T: Copy>(said: &Option<Sourced<T>>, default: T) -> (T, Origin) {
    said.as_ref().map_or((default, Origin::Default), |s| (s.value, s.origin.clone()))
}
