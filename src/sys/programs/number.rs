// SPDX-License-Identifier: LGPL-2.1-or-later
//! Numbers of the system calls that the small programs make (`asm/unistd_64.h`, `asm-generic/unistd.h` of Linux).

#[cfg(target_arch = "aarch64")]
pub use aarch64::*;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

// Since 5.0 a new call has the same number everywhere.
pub const PIDFD_SEND_SIGNAL: usize = 424;
pub const CLONE3: usize = 435;
pub const CLOSE_RANGE: usize = 436;
pub const OPENAT2: usize = 437;

#[cfg(target_arch = "x86_64")]
mod x86_64 {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const CLOSE: usize = 3;
    pub const SIGACTION: usize = 13;
    pub const SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const NANOSLEEP: usize = 35;
    pub const SOCKET: usize = 41;
    pub const SENDTO: usize = 44;
    pub const RECVMSG: usize = 47;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const SIGTIMEDWAIT: usize = 128;
    pub const PRCTL: usize = 157;
    pub const UMOUNT2: usize = 166;
    pub const REBOOT: usize = 169;
    pub const GETDENTS64: usize = 217;
    pub const CLOCK_GETTIME: usize = 228;
    pub const EXECVE: usize = 59;
    pub const EXIT_GROUP: usize = 231;
    pub const OPENAT: usize = 257;
    pub const UNLINKAT: usize = 263;
    pub const PPOLL: usize = 271;
    pub const DUP3: usize = 292;
    pub const RECVFROM: usize = 45;
    pub const FCNTL: usize = 72;
    pub const SETNS: usize = 308;
    pub const STATX: usize = 332;
}

#[cfg(target_arch = "aarch64")]
mod aarch64 {
    pub const DUP3: usize = 24;
    pub const IOCTL: usize = 29;
    pub const UNLINKAT: usize = 35;
    pub const UMOUNT2: usize = 39;
    pub const OPENAT: usize = 56;
    pub const CLOSE: usize = 57;
    pub const GETDENTS64: usize = 61;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const PPOLL: usize = 73;
    pub const EXECVE: usize = 221;
    pub const EXIT_GROUP: usize = 94;
    pub const NANOSLEEP: usize = 101;
    pub const CLOCK_GETTIME: usize = 113;
    pub const KILL: usize = 129;
    pub const SIGACTION: usize = 134;
    pub const SIGPROCMASK: usize = 135;
    pub const SIGTIMEDWAIT: usize = 137;
    pub const REBOOT: usize = 142;
    pub const PRCTL: usize = 167;
    pub const SOCKET: usize = 198;
    pub const SENDTO: usize = 206;
    pub const RECVMSG: usize = 212;
    pub const WAIT4: usize = 260;
    pub const FCNTL: usize = 25;
    pub const RECVFROM: usize = 207;
    pub const SETNS: usize = 268;
    pub const STATX: usize = 291;
}
