// SPDX-License-Identifier: LGPL-2.1-or-later
//! A process for a few system calls, on the caller's memory.

use super::clone::last_errno;
use rustix::io::Errno;
use std::ffi::c_void;
use std::mem::MaybeUninit;

/// Room for a few frames and for a signal handler that hits them.
const STACK: usize = 16384;

#[repr(align(16))]
struct Stack(MaybeUninit<[u8; STACK]>);

/// Runs `act` in a child that shares the caller's memory and table of descriptors, and waits for its end: for what only
/// a new process can do, such as acting inside a PID namespace that was joined with setns(2). Nothing is copied, so it
/// costs a tenth of a fork. The caller must have one thread, and `act` must be child-safe and not panic. Child-safe.
///
/// # Errors
/// Those of clone(2). A child that was killed has run a part of `act` only.
pub fn run_beside(mut act: &mut dyn FnMut()) -> Result<(), Errno> {
    extern "C" fn run(act: *mut c_void) -> libc::c_int {
        // SAFETY: `act` is the address of the caller's reference, which stands still until this process has ended.
        let act = unsafe { &mut *act.cast::<&mut dyn FnMut()>() };
        act();
        0
    }
    let mut stack = Stack(MaybeUninit::uninit());
    let top: *mut c_void = stack.0.as_mut_ptr().wrapping_add(1).cast();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES;
    // SAFETY: the child runs `run` on the whole of `stack`, which is aligned for every ABI; because of CLONE_VFORK the
    // caller, with all that `act` borrows, stands still until the child has ended.
    let pid = unsafe { libc::clone(run, top, flags, (&raw mut act).cast()) };
    if pid < 0 {
        return Err(last_errno());
    }
    // SAFETY: no status is asked for, so nothing is written; the process is our child and not yet waited for.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_acts_on_our_memory() {
        let mut seen = None;
        run_beside(&mut || seen = Some(rustix::process::getpid())).unwrap();
        assert!(seen.is_some_and(|pid| pid != rustix::process::getpid()), "{seen:?}");
    }
}
