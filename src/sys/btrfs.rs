// SPDX-License-Identifier: LGPL-2.1-or-later
//! Snapshots of btrfs (linux/btrfs.h).

use rustix::fs::FileType;
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// f_type of statfs(2), linux/magic.h.
const MAGIC: u64 = 0x9123_683e;
/// Inode of the root of every subvolume.
const SUBVOLUME_ROOT: u64 = 256;
/// `_IOW(0x94, 23, struct btrfs_ioctl_vol_args_v2)`
const SNAP_CREATE_V2: libc::Ioctl = 0x5000_9417_u32 as libc::Ioctl;
/// `_IOW(0x94, 15, struct btrfs_ioctl_vol_args)`
const SNAP_DESTROY: libc::Ioctl = 0x5000_940f_u32 as libc::Ioctl;
/// Bytes of both structures.
const ARGUMENTS: usize = 4096;

/// Whether the directory is the root of a subvolume.
pub fn is_subvolume(dir: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(dir).is_ok_and(|fs| fs.f_type as u64 == MAGIC)
        && rustix::fs::fstat(dir).is_ok_and(|stat| {
            stat.st_ino == SUBVOLUME_ROOT && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
        })
}

/// Makes a writable snapshot of a subvolume as `name` in the directory `at`; both are open for reading.
pub fn snapshot(subvolume: BorrowedFd<'_>, at: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    // The name stands behind the source, a transaction, flags and 32 unused bytes.
    let mut arguments = arguments(56, name)?;
    arguments[..8].copy_from_slice(&i64::from(subvolume.as_raw_fd()).to_ne_bytes());
    call(at, SNAP_CREATE_V2, &arguments)
}

/// Deletes the subvolume `name` in the directory `at`, with what is in it.
pub fn delete(at: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    call(at, SNAP_DESTROY, &arguments(8, name)?)
}

fn arguments(head: usize, name: &CStr) -> Result<[u8; ARGUMENTS], Errno> {
    let mut bytes = [0; ARGUMENTS];
    let name = name.to_bytes_with_nul();
    if name.len() > 256 {
        return Err(Errno::NAMETOOLONG);
    }
    bytes[head..head + name.len()].copy_from_slice(name);
    Ok(bytes)
}

fn call(at: BorrowedFd<'_>, number: libc::Ioctl, arguments: &[u8; ARGUMENTS]) -> Result<(), Errno> {
    // SAFETY: both calls read a structure of 4096 bytes, which is what they get; file systems other than btrfs know
    // neither and answer ENOTTY.
    let done = unsafe { libc::ioctl(at.as_raw_fd(), number, arguments.as_ptr()) };
    match done {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(()),
    }
}
