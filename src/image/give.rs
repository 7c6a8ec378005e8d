// SPDX-License-Identifier: LGPL-2.1-or-later
//! Gives a tree to a range of ids: every owner keeps its lower 16 bits and gets the range's upper ones
//! (systemd-nspawn(1), `--private-users-ownership=chown`).
//!
//! The top directory belongs to [`BUSY_BASE`] meanwhile and gets its owner last (systemd `src/nspawn/nspawn-patch-uid.c`),
//! so that a run that was interrupted shows. What is done already is done again without harm.

use crate::error::{Code, Diagnostic, Result};
use crate::model::UidRange;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, StatVfsMountFlags, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// First id of the owners of trees that are about to be given away (systemd.io, "Users, Groups, UIDs and GIDs").
pub const BUSY_BASE: u32 = 0xfffe_0000;
/// Which user of a range an id is.
const USER: u32 = 0xffff;
/// Bytes of the longest list of a file's rights that is read: the kernel's own limit.
const XATTR_MAX: usize = 65536;

/// Kernel file systems that have no owners to give away (linux/magic.h): proc, sysfs, cgroup, cgroup2, devpts, mqueue,
/// securityfs, debugfs, tracefs, bpf, configfs, efivarfs, selinuxfs, binfmt_misc, fusectl, pstore.
const KERNEL_FILE_SYSTEMS: [u64; 16] = [
    0x9fa0,
    0x6265_6572,
    0x0027_e0eb,
    0x6367_7270,
    0x1cd1,
    0x1980_0202,
    0x7363_6673,
    0x6462_6720,
    0x7472_6163,
    0xcafe_4a11,
    0x6265_6570,
    0xde5e_81e4,
    0xf97c_ff8c,
    0x4249_4e4d,
    0x6573_5546,
    0x6165_676c,
];

/// Whether a tree with this owner was being given away when that was interrupted.
pub fn is_half_given(owner: u32) -> bool {
    owner & !USER == BUSY_BASE
}

/// Gives the tree to the range; nothing is done when its top belongs to it. Other file systems that are mounted below
/// are given too, but for those of the kernel and those that are read-only. Fails with E1002.
pub fn give_tree(tree: BorrowedFd<'_>, range: UidRange) -> Result<()> {
    let shown = std::fs::read_link(format!("/proc/self/fd/{}", tree.as_raw_fd())).unwrap_or_default();
    let failed = |path: PathBuf, e: Errno| {
        let what = format!("cannot give {} to the container's users", path.display());
        let shown = Diagnostic::new(Code::IdRange, what).errno(e);
        match e {
            Errno::ROFS => shown.help("use --private-users-ownership=map, which changes nothing on disk"),
            _ => shown.note("the owners of the tree are changed in part: the next such start goes on"),
        }
    };
    if range.base & USER != 0 || range.size != UidRange::USUAL_SIZE {
        let what = format!("owners of files cannot be moved to the ids {range}");
        return Err(Diagnostic::new(Code::IdRange, what).help("use a multiple of 65536, and 65536 ids"));
    }
    let top = rustix::fs::fstat(tree).map_err(|e| failed(shown.clone(), e))?;
    if top.st_uid & !USER == range.base && top.st_gid & !USER == range.base {
        return Ok(());
    }
    if top.st_uid & !USER != top.st_gid & !USER {
        let what = format!("the tree {} belongs to no single range of ids", shown.display());
        return Err(Diagnostic::new(Code::IdRange, what)
            .cause(format!("its root directory belongs to user {} and group {}", top.st_uid, top.st_gid))
            .help("change the owner of that directory"));
    }
    let given = own(tree, BUSY_BASE | top.st_uid & USER, BUSY_BASE | top.st_gid & USER)
        .map_err(|e| (PathBuf::new(), e))
        .and_then(|()| Walk::new(tree, &top, range.base)?.run())
        .and_then(|()| give(tree, &top, range.base).map_err(|e| (PathBuf::new(), e)));
    given.map_err(|(below, e)| failed(shown.join(below), e))
}

/// Where something failed below the top, and how.
type Fault = (PathBuf, Errno);

/// Goes through a tree with one open directory at a time, however deep it is.
struct Walk {
    base: u32,
    at: OwnedFd,
    /// Of the directories from the top to here: what it is, its name, the names in it that are still to be entered.
    above: Vec<Level>,
}

struct Level {
    identity: (u64, u64),
    name: CString,
    left: Vec<CString>,
}

impl Walk {
    fn new(tree: BorrowedFd<'_>, top: &Stat, base: u32) -> std::result::Result<Self, Fault> {
        let at = open(tree, c".").map_err(|e| (PathBuf::new(), e))?;
        let mut walk = Self { base, at, above: Vec::new() };
        let left = walk.give_entries()?;
        walk.above.push(Level { identity: (top.st_dev, top.st_ino), name: c"".into(), left });
        Ok(walk)
    }

    fn run(mut self) -> std::result::Result<(), Fault> {
        while let Some(level) = self.above.last_mut() {
            match level.left.pop() {
                Some(name) => self.enter(name)?,
                None => {
                    self.above.pop();
                    if let Some(above) = self.above.last() {
                        let identity = above.identity;
                        self.at = self.leave(identity).map_err(|e| (self.path(), e))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.above.iter().map(|level| std::ffi::OsStr::from_bytes(level.name.to_bytes())).collect()
    }

    fn fault(&self, name: &CStr, e: Errno) -> Fault {
        (self.path().join(std::ffi::OsStr::from_bytes(name.to_bytes())), e)
    }

    fn enter(&mut self, name: CString) -> std::result::Result<(), Fault> {
        let below = open(self.at.as_fd(), &name).map_err(|e| self.fault(&name, e))?;
        let stat = rustix::fs::fstat(&below).map_err(|e| self.fault(&name, e))?;
        let crossed = self.above.last().is_some_and(|level| level.identity.0 != stat.st_dev);
        if crossed && is_left_alone(below.as_fd()).map_err(|e| self.fault(&name, e))? {
            return Ok(());
        }
        give(below.as_fd(), &stat, self.base).map_err(|e| self.fault(&name, e))?;
        let above = std::mem::replace(&mut self.at, below);
        self.above.push(Level { identity: (stat.st_dev, stat.st_ino), name, left: Vec::new() });
        drop(above);
        let left = self.give_entries()?;
        if let Some(level) = self.above.last_mut() {
            level.left = left;
        }
        Ok(())
    }

    /// The directory above, if it is still the one that we came from.
    fn leave(&self, identity: (u64, u64)) -> std::result::Result<OwnedFd, Errno> {
        let above = open(self.at.as_fd(), c"..")?;
        let stat = rustix::fs::fstat(&above)?;
        if (stat.st_dev, stat.st_ino) == identity { Ok(above) } else { Err(Errno::STALE) }
    }

    /// Gives everything here that is no directory away; the directories are returned.
    fn give_entries(&self) -> std::result::Result<Vec<CString>, Fault> {
        let mut directories = Vec::new();
        let entries = Dir::read_from(&self.at).map_err(|e| (self.path(), e))?;
        for entry in entries {
            let entry = entry.map_err(|e| (self.path(), e))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(&self.at, name, flags, Mode::empty());
            let given = opened.and_then(|fd| {
                let stat = rustix::fs::fstat(&fd)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    return Ok(true);
                }
                give(fd.as_fd(), &stat, self.base).map(|()| false)
            });
            match given {
                Ok(false) | Err(Errno::NOENT) => {}
                Ok(true) => directories.push(name.to_owned()),
                Err(e) => return Err(self.fault(name, e)),
            }
        }
        Ok(directories)
    }
}

fn open(at: BorrowedFd<'_>, name: &CStr) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

fn is_left_alone(dir: BorrowedFd<'_>) -> std::result::Result<bool, Errno> {
    let kind = rustix::fs::fstatfs(dir)?.f_type as u64;
    let read_only = rustix::fs::fstatvfs(dir)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    Ok(read_only || KERNEL_FILE_SYSTEMS.contains(&kind))
}

fn own(file: BorrowedFd<'_>, uid: u32, gid: u32) -> std::result::Result<(), Errno> {
    rustix::fs::chownat(file, c"", Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::EMPTY_PATH)
}

/// Gives one file away, with the users that its access lists and its capabilities name.
fn give(file: BorrowedFd<'_>, stat: &Stat, base: u32) -> std::result::Result<(), Errno> {
    let (uid, gid) = (base | stat.st_uid & USER, base | stat.st_gid & USER);
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Symlink {
        return own(file, uid, gid);
    }
    // A handle has no attributes of its own, the file that it leads to has.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let capabilities = if kind == FileType::RegularFile { attribute(&path, c"security.capability")? } else { None };
    if (uid, gid) != (stat.st_uid, stat.st_gid) {
        own(file, uid, gid)?;
        // The kernel takes set-id bits away with the owner.
        if stat.st_mode & 0o6000 != 0 {
            rustix::fs::chmod(&path, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        }
        if let Some(moved) = capabilities.and_then(|bytes| moved_capabilities(&bytes, base)) {
            rustix::fs::setxattr(&path, c"security.capability", &moved, XattrFlags::empty())?;
        }
    }
    let lists: &[&CStr] = match kind {
        FileType::Directory => &[c"system.posix_acl_access", c"system.posix_acl_default"],
        _ => &[c"system.posix_acl_access"],
    };
    for name in lists {
        if let Some(moved) = attribute(&path, name)?.and_then(|list| moved_list(list, base)) {
            rustix::fs::setxattr(&path, *name, &moved, XattrFlags::empty())?;
        }
    }
    Ok(())
}

/// An extended attribute; `None` where there is none, or can be none.
fn attribute(path: &str, name: &CStr) -> std::result::Result<Option<Vec<u8>>, Errno> {
    let mut buffer = [0; 256];
    match rustix::fs::getxattr(path, name, &mut buffer) {
        Ok(length) => return Ok(Some(buffer[..length].to_vec())),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
        Err(Errno::RANGE) => {}
        Err(e) => return Err(e),
    }
    let mut large = vec![0; XATTR_MAX];
    let length = rustix::fs::getxattr(path, name, &mut large[..])?;
    large.truncate(length);
    Ok(Some(large))
}

/// An access list (linux/posix_acl_xattr.h) with its named users and groups moved; `None` where it has none to move.
pub fn moved_list(mut list: Vec<u8>, base: u32) -> Option<Vec<u8>> {
    const NAMED: [u16; 2] = [0x02, 0x08];
    let mut moved = false;
    for entry in list.get_mut(4..)?.chunks_exact_mut(8) {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let new = base | id & USER;
        if NAMED.contains(&tag) && new != id {
            entry[4..].copy_from_slice(&new.to_le_bytes());
            moved = true;
        }
    }
    moved.then_some(list)
}

/// File capabilities (linux/capability.h, `vfs_cap_data`) that hold below the range's root: of revision 2 for the host's,
/// of revision 3, which names that root, for others. `None` for what is neither.
pub fn moved_capabilities(bytes: &[u8], base: u32) -> Option<Vec<u8>> {
    const REVISION: u32 = 0xff00_0000;
    let head = u32::from_le_bytes(*bytes.first_chunk()?);
    if !matches!((head >> 24, bytes.len()), (2, 20) | (3, 24)) {
        return None;
    }
    let revision: u32 = if base == 0 { 2 } else { 3 };
    let mut moved = (head & !REVISION | revision << 24).to_le_bytes().to_vec();
    moved.extend_from_slice(&bytes[4..20]);
    if base != 0 {
        moved.extend_from_slice(&base.to_le_bytes());
    }
    Some(moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::{TempDir, is_root};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    const BASE: u32 = 0x000a_0000;

    fn range(base: u32) -> UidRange {
        UidRange::new(base, UidRange::USUAL_SIZE).unwrap()
    }

    fn handle(dir: &TempDir) -> OwnedFd {
        rustix::fs::open(dir.path(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    #[test]
    fn lists_and_capabilities_are_moved() {
        let entry = |tag: u16, id: u32| [&tag.to_le_bytes()[..], &[7, 0], &id.to_le_bytes()].concat();
        let list = |user, group| [vec![2, 0, 0, 0], entry(1, u32::MAX), entry(2, user), entry(8, group)].concat();
        assert_eq!(moved_list(list(1000, 50), BASE), Some(list(BASE + 1000, BASE + 50)));
        assert_eq!(moved_list(list(BASE + 1000, BASE + 50), BASE), None);
        assert_eq!(moved_list(vec![2, 0], BASE), None);
        let of_host = [&[1, 0, 0, 2][..], &[9; 16]].concat();
        let of_range = [&[1, 0, 0, 3][..], &[9; 16], &BASE.to_le_bytes()].concat();
        assert_eq!(moved_capabilities(&of_host, BASE).as_ref(), Some(&of_range));
        assert_eq!(moved_capabilities(&of_range, 0), Some(of_host));
        assert_eq!(moved_capabilities(&[1, 0, 0, 1], BASE), None);
    }

    #[test]
    fn a_tree_goes_there_and_back() {
        if !is_root("image::give a_tree_goes_there_and_back") {
            return;
        }
        let dir = TempDir::new();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("a/b/c")).unwrap();
        std::fs::write(at("a/b/set-uid"), "").unwrap();
        std::os::unix::fs::chown(at("a/b/set-uid"), Some(1000), Some(50)).unwrap();
        std::fs::set_permissions(at("a/b/set-uid"), PermissionsExt::from_mode(0o6755)).unwrap();
        std::fs::hard_link(at("a/b/set-uid"), at("twice")).unwrap();
        symlink("/etc/passwd", at("link")).unwrap();
        std::os::unix::fs::lchown(at("link"), Some(7), Some(8)).unwrap();
        let mut deep = at("deep");
        for _ in 0..200 {
            std::fs::create_dir(&deep).unwrap();
            deep.push("d");
        }
        let seen = |name: &str| at(name).symlink_metadata().map(|m| (m.uid(), m.gid(), m.mode() & 0o7777)).unwrap();
        for base in [BASE, 2 * BASE, 0] {
            // As if interrupted: the top is marked, a part is done.
            std::os::unix::fs::chown(dir.path(), Some(BUSY_BASE), Some(BUSY_BASE)).unwrap();
            assert!(is_half_given(dir.path().metadata().unwrap().uid()));
            std::os::unix::fs::chown(at("a"), Some(base), Some(base)).unwrap();
            give_tree(handle(&dir).as_fd(), range(base)).unwrap();
            assert_eq!((seen(".").0, seen("a").0, seen("a/b/c").1), (base, base, base));
            assert_eq!((seen("a/b/set-uid"), seen("twice")), ((base + 1000, base + 50, 0o6755), seen("a/b/set-uid")));
            assert_eq!((seen("link").0, seen("link").1), (base + 7, base + 8));
            assert_eq!(seen(&format!("deep{}", "/d".repeat(199))).0, base);
        }
        assert_eq!(std::fs::metadata("/etc/passwd").unwrap().uid(), 0);
        std::os::unix::fs::chown(at("a"), Some(5), Some(5)).unwrap();
        give_tree(handle(&dir).as_fd(), range(0)).unwrap();
        assert_eq!(seen("a").0, 5, "a tree whose top belongs to the range is left alone");
    }

    #[test]
    fn what_has_no_upper_half_is_refused() {
        if !is_root("image::give what_has_no_upper_half_is_refused") {
            return;
        }
        let dir = TempDir::new();
        for range in [UidRange { base: 5, size: 65536 }, UidRange { base: BASE, size: 5 }] {
            assert_eq!(give_tree(handle(&dir).as_fd(), range).unwrap_err().code(), Code::IdRange);
        }
        std::os::unix::fs::chown(dir.path(), Some(BASE), Some(0)).unwrap();
        assert_eq!(give_tree(handle(&dir).as_fd(), range(2 * BASE)).unwrap_err().code(), Code::IdRange);
    }
}
