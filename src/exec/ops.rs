// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the children are handed: prepared data only, so that nothing is allocated, looked up or formatted after `clone`.

use super::overlay::Overlay;
use rustix::fd::{OwnedFd, RawFd};
use rustix::mount::MountAttrFlags;
use std::ffi::{CStr, CString};

/// One instruction of the stager.
pub struct Op {
    /// Index of the plan's step that it belongs to.
    pub step: u16,
    /// A failure is reported and skipped.
    pub optional: bool,
    /// What is done.
    pub kind: OpKind,
}

/// What happens when the target of a mount is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// A directory is made.
    Dir,
    /// An empty file is made.
    File,
    /// There is nothing to do.
    Skip,
    /// It is an error.
    Never,
}

/// A new file system of the container's own namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnFs {
    /// procfs: made by a helper inside the new PID namespace.
    Proc,
    /// sysfs of the new network namespace.
    Sysfs,
    /// cgroup2 of the new cgroup namespace.
    Cgroup2,
    /// mqueue of the new IPC namespace.
    Mqueue,
}

impl OwnFs {
    /// The kernel's name of the file system.
    pub fn name(self) -> &'static CStr {
        match self {
            OwnFs::Proc => c"proc",
            OwnFs::Sysfs => c"sysfs",
            OwnFs::Cgroup2 => c"cgroup2",
            OwnFs::Mqueue => c"mqueue",
        }
    }
}

/// A link at the root of a system.
pub struct BaseLink {
    /// Its name.
    pub name: CString,
    /// Where it leads.
    pub text: CString,
    /// What must be there for it to be made.
    pub must_exist: CString,
}

/// What an instruction does. Descriptors are numbers: the table of descriptors is copied by `clone`.
pub enum OpKind {
    /// Attaches the new root at a directory of the host (seen in the stager's mount namespace only).
    AttachRoot {
        /// A detached mount.
        mount: RawFd,
        /// A directory of the host.
        at: CString,
    },
    /// Makes an overlay the new root.
    AttachOverlay {
        /// The detached, possibly idmapped tree.
        lower: RawFd,
        /// A detached tmpfs with directories `lower`, `upper`, `work` and `root`.
        scratch: RawFd,
        /// A directory of the host.
        at: CString,
        /// `lower`, `upper`, `work`, `root` below `at`.
        parts: [CString; 4],
        /// Of the new root.
        attributes: MountAttrFlags,
    },
    /// pivot_root(2) and dropping the old root.
    Pivot,
    /// Attaches a detached mount.
    Attach {
        /// The mount.
        mount: RawFd,
        /// Where.
        target: CString,
        /// When it is missing.
        create: Create,
    },
    /// Clones a mount from inside the container and attaches it.
    CloneInside {
        /// From.
        source: CString,
        /// With what is below.
        recursive: bool,
        /// Attributes to set and to clear.
        set: MountAttrFlags,
        /// Attributes to clear.
        clear: MountAttrFlags,
        /// To.
        target: CString,
        /// When it is missing; [`Create::Dir`] stands for what fits the source.
        create: Create,
    },
    /// Mounts directories on top of each other.
    Overlay(Overlay),
    /// Covers a file or directory with the node of mode 000 of its type.
    Cover {
        /// What is covered.
        target: CString,
        /// [`Create::Skip`] or [`Create::Never`].
        create: Create,
        /// The file system that holds the nodes.
        run_host: RawFd,
    },
    /// Mounts a file system of the container's own namespaces.
    Own {
        /// Which.
        fs: OwnFs,
        /// Attributes.
        attributes: MountAttrFlags,
        /// Where.
        target: CString,
        /// When it is missing.
        create: Create,
    },
    /// Mounts the host's cgroup2 hierarchy, of which only the container's own group can be changed.
    HostCgroups {
        /// Attributes.
        attributes: MountAttrFlags,
        /// Where.
        target: CString,
        /// When it is missing.
        create: Create,
    },
    /// Lazily unmounts what is at the path.
    Unmount(CString),
    /// Sets attributes of the mount at the path.
    SetAttributes(CString, MountAttrFlags),
    /// Writes a file of the image.
    WriteFile {
        /// The directory.
        dir: CString,
        /// The file's name in it.
        name: CString,
        /// A name in the same directory that nobody uses.
        temporary: CString,
        /// What is written.
        bytes: Vec<u8>,
        /// Replaced atomically instead of truncated.
        replace: bool,
    },
    /// Removes a file of the image; one that is not there is no failure.
    RemoveFile {
        /// The directory.
        dir: CString,
        /// The file's name in it.
        name: CString,
    },
    /// Replaces a name by a symlink when the link leads to something, else covers it with a file of the host, and where
    /// there is nothing that can be covered, a link that leads nowhere say, replaces it by a copy.
    Link {
        /// The directory.
        dir: CString,
        /// The name.
        name: CString,
        /// A name in the same directory that nobody uses.
        temporary: CString,
        /// What it points at.
        text: CString,
        /// The path that must exist for that.
        must_exist: CString,
        /// The whole path.
        path: CString,
        /// A detached mount, attached at the path where it does not.
        otherwise: RawFd,
        /// What is in that file.
        bytes: Vec<u8>,
    },
    /// Makes what is missing of these at the root; where it cannot be written to, nothing.
    CompleteRoot {
        /// Directories with their modes.
        directories: Vec<(CString, u32)>,
        /// Links with their text, each if what it leads to is there.
        links: Vec<BaseLink>,
    },
    /// Brings the loopback interface of the new network namespace up.
    LoopbackUp,
    /// Writes a setting of the new namespaces.
    WriteSysctl {
        /// Below `/proc/sys`.
        path: CString,
        /// What is written.
        text: CString,
    },
}

/// The stager's program.
pub struct Stager {
    /// Before the container's namespaces exist.
    pub early: Vec<Op>,
    /// With the container's namespaces, while init waits.
    pub late: Vec<Op>,
    /// Namespaces that init is born into.
    pub init_flags: u64,
    /// Namespaces of init that the stager joins for the late part.
    pub join_flags: u64,
    /// A network namespace that exists already, for init and for the late part.
    pub network: Option<OwnedFd>,
    /// Ids for what is created in the image: the container's root.
    pub root_ids: (u32, u32),
    /// Written to /proc/self/oom_score_adj, where init inherits it from.
    pub oom_score_adjust: Option<CString>,
    /// Keeps the descriptors of the instructions open until the children have them.
    pub keep: Vec<OwnedFd>,
}

/// The children's ends of the channels.
pub struct ChildEnds {
    /// Records to the supervisor.
    pub report: OwnedFd,
    /// The supervisor tells the stager to clone init, with init's cgroup.
    pub order: OwnedFd,
    /// The supervisor releases init.
    pub release: OwnedFd,
    /// Init tells the stager that its namespaces are complete: read end, write end.
    pub ready: (OwnedFd, OwnedFd),
    /// Every descriptor that the stager needs, sorted.
    pub stager_keeps: Vec<RawFd>,
    /// Every descriptor that init needs, sorted.
    pub init_keeps: Vec<RawFd>,
}
