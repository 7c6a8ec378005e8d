// SPDX-License-Identifier: LGPL-2.1-or-later
//! clone3(2) without a shared address space: the child goes on in a copy of the caller's memory.

use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;

/// Flags of clone3(2) that are used here.
pub mod flags {
    /// New mount namespace.
    pub const NEWNS: u64 = libc::CLONE_NEWNS as u64;
    /// New cgroup namespace.
    pub const NEWCGROUP: u64 = libc::CLONE_NEWCGROUP as u64;
    /// New UTS namespace.
    pub const NEWUTS: u64 = libc::CLONE_NEWUTS as u64;
    /// New IPC namespace.
    pub const NEWIPC: u64 = libc::CLONE_NEWIPC as u64;
    /// New user namespace.
    pub const NEWUSER: u64 = libc::CLONE_NEWUSER as u64;
    /// New PID namespace.
    pub const NEWPID: u64 = libc::CLONE_NEWPID as u64;
    /// New network namespace.
    pub const NEWNET: u64 = libc::CLONE_NEWNET as u64;
    /// The child becomes a child of the caller's parent.
    pub const PARENT: u64 = libc::CLONE_PARENT as u64;
}

const CLONE_PIDFD: u64 = libc::CLONE_PIDFD as u64;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of linux/sched.h, as it is since Linux 5.7.
#[repr(C)]
#[derive(Default)]
pub(super) struct CloneArgs {
    pub(super) flags: u64,
    pub(super) pidfd: u64,
    pub(super) child_tid: u64,
    pub(super) parent_tid: u64,
    pub(super) exit_signal: u64,
    pub(super) stack: u64,
    pub(super) stack_size: u64,
    pub(super) tls: u64,
    pub(super) set_tid: u64,
    pub(super) set_tid_size: u64,
    pub(super) cgroup: u64,
}

/// Which side of the clone this is.
pub enum Side {
    /// The caller; the child's pid as the caller's PID namespace counts, and its pidfd.
    Parent {
        /// The child.
        pid: i32,
        /// Refers to the child, close-on-exec.
        pidfd: OwnedFd,
    },
    /// The new process.
    Child,
}

/// clone3(2) with SIGCHLD as the exit signal (with [`flags::PARENT`] the kernel takes the caller's own), into
/// `cgroup` where one is given (Linux 5.7). Child-safe.
///
/// The caller must have one thread only, and the child must stay child-safe until it calls execve(2) or `_exit`.
pub fn clone(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Side, Errno> {
    clone_as(flags, cgroup, None)
}

/// [`clone`] with a chosen pid in the child's PID namespace (Linux 5.5; needs CAP_SYS_ADMIN there). Child-safe.
pub fn clone_as(flags: u64, cgroup: Option<BorrowedFd<'_>>, pid: Option<i32>) -> Result<Side, Errno> {
    let mut pidfd: i32 = -1;
    let mut args = CloneArgs {
        flags: flags | CLONE_PIDFD,
        pidfd: &raw mut pidfd as u64,
        exit_signal: if flags & flags::PARENT != 0 { 0 } else { libc::SIGCHLD as u64 },
        ..CloneArgs::default()
    };
    if let Some(pid) = &pid {
        args.set_tid = &raw const *pid as u64;
        args.set_tid_size = 1;
    }
    if let Some(fd) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = fd.as_raw_fd() as u64;
    }
    // SAFETY: args is a valid clone_args of the size given; without CLONE_VM the child runs on its own copy of the
    // stack, so no memory is shared with it; the kernel writes a file descriptor to `pidfd`, which outlives the call.
    let r = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match r {
        0 => Ok(Side::Child),
        pid if pid > 0 => {
            // SAFETY: the kernel just opened this descriptor for us, and nobody else knows of it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Side::Parent { pid: pid as i32, pidfd })
        }
        _ => Err(last_errno()),
    }
}

/// The calling thread's errno after a failed libc call.
pub(crate) fn last_errno() -> Errno {
    // SAFETY: __errno_location always points at the calling thread's errno.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;
    use rustix::process::{WaitId, WaitIdOptions, waitid};

    #[test]
    fn the_child_runs_and_its_status_comes_back() {
        match clone(0, None).expect("clone3") {
            Side::Child => crate::sys::process::exit_now(7),
            Side::Parent { pidfd, .. } => {
                let status =
                    waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).expect("waitid").expect("a status");
                assert_eq!(status.exit_status(), Some(7));
            }
        }
    }
}
