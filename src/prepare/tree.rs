// SPDX-License-Identifier: LGPL-2.1-or-later
//! The tree of the container: opened once, locked, then only used by descriptor.

use crate::error::{Code, Diagnostic, Origin, Result};
use crate::image::{Crossing, ImageRoot, MapNamespace, MountsBelow, TreeLock, lock_tree, unmappable_mounts};
use crate::plan::Plan;
use crate::sys::mount_attr::{Reach, attributes, idmap, make_private};
use crate::sys::ofd_lock::LockKind;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use std::path::PathBuf;

/// The tree, held for the container's life.
pub struct Tree {
    fd: OwnedFd,
    path: PathBuf,
    origin: Origin,
    /// Holds the locks.
    lock: Option<TreeLock>,
}

impl Tree {
    /// Opens and locks the tree. Fails when it is in use.
    pub fn open(plan: &Plan) -> Result<Self> {
        let path = plan.tree.path.clone();
        let origin = plan.tree.origin.clone();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&path, flags, Mode::empty()).map_err(|e| {
            Diagnostic::new(Code::TreeMissing, format!("cannot open the tree {}", path.display()))
                .errno(e)
                .origin(&origin)
        })?;
        let mode = if plan.tree.read_only { LockKind::Shared } else { LockKind::Exclusive };
        let lock = match plan.tree.lock {
            true => Some(lock_tree(fd.as_fd(), mode).map_err(|d| d.origin(&origin))?),
            false => None,
        };
        Ok(Self { fd, path, origin, lock })
    }

    /// The image as a root to look things up in.
    pub fn image(&self) -> Result<ImageRoot> {
        let fd = self.fd.try_clone().map_err(|e| {
            Diagnostic::new(Code::Prepare, format!("cannot use the tree {}", self.path.display())).io(&e)
        })?;
        Ok(ImageRoot::from_fd(fd, &self.path, Crossing::Allowed))
    }

    /// The locks that keep others from the tree.
    pub fn locks(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.lock.iter().flat_map(|lock| [&lock.beside, &lock.by_inode]).flatten().map(AsFd::as_fd)
    }

    /// The root directory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// A detached clone of the tree, with or without what is mounted below it, with these attributes set.
    pub fn mount(&self, reach: Reach, set: MountAttrFlags, map: Option<&MapNamespace>) -> Result<OwnedFd> {
        let fail = |what: &str, e: Errno| {
            Diagnostic::new(Code::Mount, format!("cannot {what} the tree {}", self.path.display()))
                .errno(e)
                .origin(&self.origin)
        };
        let mut flags =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        if reach == Reach::Tree {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        let mount = open_tree(&self.fd, c"", flags).map_err(|e| {
            let d = fail("clone the mount of", e);
            if e == Errno::PERM { d.help("run as root with CAP_SYS_ADMIN") } else { d }
        })?;
        make_private(mount.as_fd(), reach).map_err(|e| fail("detach the mount of", e))?;
        if !set.is_empty() {
            attributes(mount.as_fd(), reach, set, MountAttrFlags::empty())
                .map_err(|e| fail("set the mount flags of", e))?;
        }
        if let Some(map) = map {
            idmap(mount.as_fd(), reach, map.as_fd()).map_err(|e| self.unmappable(e, reach))?;
        }
        Ok(mount)
    }

    /// Names the mounts of the tree whose owners cannot be mapped.
    fn unmappable(&self, errno: Errno, reach: Reach) -> Diagnostic {
        let below = if reach == Reach::Tree { MountsBelow::Mapped } else { MountsBelow::LeftOut };
        let what = format!("cannot map the owners of the tree {}", self.path.display());
        let d = Diagnostic::new(Code::IdRange, what).errno(errno).origin(&self.origin);
        let named = unmappable_mounts(self.fd.as_fd(), below).into_iter().fold(d, Diagnostic::note);
        named.help("use --private-users=no, or a tree on another file system")
    }
}
