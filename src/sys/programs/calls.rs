// SPDX-License-Identifier: LGPL-2.1-or-later
//! Typed system calls of the small programs, on top of `rt::system_call`. Each returns `-errno` as `Err(errno)`.
#![allow(dead_code, reason = "each of the two programs uses a part")]

use crate::rt::{Words, system_call};
use core::ffi::CStr;
use core::mem::{size_of, size_of_val};

mod number;

pub const ENOENT: i32 = 2;
pub const EINTR: i32 = 4;
pub const ENOEXEC: i32 = 8;
pub const EACCES: i32 = 13;
pub const ENOTDIR: i32 = 20;
pub const EAGAIN: i32 = 11;
pub const EISDIR: i32 = 21;

pub const AT_FDCWD: i32 = -100;
pub const AT_REMOVEDIR: usize = 0x200;
pub const O_WRONLY: usize = 1;
pub const O_RDWR: usize = 2;
pub const O_NONBLOCK: usize = 0o4000;
pub const O_CLOEXEC: usize = 0o2000000;

pub const SIGHUP: i32 = 1;
pub const SIGINT: i32 = 2;
pub const SIGQUIT: i32 = 3;
pub const SIGKILL: i32 = 9;
pub const SIGUSR1: i32 = 10;
pub const SIGUSR2: i32 = 12;
pub const SIGTERM: i32 = 15;
pub const SIGCHLD: i32 = 17;
pub const SIGCONT: i32 = 18;
pub const SIGWINCH: i32 = 28;
/// The first real-time signal as C programs count them: the two in front belong to the C library (signal(7)).
pub const SIGRTMIN: i32 = 34;

/// The result, or an errno.
pub type Result<T> = core::result::Result<T, i32>;

fn check(result: isize) -> Result<usize> {
    if result < 0 { Err(-result as i32) } else { Ok(result as usize) }
}

macro_rules! call {
    ($number:expr $(, $argument:expr)*) => {{
        let given = [$($argument as usize),*];
        let mut all = [0; 6];
        all[..given.len()].copy_from_slice(&given);
        // SAFETY: every pointer among the arguments comes from a reference of the calling function and is valid for
        // the length that goes with it.
        check(unsafe { system_call($number, all) })
    }};
}

/// A moment or a length of time, as the kernel takes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Time {
    pub seconds: i64,
    pub nanoseconds: i64,
}

impl Time {
    /// That many milliseconds.
    pub fn milliseconds(n: u64) -> Time {
        Time { seconds: (n / 1000) as i64, nanoseconds: (n % 1000 * 1_000_000) as i64 }
    }
}

/// One entry of poll(2).
#[repr(C)]
pub struct Poll {
    pub fd: i32,
    pub wanted: i16,
    pub got: i16,
}
/// There is something to read.
pub const POLLIN: i16 = 1;

pub fn exit(status: i32) -> ! {
    loop {
        let _never = call!(number::EXIT_GROUP, status);
    }
}

pub fn close(fd: i32) -> Result<usize> {
    call!(number::CLOSE, fd)
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: i32) -> Result<usize> {
    call!(number::CLOSE_RANGE, first, u32::MAX, 0)
}

/// Marks one descriptor close-on-exec.
pub fn close_on_exec(fd: i32) -> Result<usize> {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    call!(number::CLOSE_RANGE, fd, fd, CLOSE_RANGE_CLOEXEC)
}

/// execve(2) with the arrays that the kernel left us: only returns when it failed.
pub fn execute(path: &CStr, argv: Words, env: Words) -> i32 {
    call!(number::EXECVE, path.as_ptr(), argv.0, env.0).err().unwrap_or(0)
}

pub fn dup3(fd: i32, to: i32) -> Result<usize> {
    call!(number::DUP3, fd, to, 0)
}

pub fn open(dir: i32, path: &CStr, flags: usize) -> Result<i32> {
    call!(number::OPENAT, dir, path.as_ptr(), flags | O_CLOEXEC, 0).map(|fd| fd as i32)
}

/// Opens a directory for reading that is no link itself; below `dir` also on no other file system.
pub fn open_dir(dir: i32, path: &CStr) -> Result<i32> {
    const RESOLVE_NO_XDEV: u64 = 1;
    open_dir_resolved(dir, path, if dir == AT_FDCWD { 0 } else { RESOLVE_NO_XDEV })
}

/// Deletes a subvolume of btrfs (linux/btrfs.h, `BTRFS_IOC_SNAP_DESTROY`). Other file systems refuse.
pub fn delete_subvolume(dir: i32, name: &CStr) -> Result<usize> {
    const SNAP_DESTROY: usize = 0x5000_940f;
    let mut arguments = [0u8; 4096];
    let name = name.to_bytes();
    arguments.get_mut(8..8 + name.len()).ok_or(ENOENT)?.copy_from_slice(name);
    call!(number::IOCTL, dir, SNAP_DESTROY, arguments.as_ptr())
}

/// Opens a directory by a path whose links are followed inside of `root` only.
pub fn open_dir_inside(root: i32, path: &CStr) -> Result<i32> {
    const RESOLVE_NO_MAGICLINKS: u64 = 2;
    const RESOLVE_IN_ROOT: u64 = 0x10;
    open_dir_resolved(root, path, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
}

fn open_dir_resolved(dir: i32, path: &CStr, resolve: u64) -> Result<i32> {
    const O_DIRECTORY: usize = if cfg!(target_arch = "aarch64") { 0o40000 } else { 0o200000 };
    const O_NOFOLLOW: usize = if cfg!(target_arch = "aarch64") { 0o100000 } else { 0o400000 };
    let how: [u64; 3] = [(O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) as u64, 0, resolve];
    call!(number::OPENAT2, dir, path.as_ptr(), how.as_ptr(), size_of_val(&how)).map(|fd| fd as i32)
}

/// Fills `buffer` with `struct linux_dirent64` records (getdents64(2)).
pub fn read_dir(dir: i32, buffer: &mut [u8]) -> Result<usize> {
    call!(number::GETDENTS64, dir, buffer.as_mut_ptr(), buffer.len())
}

pub fn read(fd: i32, buffer: &mut [u8]) -> Result<usize> {
    call!(number::READ, fd, buffer.as_mut_ptr(), buffer.len())
}

pub fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    call!(number::WRITE, fd, bytes.as_ptr(), bytes.len())
}

pub fn unlink(dir: i32, path: &CStr, flags: usize) -> Result<usize> {
    call!(number::UNLINKAT, dir, path.as_ptr(), flags)
}

/// Detaches what is mounted at `path` and does not follow a link there.
pub fn unmount(path: &CStr) -> Result<usize> {
    const MNT_DETACH: usize = 2;
    const UMOUNT_NOFOLLOW: usize = 8;
    call!(number::UMOUNT2, path.as_ptr(), MNT_DETACH | UMOUNT_NOFOLLOW)
}

/// Sets a terminal's attributes; `attributes` is a `struct termios2` (ioctl_tty(2), `TCSETS2`).
pub fn set_terminal(fd: i32, attributes: &[u8; 44]) -> Result<usize> {
    const TCSETS2: usize = 0x402c542b;
    call!(number::IOCTL, fd, TCSETS2, attributes.as_ptr())
}

pub fn pidfd_kill(pidfd: i32, signal: i32) -> Result<usize> {
    call!(number::PIDFD_SEND_SIGNAL, pidfd, signal, 0, 0)
}

pub fn kill(pid: i32, signal: i32) -> Result<usize> {
    call!(number::KILL, pid, signal)
}

/// Waits for one of `polls`, at most `timeout`.
pub fn poll(polls: &mut [Poll], timeout: Option<Time>) -> Result<usize> {
    let timeout = timeout.as_ref().map_or(core::ptr::null(), |t| t as *const Time);
    call!(number::PPOLL, polls.as_mut_ptr(), polls.len(), timeout, 0, 0)
}

pub fn sleep(time: Time) {
    // Nothing depends on the exact length: who sleeps looks at the clock.
    let _slept = call!(number::NANOSLEEP, &time as *const Time, 0);
}

/// Milliseconds on the monotonic clock.
pub fn now() -> u64 {
    const CLOCK_MONOTONIC: usize = 1;
    let mut time = Time { seconds: 0, nanoseconds: 0 };
    match call!(number::CLOCK_GETTIME, CLOCK_MONOTONIC, &mut time as *mut Time) {
        Ok(_) => time.seconds as u64 * 1000 + time.nanoseconds as u64 / 1_000_000,
        Err(_) => u64::MAX,
    }
}

/// Sets the name that `/proc/PID/comm` shows.
pub fn set_name(name: &CStr) {
    const PR_SET_NAME: usize = 15;
    // A wrong name harms nobody.
    let _named = call!(number::PRCTL, PR_SET_NAME, name.as_ptr());
}

/// Keeps processes without `CAP_SYS_PTRACE` from memory and environment of this one, and it from dumping core.
pub fn set_undumpable() -> Result<usize> {
    const PR_SET_DUMPABLE: usize = 4;
    call!(number::PRCTL, PR_SET_DUMPABLE, 0)
}

/// Blocks every signal that can be blocked: each then waits until it is asked for.
pub fn block_signals() -> Result<usize> {
    const SIG_SETMASK: usize = 2;
    let all = u64::MAX;
    call!(number::SIGPROCMASK, SIG_SETMASK, &all as *const u64, 0, size_of::<u64>())
}

/// Puts `signal` back to its default action.
pub fn default_signal(signal: i32) -> Result<usize> {
    let action = [0usize; 4];
    call!(number::SIGACTION, signal, action.as_ptr(), 0, size_of::<u64>())
}

/// Takes the next pending signal, waits for one at most `timeout`.
pub fn next_signal(timeout: Option<Time>) -> Result<i32> {
    let all = u64::MAX;
    let timeout = timeout.as_ref().map_or(core::ptr::null(), |t| t as *const Time);
    call!(number::SIGTIMEDWAIT, &all as *const u64, 0, timeout, size_of::<u64>()).map(|signal| signal as i32)
}

/// Makes a child with a copy of this memory in a control group (clone3(2), CLONE_INTO_CGROUP): 0 in the child.
pub fn fork_into(group: i32) -> Result<usize> {
    const CLONE_INTO_CGROUP: u64 = 1 << 33;
    // `struct clone_args` of linux/sched.h: flags, exit signal and control group.
    let mut arguments = [0u64; 11];
    (arguments[0], arguments[4], arguments[10]) = (CLONE_INTO_CGROUP, SIGCHLD as u64, group as u64);
    call!(number::CLONE3, arguments.as_ptr(), size_of_val(&arguments))
}

/// Reaps one child that has ended: its pid and wait status, or `None` when none has.
pub fn reap() -> Result<Option<(i32, i32)>> {
    const WNOHANG: usize = 1;
    const WALL: usize = 0x40000000;
    let mut status = 0i32;
    let pid = call!(number::WAIT4, -1isize, &mut status as *mut i32, WNOHANG | WALL, 0)?;
    Ok((pid != 0).then_some((pid as i32, status)))
}

/// Ends the PID namespace as reboot(2) says, by `how`.
pub fn reboot(how: usize) -> Result<usize> {
    call!(number::REBOOT, 0xfee1dead_usize, 0x28121969_usize, how, 0)
}

/// A netlink(7) socket of the caller's network namespace.
pub fn netlink(protocol: usize) -> Result<i32> {
    const AF_NETLINK: usize = 16;
    const SOCK_RAW: usize = 3;
    call!(number::SOCKET, AF_NETLINK, SOCK_RAW | O_CLOEXEC, protocol).map(|fd| fd as i32)
}

/// Sends to the kernel, which has carried the request out when this returns.
pub fn send_to_kernel(socket: i32, message: &[u8]) -> Result<usize> {
    const AF_NETLINK: u32 = 16;
    let kernel = [AF_NETLINK, 0, 0];
    call!(number::SENDTO, socket, message.as_ptr(), message.len(), 0, kernel.as_ptr(), size_of_val(&kernel))
}

/// Receives what is there already, as much as fits.
pub fn receive_bytes(socket: i32, buffer: &mut [u8]) -> Result<usize> {
    const MSG_DONTWAIT: usize = 0x40;
    call!(number::RECVFROM, socket, buffer.as_mut_ptr(), buffer.len(), MSG_DONTWAIT, 0, 0)
}

/// Goes into that network namespace.
pub fn enter_network(netns: i32) -> Result<usize> {
    const CLONE_NEWNET: usize = 0x40000000;
    call!(number::SETNS, netns, CLONE_NEWNET)
}

/// Opens a file for reading and writing, makes it with mode 0600 where there is none, follows no link.
pub fn open_or_make(path: &CStr) -> Result<i32> {
    const O_CREAT: usize = 0o100;
    const O_NOFOLLOW: usize = if cfg!(target_arch = "aarch64") { 0o100000 } else { 0o400000 };
    call!(number::OPENAT, AT_FDCWD, path.as_ptr(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0o600).map(|fd| fd as i32)
}

/// Locks a whole file for ourselves without waiting (fcntl(2), `F_OFD_SETLK`).
pub fn lock(fd: i32) -> Result<usize> {
    const F_OFD_SETLK: usize = 37;
    /// `struct flock`: type, whence, start, length, pid; all 0 but the type is the whole file.
    const F_WRLCK: u64 = 1;
    let flock = [F_WRLCK, 0, 0, 0];
    call!(number::FCNTL, fd, F_OFD_SETLK, flock.as_ptr())
}

/// How many names the file has.
pub fn link_count(fd: i32) -> Result<u32> {
    const AT_EMPTY_PATH: usize = 0x1000;
    const STATX_NLINK: usize = 4;
    // `struct statx`: 256 bytes, stx_nlink is the fifth word.
    let mut status = [0u32; 64];
    call!(number::STATX, fd, c"".as_ptr(), AT_EMPTY_PATH, STATX_NLINK, status.as_mut_ptr())?;
    Ok(status[4])
}

#[repr(C)]
struct IoVec {
    base: *mut u8,
    length: usize,
}

#[repr(C)]
struct MessageHeader {
    name: usize,
    name_length: u32,
    parts: *mut IoVec,
    part_count: usize,
    control: *mut Control,
    control_length: usize,
    flags: u32,
}

/// Ancillary data that holds one descriptor (`struct cmsghdr`, `SCM_RIGHTS`).
#[repr(C, align(8))]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    fd: i32,
}

/// Receives a message without waiting: its length (0 at the end of the connection) and the descriptor that came along.
pub fn receive(socket: i32, buffer: &mut [u8]) -> Result<(usize, Option<i32>)> {
    const MSG_DONTWAIT: usize = 0x40;
    const MSG_CMSG_CLOEXEC: usize = 0x40000000;
    const SOL_SOCKET: i32 = 1;
    const SCM_RIGHTS: i32 = 1;
    let mut part = IoVec { base: buffer.as_mut_ptr(), length: buffer.len() };
    let mut control = Control { length: 0, level: 0, kind: 0, fd: -1 };
    let mut header = MessageHeader {
        name: 0,
        name_length: 0,
        parts: &mut part,
        part_count: 1,
        control: &mut control,
        control_length: size_of::<Control>(),
        flags: 0,
    };
    let length = call!(number::RECVMSG, socket, &mut header as *mut MessageHeader, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)?;
    let with_fd = control.level == SOL_SOCKET && control.kind == SCM_RIGHTS && control.length == 16 + 4;
    Ok((length, with_fd.then_some(control.fd)))
}
