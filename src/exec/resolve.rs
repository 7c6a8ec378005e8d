// SPDX-License-Identifier: LGPL-2.1-or-later
//! Opens and makes mount points inside the new root, by descriptors, without ever leaving it. Child-safe.

use super::child::{During, Fault};
use super::ops::Create;
use super::report::Part;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
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
    make(root, path, create).map(Some)
}

/// Makes a path step by step. Each component is opened inside the root, so a symlink that is swapped in between can
/// at worst lead to another place inside the root.
fn make(root: BorrowedFd<'_>, path: &CStr, create: Create) -> Result<OwnedFd, Fault> {
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
                create_in(&current, name, if last { create } else { Create::Dir })?
            }
            Err(e) => return Err((Part::Open, e)),
        };
        at = end;
    }
    Ok(current)
}

fn create_in(dir: &OwnedFd, name: &CStr, create: Create) -> Result<OwnedFd, Fault> {
    if create == Create::File {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644)).during(Part::Create)?;
    } else {
        rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)).during(Part::Create)?;
    }
    rustix::fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).during(Part::Open)
}
