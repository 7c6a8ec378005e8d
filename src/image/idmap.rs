// SPDX-License-Identifier: LGPL-2.1-or-later
//! Maps of owners on mounts: what is on disk as one id is seen as another (mount_setattr(2), "ID-mapped mounts").
//!
//! A map is carried by a user namespace. In its lines the id on disk comes first, the host's id that it is seen as
//! second; what no line covers is seen as the overflow id, and cannot be made.

use crate::error::{Code, Diagnostic, Result};
use crate::model::UidRange;
use crate::sys::mount_setattr::{MountAttr, mount_setattr};
use crate::sys::userns::EndedInUserNamespace;
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What the host's superuser is on disk in a mapped tree (systemd `src/basic/user-util.h`, `UID_MAPPED_ROOT`): the
/// launcher can make things in the tree, and whatever it forgets to give to the container belongs to nobody in there.
pub const HOST_ROOT_ON_DISK: u32 = 0x7fff_fffe;
/// First of the 65536 ids of trees that belong to no range in particular (systemd.io, "Users, Groups, UIDs and GIDs").
pub const FOREIGN_BASE: u32 = 0x7ffe_0000;

/// `count` ids, `on_disk` and up, are seen as the host's ids `seen_as` and up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct MapLine {
    /// First id on disk.
    pub on_disk: u32,
    /// First id that is seen.
    pub seen_as: u32,
    /// How many.
    pub count: u32,
}

/// A map of owners, the same for users and groups.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct IdMap(Vec<MapLine>);

impl IdMap {
    /// For a tree, or a bind with `idmap`, with the ids from 0 on as the container has them: 0 is seen as the first of
    /// the container's range. The host's superuser gets through as [`HOST_ROOT_ON_DISK`].
    pub fn of_range(range: UidRange) -> Self {
        Self::from_disk(0, range)
    }

    /// The same for a tree whose ids start elsewhere: at [`FOREIGN_BASE`], or where the range begins that it was given to.
    pub fn from_disk(on_disk: u32, range: UidRange) -> Self {
        Self(vec![
            MapLine { on_disk, seen_as: range.base, count: range.size },
            MapLine { on_disk: HOST_ROOT_ON_DISK, seen_as: 0, count: 1 },
        ])
    }

    /// For a bind with `rootidmap` or `owneridmap`: the source's owner is seen as one other id, nothing else is seen.
    pub fn of_owner(owner: SourceOwner, seen_as: SeenAs) -> Self {
        let seen_as = match seen_as {
            SeenAs::ContainerRoot(range) => range.base,
            SeenAs::OwnerOfTarget(uid) => uid,
        };
        Self(vec![MapLine { on_disk: owner.0, seen_as, count: 1 }])
    }

    /// One id is seen as another, nothing else is seen.
    pub fn of_one(on_disk: u32, seen_as: u32) -> Self {
        Self(vec![MapLine { on_disk, seen_as, count: 1 }])
    }

    /// What an owner on disk is seen as; `None` for the overflow id.
    pub fn seen(&self, on_disk: u32) -> Option<u32> {
        let line = self.0.iter().find(|l| on_disk >= l.on_disk && on_disk - l.on_disk < l.count)?;
        line.seen_as.checked_add(on_disk - line.on_disk)
    }

    /// The lines.
    pub fn lines(&self) -> &[MapLine] {
        &self.0
    }

    fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, line| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{} {} {}", line.on_disk, line.seen_as, line.count);
            text
        })
    }
}

/// The owner of a bind's source, as on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceOwner(pub u32);

/// Whom the owner of a bind's source is seen as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeenAs {
    /// `rootidmap`: the superuser of the container with this range.
    ContainerRoot(UidRange),
    /// `owneridmap`: the owner of the directory it is mounted on, as the host sees it.
    OwnerOfTarget(u32),
}

/// A user namespace whose only use is its map.
#[derive(Debug)]
pub struct MapNamespace {
    fd: OwnedFd,
    /// The copy of a tree that was mapped with it to see whether it can be.
    tried: RefCell<Option<(OwnedFd, MountsBelow)>>,
}

impl MapNamespace {
    /// Makes it. Needs a mounted /proc. Fails with E0401.
    pub fn new(map: &IdMap) -> Result<Self> {
        Self::of_user(map, map)
    }

    /// The same with a map for users and one for groups.
    pub fn of_user(users: &IdMap, groups: &IdMap) -> Result<Self> {
        let failed = |what: &str| Diagnostic::new(Code::Prepare, format!("cannot {what} for mapping owners"));
        let process = EndedInUserNamespace::new().map_err(|e| {
            let shown = failed("make a user namespace").errno(e);
            match e {
                Errno::NOSPC | Errno::USERS => shown.help("raise user.max_user_namespaces with sysctl"),
                Errno::PERM => shown.help("run it as root and outside of a container that forbids user namespaces"),
                _ => shown,
            }
        })?;
        for (file, text) in [("uid_map", users.text()), ("gid_map", groups.text())] {
            let path = format!("/proc/{}/{file}", process.pid());
            std::fs::write(&path, &text).map_err(|e| failed(&format!("set the {file} of a user namespace")).io(&e))?;
        }
        let path = format!("/proc/{}/ns/user", process.pid());
        let namespace = File::open(path).map_err(|e| failed("open a user namespace").io(&e))?;
        Ok(Self { fd: namespace.into(), tried: RefCell::default() })
    }

    /// With a copy that it made of a tree, for [`take_tried`](Self::take_tried).
    pub fn with_tried(self, copy: OwnedFd, below: MountsBelow) -> Self {
        Self { tried: RefCell::new(Some((copy, below))), ..self }
    }

    /// The copy that was made of this tree when it was tried whether it can be mapped.
    pub fn take_tried(&self, tree: BorrowedFd<'_>, below: MountsBelow) -> Option<OwnedFd> {
        let (copy, of) = self.tried.take()?;
        let (asked, tried) = (rustix::fs::fstat(tree).ok()?, rustix::fs::fstat(&copy).ok()?);
        let same = (asked.st_dev, asked.st_ino) == (tried.st_dev, tried.st_ino);
        (of == below && same).then_some(copy)
    }

    /// A copy of the mount that `tree` is on, from `tree` on, with its owners mapped; attached nowhere yet, and nothing
    /// that is mounted elsewhere from now on shows in it. Mounts below are left out, or are mapped as well: then all or
    /// none are. EINVAL: the file system, or one of those below, cannot
    /// be mapped; EPERM: it is mapped already.
    pub fn clone_mapped(&self, tree: BorrowedFd<'_>, below: MountsBelow) -> std::result::Result<OwnedFd, Errno> {
        let mut clone =
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let mut set = libc::AT_EMPTY_PATH;
        if below == MountsBelow::Mapped {
            clone |= OpenTreeFlags::AT_RECURSIVE;
            set |= libc::AT_RECURSIVE;
        }
        let copy = rustix::mount::open_tree(tree, c"", clone)?;
        let private = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::idmap(self.as_fd()) };
        mount_setattr(copy.as_fd(), c"", set, &private)?;
        Ok(copy)
    }
}

impl AsFd for MapNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What becomes of mounts below the one that is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountsBelow {
    /// They are not in the copy.
    LeftOut,
    /// They are, mapped the same way.
    Mapped,
}

/// Whether the file system that `tree` is on lets its owners be mapped, tried out on a copy that is dropped. False when
/// the try could not be made.
pub fn idmap_supported(tree: BorrowedFd<'_>) -> bool {
    let Some(range) = UidRange::new(1 << 19, 1) else { return false };
    MapNamespace::new(&IdMap::of_range(range)).is_ok_and(|map| map.clone_mapped(tree, MountsBelow::LeftOut).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::{TempDir, is_root, skipped};
    use crate::image::{Crossing, ImageRoot};
    use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};

    fn range(base: u32) -> UidRange {
        UidRange::new(base, UidRange::USUAL_SIZE).unwrap()
    }

    #[test]
    fn lines_have_the_id_on_disk_first() {
        assert_eq!(IdMap::of_range(range(524288)).text(), "0 524288 65536\n2147483646 0 1\n");
        assert_eq!(IdMap::from_disk(FOREIGN_BASE, range(524288)).text(), "2147352576 524288 65536\n2147483646 0 1\n");
        let owner = SourceOwner(1000);
        assert_eq!(IdMap::of_owner(owner, SeenAs::ContainerRoot(range(524288))).text(), "1000 524288 1\n");
        assert_eq!(IdMap::of_owner(owner, SeenAs::OwnerOfTarget(524321)).text(), "1000 524321 1\n");
    }

    #[test]
    fn owners_are_looked_up() {
        let map = IdMap::of_range(range(524288));
        let seen = [0, 1000, 65535, 65536, HOST_ROOT_ON_DISK].map(|id| map.seen(id));
        assert_eq!(seen, [Some(524288), Some(525288), Some(589823), None, Some(0)]);
    }

    #[test]
    fn owners_are_seen_mapped_and_made_unmapped() {
        const TEST: &str = "image::idmap owners_are_seen_mapped_and_made_unmapped";
        if !is_root(TEST) {
            return;
        }
        let dir = TempDir::new();
        for (name, uid) in [("root", 0), ("user", 1000), ("high", 70000)] {
            std::fs::write(dir.path().join(name), "").unwrap();
            std::os::unix::fs::chown(dir.path().join(name), Some(uid), Some(uid)).unwrap();
        }
        let tree = ImageRoot::open(dir.path(), Crossing::Allowed).unwrap();
        if !idmap_supported(tree.as_fd()) {
            return skipped(TEST, "the file system of the temporary directory has no idmapped mounts");
        }
        let map = MapNamespace::new(&IdMap::of_range(range(0xa0000))).unwrap();
        let mapped = map.clone_mapped(tree.as_fd(), MountsBelow::Mapped).unwrap();
        let owner = |name: &str| {
            let stat = rustix::fs::statat(&mapped, name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
            (stat.st_uid, stat.st_gid)
        };
        assert_eq!(owner("root"), (0xa0000, 0xa0000));
        assert_eq!(owner("user"), (0xa0000 + 1000, 0xa0000 + 1000));
        assert_eq!(owner("high"), (65534, 65534));

        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        let made = rustix::fs::openat(&mapped, "made", flags, Mode::RWXU).unwrap();
        let on_disk = || std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(dir.path().join("made")).unwrap());
        assert_eq!(on_disk(), HOST_ROOT_ON_DISK);
        let (uid, gid) = (Uid::from_raw(0xa0000 + 5), Gid::from_raw(0xa0000 + 5));
        rustix::fs::fchown(&made, Some(uid), Some(gid)).unwrap();
        assert_eq!(on_disk(), 5);
    }

    #[test]
    fn procfs_cannot_be_mapped() {
        if !is_root("image::idmap procfs_cannot_be_mapped") {
            return;
        }
        assert!(!idmap_supported(ImageRoot::open("/proc".as_ref(), Crossing::Allowed).unwrap().as_fd()));
    }

    #[test]
    fn no_process_is_left() {
        if !is_root("image::idmap no_process_is_left") {
            return;
        }
        let children = || std::fs::read_to_string("/proc/thread-self/children").unwrap();
        let before = children();
        MapNamespace::new(&IdMap::of_range(range(524288))).unwrap();
        let broken = IdMap(vec![MapLine { on_disk: 0, seen_as: 0, count: 0 }]);
        assert!(MapNamespace::new(&broken).is_err());
        assert_eq!(children(), before);
    }
}
