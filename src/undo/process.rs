// SPDX-License-Identifier: LGPL-2.1-or-later
//! Processes that are told apart although pids are used again.

use crate::sys::{proc_pid, small_file};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

/// What to do where nothing can be read of processes.
pub const NO_PROC: &str = "mount procfs: mount -t proc proc /proc";

/// A process for good: its pid, and when it was started. Until the next boot no other process has the same pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid in the host's namespace.
    pub pid: i32,
    /// Start time in clock ticks after boot (field 22 of `/proc/PID/stat`, proc_pid_stat(5)).
    pub start_time: u64,
}

impl ProcessId {
    /// The process that has this pid now.
    pub fn of(pid: i32) -> Option<Self> {
        stat(pid).ok().flatten().map(|stat| Self { pid, start_time: stat.start_time })
    }

    /// This process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn myself() -> io::Result<Self> {
        static MYSELF: OnceLock<ProcessId> = OnceLock::new();
        let pid = std::process::id() as i32;
        // A clone of this process is another one.
        if let Some(known) = MYSELF.get().filter(|known| known.pid == pid) {
            return Ok(*known);
        }
        let stat = stat(pid)?.ok_or(io::ErrorKind::InvalidData)?;
        let myself = Self { pid, start_time: stat.start_time };
        // Set already: by the process that this one is a clone of.
        let _already = MYSELF.set(myself);
        Ok(myself)
    }

    /// Whether it still runs. One that has ended but was not reaped yet does not.
    pub fn is_alive(&self) -> bool {
        stat(self.pid)
            .ok()
            .flatten()
            .is_some_and(|now| now.start_time == self.start_time && !matches!(now.state, 'Z' | 'X'))
    }

    /// A pidfd of it; `None` when it is gone.
    pub fn open(&self) -> Option<OwnedFd> {
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Compared only now: what the pidfd refers to had this pid before, so it is this process or a later one.
        (Self::of(self.pid)? == *self).then_some(pidfd)
    }

    /// The name of its program as the kernel has it (`/proc/PID/comm`), at most 15 bytes.
    pub fn command(&self) -> Option<String> {
        let name = std::fs::read(format!("/proc/{}/comm", self.pid)).ok()?;
        Some(String::from_utf8_lossy(name.trim_ascii_end()).escape_debug().to_string())
    }
}

struct Stat {
    state: char,
    start_time: u64,
}

fn stat(pid: i32) -> io::Result<Option<Stat>> {
    small_file::read(format!("/proc/{pid}/stat")).map(|text| {
        let stat = proc_pid::Stat::parse(&text)?;
        Some(Stat { state: stat.state()?, start_time: stat.number(22)? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        let me = ProcessId::myself().unwrap();
        assert!(me.is_alive() && me.open().is_some());
        let other = ProcessId { start_time: me.start_time + 1, ..me };
        assert!(!other.is_alive() && other.open().is_none());
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let id = ProcessId::of(child.id() as i32).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while id.is_alive() && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(!id.is_alive());
        child.wait().unwrap();
    }
}
