// SPDX-License-Identifier: LGPL-2.1-or-later
//! mount_setattr(2) and open_tree_attr(2). Nothing here allocates, so all of it may be called between clone and execve.

use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use syscalls::{Sysno, syscall};

/// `MOUNT_ATTR_*` flags (linux/mount.h).
pub mod attr {
    /// Read-only.
    pub const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
    /// Set-id bits and file capabilities do nothing.
    pub const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
    /// Device nodes cannot be opened.
    pub const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
    /// Programs cannot be executed.
    pub const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
    /// Symbolic links are not followed.
    pub const NOSYMFOLLOW: u64 = libc::MOUNT_ATTR_NOSYMFOLLOW;
    /// Owners are seen through the map of a user namespace.
    pub const IDMAP: u64 = libc::MOUNT_ATTR_IDMAP;
}

/// `struct mount_attr`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountAttr {
    /// Flags to set.
    pub attr_set: u64,
    /// Flags to clear.
    pub attr_clr: u64,
    /// 0 or one of `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`, `MS_UNBINDABLE`.
    pub propagation: u64,
    /// The user namespace for [`attr::IDMAP`], by number.
    pub userns_fd: u64,
}

impl MountAttr {
    /// Sets these flags.
    pub const fn set(flags: u64) -> Self {
        Self { attr_set: flags, attr_clr: 0, propagation: 0, userns_fd: 0 }
    }

    /// Maps owners by the map of this user namespace, whose descriptor must stay open until the call.
    pub fn idmap(userns: BorrowedFd<'_>) -> Self {
        Self { attr_set: attr::IDMAP, userns_fd: userns.as_raw_fd() as u64, ..Self::default() }
    }
}

/// mount_setattr(2): `flags` of `AT_EMPTY_PATH`, `AT_RECURSIVE`, `AT_SYMLINK_NOFOLLOW`, `AT_NO_AUTOMOUNT`.
pub fn mount_setattr(dir: BorrowedFd<'_>, path: &CStr, flags: i32, attr: &MountAttr) -> Result<(), Errno> {
    // SAFETY: the path ends with NUL and the structure has the size that is passed; both live through the call, which
    // only reads them.
    let done = unsafe {
        syscall!(
            Sysno::mount_setattr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>()
        )
    };
    done.map(drop).map_err(to_errno)
}

/// open_tree_attr(2), Linux 6.15: open_tree(2), and in the same call what mount_setattr(2) does. ENOSYS before.
pub fn open_tree_attr(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: OpenTreeFlags,
    attr: &MountAttr,
) -> Result<OwnedFd, Errno> {
    // SAFETY: the path ends with NUL and the structure has the size that is passed; both live through the call, which
    // only reads them.
    let fd = unsafe {
        syscall!(
            Sysno::open_tree_attr,
            dir.as_raw_fd(),
            path.as_ptr(),
            flags.bits(),
            std::ptr::from_ref(attr),
            size_of::<MountAttr>()
        )
    };
    // SAFETY: the kernel has just returned this descriptor, so nobody else owns it.
    fd.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) }).map_err(to_errno)
}

fn to_errno(errno: syscalls::Errno) -> Errno {
    Errno::from_raw_os_error(errno.into_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::{TempDir, is_root, skipped};
    use rustix::fs::{Mode, OFlags};
    use std::os::fd::AsFd;

    const CLONE: OpenTreeFlags = OpenTreeFlags::OPEN_TREE_CLONE.union(OpenTreeFlags::OPEN_TREE_CLOEXEC);

    fn is_read_only(mount: &OwnedFd) -> bool {
        let made = rustix::fs::openat(mount, "x", OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RWXU);
        made.is_err_and(|e| e == Errno::ROFS)
    }

    fn path(dir: &TempDir) -> std::ffi::CString {
        std::ffi::CString::new(dir.path().to_str().unwrap()).unwrap()
    }

    #[test]
    fn attributes_are_set_and_cleared() {
        if !is_root("sys::mount_setattr attributes_are_set_and_cleared") {
            return;
        }
        let dir = TempDir::new();
        let copy = rustix::mount::open_tree(rustix::fs::CWD, dir.path(), CLONE).unwrap();
        mount_setattr(copy.as_fd(), c"", libc::AT_EMPTY_PATH, &MountAttr::set(attr::RDONLY)).unwrap();
        assert!(is_read_only(&copy));
        let clear = MountAttr { attr_clr: attr::RDONLY, ..MountAttr::default() };
        mount_setattr(copy.as_fd(), c"", libc::AT_EMPTY_PATH, &clear).unwrap();
        assert!(!is_read_only(&copy));
        let both = MountAttr { propagation: u64::MAX, ..MountAttr::default() };
        assert_eq!(mount_setattr(copy.as_fd(), c"", libc::AT_EMPTY_PATH, &both), Err(Errno::INVAL));
    }

    #[test]
    fn a_copy_is_opened_with_attributes() {
        const TEST: &str = "sys::mount_setattr a_copy_is_opened_with_attributes";
        if !is_root(TEST) {
            return;
        }
        let dir = TempDir::new();
        match open_tree_attr(rustix::fs::CWD, &path(&dir), CLONE, &MountAttr::set(attr::RDONLY)) {
            Err(Errno::NOSYS) => skipped(TEST, "needs Linux 6.15"),
            copy => assert!(is_read_only(&copy.unwrap())),
        }
    }
}
