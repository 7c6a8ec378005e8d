// SPDX-License-Identifier: LGPL-2.1-or-later
//! From where the stager resolves paths of the container. Child-safe.

use super::child::Fault;
use super::ops::Create;
use super::resolve;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::CStr;

/// What the stager holds on to once it has entered the new root.
pub struct Places<'a> {
    /// The new root.
    pub root: OwnedFd,
    /// Device and inode number of it.
    pub top: (u64, u64),
    /// The container's procfs, once it is mounted. What covers parts of it is found from here, not by a path that the
    /// image, or somebody who writes to it at the same time, could lead elsewhere: no mask may miss.
    pub proc: Option<OwnedFd>,
    /// Ids for what is made in the image: the container's root.
    pub root_ids: (u32, u32),
    /// The host's `/proc/self/fd`, to open for writing what is held as a mere handle.
    pub descriptors: BorrowedFd<'a>,
}

impl Places<'_> {
    /// Where a path of the container is resolved, and the path from there.
    pub fn of<'p>(&'p self, path: &'p CStr) -> (BorrowedFd<'p>, &'p CStr) {
        match (&self.proc, below_proc(path)) {
            (Some(proc), Some(rest)) => (proc.as_fd(), rest),
            _ => (self.root.as_fd(), path),
        }
    }

    /// Opens the target of a mount, making it when it is missing and `create` says so. `None`: skip the step.
    pub fn target(&self, path: &CStr, create: Create) -> Result<Option<OwnedFd>, Fault> {
        let (base, path) = self.of(path);
        resolve::target(base, path, create)
    }

    /// Opens the regular file behind a handle for writing and empties it.
    pub fn reopen(&self, handle: &OwnedFd) -> Result<OwnedFd, Errno> {
        self.open_handle(handle, OFlags::WRONLY | OFlags::TRUNC)
    }

    /// Whether the file is there already as it would be written: then the image's disk is left alone, start after start.
    pub fn holds(&self, dir: BorrowedFd<'_>, name: &CStr, bytes: &[u8]) -> bool {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(found) = rustix::fs::openat(dir, name, flags, Mode::empty()) else { return false };
        let as_written = rustix::fs::fstat(&found).is_ok_and(|stat| {
            FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && stat.st_mode & 0o7777 == 0o644
                && stat.st_size as usize == bytes.len()
        });
        if !as_written {
            return false;
        }
        let Ok(file) = self.open_handle(&found, OFlags::RDONLY) else { return false };
        let (mut rest, mut buffer) = (bytes, [0u8; 1024]);
        loop {
            match rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut buffer)) {
                Ok(0) => return rest.is_empty(),
                Ok(n) => match rest.strip_prefix(&buffer[..n]) {
                    Some(after) => rest = after,
                    None => return false,
                },
                Err(_) => return false,
            }
        }
    }

    fn open_handle(&self, handle: &OwnedFd, how: OFlags) -> Result<OwnedFd, Errno> {
        let (mut text, mut number) = ([0u8; 12], handle.as_raw_fd());
        let mut at = text.len() - 1;
        // Formatting would allocate.
        loop {
            at -= 1;
            text[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        let name = CStr::from_bytes_until_nul(&text[at..]).map_err(|_| Errno::INVAL)?;
        let flags = how | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::openat(self.descriptors, name, flags, Mode::empty())
    }
}

/// The part of the path behind `/proc`, slash included.
fn below_proc(path: &CStr) -> Option<&CStr> {
    let rest = path.to_bytes_with_nul().strip_prefix(b"/proc").filter(|r| r.first() == Some(&b'/'))?;
    CStr::from_bytes_with_nul(rest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::unix::{ffi::OsStrExt, fs::PermissionsExt};

    fn open(path: &CStr) -> OwnedFd {
        rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    #[test]
    fn what_is_below_proc_is_found_from_procfs() {
        let descriptors = open(c"/proc/self/fd");
        let mut places = Places {
            root: open(c"/"),
            top: (0, 0),
            proc: Some(open(c"/proc")),
            root_ids: (0, 0),
            descriptors: descriptors.as_fd(),
        };
        let from_proc = |places: &Places<'_>, path: &CStr| {
            let (base, rest) = places.of(path);
            (places.proc.as_ref().is_some_and(|p| p.as_raw_fd() == base.as_raw_fd()), rest.to_owned())
        };
        assert_eq!(from_proc(&places, c"/proc/sys/net"), (true, c"/sys/net".to_owned()));
        for path in [c"/proc", c"/procfs/x", c"/sys", c"/"] {
            assert_eq!(from_proc(&places, path), (false, path.to_owned()));
        }
        places.proc = None;
        assert_eq!(from_proc(&places, c"/proc/sys"), (false, c"/proc/sys".to_owned()));
    }

    #[test]
    fn a_handle_is_opened_and_emptied() {
        let path = std::env::temp_dir().join(format!("spawn-places-{}", std::process::id()));
        std::fs::write(&path, "old").unwrap();
        let handle = rustix::fs::open(&path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let descriptors = open(c"/proc/self/fd");
        let places =
            Places { root: open(c"/"), top: (0, 0), proc: None, root_ids: (0, 0), descriptors: descriptors.as_fd() };
        let high = rustix::io::fcntl_dupfd_cloexec(&handle, 900).unwrap();
        for (handle, text) in [(handle, "new"), (high, "newer")] {
            rustix::io::write(places.reopen(&handle).unwrap(), text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        let holds = |bytes: &[u8]| places.holds(places.root.as_fd(), &name, bytes);
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert_eq!((holds(b"newer"), holds(b"never"), holds(b"new"), holds(b"newer!")), (true, false, false, false));
        mode(0o600);
        assert!(!holds(b"newer"));
        std::fs::remove_file(&path).unwrap();
    }
}
