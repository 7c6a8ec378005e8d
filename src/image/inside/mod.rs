// SPDX-License-Identifier: LGPL-2.1-or-later
//! Opening what lies in an image, whose author is not trusted.
//!
//! Every path is resolved by the kernel with the image as root (openat2(2), `RESOLVE_IN_ROOT`), first as a mere handle
//! (`O_PATH`), so that nothing is set off by opening it; what it is gets checked on that handle, and the handle is what
//! is then read or written. A path is never resolved a second time.

mod write;

pub use write::Owner;

use crate::error::{Code, Diagnostic, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// How often a resolution is tried again that a concurrent rename or mount has disturbed (EAGAIN).
const RESOLVE_TRIES: u32 = 1000;

/// Whether paths may lead onto another mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crossing {
    /// Yes: a tree may consist of several file systems.
    Allowed,
    /// No.
    Refused,
}

/// What becomes of a symbolic link at the very end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastLink {
    /// It is followed, within the image.
    Follow,
    /// It is itself what is looked for.
    Keep,
}

/// The root of an image's tree.
#[derive(Debug)]
pub struct ImageRoot {
    fd: OwnedFd,
    shown: PathBuf,
    resolve: ResolveFlags,
}

/// Something in an image: a handle (`O_PATH`) and what fstat(2) says of it.
#[derive(Debug)]
pub struct Found {
    /// The handle.
    pub fd: OwnedFd,
    /// What it is.
    pub stat: Stat,
}

impl Found {
    /// What kind of object it is.
    pub fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

impl AsFd for ImageRoot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl ImageRoot {
    /// Opens the tree at a path of the host, whose links are followed. Fails with E0201.
    pub fn open(path: &Path, crossing: Crossing) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| {
            Diagnostic::new(Code::TreeMissing, format!("cannot open the tree {}", path.display())).errno(e)
        })?;
        Ok(Self::from_fd(fd, path, crossing))
    }

    /// Takes an open directory as the root; `shown` is its name in messages.
    pub fn from_fd(fd: OwnedFd, shown: &Path, crossing: Crossing) -> Self {
        let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        resolve.set(ResolveFlags::NO_XDEV, crossing == Crossing::Refused);
        Self { fd, shown: shown.into(), resolve }
    }

    /// Finds what is at a path of the image; `None` when nothing is. Fails with E0206 where the path leads through
    /// something that is not a directory, in circles, or onto another mount although that is refused.
    pub fn find(&self, path: &Path, last: LastLink) -> Result<Option<Found>> {
        let mut flags = OFlags::PATH | OFlags::CLOEXEC;
        flags.set(OFlags::NOFOLLOW, last == LastLink::Keep);
        let fd = match self.openat2(path, flags) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(e) => return Err(self.unresolved(path, e)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|e| self.failed("examine", path, e))?;
        Ok(Some(Found { fd, stat }))
    }

    /// A handle of a directory; `None` when nothing is there. Fails with E0206 when something else is.
    pub fn find_dir(&self, path: &Path) -> Result<Option<OwnedFd>> {
        let Some(found) = self.find(path, LastLink::Follow)? else { return Ok(None) };
        self.expect_type(path, &found, FileType::Directory)?;
        Ok(Some(found.fd))
    }

    /// Opens a regular file for reading; `None` when nothing is there. Fails with E0206 when something else is: a FIFO,
    /// a socket or a device is never opened.
    pub fn open_file(&self, path: &Path) -> Result<Option<File>> {
        let Some(found) = self.find(path, LastLink::Follow)? else { return Ok(None) };
        self.expect_type(path, &found, FileType::RegularFile)?;
        self.reopen(path, &found, OFlags::RDONLY).map(Some)
    }

    /// Reads a regular file whole; `None` when nothing is there. Fails with E0206 when it has more than `limit` bytes.
    pub fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = file.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|e| Diagnostic::new(Code::Prepare, format!("cannot read {}", self.show(path))).io(&e))?;
        if bytes.len() as u64 > limit {
            let what = format!("{} is longer than the {limit} bytes that are read of it", self.show(path));
            return Err(Diagnostic::new(Code::ImageObject, what));
        }
        Ok(Some(bytes))
    }

    /// Where the symbolic link at a path points to; `None` when there is none at the end of the path.
    pub fn read_link(&self, path: &Path) -> Result<Option<PathBuf>> {
        let found = self.find(path, LastLink::Keep)?;
        let Some(link) = found.filter(|f| f.file_type() == FileType::Symlink) else { return Ok(None) };
        let target =
            rustix::fs::readlinkat(&link.fd, "", Vec::new()).map_err(|e| self.failed("read the link", path, e))?;
        Ok(Some(OsString::from_vec(target.into_bytes()).into()))
    }

    /// The tree's name in messages.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// The path as it is shown: the tree's with the one in the image behind it.
    pub fn show(&self, path: &Path) -> String {
        self.shown.join(path.strip_prefix("/").unwrap_or(path)).display().to_string()
    }

    fn openat2(&self, path: &Path, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        let mut tries = 0;
        loop {
            match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), self.resolve) {
                Err(Errno::AGAIN) if tries < RESOLVE_TRIES => tries += 1,
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }

    fn expect_type(&self, path: &Path, found: &Found, want: FileType) -> Result<()> {
        let is = found.file_type();
        if is == want {
            return Ok(());
        }
        let what = format!("{} is {}, not {}", self.show(path), describe(is), describe(want));
        Err(Diagnostic::new(Code::ImageObject, what).help("repair the image"))
    }

    /// Opens what a handle stands for. Only for regular files and directories: opening anything else may do something.
    fn reopen(&self, path: &Path, found: &Found, access: OFlags) -> Result<File> {
        let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let by_number = format!("/proc/self/fd/{}", found.fd.as_raw_fd());
        let fd = rustix::fs::open(by_number, flags, Mode::empty()).map_err(|e| self.failed("open", path, e))?;
        Ok(fd.into())
    }

    fn unresolved(&self, path: &Path, errno: Errno) -> Diagnostic {
        let why = match errno {
            Errno::NOTDIR => "a part of the path is not a directory",
            Errno::LOOP => "the path leads through too many links, or through one of procfs",
            Errno::XDEV => "the path leads onto another mount",
            Errno::AGAIN => "the path keeps changing",
            errno => return self.failed("find", path, errno),
        };
        Diagnostic::new(Code::ImageObject, format!("cannot find {}", self.show(path))).errno(errno).note(why)
    }

    fn failed(&self, verb: &str, path: &Path, errno: Errno) -> Diagnostic {
        let d = Diagnostic::new(Code::Prepare, format!("cannot {verb} {}", self.show(path))).errno(errno);
        match remedy(errno) {
            Some(remedy) => d.help(remedy),
            None => d,
        }
    }
}

/// What helps where the file system refuses root: only one does that is served by somebody else, a program or a machine.
pub fn remedy(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::ACCESS if rustix::process::geteuid().is_root() => {
            Some("let root in: mount it with allow_other or allow_root (FUSE), export it with no_root_squash (NFS)")
        }
        Errno::NOTCONN | Errno::STALE => Some("what serves this file system is gone: unmount it and mount it again"),
        _ => None,
    }
}

/// The kind of object in plain words.
fn describe(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        FileType::Unknown => "of an unknown type",
    }
}

/// Applies to a handle itself, not to a path below it.
const EMPTY_PATH: AtFlags = AtFlags::EMPTY_PATH;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::{TempDir, is_root};
    use std::os::unix::fs::symlink;

    fn image() -> (TempDir, ImageRoot) {
        let dir = TempDir::new();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let root = ImageRoot::open(dir.path(), Crossing::Allowed).unwrap();
        (dir, root)
    }

    fn refusal(root: &ImageRoot, path: &str) -> String {
        let error = root.read_file(path.as_ref(), 100).unwrap_err();
        assert_eq!(error.code(), Code::ImageObject, "{error}");
        error.to_string()
    }

    #[test]
    fn links_stay_in_the_image() {
        let (dir, root) = image();
        std::fs::write(dir.path().join("etc/passwd"), "of the image").unwrap();
        symlink("/etc/passwd", dir.path().join("absolute")).unwrap();
        symlink("../../../../../../etc/passwd", dir.path().join("relative")).unwrap();
        symlink("/proc/self/root/etc/passwd", dir.path().join("magic")).unwrap();
        for path in ["absolute", "/absolute", "relative", "../../etc/passwd"] {
            assert_eq!(root.read_file(path.as_ref(), 100).unwrap().unwrap(), b"of the image", "{path}");
        }
        assert_eq!(root.read_file("magic".as_ref(), 100).unwrap(), None);
        assert_eq!(root.read_link("absolute".as_ref()).unwrap().unwrap(), Path::new("/etc/passwd"));
        assert_eq!(root.read_link("etc/passwd".as_ref()).unwrap(), None);
    }

    #[test]
    fn only_regular_files_are_read() {
        let (dir, root) = image();
        let etc = dir.path().join("etc");
        rustix::fs::mknodat(rustix::fs::CWD, etc.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(etc.join("socket")).unwrap();
        symlink("fifo", etc.join("to-fifo")).unwrap();
        symlink("circle", etc.join("circle")).unwrap();
        assert!(refusal(&root, "etc/fifo").contains("etc/fifo is a FIFO, not a regular file"));
        assert!(refusal(&root, "etc/to-fifo").contains("a FIFO"));
        assert!(refusal(&root, "etc/socket").contains("a socket"));
        assert!(refusal(&root, "etc").contains("a directory"));
        assert!(refusal(&root, "etc/circle").contains("ELOOP"));
        assert!(refusal(&root, "etc/fifo/below").contains("not a directory"));
        assert_eq!(root.read_file("etc/missing".as_ref(), 100).unwrap(), None);
        assert_eq!(root.find_dir("etc/fifo".as_ref()).unwrap_err().code(), Code::ImageObject);
    }

    #[test]
    fn devices_are_not_opened() {
        if !is_root("image::inside devices_are_not_opened") {
            return;
        }
        let (dir, root) = image();
        let zero = rustix::fs::makedev(1, 5);
        let path = dir.path().join("etc/zero");
        rustix::fs::mknodat(rustix::fs::CWD, path, FileType::CharacterDevice, Mode::RWXU, zero).unwrap();
        assert!(refusal(&root, "etc/zero").contains("a character device"));
    }

    #[test]
    fn long_files_are_refused_without_reading_them_all() {
        let (dir, root) = image();
        let file = File::create(dir.path().join("etc/sparse")).unwrap();
        file.set_len(10 << 30).unwrap();
        assert!(refusal(&root, "etc/sparse").contains("longer than the 100 bytes"));
        file.set_len(100).unwrap();
        assert_eq!(root.read_file("etc/sparse".as_ref(), 100).unwrap().unwrap().len(), 100);
    }

    #[test]
    fn other_mounts_can_be_refused() {
        let root = |crossing| ImageRoot::open("/".as_ref(), crossing).unwrap();
        let proc_version = Path::new("proc/version");
        assert!(root(Crossing::Allowed).read_file(proc_version, 4096).unwrap().is_some());
        let error = root(Crossing::Refused).read_file(proc_version, 4096).unwrap_err();
        assert!(error.to_string().contains("onto another mount"), "{error}");
    }

    #[test]
    fn a_missing_tree_is_named() {
        let error = ImageRoot::open("/nonexistent/tree".as_ref(), Crossing::Allowed).unwrap_err();
        assert_eq!(error.code(), Code::TreeMissing);
        assert!(error.to_string().contains("/nonexistent/tree"));
    }
}
