// SPDX-License-Identifier: LGPL-2.1-or-later
//! execve(2) and execveat(2) on prepared arrays. Child-safe; [`StringArray`] is made before the clone.

use super::clone::last_errno;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use std::ffi::{CStr, CString, c_char};

/// A null-terminated array of C strings, as execve(2) takes it.
pub struct StringArray {
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl StringArray {
    /// Owns the strings; their addresses stay valid as a `CString`'s bytes never move.
    pub fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect();
        Self { strings, pointers }
    }
    /// The strings.
    pub fn strings(&self) -> &[CString] {
        &self.strings
    }
}

/// execve(2): only returns when it failed.
pub fn execve(path: &CStr, argv: &StringArray, env: &StringArray) -> Errno {
    // SAFETY: path is NUL-terminated; both arrays end in a null pointer and own what they point to.
    unsafe { libc::execve(path.as_ptr(), argv.pointers.as_ptr(), env.pointers.as_ptr()) };
    last_errno()
}

/// execveat(2) of the file that `fd` refers to: only returns when it failed.
pub fn exec_fd(fd: BorrowedFd<'_>, argv: &StringArray, env: &StringArray) -> Errno {
    // SAFETY: the empty path with AT_EMPTY_PATH means `fd` itself; the arrays are as for execve.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            argv.pointers.as_ptr(),
            env.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    last_errno()
}
