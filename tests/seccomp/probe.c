/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes system calls by number and prints "ABI CALL ERRNO" for each; "n/a" where the kernel lacks the ABI. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void native(const char *abi, const char *name, long number, long a, long b, long c) {
    long r = syscall(number, a, b, c, 0, 0, 0);
    printf("%s %s %d\n", abi, name, r < 0 ? errno : 0);
    if (r > 2 && number == SYS_socket)
        close(r);
}

#ifdef __x86_64__
static void i386(const char *name, int number, int a, int b, int c) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int r;
        __asm__ volatile("int $0x80" : "=a"(r) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
        printf("x86 %s %d\n", name, r < 0 ? -r : 0);
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status))
        printf("x86 %s n/a\n", name);
}
#endif

int main(void) {
    native("native", "getpid", SYS_getpid, 0, 0, 0);
    native("native", "swapon", SYS_swapon, 0, 0, 0);
    native("native", "unknown", 999, 0, 0, 0);
    native("native", "socket-unix", SYS_socket, AF_UNIX, SOCK_STREAM, 0);
    native("native", "socket-vsock", SYS_socket, 40, SOCK_STREAM, 0);
    native("native", "socket-audit", SYS_socket, AF_NETLINK, SOCK_RAW, 9);
    native("native", "io_uring_setup", 425, 0, 0, 0);
    native("native", "userfaultfd", SYS_userfaultfd, -1, 0, 0);
    native("native", "fsync", SYS_fsync, 1000, 0, 0);
    native("native", "fsync-negative", SYS_fsync, -1, 0, 0);
    native("native", "openat-sync", SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR | O_SYNC);
#ifdef __x86_64__
    native("x32", "getpid", 0x40000000 | 39, 0, 0, 0);
    native("x32", "swapon", 0x40000000 | 167, 0, 0, 0);
    native("x32", "ioctl-64", 0x40000000 | 16, 0, 0, 0);
    i386("getpid", 20, 0, 0, 0);
    i386("swapon", 87, 0, 0, 0);
    i386("unknown", 999, 0, 0, 0);
    i386("socket-unix", 359, AF_UNIX, SOCK_STREAM, 0);
    i386("socket-vsock", 359, 40, SOCK_STREAM, 0);
    i386("socketcall-socket", 102, 1, 0, 0);
    i386("socketcall-listen", 102, 4, 0, 0);
#endif
    return 0;
}
