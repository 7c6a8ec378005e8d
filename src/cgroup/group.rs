// SPDX-License-Identifier: LGPL-2.1-or-later
//! One control group, worked on through its directory fd.

use super::hierarchy::is_entry_name;
use crate::error::{Code, Diagnostic, Result};
use crate::sys::child::{self, Which, Zombie};
use crate::sys::clone::{self, Side};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::Pid;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Who may manage a delegated group: the container's root as the host sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id on the host.
    pub uid: u32,
    /// Group id on the host.
    pub gid: u32,
}

/// The files that a delegatee may write or needs to see (cgroups(7), Delegation; `cg_set_access` of systemd).
const DELEGATED_FILES: &[&str] = &[
    "cgroup.controllers",
    "cgroup.events",
    "cgroup.procs",
    "cgroup.stat",
    "cgroup.subtree_control",
    "cgroup.threads",
    "memory.oom.group",
    "memory.reclaim",
];

/// How much of one file is read, in bytes.
const LONGEST_FILE: usize = 1 << 16;

/// A control group. Dropping it closes the fd and leaves the group as it is.
#[derive(Debug)]
pub struct Group {
    dir: OwnedFd,
    path: PathBuf,
}

impl AsFd for Group {
    /// The directory: for `CLONE_INTO_CGROUP` and `BPF_PROG_ATTACH`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Group {
    pub(super) fn from_parts(dir: OwnedFd, path: PathBuf) -> Self {
        Self { dir, path }
    }

    /// As `/proc/PID/cgroup` names it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the group `name` below; fails when there is one already.
    pub fn create_child(&self, name: &OsStr) -> Result<Group> {
        if !is_entry_name(name) {
            return Err(self.failed("make a group below").cause(format!("{name:?} is not a file name")));
        }
        let path = self.path.join(name);
        rustix::fs::mkdirat(&self.dir, name, Mode::from_raw_mode(0o755)).map_err(|e| {
            Diagnostic::new(Code::CgroupFailed, format!("cannot make the control group {}", path.display())).errno(e)
        })?;
        // Nobody knows of a group that cannot be opened.
        self.open_child(name).inspect_err(|_| self.remove_empty(name))
    }

    /// Removes a group below that has no processes and no groups in it, without a descriptor to spare. What else is there
    /// stays.
    pub fn remove_empty(&self, name: &OsStr) {
        let _in_use = rustix::fs::unlinkat(&self.dir, name, AtFlags::REMOVEDIR);
    }

    /// Opens the group `name` below.
    pub fn open_child(&self, name: &OsStr) -> Result<Group> {
        let path = self.path.join(name);
        let dir = open_dir(&self.dir, name).map_err(|e| {
            Diagnostic::new(Code::CgroupFailed, format!("cannot open the control group {}", path.display())).errno(e)
        })?;
        Ok(Group { dir, path })
    }

    /// The group `name` below, made if it is not there.
    pub fn ensure_child(&self, name: &OsStr) -> Result<Group> {
        match rustix::fs::mkdirat(&self.dir, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => self.open_child(name),
            Err(e) => Err(self.failed("make a group below").errno(e)),
        }
    }

    /// The controllers that can be enabled for groups below.
    pub fn controllers(&self) -> Result<Vec<String>> {
        let text = self.read("cgroup.controllers").map_err(|e| self.failed("read cgroup.controllers of").errno(e))?;
        Ok(text.split_ascii_whitespace().map(str::to_owned).collect())
    }

    /// Enables every controller for the groups below, each by itself. Returns those that the kernel refused: a group
    /// with processes of its own cannot have any (`EBUSY`), threaded groups only some.
    pub fn enable_controllers(&self) -> Result<Vec<(String, Errno)>> {
        let attempt = |name: String| {
            let result = self.write("cgroup.subtree_control", format!("+{name}").as_bytes());
            result.err().map(|e| (name, e))
        };
        Ok(self.controllers()?.into_iter().filter_map(attempt).collect())
    }

    /// Gives the group to the container's root: the directory and the files of delegation, not the limits.
    pub fn delegate(&self, owner: Owner) -> Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)));
        rustix::fs::fchown(&self.dir, uid, gid).map_err(|e| self.failed("change the owner of").errno(e))?;
        for file in DELEGATED_FILES {
            match rustix::fs::chownat(&self.dir, *file, uid, gid, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(()) | Err(Errno::NOENT) => (),
                Err(e) => return Err(self.failed(&format!("change the owner of {file} of")).errno(e)),
            }
        }
        Ok(())
    }

    /// Moves a process here, with all its threads.
    pub fn attach(&self, pid: Pid) -> Result<()> {
        let text = pid.as_raw_nonzero().to_string();
        self.write("cgroup.procs", text.as_bytes())
            .map_err(|e| self.failed(&format!("move process {text} into")).errno(e))
    }

    /// Kills every process in here and below, new ones included (`cgroup.kill`, Linux 5.14).
    pub fn kill(&self) -> Result<()> {
        match self.write("cgroup.kill", b"1") {
            // A group that is gone has nothing to kill.
            Ok(()) | Err(Errno::NODEV | Errno::NOENT) => Ok(()),
            Err(e) => Err(self.failed("kill the processes of").errno(e)),
        }
    }

    /// Whether there is a live process here or below; a group that is gone has none.
    pub fn is_populated(&self) -> Result<bool> {
        match self.read("cgroup.events") {
            Ok(text) => Ok(text.lines().any(|l| l == "populated 1")),
            Err(Errno::NODEV | Errno::NOENT) => Ok(false),
            Err(e) => Err(self.failed("read cgroup.events of").errno(e)),
        }
    }

    /// Waits until no process is left here and below; `false` when the time is up first.
    pub fn wait_empty(&self, patience: Duration) -> Result<bool> {
        let deadline = Instant::now() + patience;
        let failed = |e| self.failed("wait for the processes of").errno(e);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let events = match rustix::fs::openat(&self.dir, "cgroup.events", flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NODEV | Errno::NOENT) => return Ok(true),
            Err(e) => return Err(failed(e)),
        };
        loop {
            // Reading from the polled file itself arms its next notification.
            let mut buffer = [0; 256];
            let n = match rustix::io::pread(&events, &mut buffer, 0) {
                Err(Errno::NODEV) => return Ok(true),
                other => other.map_err(failed)?,
            };
            if !buffer[..n].split(|b| *b == b'\n').any(|l| l == b"populated 1") {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let timeout = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() };
            match rustix::event::poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => (),
                Err(e) => return Err(failed(e)),
            }
        }
    }

    /// Lets a process live and die in here, so that whoever watches `cgroup.events` looks whether the group is empty: of one
    /// that never held a living process the kernel tells nothing. A group that is gone is fine.
    ///
    /// The caller must have one thread only.
    pub fn stir(&self) -> Result<()> {
        let pidfd = match clone::clone(0, Some(self.dir.as_fd())) {
            Ok(Side::Child) => crate::sys::process::exit_now(0),
            Ok(Side::Parent { pidfd, .. }) => pidfd,
            Err(Errno::NODEV | Errno::NOENT) => return Ok(()),
            Err(e) => return Err(self.failed("start a process in").errno(e)),
        };
        let failed = |e| self.failed("wait for a process in").errno(e);
        let limit = Timespec { tv_sec: 2, tv_nsec: 0 };
        rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)).map_err(failed)?;
        child::wait(Which::PidFd(pidfd.as_fd()), Zombie::Reap).map(drop).map_err(failed)
    }

    /// Removes the group `name` below with all groups in it, killing what is left there. A missing one is fine.
    pub fn remove_child(&self, name: &OsStr, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let path = self.path.join(name);
        let failed = |e| {
            Diagnostic::new(Code::ReleaseFailed, format!("cannot remove the control group {}", path.display())).errno(e)
        };
        let child = match open_dir(&self.dir, name) {
            Ok(dir) => Group { dir, path: path.clone() },
            Err(Errno::NOENT) => return Ok(()),
            Err(e) => return Err(failed(e)),
        };
        loop {
            child.kill()?;
            let empty = child.wait_empty(deadline.saturating_duration_since(Instant::now()))?;
            let result =
                remove_below(&child.dir).and_then(|()| rustix::fs::unlinkat(&self.dir, name, AtFlags::REMOVEDIR));
            match result {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                // Somebody was faster than the kill, or the kernel still holds a dying process.
                Err(Errno::BUSY | Errno::NOTEMPTY) if empty && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(e) => return Err(failed(e)),
            }
        }
    }

    /// A file of the group, about [`LONGEST_FILE`] at most.
    pub(super) fn read(&self, file: &str) -> rustix::io::Result<String> {
        let fd = rustix::fs::openat(&self.dir, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut text = Vec::new();
        // Nearly every file fits into one part, and a page that is not touched costs nothing.
        let mut part = [0; 1024];
        while text.len() < LONGEST_FILE {
            match rustix::io::read(&fd, &mut part)? {
                0 => break,
                n => text.extend_from_slice(&part[..n]),
            }
        }
        String::from_utf8(text).map_err(|_| Errno::ILSEQ)
    }

    fn write(&self, file: &str, bytes: &[u8]) -> rustix::io::Result<()> {
        let fd = rustix::fs::openat(&self.dir, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&fd, bytes).map(drop)
    }

    fn failed(&self, doing: &str) -> Diagnostic {
        Diagnostic::new(Code::CgroupFailed, format!("cannot {doing} the control group {}", self.path.display()))
    }
}

fn open_dir(parent: impl AsFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Removes all groups below `top`, deepest first. Holds one fd however deep a payload has nested them.
fn remove_below(top: &OwnedFd) -> rustix::io::Result<()> {
    let mut here = rustix::io::fcntl_dupfd_cloexec(top, 0)?;
    let mut names: Vec<OsString> = Vec::new();
    loop {
        if let Some(name) = first_child(&here)? {
            here = open_dir(&here, &name)?;
            names.push(name);
        } else if let Some(name) = names.pop() {
            here = open_dir(&here, OsStr::new(".."))?;
            rustix::fs::unlinkat(&here, &name, AtFlags::REMOVEDIR)?;
        } else {
            return Ok(());
        }
    }
}

fn first_child(dir: &OwnedFd) -> rustix::io::Result<Option<OsString>> {
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if entry.file_type() == rustix::fs::FileType::Directory && !matches!(name, b"." | b"..") {
            return Ok(Some(OsString::from_vec(name.to_vec())));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::{Hierarchy, own_group};

    #[test]
    fn whoever_watches_an_empty_group_is_told_of_a_visit() {
        let skip = |why: &str| eprintln!("skipped: {why}");
        if !rustix::process::geteuid().is_root() {
            return skip("needs root");
        }
        let Some(hierarchy) = Hierarchy::find().unwrap() else { return skip("no cgroup2 is mounted") };
        let own = Hierarchy::own_path().unwrap().unwrap();
        let own = own_group(&hierarchy, &own, &format!("test-stir-{}", std::process::id())).unwrap();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let events = rustix::fs::openat(&own.group, "cgroup.events", flags, Mode::empty()).unwrap();
        let mut buffer = [0; 256];
        rustix::io::pread(&events, &mut buffer, 0).unwrap();
        let told = |seconds| {
            let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
            rustix::event::poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&limit)).unwrap() == 1
        };
        assert!(!told(0));
        own.group.stir().unwrap();
        assert!(told(5));
        assert!(!own.group.is_populated().unwrap());
        own.removal.run(Duration::from_secs(5)).unwrap();
        own.group.stir().unwrap();
    }
}
