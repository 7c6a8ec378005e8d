// SPDX-License-Identifier: LGPL-2.1-or-later
//! sudo(8) between us and the caller's terminal.
//!
//! sudo runs its command in a session of its own on another pseudo-terminal (sudoers(5), `use_pty`). Where the command's
//! output is a pipe, or sudo was started in the background, the command begins in that terminal's background; sudo hands
//! the keyboard over when the command stops by SIGTTIN, as the kernel stops whoever reads there (`suspend_sudo_pty` of
//! sudo's exec_pty.c).

use super::signals;
use rustix::process::{getsid, kill_process_group};
use rustix::termios::tcgetpgrp;
use std::os::fd::BorrowedFd;

/// What proc_pid_stat(5) says of a process.
#[derive(Debug, PartialEq, Eq)]
struct Stat<'t> {
    command: &'t str,
    parent: i32,
    group: i32,
    /// The foreground group of its controlling terminal.
    foreground: i32,
}

impl<'t> Stat<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        let (start, rest) = text.rsplit_once(") ")?;
        let command = start.split_once('(')?.1;
        let mut numbers = rest.split(' ').skip(1).map(str::parse);
        let mut next = || numbers.next()?.ok();
        let (parent, group, _session, _terminal, foreground) = (next()?, next()?, next()?, next()?, next()?);
        Some(Self { command, parent, group, foreground })
    }
}

fn read_stat(pid: i32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// Whether a sudo that is in the foreground itself keeps this terminal from us.
pub(super) fn keeps(tty: BorrowedFd<'_>) -> bool {
    let look = || {
        let leader = getsid(None).ok()?;
        // With a shell in between it is the shell's to give.
        if tcgetpgrp(tty).ok()? != leader {
            return None;
        }
        let inner = read_stat(leader.as_raw_nonzero().get())?;
        let inner = Stat::parse(&inner)?;
        let outer = read_stat(inner.parent)?;
        let outer = Stat::parse(&outer)?;
        Some((inner.command, outer.command) == ("sudo", "sudo") && outer.group == outer.foreground)
    };
    look().unwrap_or(false)
}

/// Asks it: stops this process group until sudo continues it in the foreground.
pub(super) fn ask() {
    signals::stop_by(nix::sys::signal::Signal::SIGTTIN, || {
        // Only fails for what is no signal or no group of ours.
        let _ = kill_process_group(rustix::process::getpgrp(), rustix::process::Signal::TTIN);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_process() {
        let text = "357 (a) b (c) S 17 18 19 34816 20 4194304 0 0";
        assert_eq!(Stat::parse(text), Some(Stat { command: "a) b (c", parent: 17, group: 18, foreground: 20 }));
        for wrong in ["", "357 (x) S 17", "357 x S 1 2 3 4 5", "1 (x) S 1 2 3 4 five"] {
            assert_eq!(Stat::parse(wrong), None, "{wrong}");
        }
        let own = read_stat(std::process::id() as i32).unwrap();
        let own = Stat::parse(&own).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id() as i32);
        assert_eq!(own.group, rustix::process::getpgrp().as_raw_nonzero().get());
    }
}
