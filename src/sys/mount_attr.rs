// SPDX-License-Identifier: LGPL-2.1-or-later
//! What mount_setattr(2) is used for here, on mounts that are held by a descriptor. Child-safe.

use super::mount_setattr::{MountAttr, mount_setattr};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

/// The atime attributes are one field of several values (linux/mount.h, `MOUNT_ATTR__ATIME`).
const ATIME: u64 = 0x70;

/// How far a change reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This mount.
    Mount,
    /// This mount and everything mounted below it.
    Tree,
}

fn apply(mount: BorrowedFd<'_>, reach: Reach, attr: &MountAttr) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if reach == Reach::Tree { libc::AT_RECURSIVE } else { 0 };
    mount_setattr(mount, c"", flags, attr)
}

/// Sets and clears attributes of a mount.
pub fn attributes(
    mount: BorrowedFd<'_>,
    reach: Reach,
    set: MountAttrFlags,
    clear: MountAttrFlags,
) -> Result<(), Errno> {
    let atime = if set.contains(MountAttrFlags::MOUNT_ATTR_STRICTATIME) { ATIME } else { 0 };
    let attr = MountAttr { attr_clr: u64::from(clear.bits()) | atime, ..MountAttr::set(set.bits().into()) };
    apply(mount, reach, &attr)
}

/// Maps the owners of a detached mount by a user namespace.
pub fn idmap(mount: BorrowedFd<'_>, reach: Reach, user_namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    apply(mount, reach, &MountAttr::idmap(user_namespace))
}

/// Makes a mount (and what is below it) receive mounts from its peers without sending any (mount(2), MS_SLAVE).
pub fn make_slave(mount: BorrowedFd<'_>, reach: Reach) -> Result<(), Errno> {
    apply(mount, reach, &MountAttr { propagation: libc::MS_SLAVE, ..MountAttr::default() })
}

/// Takes a mount (and what is below it) out of every peer group (mount(2), MS_PRIVATE).
pub fn make_private(mount: BorrowedFd<'_>, reach: Reach) -> Result<(), Errno> {
    apply(mount, reach, &MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() })
}
