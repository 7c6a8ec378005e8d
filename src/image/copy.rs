// SPDX-License-Identifier: LGPL-2.1-or-later
//! Copies of trees: a snapshot where the file system has them (btrfs), else file by file, with shared blocks where the
//! file system can (ioctl_ficlone(2)). What is mounted inside the tree is not part of it.

use crate::error::{Code, Diagnostic, Result};
use crate::sys::btrfs;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RenameFlags, Stat, StatxAttributes, StatxFlags, Timespec,
    Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Bytes of the longest value or list of extended attributes (xattr(7)).
const XATTR_MAX: usize = 65536;

/// Copies the tree `from`, whose path is `shown`, to a new directory `to`. Fails with E0207, and leaves what there is of
/// the copy to the caller then.
pub fn copy_tree(from: BorrowedFd<'_>, shown: &Path, to: &Path) -> Result<()> {
    let fail = |path: &Path, e: Errno| {
        let what = format!("cannot copy {} to {}", path.display(), to.display());
        let d = Diagnostic::new(Code::TreeNotCopied, what).errno(e);
        if e == Errno::NOSPC { d.help("free some space there, or stop what writes to the tree") } else { d }
    };
    let whole = |e| fail(shown, e);
    let (Some(above), Some(name)) = (to.parent(), to.file_name()) else { return Err(whole(Errno::INVAL)) };
    let name = CString::new(name.as_bytes()).map_err(|_| whole(Errno::INVAL))?;
    let above = open(CWD, above).map_err(whole)?;
    let from = open(from, c".").map_err(whole)?;
    // Where no snapshot can be made, although it is a subvolume, a copy can.
    if btrfs::is_subvolume(from.as_fd()) && btrfs::snapshot(from.as_fd(), above.as_fd(), &name).is_ok() {
        return Ok(());
    }
    rustix::fs::mkdirat(&above, &name, Mode::RWXU).map_err(whole)?;
    let top = open(&above, &*name).map_err(whole)?;
    let itself = rustix::fs::fstat(&top).map(|s| (s.st_dev, s.st_ino)).map_err(whole)?;
    let mut copier = Copier { top, itself, links: HashMap::new() };
    let top = copier.top.try_clone().map_err(|_| whole(Errno::MFILE))?;
    copier.directory(&from, &top, Path::new("")).map_err(|(path, e)| fail(&shown.join(path), e))
}

/// Makes a tree at `to` after the one at `template`: under another name until it is whole.
pub fn make_from_template(template: &Path, to: &Path, other: &Path) -> Result<()> {
    let failed = |what: &str, e: Errno| {
        Diagnostic::new(Code::TreeNotCopied, format!("cannot {what} the tree {}", to.display())).errno(e)
    };
    let from = open(CWD, template).map_err(|e| {
        Diagnostic::new(Code::TreeMissing, format!("cannot open the template {}", template.display())).errno(e)
    })?;
    copy_tree(from.as_fd(), template, other)?;
    rustix::fs::renameat_with(CWD, other, CWD, to, RenameFlags::NOREPLACE).map_err(|e| failed("put in place", e))
}

type Fault = (PathBuf, Errno);

struct Copier {
    top: OwnedFd,
    /// A copy inside of its original is not part of it.
    itself: (u64, u64),
    /// Files of several names, by device and inode: the first name in the copy.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Copier {
    /// Copies what is in a directory, then what it is itself.
    fn directory(&mut self, from: &OwnedFd, to: &OwnedFd, below: &Path) -> std::result::Result<(), Fault> {
        let here = |e| (below.to_owned(), e);
        for entry in Dir::read_from(from).map_err(here)? {
            let entry = entry.map_err(here)?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let path = below.join(OsStr::from_bytes(name.to_bytes()));
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let found = match rustix::fs::openat(from, name, flags, Mode::empty()) {
                // Somebody else's file may go in the meantime.
                Err(Errno::NOENT) => continue,
                r => r.map_err(|e| (path.clone(), e))?,
            };
            self.entry(from, &found, to, name, &path)?;
        }
        let stat = rustix::fs::fstat(from).map_err(here)?;
        describe(from.as_fd(), to.as_fd(), &stat).map_err(here)
    }

    fn entry(
        &mut self,
        dir: &OwnedFd,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        path: &Path,
    ) -> std::result::Result<(), Fault> {
        let fail = |e: Errno| (path.to_owned(), e);
        let stat = rustix::fs::fstat(from).map_err(fail)?;
        let identity = (stat.st_dev, stat.st_ino);
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mode = Mode::from_raw_mode(0o600);
        if identity == self.itself {
            return Ok(());
        }
        if kind == FileType::Directory {
            rustix::fs::mkdirat(to, name, Mode::RWXU).map_err(fail)?;
            let new = open(to, name).map_err(fail)?;
            if is_mount(from).map_err(fail)? {
                return describe(from.as_fd(), new.as_fd(), &stat).map_err(fail);
            }
            return self.directory(&open(dir, name).map_err(fail)?, &new, path);
        }
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&identity) {
                return rustix::fs::linkat(&self.top, first, to, name, AtFlags::empty()).map_err(fail);
            }
            self.links.insert(identity, path.to_owned());
        }
        match kind {
            FileType::RegularFile => copy_file(from, to, name, &stat),
            FileType::Symlink => rustix::fs::readlinkat(from, c"", Vec::new())
                .and_then(|target| rustix::fs::symlinkat(target.as_c_str(), to, name)),
            kind => rustix::fs::mknodat(to, name, kind, mode, stat.st_rdev),
        }
        .and_then(|()| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let new = rustix::fs::openat(to, name, flags, Mode::empty())?;
            describe(from.as_fd(), new.as_fd(), &stat)
        })
        .map_err(fail)
    }
}

fn open<P: rustix::path::Arg>(at: impl AsFd, path: P) -> std::result::Result<OwnedFd, Errno> {
    rustix::fs::openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn is_mount(file: &OwnedFd) -> std::result::Result<bool, Errno> {
    let seen = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    Ok(seen.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// The path by which attributes of what a handle leads to are reached.
fn by_handle(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &CStr, stat: &Stat) -> std::result::Result<(), Errno> {
    let errno = |e: std::io::Error| Errno::from_io_error(&e).unwrap_or(Errno::IO);
    let source = File::open(by_handle(from.as_fd())).map_err(errno)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let target: File = rustix::fs::openat(to, name, flags, Mode::from_raw_mode(0o600))?.into();
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        return Ok(());
    }
    let length = stat.st_size as u64;
    target.set_len(length).map_err(errno)?;
    let mut at = 0;
    // Holes stay holes, however large the file is.
    while at < length {
        let data = match rustix::fs::seek(&source, rustix::fs::SeekFrom::Data(at)) {
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL) => at,
            r => r?,
        };
        let end = rustix::fs::seek(&source, rustix::fs::SeekFrom::Hole(data)).unwrap_or(length);
        (&source).seek(SeekFrom::Start(data)).map_err(errno)?;
        (&target).seek(SeekFrom::Start(data)).map_err(errno)?;
        let copied = std::io::copy(&mut (&source).take(end - data), &mut &target).map_err(errno)?;
        if copied == 0 {
            break;
        }
        at = data + copied;
    }
    Ok(())
}

/// Owner, attributes, mode and times, in an order in which none undoes another.
fn describe(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &Stat) -> std::result::Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(to, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
    let (old, new) = (by_handle(from), by_handle(to));
    let times = Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime as _, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: stat.st_mtime as _, tv_nsec: stat.st_mtime_nsec as _ },
    };
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return rustix::fs::utimensat(to, c"", &times, AtFlags::EMPTY_PATH);
    }
    attributes(&old, &new)?;
    rustix::fs::chmod(&new, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    rustix::fs::utimensat(CWD, &new, &times, AtFlags::empty())
}

fn attributes(from: &str, to: &str) -> std::result::Result<(), Errno> {
    let mut names = vec![0; XATTR_MAX];
    let length = match rustix::fs::listxattr(from, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        r => r?,
    };
    let mut value = Vec::new();
    for name in names[..length].split_inclusive(|b| *b == 0).filter_map(|n| CStr::from_bytes_with_nul(n).ok()) {
        value.resize(XATTR_MAX, 0);
        let length = match rustix::fs::getxattr(from, name, &mut value[..]) {
            Err(Errno::NODATA) => continue,
            r => r?,
        };
        match rustix::fs::setxattr(to, name, &value[..length], XattrFlags::empty()) {
            // The other file system has no such attributes, or keeps them to itself.
            Err(Errno::OPNOTSUPP | Errno::PERM) => {}
            r => r?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::{TempDir, is_root};
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

    #[test]
    fn a_copy_is_the_same() {
        if !is_root("image::copy a_copy_is_the_same") {
            return;
        }
        let dir = TempDir::new();
        let at = |name: &str| dir.path().join("from").join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/file"), "text").unwrap();
        std::os::unix::fs::chown(at("a/file"), Some(1000), Some(50)).unwrap();
        std::fs::set_permissions(at("a/file"), PermissionsExt::from_mode(0o6755)).unwrap();
        std::fs::set_permissions(at("a/b"), PermissionsExt::from_mode(0o1711)).unwrap();
        std::fs::hard_link(at("a/file"), at("twice")).unwrap();
        symlink("/etc/passwd", at("link")).unwrap();
        rustix::fs::mknodat(CWD, at("pipe"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
        rustix::fs::setxattr(at("a/file"), c"trusted.spawn", b"value", XattrFlags::empty()).unwrap();
        let sparse = File::create(at("sparse")).unwrap();
        sparse.set_len(1 << 34).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", (1 << 34) - 3).unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000, 7);
        File::open(at("a")).unwrap().set_modified(old).unwrap();

        // Inside of the original, as for a tree that is a mount point.
        let to = at("copy");
        copy_tree(open(CWD, at("")).unwrap().as_fd(), &at(""), &to).unwrap();
        let seen = |name: &str| to.join(name).symlink_metadata().unwrap();
        let file = seen("a/file");
        assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777, file.nlink()), (1000, 50, 0o6755, 2));
        assert_eq!((seen("twice").ino(), seen("a/b").mode() & 0o7777), (file.ino(), 0o1711));
        assert_eq!(std::fs::read(to.join("a/file")).unwrap(), b"text");
        assert_eq!(std::fs::read_link(to.join("link")).unwrap(), Path::new("/etc/passwd"));
        assert!(seen("pipe").file_type().is_fifo());
        assert_eq!(seen("a").modified().unwrap(), old);
        assert_eq!((seen("sparse").len(), seen("sparse").blocks() < 1000), (1 << 34, true));
        let mut value = [0; 16];
        assert_eq!(rustix::fs::getxattr(to.join("a/file"), c"trusted.spawn", &mut value), Ok(5));
        assert!(!to.join("copy").exists());
        assert_eq!(
            copy_tree(open(CWD, at("a")).unwrap().as_fd(), &at("a"), &to).unwrap_err().code(),
            Code::TreeNotCopied
        );
    }
}
