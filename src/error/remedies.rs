// SPDX-License-Identifier: LGPL-2.1-or-later
//! What to do about an errno where the failed step knows of nothing better (errno(3)).

use rustix::io::Errno;

/// One imperative sentence; `None` where the errno alone says too little.
pub fn of(raw: i32) -> Option<&'static str> {
    Some(match Errno::from_raw_os_error(raw) {
        Errno::MFILE => "raise the number of files that this process may open: ulimit -n, or LimitNOFILE= of its unit",
        Errno::NFILE => "raise fs.file-max with sysctl(8)",
        Errno::NOMEM => "free memory, or raise the memory limit of the control group that this process is in",
        Errno::AGAIN => "end some processes, or raise their number: ulimit -u, TasksMax= of the unit, kernel.pid_max",
        Errno::NOBUFS => "free memory, or raise net.core.wmem_max with sysctl(8)",
        Errno::FBIG => "raise the size of files that this process may write: ulimit -f, or LimitFSIZE= of its unit",
        Errno::NOSPC => "free space and inodes there",
        Errno::DQUOT => "raise the quota, or remove what uses it up",
        Errno::ROFS => "make that file system writable",
        Errno::IO => "look for errors of the disk or the file server in the kernel's log: dmesg(1)",
        Errno::PERM => {
            "run it as root of the host with all capabilities, and see what a security module or an outer container forbids"
        }
        Errno::ACCESS => "look at the modes on the way there, and at what a security module has logged",
        Errno::BUSY => "see who uses it with fuser(1) or findmnt(8)",
        Errno::NODEV | Errno::NOSYS | Errno::OPNOTSUPP => {
            "use a kernel that has it: Linux 5.14 or newer, not stripped down"
        }
        Errno::INVAL => {
            "compare the kernel with the needs of spawn (Linux 5.14 or newer); where they are met, report this"
        }
        Errno::PIPE | Errno::CONNRESET => {
            "find out what ended the other side: the kernel's log names who was killed for memory"
        }
        Errno::XDEV | Errno::SPIPE => "see whether something is mounted in between with findmnt(8)",
        Errno::ADDRINUSE => "see what has it open with ss(8)",
        _ => return None,
    })
}
