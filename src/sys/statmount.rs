// SPDX-License-Identifier: LGPL-2.1-or-later
//! statmount(2): what is mounted at one place, without reading the list of all mounts.

use super::clone::last_errno;
use rustix::fs::{AtFlags, StatxFlags, statx};
use rustix::io::Errno;
use std::os::fd::AsFd;

/// The same number on all architectures (Linux 6.8).
const SYS_STATMOUNT: libc::c_long = 457;
/// `STATX_MNT_ID_UNIQUE` of linux/stat.h (Linux 6.8).
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);
/// `STATMOUNT_MNT_ROOT` of linux/mount.h.
const MNT_ROOT: u64 = 8;

/// `struct mnt_id_req`, first version.
#[repr(C)]
struct Request {
    size: u32,
    spare: u32,
    mount: u64,
    wanted: u64,
}

/// `struct statmount` with its strings behind it.
#[repr(C, align(8))]
struct Answer {
    size: u32,
    options: u32,
    mask: u64,
    others: [u64; 11],
    root: u32,
    rest: [u8; 512 - 108],
    strings: [u8; 512],
}

/// Which directory of its file system is at the mount that `directory` is the root of, as the fourth field of
/// proc_pid_mountinfo(5) but not escaped.
///
/// # Errors
/// `ENOSYS` before Linux 6.8, `EINVAL` when `directory` is below the root of its mount, `EOVERFLOW` for a name of more
/// than half a kilobyte, and those of statx(2) and statmount(2).
pub fn mount_root(directory: impl AsFd) -> Result<Vec<u8>, Errno> {
    let seen = statx(directory, "", AtFlags::EMPTY_PATH, MNT_ID_UNIQUE)?;
    if seen.stx_mask & MNT_ID_UNIQUE.bits() == 0 {
        return Err(Errno::NOSYS);
    }
    /// `STATX_ATTR_MOUNT_ROOT`
    const IS_ROOT: u64 = 0x2000;
    if seen.stx_attributes.bits() & IS_ROOT == 0 {
        return Err(Errno::INVAL);
    }
    let request = Request { size: size_of::<Request>() as u32, spare: 0, mount: seen.stx_mnt_id, wanted: MNT_ROOT };
    let mut answer =
        Answer { size: 0, options: 0, mask: 0, others: [0; 11], root: 0, rest: [0; 404], strings: [0; 512] };
    // SAFETY: the request has the size that it says, the answer the size that is given, and both outlive the call; the
    // kernel writes plain numbers and bytes.
    let r = unsafe { libc::syscall(SYS_STATMOUNT, &raw const request, &raw mut answer, size_of::<Answer>(), 0) };
    if r != 0 {
        return Err(last_errno());
    }
    let strings = answer.strings.get(answer.root as usize..).filter(|_| answer.mask & MNT_ROOT != 0);
    let text = strings.ok_or(Errno::INVAL)?;
    let end = text.iter().position(|byte| *byte == 0).ok_or(Errno::INVAL)?;
    Ok(text[..end].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_procfs_and_nothing_below_it() {
        match mount_root(std::fs::File::open("/proc").unwrap()) {
            Err(Errno::NOSYS | Errno::PERM) => eprintln!("skipped: no statmount(2)"),
            root => assert_eq!(root.as_deref(), Ok(b"/".as_slice())),
        }
        let below = mount_root(std::fs::File::open("/proc/self").unwrap());
        assert!(matches!(below, Err(Errno::INVAL | Errno::NOSYS)), "{below:?}");
    }
}
