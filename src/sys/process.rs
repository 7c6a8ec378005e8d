// SPDX-License-Identifier: LGPL-2.1-or-later
//! Small process-wide calls for the children. Everything here is child-safe.

use super::clone::last_errno;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Errno;

fn check(r: libc::c_long) -> Result<(), Errno> {
    if r == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Ends the process at once: no destructors, no exit handlers.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes no pointers and does not return.
    unsafe { libc::_exit(status) }
}

/// unshare(2).
pub fn unshare(flags: u64) -> Result<(), Errno> {
    // SAFETY: the caller has one thread; the namespaces and tables concerned are changed for that thread alone, and
    // no borrowed descriptor changes its meaning.
    check(unsafe { libc::syscall(libc::SYS_unshare, flags) })
}

/// setns(2) with a pidfd: joins the namespaces in `flags` of that process (Linux 5.8).
pub fn setns(pidfd: RawFd, flags: u64) -> Result<(), Errno> {
    // SAFETY: takes integers only; a stale descriptor gives EBADF.
    check(unsafe { libc::syscall(libc::SYS_setns, pidfd, flags) })
}

/// The PID namespace of that process (PIDFD_GET_PID_NAMESPACE of ioctl_pidfd(2), Linux 6.11). Child-safe.
///
/// # Errors
/// ENOTTY or EINVAL of an older kernel, ESRCH when the process is gone.
pub fn pid_namespace(pidfd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    const PIDFD_GET_PID_NAMESPACE: libc::Ioctl = 0xff05;
    // SAFETY: this request takes no argument.
    let fd = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_PID_NAMESPACE, 0) };
    if fd < 0 {
        return Err(last_errno());
    }
    // SAFETY: the kernel has just opened it for us, with close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// close_range(2) on `first..` to the end: `mark` sets close-on-exec instead of closing.
pub fn close_from(first: u32, mark: Mark) -> Result<(), Errno> {
    let flags = match mark {
        Mark::Close => 0u32,
        Mark::CloseOnExec => 1 << 2, // CLOSE_RANGE_CLOEXEC
    };
    // SAFETY: only the child calls this with Mark::Close, after its last use of any owned descriptor.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) })
}

/// Closes every descriptor from 3 on but those in `keep`, which is sorted.
pub fn close_all_but(keep: &[RawFd]) -> Result<(), Errno> {
    let mut first = 3;
    for &fd in keep {
        let fd = fd as u32;
        if fd < first {
            continue;
        }
        if fd > first {
            // SAFETY: only a child calls this, and none of its code uses a descriptor that is not in `keep`.
            check(unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) })?;
        }
        first = fd + 1;
    }
    close_from(first, Mark::Close)
}

/// close_range(2) on both ends inclusive.
pub fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: only a child calls this, and does not use these descriptors again.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })
}

/// What [`close_from`] does with each descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Closes it.
    Close,
    /// Marks it close-on-exec.
    CloseOnExec,
}

/// Sets the file system ids of the calling thread (setfsuid(2), setfsgid(2)); these calls report no error, so the
/// result is read back.
pub fn set_fs_ids(uid: u32, gid: u32) -> Result<(), Errno> {
    // SAFETY: four system calls with integer arguments only. An id of -1 is never valid and reads the current one.
    let (gid_now, uid_now) = unsafe {
        libc::syscall(libc::SYS_setfsgid, gid);
        libc::syscall(libc::SYS_setfsuid, uid);
        (libc::syscall(libc::SYS_setfsgid, u32::MAX), libc::syscall(libc::SYS_setfsuid, u32::MAX))
    };
    if gid_now as u32 == gid && uid_now as u32 == uid { Ok(()) } else { Err(Errno::PERM) }
}

/// All signals back to their default action and nothing blocked, as execve(2)'s new program expects it.
pub fn reset_signals() -> Result<(), Errno> {
    /// More than `struct sigaction` of any architecture has (include/linux/signal_types.h).
    const KERNEL_SIGACTION: usize = 64;
    // The C library keeps 32 and 33 from its users, not from those who ignore them before they execute us.
    let default = [0u8; KERNEL_SIGACTION];
    for n in 1..=64 {
        // SAFETY: the kernel reads at most as many bytes as a `struct sigaction` of its own has, all zero: SIG_DFL with
        // an empty mask. SIGKILL and SIGSTOP answer EINVAL, which is not a failure here.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, n, default.as_ptr(), std::ptr::null_mut::<u8>(), 8usize) };
    }
    // SAFETY: the set lives through both calls.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()).into())
    }
}

/// Blocks every signal, for a program that takes them from the queue.
pub fn block_signals() -> Result<(), Errno> {
    // SAFETY: the set lives through both calls.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut()).into())
    }
}

/// Makes the terminal on `fd` the controlling terminal of the calling session leader (TIOCSCTTY, tty_ioctl(4)).
pub fn take_terminal(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: this ioctl takes an integer.
    check(unsafe { libc::ioctl(fd, libc::TIOCSCTTY, 0) }.into())
}

/// A new anonymous session keyring (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING), so that none of the host's keys show.
pub fn new_session_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: u32 = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    let r = unsafe {
        libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>(), 0, 0, 0)
    };
    if r >= 0 { Ok(()) } else { Err(last_errno()) }
}

/// personality(2).
pub fn set_personality(value: u64) -> Result<(), Errno> {
    // SAFETY: takes an integer.
    let r = unsafe { libc::syscall(libc::SYS_personality, value) };
    if r >= 0 { Ok(()) } else { Err(last_errno()) }
}

/// prctl(2) PR_SET_NO_NEW_PRIVS.
pub fn set_no_new_privs() -> Result<(), Errno> {
    // SAFETY: integer arguments only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())
}

/// setrlimit(2); `u64::MAX` is infinity.
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let new = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `new` outlives the call; no old value is asked for.
    check(unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const new, std::ptr::null_mut::<libc::rlimit64>())
    })
}

/// The hard limit of this process (getrlimit(2)); `u64::MAX` is infinity.
pub fn hard_limit(resource: u32) -> Result<u64, Errno> {
    let mut now = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: no new value is set; `now` is ours alone and outlives the call.
    let r =
        unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, std::ptr::null::<libc::rlimit64>(), &raw mut now) };
    check(r).map(|()| now.rlim_max)
}

/// sched_setaffinity(2) of the calling thread; `mask` is a bit per CPU.
pub fn set_affinity(mask: &[u64]) -> Result<(), Errno> {
    // SAFETY: pointer and length describe the borrowed slice.
    let r = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(mask), mask.as_ptr()) };
    if r >= 0 { Ok(()) } else { Err(last_errno()) }
}

/// sethostname(2).
pub fn set_hostname(name: &[u8]) -> Result<(), Errno> {
    // SAFETY: pointer and length describe the borrowed slice.
    check(unsafe { libc::syscall(libc::SYS_sethostname, name.as_ptr(), name.len()) })
}

/// Sets all real, effective and saved ids and the supplementary groups of the calling thread: groups, then gid, then
/// uid, as later steps would lack the power.
pub fn set_ids(uid: u32, gid: u32, groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: raw per-thread calls (the process has one thread); pointer and length describe the borrowed slice.
    unsafe {
        check(libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()))?;
        check(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        check(libc::syscall(libc::SYS_setresuid, uid, uid, uid))
    }
}

/// A borrow of a descriptor that is only known by its number, as `clone` copied the table of descriptors.
pub fn borrow_fd<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // SAFETY: the number stands for an entry that the parent process opened and keeps in its `OwnedFd`s; the child
    // that calls this never closes it while the borrow is in use.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// dup3(2) with close-on-exec onto an open descriptor.
pub fn dup_to(from: BorrowedFd<'_>, onto: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: both numbers are open; the owner of `onto` goes on owning that number, which now refers to `from`'s file.
    let r = unsafe { libc::syscall(libc::SYS_dup3, from.as_raw_fd(), onto.as_raw_fd(), libc::O_CLOEXEC) };
    if r >= 0 { Ok(()) } else { Err(last_errno()) }
}

/// dup2(2) onto a number that stays open across execve(2).
pub fn dup_over_exec(from: BorrowedFd<'_>, onto: RawFd) -> Result<(), Errno> {
    if from.as_raw_fd() == onto {
        // SAFETY: takes integers only: clears close-on-exec.
        return check(unsafe { libc::fcntl(onto, libc::F_SETFD, 0) }.into());
    }
    // SAFETY: takes integers only; a child calls this before execve(2), when whatever it owned at `onto` is not
    // used any more.
    let r = unsafe { libc::syscall(libc::SYS_dup3, from.as_raw_fd(), onto, 0) };
    if r >= 0 { Ok(()) } else { Err(last_errno()) }
}

/// dup2(2) onto one of the descriptors 0 to 2, which stays open across execve(2).
pub fn dup_to_stdio(from: RawFd, onto: RawFd) -> Result<(), Errno> {
    if from == onto {
        // SAFETY: takes integers only: clears close-on-exec.
        return check(unsafe { libc::fcntl(onto, libc::F_SETFD, 0) }.into());
    }
    // SAFETY: takes integers only; nothing in the child owns 0 to 2.
    let r = unsafe { libc::syscall(libc::SYS_dup3, from, onto, 0) };
    if r >= 0 { Ok(()) } else { Err(last_errno()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;
    use rustix::process::{PidfdFlags, getpid, pidfd_open};
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_pid_namespace_of_a_process_is_found() {
        let pidfd = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        match pid_namespace(pidfd.as_fd()) {
            Ok(found) => {
                let ours = std::fs::metadata("/proc/self/ns/pid").unwrap();
                let found = rustix::fs::fstat(&found).unwrap();
                assert_eq!((found.st_dev, found.st_ino), (ours.dev(), ours.ino()));
            }
            // Linux before 6.11.
            Err(errno) => assert!(matches!(errno, Errno::NOTTY | Errno::INVAL), "{errno}"),
        }
    }
}
