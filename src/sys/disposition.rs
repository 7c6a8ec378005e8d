// SPDX-License-Identifier: LGPL-2.1-or-later
//! What this process does with a signal: asking for it, and setting it to one of the two that need no handler.

use rustix::io::{Errno, Result};

/// A disposition without a handler (signal(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// `SIG_DFL`
    Default,
    /// `SIG_IGN`
    Ignore,
}

/// Whether the signal is ignored, as a caller like nohup(1) leaves it.
pub fn is_ignored(signal: nix::sys::signal::Signal) -> Result<bool> {
    // SAFETY: sigaction is plain data for which all zeroes is a valid value.
    let mut old: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: with no new action the call only writes the old one through the exclusive borrow.
    let rc = unsafe { libc::sigaction(signal as libc::c_int, std::ptr::null(), &raw mut old) };
    if rc < 0 { Err(last_errno()) } else { Ok(old.sa_sigaction == libc::SIG_IGN) }
}

/// Sets the disposition.
pub fn set(signal: nix::sys::signal::Signal, disposition: Disposition) -> Result<()> {
    // SAFETY: sigaction is plain data for which all zeroes is a valid value.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = match disposition {
        Disposition::Default => libc::SIG_DFL,
        Disposition::Ignore => libc::SIG_IGN,
    };
    // SAFETY: no handler is installed, so no code of ours can be run by the signal; the borrow outlives the call.
    let rc = unsafe { libc::sigaction(signal as libc::c_int, &raw const new, std::ptr::null_mut()) };
    if rc < 0 { Err(last_errno()) } else { Ok(()) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
