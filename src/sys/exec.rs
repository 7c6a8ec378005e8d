// SPDX-License-Identifier: LGPL-2.1-or-later
//! execve(2) and execveat(2) on prepared arrays. Child-safe; [`StringArray`] is made before the clone.

use super::clone::last_errno;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char};

/// What runs a script that does not say so itself (execvp(3)).
pub const SHELL: &CStr = c"/bin/sh";

/// A null-terminated array of C strings, as execve(2) takes it.
pub struct StringArray {
    strings: Vec<CString>,
    /// That of the shell, then those of the strings, then a null pointer.
    pointers: Vec<Cell<*const c_char>>,
}

impl StringArray {
    /// Owns the strings; their addresses stay valid as a `CString`'s bytes never move.
    pub fn new(strings: Vec<CString>) -> Self {
        let shell = std::iter::once(SHELL.as_ptr());
        let pointers = shell.chain(strings.iter().map(|s| s.as_ptr())).chain([std::ptr::null()]);
        let pointers = pointers.map(Cell::new).collect();
        Self { strings, pointers }
    }

    /// The strings.
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }

    fn as_ptr(&self) -> *const *const c_char {
        // A cell has the layout of what is in it.
        self.pointers[1..].as_ptr().cast()
    }
}

/// execve(2): only returns when it failed.
pub fn execve(path: &CStr, argv: &StringArray, env: &StringArray) -> Errno {
    // SAFETY: path is NUL-terminated; both arrays end in a null pointer and own what they point to.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    last_errno()
}

/// Lets the shell run the file with the words behind the first, as execvp(3) does with what the kernel does not know;
/// what is no text is left to the error. Only returns when it failed.
pub fn execve_script(path: &CStr, argv: &StringArray, env: &StringArray) -> Errno {
    if !argv.strings.is_empty() && is_text(path) {
        let first = argv.pointers[1].replace(path.as_ptr());
        // SAFETY: as for execve; the array begins one pointer earlier, with the shell's name, and `path` outlives the call.
        unsafe { libc::execve(SHELL.as_ptr(), argv.pointers.as_ptr().cast(), env.as_ptr()) };
        argv.pointers[1].set(first);
    }
    Errno::NOEXEC
}

/// Whether the first line holds no zero byte, at which bash(1) as well tells scripts from foreign programs.
fn is_text(path: &CStr) -> bool {
    let mut begin = [0u8; 128];
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    let length = file.and_then(|file| rustix::io::read(&file, &mut begin));
    length.is_ok_and(|n| !begin.iter().take(n).take_while(|b| **b != b'\n').any(|b| *b == 0))
}

/// execveat(2) of the file that `fd` refers to: only returns when it failed.
pub fn exec_fd(fd: BorrowedFd<'_>, argv: &StringArray, env: &StringArray) -> Errno {
    // SAFETY: the empty path with AT_EMPTY_PATH means `fd` itself; the arrays are as for execve.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    last_errno()
}
