// SPDX-License-Identifier: LGPL-2.1-or-later
//! The home of a user of the host, with its files as those of the container's user.

use crate::error::{Code, Diagnostic, Result};
use crate::image::{IdMap, MapNamespace};
use crate::model::UidRange;
use crate::sys::mount_attr::{self, Reach};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, FileType};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use std::path::Path;

/// A clone of the mount of a home and of what is mounted below it: what belongs to this user and group of the host is
/// seen as the container's user and group `seen_as`, all else as nobody's.
pub fn open(path: &Path, (uid, gid): (u32, u32), seen_as: u32, range: Option<UidRange>) -> Result<OwnedFd> {
    let shown = path.display();
    let base = range.map_or(0, |range| range.base);
    if range.is_some_and(|r| [uid, gid].iter().any(|id| *id >= r.base && *id - r.base < r.size)) {
        let d = Diagnostic::new(Code::BindUser, format!("the user {uid} of {shown} cannot be shown in the container"));
        return Err(d
            .cause(format!("it is one of the container's own ids, {base} and up"))
            .help("use another range with --private-users="));
    }
    let fail = |e: Errno| {
        let d = Diagnostic::new(Code::BindUser, format!("cannot bind the home directory {shown}"));
        d.errno(e).help("make that directory on the host")
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let mount = open_tree(CWD, path, flags).map_err(fail)?;
    let stat = rustix::fs::fstat(&mount).map_err(fail)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(fail(Errno::NOTDIR));
    }
    let seen_as = base.saturating_add(seen_as);
    let map = MapNamespace::of_user(&IdMap::of_one(uid, seen_as), &IdMap::of_one(gid, seen_as))?;
    mount_attr::idmap(mount.as_fd(), Reach::Tree, map.as_fd()).map_err(|e| {
        let d = Diagnostic::new(Code::BindUser, format!("cannot map the owners of {shown}")).errno(e);
        d.note("a home is shown with the owner that its user has in the container")
            .help("its file system, or one mounted below it, has no idmapped mounts: unmount that one, or bind a part with --bind=")
    })?;
    Ok(mount)
}
