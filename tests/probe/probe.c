/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A payload that reports facts about itself as key=value lines and exits with the status that its last word names
 * ("exit=N"), so that tests compare values. Built with cc -static. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

extern char **environ;

/* keyctl(2) has no wrapper in the C library. */
#define KEYCTL_GET_KEYRING_ID 0
#define KEYCTL_DESCRIBE 6
#define KEY_SPEC_SESSION_KEYRING (-3)

static void links(void) {
    static const char *const names[] = {"mnt", "pid", "ipc", "uts", "net", "user", "cgroup", NULL};
    for (int i = 0; names[i]; i++) {
        char path[64], target[256];
        snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n > 0) {
            target[n] = 0;
            printf("ns.%s=%s\n", names[i], target);
        }
    }
}

static void status(void) {
    char line[512];
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f)) {
        char *value = strchr(line, ':');
        if (!value)
            continue;
        *value++ = 0;
        value += strspn(value, " \t");
        value[strcspn(value, "\n")] = 0;
        for (char *end = value + strlen(value); end > value && end[-1] == ' '; )
            *--end = 0;
        printf("status.%s=%s\n", line, value);
    }
    if (f)
        fclose(f);
}

static void descriptors(void) {
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        char target[PATH_MAX];
        if (e->d_name[0] == '.' || atoi(e->d_name) == dirfd(dir))
            continue;
        ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = 0;
        printf("fd.%s=%s\n", e->d_name, target);
    }
    if (dir)
        closedir(dir);
}

static void limits(void) {
    static const char *const names[] = {"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE",
                                        "MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"};
    for (int i = 0; i < 16; i++) {
        struct rlimit l;
        getrlimit(i, &l);
        printf("limit.%s=%lld:%lld\n", names[i], (long long)l.rlim_cur, (long long)l.rlim_max);
    }
}

static void terminal(void) {
    struct winsize size;
    pid_t foreground = tcgetpgrp(0);
    printf("tty=%s\n", isatty(0) ? "yes" : "no");
    printf("ctty=%s\n", foreground < 0 ? "no" : foreground == getpgrp() ? "foreground" : "background");
    if (ioctl(0, TIOCGWINSZ, &size) == 0)
        printf("winsize=%dx%d\n", size.ws_col, size.ws_row);
}

static void keyring(void) {
    char text[256];
    long n = syscall(SYS_keyctl, KEYCTL_DESCRIBE, KEY_SPEC_SESSION_KEYRING, text, sizeof text);
    printf("keyring=%s\n", n < 0 ? strerror(errno) : text);
    printf("keyring.id=%ld\n", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
}

int main(int argc, char **argv) {
    int code = 0;
    char cwd[PATH_MAX];
    mode_t mask = umask(0);
    gid_t groups[64];
    cpu_set_t cpus;
    int count = getgroups(64, groups);

    printf("pid=%d\nppid=%d\nsid=%d\npgid=%d\n", getpid(), getppid(), getsid(0), getpgrp());
    printf("uid=%d\neuid=%d\ngid=%d\negid=%d\ngroups=", getuid(), geteuid(), getgid(), getegid());
    for (int i = 0; i < count; i++)
        printf("%s%d", i ? "," : "", groups[i]);
    printf("\numask=%04o\ncwd=%s\nargc=%d\n", mask, getcwd(cwd, sizeof cwd) ? cwd : "?", argc);
    for (int i = 0; i < argc; i++) {
        printf("arg.%d=%s\n", i, argv[i]);
        if (strncmp(argv[i], "exit=", 5) == 0)
            code = atoi(argv[i] + 5);
    }
    for (char **e = environ; *e; e++)
        printf("env.%s\n", *e);
    printf("personality=%x\n", (unsigned)personality(0xffffffff));
    printf("dumpable=%d\n", prctl(PR_GET_DUMPABLE));
    int death = -1;
    prctl(PR_GET_PDEATHSIG, &death);
    printf("deathsig=%d\n", death);
    CPU_ZERO(&cpus);
    sched_getaffinity(0, sizeof cpus, &cpus);
    printf("cpus=%d\n", CPU_COUNT(&cpus));
    links();
    status();
    descriptors();
    limits();
    terminal();
    keyring();
    return code;
}
