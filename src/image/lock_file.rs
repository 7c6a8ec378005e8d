// SPDX-License-Identifier: LGPL-2.1-or-later
//! One lock file, by the protocol of systemd (`src/basic/lock-util.c`): an open file description lock (fcntl(2),
//! `F_OFD_SETLK`) over the whole of a file that its last exclusive owner removes.

use crate::sys::ofd_lock::{LockKind, lock};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the file may be removed by its owner between our opening and locking it.
const TRIES: u32 = 100;
/// How long is searched for the holder of a lock: only a message depends on it.
const SEARCH_LIMIT: Duration = Duration::from_millis(200);

/// Why a lock was not had.
#[derive(Debug)]
pub(super) enum LockError {
    /// Somebody else holds it; who, as far as that was found out.
    Busy(Vec<Holder>),
    /// The file could not be opened or locked.
    Failed(Errno),
}

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub pid: u32,
    pub command: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (process {})", self.command, self.pid)
    }
}

/// A lock that is held until the value is dropped. A copy of the descriptor in another process keeps it held.
#[derive(Debug)]
pub struct LockFile {
    dir: OwnedFd,
    name: OsString,
    fd: OwnedFd,
    mode: LockKind,
}

impl LockFile {
    /// Takes the lock without waiting.
    pub(super) fn take(dir: &Path, name: &OsStr, mode: LockKind) -> Result<Self, LockError> {
        Self::attempt(dir, name, mode, holders)
    }

    /// The same, but does not find out who holds it, which takes a look at every process.
    pub(super) fn take_quietly(dir: &Path, name: &OsStr, mode: LockKind) -> Result<Self, LockError> {
        Self::attempt(dir, name, mode, |_| Vec::new())
    }

    /// Takes the lock, waiting for others at most that long.
    ///
    /// # Errors
    /// `EAGAIN` when others hold it all the time; those of open(2) and fcntl(2).
    pub fn within(dir: &Path, name: &OsStr, mode: LockKind, patience: Duration) -> rustix::io::Result<Self> {
        let until = Instant::now() + patience;
        loop {
            match Self::take_quietly(dir, name, mode) {
                Ok(lock) => return Ok(lock),
                Err(LockError::Failed(errno)) => return Err(errno),
                Err(LockError::Busy(_)) if Instant::now() >= until => return Err(Errno::AGAIN),
                Err(LockError::Busy(_)) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn attempt(
        dir: &Path,
        name: &OsStr,
        mode: LockKind,
        holders: fn(BorrowedFd<'_>) -> Vec<Holder>,
    ) -> Result<Self, LockError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(dir, flags, Mode::empty())?;
        for _ in 0..TRIES {
            let flags =
                OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(&dir, name, flags, Mode::RUSR | Mode::WUSR)?;
            if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) != FileType::RegularFile {
                return Err(LockError::Failed(Errno::INVAL));
            }
            match lock(fd.as_fd(), mode) {
                Err(Errno::AGAIN) => return Err(LockError::Busy(holders(fd.as_fd()))),
                other => other?,
            }
            // The owner removes the file before it lets go: what was locked may be a file without a name.
            if rustix::fs::fstat(&fd)?.st_nlink > 0 {
                return Ok(Self { dir, name: name.into(), fd, mode });
            }
        }
        Err(LockError::Failed(Errno::AGAIN))
    }
}

impl AsFd for LockFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for LockFile {
    /// The file may stay where it cannot be removed: a lock on it would still be had.
    fn drop(&mut self) {
        if self.mode == LockKind::Exclusive || lock(self.fd.as_fd(), LockKind::Exclusive).is_ok() {
            let _ = rustix::fs::unlinkat(&self.dir, &self.name, AtFlags::empty());
        }
    }
}

impl From<Errno> for LockError {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

/// The processes that hold a lock on the file. The kernel names none for this kind of lock, so every open file of every
/// process is looked at, by its fdinfo (proc_pid_fdinfo(5)), as long as the time limit allows.
fn holders(file: BorrowedFd<'_>) -> Vec<Holder> {
    let until = Instant::now() + SEARCH_LIMIT;
    let Ok(wanted) = rustix::fs::fstat(file) else { return Vec::new() };
    let mut found = Vec::new();
    for pid in numbers_in(Path::new("/proc")) {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let holds = |fd: u32| {
            let is_it = rustix::fs::stat(process.join(format!("fd/{fd}")))
                .is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (wanted.st_dev, wanted.st_ino));
            is_it && std::fs::read_to_string(process.join(format!("fdinfo/{fd}"))).is_ok_and(|i| i.contains("lock:"))
        };
        if numbers_in(&process.join("fd")).any(holds) {
            let command = std::fs::read(process.join("comm")).unwrap_or_default();
            found.push(Holder { pid, command: String::from_utf8_lossy(&command).trim_end().into() });
        }
        if Instant::now() >= until {
            break;
        }
    }
    found
}

fn numbers_in(dir: &Path) -> impl Iterator<Item = u32> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::TempDir;

    fn take(dir: &TempDir, mode: LockKind) -> Result<LockFile, LockError> {
        LockFile::take(dir.path(), ".#x.lck".as_ref(), mode)
    }

    #[test]
    fn exclusive_excludes_and_shared_shares() {
        let dir = TempDir::new();
        let first = take(&dir, LockKind::Exclusive).unwrap();
        for mode in [LockKind::Exclusive, LockKind::Shared] {
            let Err(LockError::Busy(holders)) = take(&dir, mode) else { panic!("not busy") };
            assert_eq!(holders.iter().map(|h| h.pid).collect::<Vec<_>>(), [std::process::id()]);
        }
        drop(first);
        let shared = [take(&dir, LockKind::Shared).unwrap(), take(&dir, LockKind::Shared).unwrap()];
        assert!(matches!(take(&dir, LockKind::Exclusive), Err(LockError::Busy(_))));
        drop(shared);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the last one removes the file");
    }

    #[test]
    fn nothing_but_a_file_is_locked() {
        let dir = TempDir::new();
        std::os::unix::fs::symlink("/dev/null", dir.path().join(".#x.lck")).unwrap();
        assert!(matches!(take(&dir, LockKind::Shared), Err(LockError::Failed(Errno::LOOP))));
        std::fs::remove_file(dir.path().join(".#x.lck")).unwrap();
        let path = dir.path().join(".#x.lck");
        rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(matches!(take(&dir, LockKind::Shared), Err(LockError::Failed(Errno::INVAL))));
    }

    #[test]
    fn many_at_once_have_it_one_after_the_other() {
        let dir = TempDir::new();
        let inside = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut taken = 0;
                    while taken < 200 {
                        let quick = LockFile::take_quietly(dir.path(), "x".as_ref(), LockKind::Exclusive);
                        let Ok(lock) = quick else { continue };
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        taken += 1;
                        drop(lock);
                    }
                });
            }
        });
    }
}
