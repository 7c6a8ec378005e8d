// SPDX-License-Identifier: LGPL-2.1-or-later
//! The steps of a plan: what is mounted and written, in order, and who asked for it.

use crate::error::Origin;
use crate::model::{BindIdmap, BindSource};
use rustix::mount::MountAttrFlags;
use serde::{Serialize, Serializer};
use std::path::PathBuf;

/// One step of the stager.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
    /// Who asked for it.
    pub origin: Origin,
    /// Why the start goes on without it when it fails; `None`: it does not go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optional: Option<&'static str>,
}

impl Step {
    /// Whether it mounts the POSIX message queues.
    pub fn is_mqueue(&self) -> bool {
        matches!(&self.action, Action::Mount(mount) if mount.source == Source::Mqueue)
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum Action {
    /// The tree becomes the root.
    MountTree {
        /// The directory on the host.
        #[serde(serialize_with = "crate::model::shown::path")]
        source: PathBuf,
        /// Recursively.
        read_only: bool,
        /// Through an idmapped mount.
        idmap: bool,
    },
    /// An overlay of the tree and a writable layer in memory becomes the root.
    MountOverlay {
        /// The directory on the host.
        #[serde(serialize_with = "crate::model::shown::path")]
        lower: PathBuf,
        /// The layer takes no changes either.
        read_only: bool,
        /// Through an idmapped mount.
        idmap: bool,
    },
    /// An empty root in memory with the directories and links that a system expects there (`--volatile=yes`).
    MountEmpty {
        /// The tree on the host whose `/usr` will be shown.
        #[serde(serialize_with = "crate::model::shown::path")]
        tree: PathBuf,
        /// Options of its tmpfs.
        options: String,
    },
    /// The new root replaces the host's; the host's is dropped.
    PivotRoot,
    /// Directories and links into `/usr` that a system has at its root are made where they are missing.
    CompleteRoot,
    /// A mount below the new root.
    Mount(MountStep),
    /// A file of the image is written.
    WriteFile {
        /// In the container.
        #[serde(serialize_with = "crate::model::shown::path")]
        path: PathBuf,
        /// Where the bytes come from.
        #[serde(serialize_with = "crate::model::shown::path")]
        source: PathBuf,
        /// What happens to what is there.
        how: WriteHow,
    },
    /// A file of the image is removed.
    RemoveFile {
        /// In the container.
        #[serde(serialize_with = "crate::model::shown::path")]
        path: PathBuf,
    },
    /// `/etc/localtime` is pointed at a zone that the image has.
    TimezoneLink {
        /// The zone ("Europe/Berlin").
        zone: String,
    },
}

/// What [`Action::WriteFile`] does to what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteHow {
    /// Truncates and writes a regular file; a symlink is left alone, and that is a failure.
    Truncate,
    /// Replaces whatever is there, atomically.
    Replace,
}

/// A mount below the new root.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MountStep {
    /// Where, absolute, in the container.
    #[serde(serialize_with = "crate::model::shown::path")]
    pub target: PathBuf,
    /// What.
    pub source: Source,
    /// Mount attributes.
    #[serde(serialize_with = "attributes")]
    pub attributes: MountAttrFlags,
    /// What happens when the target is missing.
    pub missing: Missing,
    /// True for what needs the container's own namespaces, so that init must exist.
    pub late: bool,
}

/// What happens when the target (or the source inside the container) of a mount is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// It is made: a directory, or a file for what is not one.
    Create,
    /// There is nothing to cover: the step is done.
    Skip,
    /// It is an error.
    Fail,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Source {
    /// A new tmpfs that belongs to the container's root.
    Tmpfs {
        /// Its options.
        options: String,
        /// What is put in before it is mounted.
        content: Content,
    },
    /// A new instance of devpts.
    Devpts,
    /// The container's procfs.
    Proc,
    /// sysfs of the host's network namespace.
    Sysfs,
    /// The parts of the container's own sysfs that a container may see, below a tmpfs.
    SysfsParts,
    /// The container's cgroup2 hierarchy.
    Cgroup2,
    /// The host's cgroup2 hierarchy, of which only the container's own group can be changed.
    HostCgroup2,
    /// The container's POSIX message queues.
    Mqueue,
    /// A file or directory of the host.
    Host {
        /// On the host.
        #[serde(serialize_with = "crate::model::shown::path")]
        path: PathBuf,
        /// With what is mounted below it.
        recursive: bool,
        /// The owners' map.
        idmap: BindIdmap,
    },
    /// The home of a user of the host.
    Home {
        /// On the host.
        #[serde(serialize_with = "crate::model::shown::path")]
        path: PathBuf,
        /// The user's and its group's id on the host.
        owner: (u32, u32),
        /// Both ids in the container.
        seen_as: u32,
    },
    /// A file or directory of the container itself.
    Inside {
        /// In the container.
        #[serde(serialize_with = "crate::model::shown::path")]
        path: PathBuf,
        /// With what is mounted below it.
        recursive: bool,
    },
    /// The `/usr` of the tree, with what is mounted below it.
    Usr {
        /// Through an idmapped mount.
        idmap: bool,
    },
    /// The whole tree, where `--pivot-root=` makes a directory of it the root.
    OldRoot {
        /// Recursively.
        read_only: bool,
        /// Through an idmapped mount.
        idmap: bool,
    },
    /// Directories on top of each other.
    Overlay {
        /// Those that are only read, the lowest first.
        lower: Vec<BindSource>,
        /// The uppermost, which takes the changes unless the overlay is read-only.
        upper: BindSource,
        /// Nothing is changed.
        read_only: bool,
        /// Whose the files of layers of the host are.
        owners: LayerOwners,
    },
    /// Something that this program makes on the host for the container's life.
    Shared {
        /// What.
        what: Shared,
    },
    /// A file or directory of the container covered by a node of mode 000 that fits its type.
    Inaccessible,
}

/// Whose the files are in layers of an overlay that come from the host. The overlay itself cannot be mapped, its layers
/// can. A layer that belongs to the container's range already is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerOwners {
    /// As they are on the host.
    Unmapped,
    /// Shifted, as in the tree.
    Mapped,
    /// The same, unless the layer's file system cannot be mapped.
    MappedIfPossible,
}

/// What host and container share for the container's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shared {
    /// Where machined hands mounts into the running container (`machinectl bind`).
    Incoming,
    /// Where the container puts sockets for the host (ssh-proxy of systemd).
    UnixExport,
    /// The host's directory for the container's journal, when `--link-journal=` finds one.
    Journal,
    /// Where journald of the container sends what it writes (`--forward-journal=`).
    JournalSocket,
}

impl Shared {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Shared::Incoming => "the directory for mounts from machined",
            Shared::UnixExport => "the directory for sockets that the host may use",
            Shared::Journal => "the host's directory for the container's journal",
            Shared::JournalSocket => "the socket for the container's journal",
        }
    }
}

/// What is put into a tmpfs before it is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Nothing.
    Empty,
    /// Device nodes and links.
    Dev,
    /// The mount point of `/run/host`.
    Run,
    /// What the host tells the container: os-release, container-manager, container-uuid, the notify socket, nodes of
    /// mode 000.
    RunHost,
    /// The credentials.
    Credentials,
}

fn attributes<S: Serializer>(flags: &MountAttrFlags, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&describe_attributes(*flags))
}

/// Attributes as mount(8) words: "ro,nosuid,nodev,noexec".
pub fn describe_attributes(flags: MountAttrFlags) -> String {
    const WORDS: [(MountAttrFlags, &str); 6] = [
        (MountAttrFlags::MOUNT_ATTR_RDONLY, "ro"),
        (MountAttrFlags::MOUNT_ATTR_NOSUID, "nosuid"),
        (MountAttrFlags::MOUNT_ATTR_NODEV, "nodev"),
        (MountAttrFlags::MOUNT_ATTR_NOEXEC, "noexec"),
        (MountAttrFlags::MOUNT_ATTR_STRICTATIME, "strictatime"),
        (MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow"),
    ];
    let words: Vec<_> = WORDS.iter().filter(|(f, _)| flags.contains(*f)).map(|(_, w)| *w).collect();
    if words.is_empty() { "rw".into() } else { words.join(",") }
}
