// SPDX-License-Identifier: LGPL-2.1-or-later
//! The kernel's own file systems in a container, and what of them is covered or read-only
//! (`src/nspawn/nspawn-mount.c` of systemd, `mount_all()`).

use super::Network;
use super::mounts::{
    CONVENIENCE, NO_CGROUPS, RO_RSD, RSD, SND, credentials_for_all, inside, late, optional, step, tmpfs,
};
use super::step::{Content, Missing, Source, Step};
use crate::config::Settings;
use crate::error::{Origin, Sourced};
use crate::model::ApiVfs;
use rustix::mount::MountAttrFlags as A;

/// Whether it sees parts of sysfs only: those of its own network, or whatever it may administer of the host's.
pub(super) fn shows_parts(s: &Settings, network: &Network) -> bool {
    network.is_own() || api_vfs(s) == ApiVfs::Network
}

fn api_vfs(s: &Settings) -> ApiVfs {
    s.api_vfs.as_ref().map_or(ApiVfs::No, |a| a.value)
}

/// Who asked for parts of `/sys` and `/proc` that can be written to.
fn api_origin(s: &Settings) -> Origin {
    s.api_vfs.as_ref().filter(|a| a.value != ApiVfs::No).map_or(Origin::Default, |a| a.origin.clone())
}

/// `$SYSTEMD_NSPAWN_USE_CGNS`
pub(super) fn cgroup_namespace(s: &Settings) -> bool {
    s.cgroup_namespace.as_ref().is_none_or(|on| on.value)
}

pub(super) fn api(s: &Settings, network: &Network) -> Vec<Step> {
    let shared = "mode=01777,size=10%,nr_inodes=400k";
    let mut steps = Vec::new();
    if s.tmpfs_tmp.as_ref().is_none_or(|t| t.value) {
        steps.push(tmpfs("/tmp", SND, shared, Content::Empty));
    }
    if !shows_parts(s, network) {
        steps.push(Step { origin: api_origin(s), ..step("/sys", Source::Sysfs, sysfs_attributes(s), Missing::Create) });
    }
    let nosuid = A::MOUNT_ATTR_NOSUID.union(A::MOUNT_ATTR_STRICTATIME);
    steps.push(tmpfs("/dev", nosuid, "mode=0755,size=4m,nr_inodes=64k", Content::Dev));
    steps.push(step("/dev/pts", Source::Devpts, A::MOUNT_ATTR_NOSUID.union(A::MOUNT_ATTR_NOEXEC), Missing::Create));
    steps.push(tmpfs("/dev/shm", SND, shared, Content::Empty));
    steps.push(tmpfs("/run", SND, "mode=0755,size=20%,nr_inodes=800k", Content::Run));
    steps.push(tmpfs("/run/host", RO_RSD, "mode=0755,size=4m,nr_inodes=1k", Content::RunHost));
    if !super::forward::credentials(s).is_empty() {
        let mode = if credentials_for_all(s) { "mode=0555" } else { "mode=0500" };
        steps.push(tmpfs("/run/host/credentials", RO_RSD, mode, Content::Credentials));
    }
    steps
}

/// Mounts of the container's own namespaces, and what covers parts of them.
pub(super) fn own(s: &Settings, network: &Network) -> Vec<Step> {
    let mut steps = vec![step("/proc", Source::Proc, RSD, Missing::Create)];
    if api_vfs(s) != ApiVfs::Yes {
        steps.extend(protected(s, network));
    }
    let boot_id = "/run/host/proc-sys-kernel-random-boot-id";
    steps.push(step("/proc/sys/kernel/random/boot_id", inside(boot_id, false), RO_RSD, Missing::Skip));
    steps.push(step("/proc/kmsg", inside("/run/host/proc-kmsg", false), RO_RSD, Missing::Skip));
    steps.push(optional(step("/dev/mqueue", Source::Mqueue, RSD, Missing::Create), CONVENIENCE));
    if shows_parts(s, network) {
        let parts = step("/sys", Source::SysfsParts, sysfs_attributes(s), Missing::Create);
        steps.push(Step { origin: if network.is_own() { Origin::Default } else { api_origin(s) }, ..parts });
    }
    let (cgroups, origin) = match &s.cgroup_namespace {
        Some(Sourced { value: false, origin }) => (Source::HostCgroup2, origin.clone()),
        _ => (Source::Cgroup2, Origin::Default),
    };
    steps.push(Step { origin, ..optional(step("/sys/fs/cgroup", cgroups, RSD, Missing::Skip), NO_CGROUPS) });
    steps.into_iter().map(late).collect()
}

fn sysfs_attributes(s: &Settings) -> A {
    if api_vfs(s) == ApiVfs::Yes { RSD } else { RO_RSD }
}

/// What of `/proc` cannot be changed, or be seen at all.
fn protected(s: &Settings, network: &Network) -> Vec<Step> {
    let mut steps = vec![step("/proc/sys", inside("/proc/sys", true), RO_RSD, Missing::Skip)];
    if network.private || api_vfs(s) == ApiVfs::Network {
        let net = step("/proc/sys/net", inside("/proc/sys/net", false), RSD, Missing::Skip);
        steps.push(Step { origin: if network.private { Origin::Default } else { api_origin(s) }, ..net });
    }
    for file in ["kallsyms", "kcore", "keys", "sysrq-trigger", "timer_list"] {
        steps.push(step(format!("/proc/{file}"), Source::Inaccessible, RO_RSD, Missing::Skip));
    }
    for dir in ["acpi", "apm", "asound", "bus", "fs", "irq", "scsi"] {
        let path = format!("/proc/{dir}");
        steps.push(step(path.clone(), inside(&path, false), RO_RSD, Missing::Skip));
    }
    steps
}
