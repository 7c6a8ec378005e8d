// SPDX-License-Identifier: LGPL-2.1-or-later
//! Locks that belong to an open file description (`F_OFD_SETLK`, fcntl(2)), the kind systemd uses for images.
//!
//! They exclude each other across processes and within one, end when the last descriptor of the description is closed,
//! and are not lost when some other descriptor of the file is closed. flock(2) and these do not see each other.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Whether others may hold the lock at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockKind {
    /// Others may hold a shared lock too.
    Shared,
    /// Nobody else holds it.
    Exclusive,
}

/// A lock on a whole file, held until this is dropped or [`unlock`](Self::unlock)ed. Copies of the descriptor, in this
/// process or others, keep it held when this is dropped, but not when it is unlocked.
#[derive(Debug)]
pub struct OfdLock {
    fd: OwnedFd,
}

impl OfdLock {
    /// Locks the file behind `fd` without waiting. A shared lock needs `fd` readable, an exclusive one writable.
    ///
    /// # Errors
    /// `EAGAIN` when somebody else's lock is in the way (the kernel's `EACCES` is turned into it), `EBADF` when `fd` is
    /// open for the wrong direction.
    pub fn try_on(fd: OwnedFd, kind: LockKind) -> rustix::io::Result<Self> {
        lock(fd.as_fd(), kind)?;
        Ok(Self { fd })
    }

    /// Opens the file at `path`, made with mode 0600 where there is none, and locks it without waiting. A link there is
    /// not followed. The descriptor is close-on-exec.
    ///
    /// # Errors
    /// As [`try_on`](Self::try_on), and those of open(2); `ELOOP` for a link.
    pub fn try_at(path: &Path, kind: LockKind) -> rustix::io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
        Self::try_on(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?, kind)
    }

    /// Makes the lock shared or exclusive without giving it up in between.
    ///
    /// # Errors
    /// As [`try_on`](Self::try_on); the lock is then as it was.
    pub fn convert(&self, kind: LockKind) -> rustix::io::Result<()> {
        lock(self.fd.as_fd(), kind)
    }

    /// Gives the lock up, also for every copy of the descriptor.
    ///
    /// # Errors
    /// Those of fcntl(2); none is known to happen.
    pub fn unlock(self) -> rustix::io::Result<()> {
        set(self.fd.as_fd(), libc::F_UNLCK)
    }
}

impl AsFd for OfdLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Sets the lock on the whole file, or turns it into the other kind, without waiting.
///
/// # Errors
/// As [`OfdLock::try_on`].
pub fn lock(fd: BorrowedFd<'_>, kind: LockKind) -> rustix::io::Result<()> {
    set(fd, kind_number(kind))
}

fn kind_number(kind: LockKind) -> libc::c_int {
    match kind {
        LockKind::Shared => libc::F_RDLCK,
        LockKind::Exclusive => libc::F_WRLCK,
    }
}

fn set(fd: BorrowedFd<'_>, kind: libc::c_int) -> rustix::io::Result<()> {
    // From the start of the file to its end, however long it grows; l_pid must be 0 for this kind.
    let lock = libc::flock { l_type: kind as _, l_whence: libc::SEEK_SET as _, l_start: 0, l_len: 0, l_pid: 0 };
    // SAFETY: F_OFD_SETLK reads one struct flock, which outlives the call.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &lock) };
    if result < 0 {
        return match Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO) {
            Errno::ACCESS => Err(Errno::AGAIN),
            other => Err(other),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("spawn-ofd-{name}-{}", std::process::id()))
    }

    #[test]
    fn locks_exclude_each_other_and_end() {
        let path = scratch("ends");
        let first = OfdLock::try_at(&path, LockKind::Exclusive).unwrap();
        assert_eq!(OfdLock::try_at(&path, LockKind::Shared).unwrap_err(), Errno::AGAIN);
        first.convert(LockKind::Shared).unwrap();
        let second = OfdLock::try_at(&path, LockKind::Shared).unwrap();
        assert_eq!(first.convert(LockKind::Exclusive).unwrap_err(), Errno::AGAIN);
        drop(second);
        let copy = first.fd.try_clone().unwrap();
        drop(first);
        assert_eq!(OfdLock::try_at(&path, LockKind::Exclusive).unwrap_err(), Errno::AGAIN, "the copy holds it");
        OfdLock { fd: copy.try_clone().unwrap() }.unlock().unwrap();
        OfdLock::try_at(&path, LockKind::Exclusive).unwrap();
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_link_is_not_followed() {
        let path = scratch("link");
        std::os::unix::fs::symlink("/nonexistent-target", &path).unwrap();
        assert_eq!(OfdLock::try_at(&path, LockKind::Exclusive).unwrap_err(), Errno::LOOP);
        std::fs::remove_file(&path).unwrap();
    }
}
