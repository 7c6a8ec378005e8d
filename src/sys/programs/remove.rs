// SPDX-License-Identifier: LGPL-2.1-or-later
//! Removal of directories with what is below them.

use crate::calls::{self, AT_FDCWD, AT_REMOVEDIR, Result, Time};
use core::cell::Cell;
use core::ffi::CStr;

/// Deepest level that is looked into.
const MAX_DEPTH: u32 = 8;
/// `d_type` of a directory (getdents64(2)).
const DT_DIR: u8 = 4;

/// Removes a directory with what is in it, through no link and on no other file system.
pub fn tree(path: &CStr) -> Result<()> {
    let dir = calls::open_dir(AT_FDCWD, path)?;
    empty(dir, MAX_DEPTH);
    calls::close(dir)?;
    calls::unlink(AT_FDCWD, path, AT_REMOVEDIR).map(|_| ())
}

/// Removes a copy of a tree: by itself where it is a snapshot, else everything in it, however deep. Goes down into what
/// is not empty and up again by `..`; a directory that stays although it was emptied ends it.
pub fn copy(path: &CStr) -> Result<()> {
    let top = calls::open_dir(AT_FDCWD, path)?;
    let above = calls::open(top, c"..", 0)?;
    let bytes = path.to_bytes_with_nul();
    let name = bytes.iter().rposition(|b| *b == b'/').map_or(bytes, |slash| &bytes[slash + 1..]);
    let name = CStr::from_bytes_with_nul(name).map_err(|_| calls::ENOENT)?;
    if calls::delete_subvolume(above, name).is_ok() {
        return Ok(());
    }
    let (mut at, mut depth, mut came_up) = (top, 0u64, false);
    loop {
        let (below, removed) = (Cell::new(None), Cell::new(false));
        each_entry(at, |name, _| {
            let gone = match calls::unlink(at, name, 0) {
                Err(calls::EISDIR) => calls::unlink(at, name, AT_REMOVEDIR),
                other => other,
            };
            if gone.is_ok() {
                removed.set(true);
            } else if let Ok(fd) = calls::open_dir(at, name)
                && let Some(other) = below.replace(Some(fd))
            {
                let _closed = calls::close(other);
            }
        });
        let next = match below.get() {
            Some(_) if came_up && !removed.get() => break,
            Some(fd) => (fd, depth + 1, false),
            None if depth == 0 => break,
            None => (calls::open_dir(at, c"..")?, depth - 1, true),
        };
        let _closed = calls::close(at);
        (at, depth, came_up) = next;
    }
    calls::unlink(above, name, AT_REMOVEDIR).map(|_| ())
}

/// The same for a path that is resolved inside of `root`.
pub fn inside(root: i32, path: &CStr) -> Result<()> {
    let dir = calls::open_dir_inside(root, path)?;
    empty(dir, MAX_DEPTH);
    let above = calls::open(dir, c"..", 0);
    calls::close(dir)?;
    let bytes = path.to_bytes_with_nul();
    let name = bytes.iter().rposition(|b| *b == b'/').map_or(bytes, |slash| &bytes[slash + 1..]);
    let removed = CStr::from_bytes_with_nul(name).map_err(|_| calls::ENOENT);
    let above = above?;
    let removed = removed.and_then(|name| calls::unlink(above, name, AT_REMOVEDIR));
    calls::close(above)?;
    removed.map(|_| ())
}

fn empty(dir: i32, depth: u32) {
    each_entry(dir, |name, _| {
        if calls::unlink(dir, name, 0) == Err(calls::EISDIR) {
            descend(dir, name, depth);
        }
    });
}

fn descend(dir: i32, name: &CStr, depth: u32) {
    if let Some(depth) = depth.checked_sub(1)
        && let Ok(below) = calls::open_dir(dir, name)
    {
        empty(below, depth);
        // What cannot be removed here shows when the directory above is not empty.
        let _closed = calls::close(below);
        let _removed = calls::unlink(dir, name, AT_REMOVEDIR);
    }
}

/// Removes a control group and those below it. The kernel refuses for a while after the last process has gone.
pub fn cgroups(path: &CStr, patience_ms: u64) -> Result<()> {
    let deadline = calls::now().saturating_add(patience_ms);
    loop {
        match calls::unlink(AT_FDCWD, path, AT_REMOVEDIR) {
            Ok(_) | Err(calls::ENOENT) => return Ok(()),
            Err(errno) if calls::now() >= deadline => return Err(errno),
            Err(_) => {}
        }
        remove_groups_below(calls::open_dir(AT_FDCWD, path)?, deadline);
        if calls::unlink(AT_FDCWD, path, AT_REMOVEDIR).is_err() {
            calls::sleep(Time::milliseconds(5));
        }
    }
}

/// Removes every group below, however deep a payload has nested them, and closes `top`. Goes down where a group stays
/// because of what is below it, and up again by `..`; what is still there at the deadline shows in the group above.
fn remove_groups_below(top: i32, deadline: u64) {
    let (mut at, mut depth) = (top, 0u64);
    loop {
        let below = Cell::new(None);
        each_entry(at, |name, kind| {
            if kind != DT_DIR || calls::unlink(at, name, AT_REMOVEDIR).is_ok() {
                return;
            }
            if let Ok(fd) = calls::open_dir(at, name)
                && let Some(other) = below.replace(Some(fd))
            {
                let _closed = calls::close(other);
            }
        });
        let next = match below.get() {
            Some(fd) if calls::now() >= deadline => {
                let _closed = calls::close(fd);
                None
            }
            Some(fd) => Some((fd, depth + 1)),
            None if depth == 0 => None,
            None => calls::open_dir(at, c"..").ok().map(|fd| (fd, depth - 1)),
        };
        let _closed = calls::close(at);
        match next {
            Some(next) => (at, depth) = next,
            None => return,
        }
    }
}

/// Calls `act` with name and type of everything in `dir`.
fn each_entry(dir: i32, act: impl Fn(&CStr, u8)) {
    /// `d_ino`, `d_off`, `d_reclen`, `d_type` in front of the name.
    const FIXED: usize = 19;
    let mut buffer = [0u8; 1024];
    while let Ok(length @ 1..) = calls::read_dir(dir, &mut buffer) {
        let mut rest = &buffer[..length];
        while let Some(head) = rest.first_chunk::<FIXED>() {
            let record = u16::from_ne_bytes([head[16], head[17]]) as usize;
            let Some((entry, next)) = rest.split_at_checked(record.max(FIXED)) else { break };
            if let Ok(name) = CStr::from_bytes_until_nul(&entry[FIXED..])
                && name != c"."
                && name != c".."
            {
                act(name, head[18]);
            }
            rest = next;
        }
    }
}
