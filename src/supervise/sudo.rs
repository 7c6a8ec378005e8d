// SPDX-License-Identifier: LGPL-2.1-or-later
//! sudo(8) between us and the caller's terminal.
//!
//! sudo runs its command in a session of its own on another pseudo-terminal (sudoers(5), `use_pty`). Where the command's
//! output is a pipe, or sudo was started in the background, the command begins in that terminal's background; sudo hands
//! the keyboard over when the command stops by SIGTTIN, as the kernel stops whoever reads there (`suspend_sudo_pty` of
//! sudo's exec_pty.c).

use super::job::Job;
use super::signals;
use rustix::process::kill_current_process_group;
use rustix::termios::tcgetpgrp;
use std::os::fd::BorrowedFd;

/// Whether a sudo that is in the foreground itself keeps this terminal from us.
pub(super) fn keeps(tty: BorrowedFd<'_>) -> bool {
    let look = || {
        // 0 where it is outside of our PID namespace.
        let leader = nix::unistd::getsid(None).ok()?.as_raw();
        // With a shell in between it is the shell's to give.
        if tcgetpgrp(tty).ok()?.as_raw_nonzero().get() != leader {
            return None;
        }
        let inner = Job::of(leader)?;
        let outer = Job::of(inner.parent)?;
        Some([&inner, &outer].iter().all(|job| job.command == "sudo") && outer.is_in_foreground())
    };
    look().unwrap_or(false)
}

/// Asks it: stops this process group until sudo continues it in the foreground.
pub(super) fn ask() {
    signals::stop_by(nix::sys::signal::Signal::SIGTTIN, || {
        // Only fails for what is no signal or no group of ours.
        let _ = kill_current_process_group(rustix::process::Signal::TTIN);
    });
}
