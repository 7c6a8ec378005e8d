// SPDX-License-Identifier: LGPL-2.1-or-later
//! Locks on a tree, so that no two containers write into it at once. They are those of systemd-nspawn (systemd
//! `src/shared/discover-image.c`, `image_path_lock`), so that it and we exclude each other.

use super::lock_file::{LockError, LockFile};
use crate::error::{Code, Diagnostic, Result};
use crate::sys::ofd_lock::LockKind;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Where systemd keeps the locks by inode, below `/run`.
const INODE_LOCKS: &str = "systemd/nspawn/locks";

/// The locks on one tree, held until dropped.
#[derive(Debug)]
pub struct TreeLock {
    /// `.#NAME.lck` beside the tree: seen by everybody who shares the file system.
    pub beside: Option<LockFile>,
    /// By device and inode, in `/run`: holds for a tree that is reached by several names, too.
    pub by_inode: Option<LockFile>,
}

/// Locks an open tree without waiting: shared when it is only read. `/` cannot be had exclusively, and is not locked
/// when only read. Fails with E0203 naming who holds it.
pub fn lock_tree(tree: BorrowedFd<'_>, mode: LockKind) -> Result<TreeLock> {
    lock_tree_below(Path::new("/run"), tree, mode)
}

fn lock_tree_below(run: &Path, tree: BorrowedFd<'_>, mode: LockKind) -> Result<TreeLock> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", tree.as_raw_fd()))
        .map_err(|e| Diagnostic::new(Code::Prepare, "cannot find out the path of the tree").io(&e))?;
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return match mode {
            LockKind::Shared => Ok(TreeLock { beside: None, by_inode: None }),
            LockKind::Exclusive => Err(Diagnostic::new(Code::TreeBusy, "the tree / is in use by this system itself")
                .help("use --ephemeral, --read-only or --volatile=yes")),
        };
    };
    let mut beside = OsString::from(".#");
    beside.push(name);
    beside.push(".lck");
    // What is below /dev belongs to this host alone: the other lock is enough there.
    let beside = if path.starts_with("/dev") { None } else { lock_beside(&path, above, &beside, mode)? };

    let stat = rustix::fs::fstat(tree)
        .map_err(|e| Diagnostic::new(Code::Prepare, format!("cannot examine {}", path.display())).errno(e))?;
    let (dir, name) = (make_lock_dir(run)?, format!("inode-{}:{}", stat.st_dev, stat.st_ino));
    let by_inode = LockFile::take(&dir, name.as_ref(), mode).map_err(|e| refused(&path, &dir.join(&name), e))?;
    Ok(TreeLock { beside, by_inode: Some(by_inode) })
}

fn lock_beside(tree: &Path, above: &Path, name: &OsStr, mode: LockKind) -> Result<Option<LockFile>> {
    match LockFile::take(above, name, mode) {
        Ok(lock) => Ok(Some(lock)),
        // A tree that nobody can write to is shared without a file.
        Err(LockError::Failed(Errno::ROFS)) if mode == LockKind::Shared => Ok(None),
        Err(e) => Err(refused(tree, &above.join(name), e)),
    }
}

fn make_lock_dir(run: &Path) -> Result<PathBuf> {
    let dir = run.join(INODE_LOCKS);
    make_run_dir(&dir, 0o700)
        .map_err(|e| Diagnostic::new(Code::Prepare, format!("cannot create {}", dir.display())).io(&e))?;
    Ok(dir)
}

/// Makes a directory with this mode, and those above it with 0755, as far as they are missing.
pub(super) fn make_run_dir(dir: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let make = |dir: &Path, mode| match std::fs::DirBuilder::new().mode(mode).create(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    match make(dir, mode) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            make_run_dir(dir.parent().ok_or(e)?, 0o755)?;
            make(dir, mode)
        }
        other => other,
    }
}

fn refused(tree: &Path, lock: &Path, error: LockError) -> Diagnostic {
    let tree = tree.display();
    match error {
        LockError::Busy(holders) => {
            let holders: Vec<String> = holders.iter().map(ToString::to_string).collect();
            let cause = match &holders[..] {
                [] => "it is locked".into(),
                holders => format!("it is locked by {}", holders.join(", ")),
            };
            Diagnostic::new(Code::TreeBusy, format!("the tree {tree} is in use"))
                .cause(cause)
                .note(format!("the lock is {}", lock.display()))
                .help("stop that container, or use --ephemeral")
        }
        LockError::Failed(errno) => {
            let shown = Diagnostic::new(Code::Prepare, format!("cannot lock the tree {tree} by {}", lock.display()));
            let shown = shown.errno(errno);
            if errno == Errno::ROFS { shown.help("use --read-only, or --ephemeral") } else { shown }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::TempDir;
    use crate::image::{Crossing, ImageRoot};
    use std::os::fd::AsFd;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn both_locks_have_the_names_of_systemd() {
        let (dir, run) = (TempDir::new(), TempDir::new());
        let path = dir.path().join("foo");
        std::fs::create_dir(&path).unwrap();
        std::os::unix::fs::symlink("foo", dir.path().join("link")).unwrap();
        let tree = ImageRoot::open(&path, Crossing::Allowed).unwrap();
        let lock = lock_tree_below(run.path(), tree.as_fd(), LockKind::Exclusive).unwrap();
        let meta = std::fs::metadata(&path).unwrap();
        let locks = run.path().join(INODE_LOCKS);
        assert!(dir.path().join(".#foo.lck").exists());
        assert!(locks.join(format!("inode-{}:{}", meta.dev(), meta.ino())).exists());
        assert_eq!(std::fs::metadata(&locks).unwrap().permissions().mode() & 0o777, 0o700);

        let same = ImageRoot::open(&dir.path().join("link"), Crossing::Allowed).unwrap();
        let error = lock_tree_below(run.path(), same.as_fd(), LockKind::Shared).unwrap_err();
        assert_eq!(error.code(), Code::TreeBusy);
        let shown = error.to_string();
        assert!(shown.contains(path.to_str().unwrap()) && shown.contains(&std::process::id().to_string()), "{shown}");
        drop(lock);
        assert!(!dir.path().join(".#foo.lck").exists());
        lock_tree_below(run.path(), same.as_fd(), LockKind::Shared).unwrap();
    }

    #[test]
    fn where_nobody_can_write_a_shared_lock_needs_no_file() {
        use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
        if !crate::image::testing::is_root("image::lock where_nobody_can_write_a_shared_lock_needs_no_file") {
            return;
        }
        let (dir, run) = (TempDir::new(), TempDir::new());
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        rustix::mount::mount("none", dir.path(), "tmpfs", MountFlags::empty(), None).unwrap();
        std::fs::create_dir(dir.path().join("foo")).unwrap();
        rustix::mount::mount_remount(dir.path(), MountFlags::RDONLY, c"").unwrap();
        let tree = ImageRoot::open(&dir.path().join("foo"), Crossing::Allowed).unwrap();
        let lock = lock_tree_below(run.path(), tree.as_fd(), LockKind::Shared).unwrap();
        assert!(lock.beside.is_none() && lock.by_inode.is_some());
        drop(lock);
        let error = lock_tree_below(run.path(), tree.as_fd(), LockKind::Exclusive).unwrap_err();
        assert!(error.to_string().contains("EROFS") && error.remedy().is_some(), "{error}");
        drop(tree);
        rustix::mount::unmount(dir.path(), UnmountFlags::DETACH).unwrap();
    }

    #[test]
    fn the_root_is_only_shared() {
        let root = ImageRoot::open("/".as_ref(), Crossing::Allowed).unwrap();
        let run = TempDir::new();
        assert!(lock_tree_below(run.path(), root.as_fd(), LockKind::Shared).unwrap().by_inode.is_none());
        let error = lock_tree_below(run.path(), root.as_fd(), LockKind::Exclusive).unwrap_err();
        assert_eq!(error.code(), Code::TreeBusy);
    }
}
