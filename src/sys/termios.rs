// SPDX-License-Identifier: LGPL-2.1-or-later
//! Terminal settings as the kernel's own structure, so that they can be handed on as bytes.

use rustix::io::{Errno, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

/// The settings of a terminal: `struct termios2` of <asm/termbits.h> (ioctl_tty(2)).
#[derive(Clone, Copy)]
pub struct TermState(libc::termios2);

/// Size of [`TermState`] as bytes.
pub const TERM_STATE_SIZE: usize = size_of::<libc::termios2>();

impl TermState {
    /// `TCGETS2`: the settings of the terminal `fd`.
    pub fn read(fd: impl AsFd) -> Result<Self> {
        let mut state = MaybeUninit::<libc::termios2>::uninit();
        // SAFETY: TCGETS2 fills one termios2 at the pointer, which is valid for the call; the fd is borrowed.
        let rc = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TCGETS2, state.as_mut_ptr()) };
        if rc < 0 {
            return Err(last_errno());
        }
        // SAFETY: the call succeeded, so the kernel has written the whole structure.
        Ok(Self(unsafe { state.assume_init() }))
    }

    /// `TCSETS2`: applies the settings at once, without waiting for output to drain (a stopped terminal would never).
    ///
    /// From a background process this stops the caller with SIGTTOU unless that signal is blocked.
    pub fn apply(&self, fd: impl AsFd) -> Result<()> {
        // SAFETY: TCSETS2 only reads one termios2 through the pointer, which borrows self.
        let rc = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TCSETS2, &raw const self.0) };
        if rc < 0 { Err(last_errno()) } else { Ok(()) }
    }

    /// The structure's bytes, to be applied by `TCSETS2` in another process.
    pub fn to_bytes(&self) -> [u8; TERM_STATE_SIZE] {
        // SAFETY: termios2 is plain integers without padding: four words, twenty bytes, two words.
        unsafe { std::mem::transmute(self.0) }
    }

    /// The same, borrowed.
    pub fn as_bytes(&self) -> &[u8; TERM_STATE_SIZE] {
        // SAFETY: as in `to_bytes`; the borrow is of self and bytes need no alignment.
        unsafe { &*(&raw const self.0).cast() }
    }

    /// The way back from [`TermState::to_bytes`].
    pub fn from_bytes(bytes: [u8; TERM_STATE_SIZE]) -> Self {
        // SAFETY: every bit pattern of this size is a termios2, which consists of integers only.
        Self(unsafe { std::mem::transmute::<[u8; TERM_STATE_SIZE], libc::termios2>(bytes) })
    }

    /// Input as cfmakeraw(3) has it: no echo, no lines, no signals, no flow control, eight bits.
    pub fn make_input_raw(&mut self) {
        self.0.c_iflag &= !(libc::IGNBRK
            | libc::BRKINT
            | libc::PARMRK
            | libc::ISTRIP
            | libc::INLCR
            | libc::IGNCR
            | libc::ICRNL
            | libc::IXON);
        self.0.c_lflag &= !(libc::ECHO | libc::ECHONL | libc::ICANON | libc::ISIG | libc::IEXTEN);
        self.0.c_cflag = (self.0.c_cflag & !(libc::CSIZE | libc::PARENB)) | libc::CS8;
        self.0.c_cc[libc::VMIN] = 1;
        self.0.c_cc[libc::VTIME] = 0;
    }

    /// Output as cfmakeraw(3) has it: bytes go out unchanged.
    pub fn make_output_raw(&mut self) {
        self.0.c_oflag &= !libc::OPOST;
    }

    /// Whether the modes are the same (speeds and characters are not compared: drivers normalise them).
    pub fn same_modes(&self, other: &Self) -> bool {
        self.0.c_iflag == other.0.c_iflag && self.0.c_oflag == other.0.c_oflag && self.0.c_lflag == other.0.c_lflag
    }

    /// Whether input is edited in lines (`ICANON`).
    pub fn is_canonical(&self) -> bool {
        self.0.c_lflag & libc::ICANON != 0
    }

    /// The end-of-file character (`VEOF`); 0 when disabled.
    pub fn end_of_file(&self) -> u8 {
        self.0.c_cc[libc::VEOF]
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
