// SPDX-License-Identifier: LGPL-2.1-or-later
//! Names of system calls of all architectures, and sets of them, usable at compile time.

/// Every name that this version knows, sorted by byte. Not for what runs: it would bring the table into the program, see
/// [`TEXT`].
#[rustfmt::skip]
pub(super) const NAMES: &[&str] = &[
    "_llseek", "_newselect", "_sysctl", "accept", "accept4", "access", "acct", "add_key", "adjtimex",
    "afs_syscall", "alarm", "arc_gettls", "arc_settls", "arc_usr_cmpxchg", "arch_prctl", "arm_fadvise64_64",
    "atomic_barrier", "atomic_cmpxchg_32", "bdflush", "bind", "bpf", "break", "breakpoint", "brk", "cachectl",
    "cacheflush", "cachestat", "capget", "capset", "chdir", "chmod", "chown", "chown32", "chroot", "clock_adjtime",
    "clock_adjtime64", "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64",
    "clock_nanosleep", "clock_nanosleep_time64", "clock_settime", "clock_settime64", "clone", "clone3", "close",
    "close_range", "connect", "copy_file_range", "creat", "create_module", "delete_module", "dipc", "dup", "dup2",
    "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2",
    "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "exec_with_loader", "execv", "execve", "execveat",
    "exit", "exit_group", "faccessat", "faccessat2", "fadvise64", "fadvise64_64", "fallocate", "fanotify_init",
    "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat", "fchroot",
    "fcntl", "fcntl64", "fdatasync", "fgetxattr", "file_getattr", "file_setattr", "finit_module", "flistxattr",
    "flock", "fork", "fremovexattr", "fsconfig", "fsetxattr", "fsmount", "fsopen", "fspick", "fstat", "fstat64",
    "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftime", "ftruncate", "ftruncate64", "futex", "futex_requeue",
    "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "futimesat", "get_kernel_syms", "get_mempolicy",
    "get_robust_list", "get_thread_area", "get_tls", "getcpu", "getcwd", "getdents", "getdents64", "getdomainname",
    "getdtablesize", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups",
    "getgroups32", "gethostname", "getitimer", "getpagesize", "getpeername", "getpgid", "getpgrp", "getpid",
    "getpmsg", "getppid", "getpriority", "getrandom", "getresgid", "getresgid32", "getresuid", "getresuid32",
    "getrlimit", "getrusage", "getsid", "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid",
    "getuid32", "getxattr", "getxattrat", "getxgid", "getxpid", "getxuid", "gtty", "idle", "init_module",
    "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy",
    "io_getevents", "io_pgetevents", "io_pgetevents_time64", "io_setup", "io_submit", "io_uring_enter",
    "io_uring_register", "io_uring_setup", "ioctl", "ioperm", "iopl", "ioprio_get", "ioprio_set", "ipc", "kcmp",
    "kern_features", "kexec_file_load", "kexec_load", "keyctl", "kill", "landlock_add_rule",
    "landlock_create_ruleset", "landlock_restrict_self", "lchown", "lchown32", "lgetxattr", "link", "linkat",
    "listen", "listmount", "listns", "listxattr", "listxattrat", "llistxattr", "llseek", "lock", "lookup_dcookie",
    "lremovexattr", "lseek", "lsetxattr", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "lstat",
    "lstat64", "madvise", "map_shadow_stack", "mbind", "membarrier", "memfd_create", "memfd_secret",
    "memory_ordering", "migrate_pages", "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2",
    "mlockall", "mmap", "mmap2", "modify_ldt", "mount", "mount_setattr", "move_mount", "move_pages", "mprotect",
    "mpx", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend",
    "mq_timedsend_time64", "mq_unlink", "mremap", "mseal", "msgctl", "msgget", "msgrcv", "msgsnd", "msync",
    "multiplexer", "munlock", "munlockall", "munmap", "name_to_handle_at", "nanosleep", "newfstatat", "nfsservctl",
    "nice", "old_adjtimex", "oldfstat", "oldlstat", "oldolduname", "oldstat", "oldumount", "olduname", "open",
    "open_by_handle_at", "open_tree", "open_tree_attr", "openat", "openat2", "or1k_atomic", "osf_fstat",
    "osf_fstatfs", "osf_fstatfs64", "osf_getdirentries", "osf_getdomainname", "osf_getitimer", "osf_getrusage",
    "osf_getsysinfo", "osf_gettimeofday", "osf_lstat", "osf_mount", "osf_proplist_syscall", "osf_select",
    "osf_set_program_attributes", "osf_setitimer", "osf_setsysinfo", "osf_settimeofday", "osf_shmat",
    "osf_sigprocmask", "osf_sigstack", "osf_stat", "osf_statfs", "osf_statfs64", "osf_swapon", "osf_syscall",
    "osf_sysinfo", "osf_usleep_thread", "osf_utimes", "osf_utsname", "osf_wait4", "pause", "pciconfig_iobase",
    "pciconfig_read", "pciconfig_write", "perf_event_open", "perfctr", "personality", "pidfd_getfd", "pidfd_open",
    "pidfd_send_signal", "pipe", "pipe2", "pivot_root", "pkey_alloc", "pkey_free", "pkey_mprotect", "poll",
    "ppoll", "ppoll_time64", "prctl", "pread64", "preadv", "preadv2", "prlimit64", "process_madvise",
    "process_mrelease", "process_vm_readv", "process_vm_writev", "prof", "profil", "pselect6", "pselect6_time64",
    "ptrace", "putpmsg", "pwrite64", "pwritev", "pwritev2", "query_module", "quotactl", "quotactl_fd", "read",
    "readahead", "readdir", "readlink", "readlinkat", "readv", "reboot", "recv", "recvfrom", "recvmmsg",
    "recvmmsg_time64", "recvmsg", "remap_file_pages", "removexattr", "removexattrat", "rename", "renameat",
    "renameat2", "request_key", "restart_syscall", "riscv_flush_icache", "riscv_hwprobe", "rmdir", "rseq",
    "rseq_slice_yield", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn",
    "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "rtas",
    "s390_guarded_storage", "s390_pci_mmio_read", "s390_pci_mmio_write", "s390_runtime_instr", "s390_sthyi",
    "sched_get_affinity", "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity", "sched_getattr",
    "sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_rr_get_interval_time64",
    "sched_set_affinity", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler",
    "sched_yield", "seccomp", "security", "select", "semctl", "semget", "semop", "semtimedop", "semtimedop_time64",
    "send", "sendfile", "sendfile64", "sendmmsg", "sendmsg", "sendto", "set_mempolicy", "set_mempolicy_home_node",
    "set_robust_list", "set_thread_area", "set_tid_address", "set_tls", "setdomainname", "setfsgid", "setfsgid32",
    "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "sethae", "sethostname",
    "setitimer", "setns", "setpgid", "setpgrp", "setpriority", "setregid", "setregid32", "setresgid",
    "setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32", "setrlimit", "setsid", "setsockopt",
    "settimeofday", "setuid", "setuid32", "setxattr", "setxattrat", "sgetmask", "shmat", "shmctl", "shmdt",
    "shmget", "shutdown", "sigaction", "sigaltstack", "signal", "signalfd", "signalfd4", "sigpending",
    "sigprocmask", "sigreturn", "sigsuspend", "socket", "socketcall", "socketpair", "splice", "spu_create",
    "spu_run", "ssetmask", "stat", "stat64", "statfs", "statfs64", "statmount", "statx", "stime", "stty",
    "subpage_prot", "swapcontext", "swapoff", "swapon", "switch_endian", "symlink", "symlinkat", "sync",
    "sync_file_range", "sync_file_range2", "syncfs", "sys_debug_setcontext", "syscall", "sysfs", "sysinfo",
    "syslog", "sysmips", "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun",
    "timer_gettime", "timer_gettime64", "timer_settime", "timer_settime64", "timerfd", "timerfd_create",
    "timerfd_gettime", "timerfd_gettime64", "timerfd_settime", "timerfd_settime64", "times", "tkill", "truncate",
    "truncate64", "tuxcall", "ugetrlimit", "ulimit", "umask", "umount", "umount2", "uname", "unlink", "unlinkat",
    "unshare", "uprobe", "uretprobe", "uselib", "userfaultfd", "usr26", "usr32", "ustat", "utime", "utimensat",
    "utimensat_time64", "utimes", "utrap_install", "vfork", "vhangup", "vm86", "vm86old", "vmsplice", "vserver",
    "wait4", "waitid", "waitpid", "write", "writev",
];

const WORDS: usize = NAMES.len().div_ceil(64);

const LENGTH: usize = {
    let (mut length, mut at) = (0, 0);
    while at < NAMES.len() {
        length += NAMES[at].len();
        at += 1;
    }
    length
};

/// All of [`NAMES`] in one piece: each reference in a table is written at every start of a program that may lie anywhere.
static TEXT: [u8; LENGTH] = {
    let (mut text, mut length, mut at) = ([0; LENGTH], 0, 0);
    while at < NAMES.len() {
        let (name, mut byte) = (NAMES[at].as_bytes(), 0);
        while byte < name.len() {
            text[length] = name[byte];
            (length, byte) = (length + 1, byte + 1);
        }
        at += 1;
    }
    text
};

/// Where each name begins in [`TEXT`], and where the last one ends.
static STARTS: [u16; NAMES.len() + 1] = {
    let (mut starts, mut at) = ([0; NAMES.len() + 1], 0);
    while at < NAMES.len() {
        starts[at + 1] = starts[at] + NAMES[at].len() as u16;
        at += 1;
    }
    starts
};

const fn bytes(at: usize) -> &'static [u8] {
    let (start, end) = (STARTS[at] as usize, STARTS[at + 1] as usize);
    TEXT.split_at(end).0.split_at(start).1
}

/// Position of a name in [`NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NameId(u16);

impl NameId {
    /// The name.
    pub(super) fn name(self) -> &'static str {
        // They are text by what they are made of.
        std::str::from_utf8(bytes(self.0 as usize)).unwrap_or_default()
    }
}

/// Negative, zero or positive as `a` sorts before, with or after `b`. [`Ord::cmp`] is not const.
pub(super) const fn order(a: &[u8], b: &[u8]) -> i32 {
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return a[at] as i32 - b[at] as i32;
        }
        at += 1;
    }
    a.len() as i32 - b.len() as i32
}

/// Looks a name up.
pub(super) const fn find(name: &[u8]) -> Option<NameId> {
    let (mut low, mut high) = (0, NAMES.len());
    while low < high {
        let middle = (low + high) / 2;
        let order = order(bytes(middle), name);
        if order == 0 {
            return Some(NameId(middle as u16));
        } else if order < 0 {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    None
}

/// Looks up a name that is written in this source; for constants, where a wrong one fails to compile.
pub(super) const fn id(name: &str) -> NameId {
    written(name.as_bytes())
}

/// [`id`] of a part of a text.
pub(super) const fn written(name: &[u8]) -> NameId {
    match find(name) {
        Some(id) => id,
        None => panic!("not in the list of names"),
    }
}

/// The set of some names that are written in this source, as [`id`].
pub(super) const fn set(names: &[&str]) -> NameSet {
    let mut set = NameSet::EMPTY;
    let mut at = 0;
    while at < names.len() {
        set = set.with(id(names[at]));
        at += 1;
    }
    set
}

/// A set of names, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NameSet([u64; WORDS]);

impl NameSet {
    pub(super) const EMPTY: Self = Self([0; WORDS]);
    pub(super) const ALL: Self = {
        let mut set = Self::EMPTY;
        let mut at = 0;
        while at < NAMES.len() {
            set = set.with(NameId(at as u16));
            at += 1;
        }
        set
    };

    pub(super) const fn with(mut self, id: NameId) -> Self {
        self.0[id.0 as usize / 64] |= 1 << (id.0 % 64);
        self
    }
    pub(super) const fn contains(&self, id: NameId) -> bool {
        self.0[id.0 as usize / 64] & (1 << (id.0 % 64)) != 0
    }
    pub(super) const fn union(mut self, other: Self) -> Self {
        let mut at = 0;
        while at < WORDS {
            self.0[at] |= other.0[at];
            at += 1;
        }
        self
    }
    pub(super) fn minus(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine &= !theirs);
        self
    }
    /// The members, sorted by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = NameId> + '_ {
        (0..NAMES.len() as u16).map(NameId).filter(|id| self.contains(*id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_found() {
        assert!(NAMES.windows(2).all(|w| w[0] < w[1]));
        for (at, name) in NAMES.iter().enumerate() {
            assert_eq!(find(name.as_bytes()), Some(NameId(at as u16)));
            assert_eq!(NameId(at as u16).name(), *name);
        }
        assert_eq!(find(b"no_such_call"), None);
        assert_eq!(find(b""), None);
    }

    #[test]
    fn set_operations() {
        let (a, b) = (set(&["read", "write"]), set(&["write"]));
        assert_eq!(a.minus(b), set(&["read"]));
        assert_eq!(a.union(b), a);
        assert_eq!(a.iter().map(NameId::name).collect::<Vec<_>>(), ["read", "write"]);
        assert_eq!(a.minus(NameSet::ALL), NameSet::EMPTY);
    }
}
