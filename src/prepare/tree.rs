// SPDX-License-Identifier: LGPL-2.1-or-later
//! The tree of the container: opened once, locked, then only used by descriptor.

use crate::error::{Code, Diagnostic, Origin, Result, ran_out};
use crate::image::{
    Crossing, ImageRoot, MapNamespace, MountsBelow, TreeLock, Trial, copy_tree, lock_tree, make_from_template, try_map,
};
use crate::plan::Plan;
use crate::sys::btrfs::is_subvolume;
use crate::sys::mount_attr::{Reach, attributes, idmap, make_private};
use crate::sys::ofd_lock::LockKind;
use crate::undo::{PathRelease, Undo};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The tree, held for the container's life.
pub struct Tree {
    /// The whole of it.
    top: OwnedFd,
    /// What becomes the root directory.
    fd: OwnedFd,
    /// Of the root directory, on the host.
    path: PathBuf,
    origin: Origin,
    /// Holds the locks.
    lock: Option<TreeLock>,
    /// Nobody else uses it and it goes at the end, so changes are made to it.
    throw_away: bool,
}

impl Tree {
    /// Opens and locks the tree, making it or a copy of it first where that was asked for. Fails when it is in use.
    pub fn open(plan: &Plan, undo: &mut Undo) -> Result<Self> {
        if let Some(template) = &plan.tree.template {
            let other = hidden_beside(&plan.tree.path)?;
            let ticket = undo.push(PathRelease::RemoveCopy(other.clone()), "the copy of the template")?;
            make_from_template(&template.value, &plan.tree.path, &other).map_err(|d| d.origin(&template.origin))?;
            undo.forget(ticket);
        }
        let path = plan.tree.path.clone();
        let origin = plan.tree.origin.clone();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(&path, flags, Mode::empty()).map_err(|e| {
            Diagnostic::new(Code::TreeMissing, format!("cannot open the tree {}", path.display()))
                .errno(e)
                .origin(&origin)
        })?;
        let mode = if plan.tree.read_only { LockKind::Shared } else { LockKind::Exclusive };
        let (mut top, mut path) = (top, path);
        let mut throw_away = plan.tree.ephemeral && is_subvolume(top.as_fd());
        let mut lock = None;
        if plan.tree.lock && !throw_away {
            match lock_tree(top.as_fd(), mode) {
                Ok(taken) => lock = Some(taken),
                // An overlay needs a tree that stays as it is; a copy does not.
                Err(d) if plan.tree.ephemeral && d.code() == Code::TreeBusy => throw_away = true,
                Err(d) => return Err(d.origin(&origin)),
            }
        }
        if throw_away {
            let copy = if is_mount_point(top.as_fd()) { hidden_in(&path)? } else { hidden_beside(&path)? };
            undo.push(PathRelease::RemoveCopy(copy.clone()), "the copy of the tree")?;
            copy_tree(top.as_fd(), &path, &copy).map_err(|d| d.origin(&origin))?;
            top = rustix::fs::open(&copy, flags, Mode::empty()).map_err(|e| {
                Diagnostic::new(Code::TreeMissing, format!("cannot open the copy {}", copy.display())).errno(e)
            })?;
            path = copy;
        }
        let copied = top.try_clone();
        let copied = copied
            .map_err(|e| Diagnostic::new(Code::Prepare, format!("cannot use the tree {}", path.display())).io(&e))?;
        let (fd, path) = match &plan.tree.root {
            None => (copied, path),
            Some(new) => root_below(ImageRoot::from_fd(copied, &path, Crossing::Allowed), new)?,
        };
        Ok(Self { top, fd, path, origin, lock, throw_away })
    }

    /// Whether it is a copy that goes at the end.
    pub fn is_thrown_away(&self) -> bool {
        self.throw_away
    }

    /// Where the root directory is on the host.
    pub fn path(&self) -> &Path {
        &self.path
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

    /// The whole tree, whatever directory of it becomes the root.
    pub fn top(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }

    /// The root directory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Links at the top of a tree whose programs are all in `/usr`: the usual ones, and those of the tree itself for
    /// libraries of other word sizes.
    pub fn links_into_usr(&self) -> Result<Vec<(&'static str, String)>> {
        let mut links: Vec<_> = ["bin", "lib", "sbin"].map(|name| (name, format!("usr/{name}"))).into();
        let image = self.image()?;
        for name in ["lib32", "lib64", "libx32"] {
            let target = image.read_link(&Path::new("/").join(name))?;
            let target = target.as_deref().and_then(Path::to_str).map(|t| t.trim_start_matches('/'));
            links.extend(target.filter(|t| t.starts_with("usr/lib")).map(|t| (name, t.to_string())));
        }
        if !links.iter().any(|(name, _)| *name == "lib64") {
            links.extend(super::base::loader(&image).map(|target| ("lib64", target)));
        }
        Ok(links)
    }

    /// A detached clone of the tree, with or without what is mounted below it, with these attributes set.
    pub fn mount(&self, reach: Reach, set: MountAttrFlags, map: Option<&MapNamespace>) -> Result<OwnedFd> {
        self.clone_of(self.fd.as_fd(), reach, set, map)
    }

    /// The same of the whole tree, whatever directory of it becomes the root.
    pub fn mount_top(&self, set: MountAttrFlags, map: Option<&MapNamespace>) -> Result<OwnedFd> {
        self.clone_of(self.top.as_fd(), Reach::Tree, set, map)
    }

    /// The same of a directory at the top of the tree, or of what a link there leads to in the tree.
    pub fn mount_below(
        &self,
        name: &str,
        reach: Reach,
        set: MountAttrFlags,
        map: Option<&MapNamespace>,
    ) -> Result<OwnedFd> {
        let missing = || {
            Diagnostic::new(Code::ImageObject, format!("the tree {} has no /{name}", self.path.display()))
                .help("name the root directory of an installed system")
        };
        let dir = self.image()?.find_dir(Path::new(name)).and_then(|dir| dir.ok_or_else(missing));
        let dir = dir.map_err(|d| d.origin(&self.origin))?;
        self.clone_of(dir.as_fd(), reach, set, map)
    }

    fn clone_of(
        &self,
        dir: BorrowedFd<'_>,
        reach: Reach,
        set: MountAttrFlags,
        map: Option<&MapNamespace>,
    ) -> Result<OwnedFd> {
        let fail = |what: &str, e: Errno| {
            Diagnostic::new(Code::Mount, format!("cannot {what} the tree {}", self.path.display()))
                .errno(e)
                .origin(&self.origin)
        };
        let below = mounts_below(reach);
        let (mount, mapped) = match map.and_then(|map| map.take_tried(dir, below)) {
            Some(mount) => (mount, true),
            None => {
                let mut flags =
                    OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
                flags.set(OpenTreeFlags::AT_RECURSIVE, below == MountsBelow::Mapped);
                let mount = open_tree(dir, c"", flags).map_err(|e| {
                    let d = fail("clone the mount of", e);
                    if e == Errno::PERM { d.help("run as root with CAP_SYS_ADMIN") } else { d }
                })?;
                make_private(mount.as_fd(), reach).map_err(|e| fail("detach the mount of", e))?;
                (mount, false)
            }
        };
        if !set.is_empty() {
            attributes(mount.as_fd(), reach, set, MountAttrFlags::empty())
                .map_err(|e| fail("set the mount flags of", e))?;
        }
        if let Some(map) = map.filter(|_| !mapped) {
            idmap(mount.as_fd(), reach, map.as_fd()).map_err(|e| self.unmappable(e, reach))?;
        }
        Ok(mount)
    }

    /// Names the mounts of the tree whose owners cannot be mapped.
    fn unmappable(&self, errno: Errno, reach: Reach) -> Diagnostic {
        let what = format!("cannot map the owners of the tree {}", self.path.display());
        let d = Diagnostic::new(Code::IdRange, what).errno(errno).origin(&self.origin);
        if ran_out(errno) {
            return d;
        }
        let tried = try_map(self.fd.as_fd(), mounts_below(reach), None);
        let named = tried.map(Trial::unmappable).unwrap_or_default().into_iter().fold(d, Diagnostic::note);
        named.help("use --private-users=no, or a tree on another file system")
    }
}

fn mounts_below(reach: Reach) -> MountsBelow {
    if reach == Reach::Tree { MountsBelow::Mapped } else { MountsBelow::LeftOut }
}

/// A directory of the tree that becomes the root, and where it really is.
fn root_below(tree: ImageRoot, new: &Path) -> Result<(OwnedFd, PathBuf)> {
    let dir = tree
        .find_dir(new)?
        .ok_or_else(|| Diagnostic::new(Code::TreeMissing, format!("the tree has no directory {}", tree.show(new))))?;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd()))
        .map_err(|e| Diagnostic::new(Code::Prepare, format!("cannot find out where {} is", tree.show(new))).io(&e))?;
    Ok((dir, path))
}

/// A name beside a tree that nobody has, hidden as its lock file is.
fn hidden_beside(tree: &Path) -> Result<PathBuf> {
    Ok(tree.with_file_name(hidden_name(tree)?))
}

/// The same inside of it: beside a mount point is another file system.
fn hidden_in(tree: &Path) -> Result<PathBuf> {
    Ok(tree.join(hidden_name(tree)?))
}

fn hidden_name(tree: &Path) -> Result<OsString> {
    let mut name = OsString::from(".#spawn-copy-");
    name.push(tree.file_name().unwrap_or_default());
    name.push(format!("-{}", &super::random_id()?.plain()[..16]));
    Ok(name)
}

fn is_mount_point(dir: BorrowedFd<'_>) -> bool {
    let seen = rustix::fs::statx(dir, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE);
    seen.is_ok_and(|x| x.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}
