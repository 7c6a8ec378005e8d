// SPDX-License-Identifier: LGPL-2.1-or-later
//! A process that exists only as the way to its new user namespace.

use rustix::io::Errno;
use std::ffi::c_void;
use std::mem::MaybeUninit;

/// Room for the child's one function, which returns at once, and for a signal handler that hits it.
const STACK: usize = 8192;

#[repr(align(16))]
struct Stack(MaybeUninit<[u8; STACK]>);

/// A process that has ended in a user namespace of its own and is not waited for yet. Until it is, `/proc/PID` shows
/// the namespace, and its maps can be written.
#[derive(Debug)]
pub struct EndedInUserNamespace {
    pid: libc::pid_t,
}

impl EndedInUserNamespace {
    /// Makes it. The child shares our memory and we stand still until it has ended, so that nothing is copied; there is
    /// no signal when it ends.
    pub fn new() -> Result<Self, Errno> {
        extern "C" fn end(_: *mut c_void) -> libc::c_int {
            0
        }
        let mut stack = Stack(MaybeUninit::uninit());
        let top: *mut c_void = stack.0.as_mut_ptr().wrapping_add(1).cast();
        let flags = libc::CLONE_NEWUSER | libc::CLONE_VM | libc::CLONE_VFORK;
        // SAFETY: the child runs `end` on the whole of `stack`, which is aligned for every ABI and, because of
        // CLONE_VFORK, outlives it; `end` touches no memory but its own frame, so sharing ours is harmless.
        let pid = unsafe { libc::clone(end, top, flags, std::ptr::null_mut()) };
        if pid < 0 { Err(last_errno()) } else { Ok(Self { pid }) }
    }

    /// Its process id, which is not given to another as long as this value lives.
    pub fn pid(&self) -> i32 {
        self.pid
    }
}

impl Drop for EndedInUserNamespace {
    /// It has ended already: this does not wait.
    fn drop(&mut self) {
        // SAFETY: no status is asked for, so nothing is written; the process is our child and not yet waited for.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::__WALL) };
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
