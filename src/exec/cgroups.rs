// SPDX-License-Identifier: LGPL-2.1-or-later
//! The host's cgroup2 hierarchy in a container without a cgroup namespace. Child-safe.

use super::child::{During, Fault};
use super::mounting::attach;
use super::places::Places;
use super::report::Part;
use super::resolve::open_inside;
use crate::sys::mount_attr::{Reach, attributes};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use std::ffi::CStr;

/// Longest path of a group, with what `/proc/PID/cgroup` has around it on a host with cgroup v1 as well.
const TEXT_MAX: usize = 8192;

/// Makes the group of the container's first process writable in the attached, read-only mount of the whole hierarchy.
pub fn open_own_group(places: &Places<'_>, hierarchy: BorrowedFd<'_>) -> Result<(), Fault> {
    let mut text = [0u8; TEXT_MAX];
    let writable = |mount: BorrowedFd<'_>| {
        attributes(mount, Reach::Mount, MountAttrFlags::empty(), MountAttrFlags::MOUNT_ATTR_RDONLY)
    };
    let Some(group) = group_of_init(places, &mut text).during(Part::Source)? else {
        return writable(hierarchy).during(Part::Attributes);
    };
    let at = open_inside(hierarchy, group, OFlags::PATH | OFlags::DIRECTORY).during(Part::Source)?;
    let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let own = open_tree(&at, c"", clone).during(Part::Clone)?;
    writable(own.as_fd()).during(Part::Attributes)?;
    attach(own.as_fd(), at.as_fd()).during(Part::Attach)
}

/// The group of PID 1 as this process sees it; `None` for the top of the hierarchy, which is all there is then.
fn group_of_init<'t>(places: &Places<'_>, text: &'t mut [u8; TEXT_MAX]) -> Result<Option<&'t CStr>, Errno> {
    let proc = places.proc.as_ref().ok_or(Errno::NOENT)?;
    let file = rustix::fs::openat(proc, c"1/cgroup", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut length = 0;
    loop {
        match rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut text[length..]))? {
            0 => break,
            n => length += n,
        }
    }
    path_in(text, length).ok_or(Errno::NOENT).map(|path| (path != c"/").then_some(path))
}

/// The path behind `0::` (cgroups(7)), ended in place.
fn path_in(text: &mut [u8], length: usize) -> Option<&CStr> {
    let lines = text.get(..length)?;
    let starts = |at: usize| lines[at..].starts_with(b"0::/") && (at == 0 || lines[at - 1] == b'\n');
    let start = (0..length).find(|at| starts(*at))? + 3;
    let end = start + lines[start..].iter().position(|b| *b == b'\n')?;
    text[end] = 0;
    CStr::from_bytes_with_nul(&text[start..=end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_that_of_the_unified_hierarchy() {
        let path = |text: &[u8]| {
            let mut buffer = text.to_vec();
            path_in(&mut buffer, text.len()).map(CStr::to_owned)
        };
        let some = |path: &CStr| Some(path.to_owned());
        assert_eq!(path(b"0::/machine.slice/a.scope/payload\n"), some(c"/machine.slice/a.scope/payload"));
        assert_eq!(path(b"10::/no\n5:cpu:/x0::/no\n0::/\n"), some(c"/"));
        assert_eq!(path(b"5:cpu:/x\n"), None);
        // Cut off: it may go on.
        assert_eq!(path(b"0::/a"), None);
        assert_eq!(path(b""), None);
    }
}
