// SPDX-License-Identifier: LGPL-2.1-or-later
//! A terminal's attributes as opaque bytes, to be put back later by this process or another one.

use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// `struct termios2` of the kernel, on every architecture spawn runs on (asm-generic/termbits.h): four words of flags,
/// line discipline, 19 control characters, two speeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TerminalAttributes([u8; 44]);

impl TerminalAttributes {
    /// Reads them (`TCGETS2`, ioctl_tty(2)).
    ///
    /// # Errors
    /// `ENOTTY` when `terminal` is none, `EIO` when it was hung up.
    pub fn of(terminal: impl AsFd) -> rustix::io::Result<Self> {
        let mut bytes = [0; 44];
        // SAFETY: TCGETS2 writes one struct termios2, 44 bytes, to where the third argument points.
        let result = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TCGETS2, bytes.as_mut_ptr()) };
        if result < 0 { Err(last_errno()) } else { Ok(Self(bytes)) }
    }

    /// Puts them back at once (`TCSETS2`). The caller blocks `SIGTTOU`: from a background process group the call stops
    /// the process otherwise.
    ///
    /// # Errors
    /// `ENOTTY` when `terminal` is none, `EIO` when it was hung up.
    pub fn set_on(&self, terminal: impl AsFd) -> rustix::io::Result<()> {
        // SAFETY: TCSETS2 reads one struct termios2, 44 bytes, from where the third argument points.
        let result = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TCSETS2, self.0.as_ptr()) };
        if result < 0 { Err(last_errno()) } else { Ok(()) }
    }

    /// From bytes that were read by `TCGETS2`.
    pub fn from_bytes(bytes: [u8; 44]) -> Self {
        Self(bytes)
    }

    /// The bytes, as another process passes them to `TCSETS2`.
    pub fn bytes(&self) -> &[u8; 44] {
        &self.0
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
