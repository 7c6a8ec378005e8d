// SPDX-License-Identifier: LGPL-2.1-or-later
//! Opens and makes mount points inside the new root, by descriptors, without ever leaving it. Child-safe.

use super::child::{During, Fault};
use super::ops::Create;
use super::report::Part;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use std::ffi::CStr;

const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);
const TRIES: usize = 64;

/// Opens a path inside the root, following its symlinks inside the root only.
pub fn open_inside(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    for _ in 0..TRIES {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), INSIDE) {
            // Somebody renames or mounts at the same time: the kernel asks to try again.
            Err(Errno::AGAIN) => {}
            r => return r,
        }
    }
    Err(Errno::AGAIN)
}

/// The type of what a descriptor refers to.
pub fn kind_of(fd: BorrowedFd<'_>) -> Result<FileType, Errno> {
    rustix::fs::fstat(fd).map(|s| FileType::from_raw_mode(s.st_mode))
}

/// Opens the target of a mount, making it when it is missing and `create` says so. `None`: skip the step.
pub fn target(root: BorrowedFd<'_>, path: &CStr, create: Create) -> Result<Option<OwnedFd>, Fault> {
    match open_inside(root, path, OFlags::PATH) {
        Ok(fd) => return Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR) if create == Create::Skip => return Ok(None),
        Err(Errno::NOENT) if matches!(create, Create::Dir | Create::File) => {}
        Err(e) => return Err((Part::Open, e)),
    }
    make(root, path, create, Mode::from_raw_mode(0o755)).map(Some)
}

/// Makes a directory that is missing, and those above it, and gives the last one to `owner`. A symlink that leads nowhere
/// is left as it is. Modes are those of systemd-nspawn's `change_uid_gid()`: 0755, above it 0775.
pub fn make_directory(root: BorrowedFd<'_>, path: &CStr, owner: (u32, u32)) -> Result<(), Fault> {
    match open_inside(root, path, OFlags::PATH) {
        Ok(_) => return Ok(()),
        Err(Errno::NOENT) => {}
        Err(e) => return Err((Part::Open, e)),
    }
    match make(root, path, Create::Dir, Mode::from_raw_mode(0o775)) {
        Ok(made) => {
            let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
            rustix::fs::chownat(made, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH).during(Part::Owner)
        }
        Err((Part::Create, Errno::EXIST)) if open_inside(root, path, OFlags::PATH | OFlags::NOFOLLOW).is_ok() => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// Makes a path step by step. Each component is opened inside the root, so a symlink that is swapped in between can
/// at worst lead to another place inside the root.
fn make(root: BorrowedFd<'_>, path: &CStr, create: Create, above: Mode) -> Result<OwnedFd, Fault> {
    let bytes = path.to_bytes();
    let mut buffer = [0u8; 4097];
    if bytes.len() >= buffer.len() {
        return Err((Part::Open, Errno::NAMETOOLONG));
    }
    let mut current = open_inside(root, c"/", OFlags::PATH).during(Part::Open)?;
    let mut at = 0;
    while at < bytes.len() {
        let start = bytes[at..].iter().position(|b| *b != b'/').map_or(bytes.len(), |n| at + n);
        if start == bytes.len() {
            break;
        }
        let end = bytes[start..].iter().position(|b| *b == b'/').map_or(bytes.len(), |n| start + n);
        let last = bytes[end..].iter().all(|b| *b == b'/');
        // The path so far, for following symlinks inside the root.
        buffer[..end].copy_from_slice(&bytes[..end]);
        buffer[end] = 0;
        let prefix = CStr::from_bytes_until_nul(&buffer).map_err(|_| (Part::Open, Errno::INVAL))?;
        current = match open_inside(root, prefix, OFlags::PATH) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => {
                let name = CStr::from_bytes_until_nul(&buffer[start..]).map_err(|_| (Part::Open, Errno::INVAL))?;
                let (create, mode) = if last { (create, Mode::from_raw_mode(0o755)) } else { (Create::Dir, above) };
                create_in(&current, name, create, mode)?
            }
            Err(e) => return Err((Part::Open, e)),
        };
        at = end;
    }
    Ok(current)
}

fn create_in(dir: &OwnedFd, name: &CStr, create: Create, mode: Mode) -> Result<OwnedFd, Fault> {
    if create == Create::File {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644)).during(Part::Create)?;
    } else {
        rustix::fs::mkdirat(dir, name, mode).during(Part::Create)?;
    }
    rustix::fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).during(Part::Open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::TempDir;
    use rustix::fd::AsFd;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn directories_are_made_inside_and_nowhere_else() {
        let (dir, outside) = (TempDir::new(), TempDir::new());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap();
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let made = |path: &CStr| make_directory(root.as_fd(), path, own);
        let is_dir = |path: &str| dir.path().join(path).is_dir();
        assert_eq!(made(c"/a/b//c/"), Ok(()));
        assert!(is_dir("a/b/c"));
        // What is there stays as it is, be it a file.
        std::fs::set_permissions(dir.path().join("a"), PermissionsExt::from_mode(0o700)).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!((made(c"/a"), made(c"/file"), made(c"/")), (Ok(()), Ok(()), Ok(())));
        assert_eq!(std::fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(made(c"/file/x"), Err((Part::Open, Errno::NOTDIR)));
        // Links are those of the container.
        symlink("/a", dir.path().join("inside")).unwrap();
        symlink(outside.path(), dir.path().join("outside")).unwrap();
        symlink("/nowhere", dir.path().join("dangling")).unwrap();
        assert_eq!((made(c"/inside/d"), made(c"/../../a/e")), (Ok(()), Ok(())));
        assert!(is_dir("a/d") && is_dir("a/e"));
        assert_eq!(made(c"/dangling"), Ok(()));
        assert_eq!(made(c"/outside/x"), Err((Part::Create, Errno::EXIST)));
        assert!(!is_dir("nowhere") && std::fs::read_dir(outside.path()).unwrap().next().is_none());
    }
}
