// SPDX-License-Identifier: LGPL-2.1-or-later
// What the kernel answers to system calls whose arguments make them fail where they are allowed: the errno tells a call
// that was let through from one that the filter refused.

#define _GNU_SOURCE
#include "compat.h"
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define BAD ((long)1)

static const struct {
    const char *name;
    long number, args[6];
} table[] = {
    { "add_key", SYS_add_key, { BAD, BAD, BAD, 1, -1 } },
    { "keyctl", SYS_keyctl, { -1 } },
    { "request_key", SYS_request_key, { BAD, BAD, BAD, -1 } },
    { "bpf", SYS_bpf, { -1, BAD, 4096 } },
    { "perf_event_open", SYS_perf_event_open, { BAD, -1, -1, -1, -1 } },
    { "io_uring_setup", SYS_io_uring_setup, { 1, BAD } },
    { "io_uring_enter", SYS_io_uring_enter, { -1 } },
    { "io_uring_register", SYS_io_uring_register, { -1 } },
    { "io_setup", SYS_io_setup, { 0, BAD } },
    { "userfaultfd", SYS_userfaultfd, { 1 } },
    { "kexec_load", SYS_kexec_load, { 0, 100, BAD, -1 } },
    { "kexec_file_load", SYS_kexec_file_load, { -1, -1, 0, BAD, -1 } },
    { "init_module", SYS_init_module, { BAD, 0, BAD } },
    { "finit_module", SYS_finit_module, { -1, BAD, 0 } },
    { "delete_module", SYS_delete_module, { BAD, 0 } },
    { "swapon", SYS_swapon, { BAD, -1 } },
    { "swapoff", SYS_swapoff, { BAD } },
    { "acct", SYS_acct, { BAD } },
    { "reboot", SYS_reboot, { 0, 0, 0, 0 } },
    { "syslog", SYS_syslog, { -1 } },
    { "quotactl", SYS_quotactl, { -1, BAD, 0, BAD } },
    { "quotactl_fd", SYS_quotactl_fd, { -1, -1, 0, BAD } },
    { "mlock", SYS_mlock, { 0, 0 } },
    { "mlock2", SYS_mlock2, { 0, 0, -1 } },
    { "mlockall", SYS_mlockall, { -1 } },
    { "munlock", SYS_munlock, { 0, 0 } },
    { "pkey_alloc", SYS_pkey_alloc, { -1, -1 } },
    { "pkey_mprotect", SYS_pkey_mprotect, { 1, 1, -1, -1 } },
    { "ptrace", SYS_ptrace, { -1, 0x7ffffff0 } },
    { "process_vm_readv", SYS_process_vm_readv, { -1, 0, 0, 0, 0, -1 } },
    { "process_vm_writev", SYS_process_vm_writev, { -1, 0, 0, 0, 0, -1 } },
    { "pidfd_open", SYS_pidfd_open, { -1 } },
    { "pidfd_getfd", SYS_pidfd_getfd, { -1, -1, -1 } },
    { "pidfd_send_signal", SYS_pidfd_send_signal, { -1, 0, 0, -1 } },
    { "kcmp", SYS_kcmp, { 0x7ffffff0, 0x7ffffff0, 0 } },
    { "open_by_handle_at", SYS_open_by_handle_at, { -1, BAD, 0 } },
    { "name_to_handle_at", SYS_name_to_handle_at, { -1, BAD, BAD, BAD, 0 } },
    { "fanotify_init", SYS_fanotify_init, { 0xffffffff, 0 } },
    { "fanotify_mark", SYS_fanotify_mark, { -1, -1, -1, -1, BAD } },
    { "inotify_init1", SYS_inotify_init1, { -1 } },
    { "mount", SYS_mount, { BAD, BAD, BAD, 0, BAD } },
    { "umount2", SYS_umount2, { BAD, -1 } },
    { "fsopen", SYS_fsopen, { BAD, -1 } },
    { "fsconfig", SYS_fsconfig, { -1 } },
    { "fsmount", SYS_fsmount, { -1, -1, -1 } },
    { "open_tree", SYS_open_tree, { -1, BAD, -1 } },
    { "move_mount", SYS_move_mount, { -1, BAD, -1, BAD, -1 } },
    { "mount_setattr", SYS_mount_setattr, { -1, BAD, -1, BAD, 0 } },
    { "open_tree_attr", 467, { -1, BAD, -1 } },
    { "statmount", 457, { BAD, BAD, 0, -1 } },
    { "listmount", 458, { BAD, BAD, 0, -1 } },
    { "pivot_root", SYS_pivot_root, { BAD, BAD } },
    { "chroot", SYS_chroot, { BAD } },
    { "setns", SYS_setns, { -1, -1 } },
    { "unshare", SYS_unshare, { -1 } },
    { "clone3", SYS_clone3, { 0, 0 } },
    { "settimeofday", SYS_settimeofday, { BAD, BAD } },
    { "clock_settime", SYS_clock_settime, { -1, BAD } },
    { "clock_adjtime", SYS_clock_adjtime, { -1, BAD } },
    { "adjtimex", SYS_adjtimex, { BAD } },
    { "set_mempolicy", SYS_set_mempolicy, { -1, BAD, 1 } },
    { "get_mempolicy", SYS_get_mempolicy, { BAD, BAD, 1, 0, -1 } },
    { "mbind", SYS_mbind, { 1, 1, -1, BAD, 1, -1 } },
    { "move_pages", SYS_move_pages, { 0, 1, BAD, BAD, BAD, -1 } },
    { "migrate_pages", SYS_migrate_pages, { 0x7ffffff0, 0, 0, 0 } },
    { "set_mempolicy_home_node", 450, { 1, 1, -1, -1 } },
    { "personality", SYS_personality, { 0xffffffff } },
    { "sethostname", SYS_sethostname, { BAD, -1 } },
    { "setdomainname", SYS_setdomainname, { BAD, -1 } },
    { "memfd_create", SYS_memfd_create, { BAD, -1 } },
    { "memfd_secret", SYS_memfd_secret, { -1 } },
    { "landlock_create_ruleset", SYS_landlock_create_ruleset, { BAD, 0, -1 } },
    { "seccomp", SYS_seccomp, { -1, -1, BAD } },
    { "cachestat", 451, { -1, BAD, BAD, -1 } },
    { "fchmodat2", 452, { -1, BAD, 0, -1 } },
    { "map_shadow_stack", 453, { 1, 1, -1 } },
    { "futex_wake", 454, { BAD, 0, 0, -1 } },
    { "futex_waitv", SYS_futex_waitv, { BAD, 0, -1 } },
    { "mseal", 462, { 1, 1, -1 } },
    { "lsm_list_modules", 461, { BAD, BAD, -1 } },
    { "lsm_get_self_attr", 459, { -1, BAD, BAD, -1 } },
    { "setxattrat", 463, { -1, BAD, -1, BAD, BAD, 0 } },
    { "file_getattr", 468, { -1, BAD, BAD, 0, -1 } },
    { "process_madvise", SYS_process_madvise, { -1, BAD, 1, -1, -1 } },
    { "process_mrelease", SYS_process_mrelease, { -1, -1 } },
    { "epoll_pwait2", SYS_epoll_pwait2, { -1, BAD, 1, BAD } },
    { "sched_setattr", SYS_sched_setattr, { 0, BAD, -1 } },
    { "ioprio_set", SYS_ioprio_set, { -1, 0, -1 } },
    { "membarrier", SYS_membarrier, { -1, -1 } },
    { "rseq", SYS_rseq, { BAD, 0, -1 } },
    { "copy_file_range", SYS_copy_file_range, { -1, BAD, -1, BAD, 1, -1 } },
    { "fsync", SYS_fsync, { -1 } },
    { "msgget", SYS_msgget, { -1, 0 } },
    { "mq_open", SYS_mq_open, { BAD, 0 } },
    { "unknown", 1000, { 0 } },
#ifdef __x86_64__
    { "iopl", SYS_iopl, { 4 } },
    { "ioperm", SYS_ioperm, { -1, 1, 1 } },
    { "modify_ldt", SYS_modify_ldt, { -1 } },
    { "arch_prctl", SYS_arch_prctl, { -1 } },
    { "uselib", SYS_uselib, { BAD } },
    { "ustat", SYS_ustat, { -1, BAD } },
    { "sysfs", SYS_sysfs, { -1 } },
    { "_sysctl", SYS__sysctl, { BAD } },
    { "lookup_dcookie", SYS_lookup_dcookie, { -1, BAD, 0 } },
    { "nfsservctl", SYS_nfsservctl, { -1 } },
    { "get_kernel_syms", SYS_get_kernel_syms, { BAD } },
    { "remap_file_pages", SYS_remap_file_pages, { 1, 0, 1, 0, 0 } },
    { "time", SYS_time, { BAD } },
#endif
};

static const struct {
    const char *name;
    int family, type, protocol;
} sockets[] = {
    { "unix", AF_UNIX, SOCK_STREAM, 0 },
    { "inet", AF_INET, SOCK_STREAM, 0 },
    { "inet6", AF_INET6, SOCK_STREAM, 0 },
    { "inet-raw", AF_INET, SOCK_RAW, 1 },
    { "ping", AF_INET, SOCK_DGRAM, 1 },
    { "netlink-route", AF_NETLINK, SOCK_RAW, 0 },
    { "netlink-audit", AF_NETLINK, SOCK_RAW, 9 },
    { "netlink-uevent", AF_NETLINK, SOCK_RAW, 15 },
    { "packet", AF_PACKET, SOCK_RAW, 0 },
    { "vsock", AF_VSOCK, SOCK_STREAM, 0 },
    { "alg", AF_ALG, SOCK_SEQPACKET, 0 },
    { "bluetooth", AF_BLUETOOTH, SOCK_RAW, 1 },
    { "key", AF_KEY, SOCK_RAW, 2 },
    { "can", AF_CAN, SOCK_RAW, 1 },
    { "tipc", AF_TIPC, SOCK_RDM, 0 },
};

#ifdef __x86_64__
// The i386 entry; arguments must fit in 32 bits.
static long int80(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    int narrow = (int)result;
    errno = narrow < 0 ? -narrow : 0;
    return narrow;
}

static void other_abis(void) {
    struct { const char *name; long number, args[3]; } i386[] = { { "getpid", 20, { 0 } }, { "settimeofday", 79, { 1, 1 } },
        { "init_module", 128, { 1, 0, 1 } }, { "socketcall", 102, { 99, 1, 0 } }, { "socket", 359, { -1, -1, -1 } },
        { "swapon", 87, { 1, -1, 0 } }, { "kexec_load", 283, { 0, 100, 1 } }, { "vm86", 166, { -1, 0, 0 } },
        { "unknown", 1000, { 0 } } };
    for (size_t i = 0; i < sizeof i386 / sizeof *i386; i++) {
        char key[64];
        snprintf(key, sizeof key, "call.i386.%s", i386[i].name);
        errno = 0;
        fact(key, "%s", error_name(int80(i386[i].number, i386[i].args[0], i386[i].args[1], i386[i].args[2])));
    }
    struct { const char *name; long number; } x32[] = { { "getpid", 39 }, { "swapoff", 168 }, { "unknown", 1000 } };
    for (size_t i = 0; i < sizeof x32 / sizeof *x32; i++) {
        char key[64];
        snprintf(key, sizeof key, "call.x32.%s", x32[i].name);
        fact(key, "%s", error_name(syscall(0x40000000 | x32[i].number, BAD)));
    }
}
#endif

void calls(void) {
    char key[64];
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const long *a = table[i].args;
        snprintf(key, sizeof key, "call.%s", table[i].name);
        fact(key, "%s", error_name(syscall(table[i].number, a[0], a[1], a[2], a[3], a[4], a[5])));
    }
    for (size_t i = 0; i < sizeof sockets / sizeof *sockets; i++) {
        int fd = socket(sockets[i].family, sockets[i].type | SOCK_CLOEXEC, sockets[i].protocol);
        snprintf(key, sizeof key, "call.socket.%s", sockets[i].name);
        fact(key, "%s", error_name(fd));
        if (fd >= 0)
            close(fd);
    }
    int pair[2];
    fact("call.socketpair", "%s", error_name(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)));
    int file = open("/tmp/.compat-sync", O_WRONLY | O_CREAT | O_CLOEXEC | O_SYNC, 0600);
    fact("call.open-sync", "%s", error_name(file));
    fact("call.fchmod-suid", "%s", error_name(fchmod(file, 04755)));
    unlink("/tmp/.compat-sync");
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fact("call.mmap-wx", "%s", error_name(page == MAP_FAILED ? -1 : 0));
#ifdef __x86_64__
    other_abis();
#endif
}
