// SPDX-License-Identifier: LGPL-2.1-or-later
//! Other processes' place in job control, as proc_pid_stat(5) shows it.

use crate::sys::proc_pid::Stat;
use rustix::fs::{Dev, makedev};

/// Deeper than any line of ancestors is likely to be.
const MOST_ANCESTORS: usize = 64;

/// A process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// The first 15 bytes of its program's name.
    pub(super) command: String,
    pub(super) parent: i32,
    group: i32,
    /// Its controlling terminal, as the kernel encodes a device for old programs; 0 for none.
    terminal: u32,
    /// The foreground group of that.
    foreground: i32,
}

impl Job {
    /// Of a process that runs; `None` where /proc does not show it.
    pub(super) fn of(pid: i32) -> Option<Self> {
        Self::parse(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let stat = Stat::parse(text)?;
        Some(Self {
            command: String::from_utf8_lossy(stat.command).into_owned(),
            parent: stat.number(4)?,
            group: stat.number(5)?,
            terminal: stat.number::<i32>(7)?.cast_unsigned(),
            foreground: stat.number(8)?,
        })
    }

    /// Whether it has its controlling terminal in the foreground.
    pub(super) fn is_in_foreground(&self) -> bool {
        self.group == self.foreground
    }

    fn terminal(&self) -> Dev {
        // new_encode_dev() of the kernel's include/linux/kdev_t.h.
        let (major, minor) =
            ((self.terminal >> 8) & 0xfff, (self.terminal & 0xff) | ((self.terminal >> 12) & 0xf_ff00));
        makedev(major, minor)
    }
}

/// The nearest ancestor of this process whose controlling terminal that is.
pub(super) fn holder(terminal: Dev) -> Option<Job> {
    let mut job = Job::of(std::process::id() as i32)?;
    for _ in 0..MOST_ANCESTORS {
        job = Job::of(job.parent)?;
        if job.terminal() == terminal {
            return Some(job);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_process() {
        let text = b"357 (a) b (c) S 17 18 19 1082210 20 4194304 0 0";
        let job = Job::parse(text).unwrap();
        assert_eq!((job.command.as_str(), job.parent, job.is_in_foreground()), ("a) b (c", 17, false));
        assert_eq!(job.terminal(), makedev(131, 354));
        assert!(Job::parse(b"1 (x) R 1 5 5 34816 5 0").unwrap().is_in_foreground());
        for wrong in ["", "357 (x) S 17", "357 x S 1 2 3 4 5", "1 (x) S 1 2 3 4 five"] {
            assert_eq!(Job::parse(wrong.as_bytes()), None, "{wrong}");
        }
        let own = Job::of(std::process::id() as i32).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id() as i32);
        assert_eq!(own.group, nix::unistd::getpgrp().as_raw());
    }

    #[test]
    fn a_terminal_that_no_ancestor_has() {
        assert_eq!(holder(makedev(4095, 1)), None);
    }
}
