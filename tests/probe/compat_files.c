// SPDX-License-Identifier: LGPL-2.1-or-later
// The payload's view of mounts, nodes and what may be written.

#define _GNU_SOURCE
#include "compat.h"
#include <dirent.h>
#include <string.h>

// "prefix.name" in a buffer that the next call overwrites.
const char *key(const char *prefix, const char *name) {
    static char buffer[4096];
    snprintf(buffer, sizeof buffer, "%s.%s", prefix, name);
    return buffer;
}

// Content of a small file without the last newline; NULL when it cannot be read.
static const char *slurp(const char *path) {
    static char buffer[8000];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    ssize_t length = read(fd, buffer, sizeof buffer - 1);
    int error = errno;
    close(fd);
    errno = error;
    if (length < 0)
        return NULL;
    if (length > 0 && buffer[length - 1] == '\n')
        length--;
    buffer[length] = 0;
    return buffer;
}

void file_fact(const char *name, const char *path) {
    const char *text = slurp(path);
    if (text)
        fact(name, "%s", text);
    else
        fact(name, "(%s)", error_name(-1));
}

void node(const char *name, const char *path) {
    struct stat st;
    char target[4096];
    if (lstat(path, &st) < 0) {
        fact(name, "(%s)", error_name(-1));
        return;
    }
    const char *type = S_ISDIR(st.st_mode)    ? "dir"
                       : S_ISREG(st.st_mode)  ? "file"
                       : S_ISLNK(st.st_mode)  ? "link"
                       : S_ISCHR(st.st_mode)  ? "chr"
                       : S_ISBLK(st.st_mode)  ? "blk"
                       : S_ISFIFO(st.st_mode) ? "fifo"
                                              : "sock";
    char tail[4200] = "";
    if (S_ISLNK(st.st_mode)) {
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        snprintf(tail, sizeof tail, " -> %s", target);
    } else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
        snprintf(tail, sizeof tail, " %u:%u", major(st.st_rdev), minor(st.st_rdev));
    fact(name, "%s %04o %u:%u%s", type, st.st_mode & 07777, st.st_uid, st.st_gid, tail);
}

// Nodes below `path`; contents of regular files too when they are small.
static void walk(const char *path, int depth, int contents) {
    DIR *dir = opendir(path);
    if (!dir) {
        fact(key("open", path), "%s", error_name(-1));
        return;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        char below[4096];
        struct stat st;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        snprintf(below, sizeof below, "%s/%s", strcmp(path, "/") ? path : "", e->d_name);
        node(key("node", below), below);
        if (lstat(below, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode) && depth > 1)
            walk(below, depth - 1, contents);
        if (contents && S_ISREG(st.st_mode))
            file_fact(key("content", below), below);
    }
    closedir(dir);
}

void mounts(void) {
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char line[8192];
    while (file && fgets(line, sizeof line, file)) {
        char root[4096], point[4096], options[512], type[64], source[4096], super[4096];
        char *rest = strstr(line, " - ");
        if (!rest || sscanf(line, "%*s %*s %*s %4095s %4095s %511s", root, point, options) != 3 ||
            sscanf(rest, " - %63s %4095s %4095s", type, source, super) != 3)
            continue;
        *rest = 0;
        char name[4200];
        struct { const char *suffix, *value; } parts[] = { { "type", type }, { "root", root }, { "flags", options },
            { "source", source }, { "super", super },
            { "propagation", strstr(line, "master:") ? "slave" : strstr(line, "shared:") ? "shared" : "private" } };
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            snprintf(name, sizeof name, "mount.%s.%s", point, parts[i].suffix);
            fact(name, "%s", parts[i].value);
        }
    }
    if (file)
        fclose(file);
}

void files(void) {
    const char *single[] = { "/", "/bin", "/dev", "/dev/pts", "/dev/shm", "/etc", "/home/user", "/proc", "/root", "/run",
        "/sys", "/tmp", "/usr", "/var", "/etc/machine-id", "/etc/resolv.conf", "/etc/localtime", "/proc/sys",
        "/proc/kmsg", "/proc/kcore", "/proc/kallsyms", "/proc/keys", "/proc/sysrq-trigger", "/proc/timer_list",
        "/sys/fs/cgroup", "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/cgroup.subtree_control",
        "/sys/fs/cgroup/cgroup.type", "/sys/fs/cgroup/memory.max", "/var/log/journal", "/run/host", "/mnt", NULL };
    for (int i = 0; single[i]; i++)
        node(key("node", single[i]), single[i]);
    file_fact("content./etc/resolv.conf", "/etc/resolv.conf");
    walk("/", 1, 0);
    walk("/dev", 3, 0);
    walk("/run", 4, 1);
    walk("/sys", 1, 0);
    walk("/sys/fs", 1, 0);
    walk("/mnt", 3, 1);
    walk("/tmp", 2, 0);
}

void writable(void) {
    const char *opened[] = { "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/msgmax",
        "/proc/sys/kernel/modprobe", "/proc/sys/vm/overcommit_memory", "/proc/sys/fs/mqueue/msg_max",
        "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/core/somaxconn", "/proc/sysrq-trigger", "/proc/kmsg",
        "/proc/irq/default_smp_affinity", "/proc/self/oom_score_adj", "/proc/self/uid_map", "/proc/fs/ext4",
        "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/class/net/lo/mtu", "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/cgroup.subtree_control", "/dev/null", "/dev/full", "/dev/tty", "/dev/console", "/dev/ptmx",
        "/dev/fuse", "/dev/net/tun", "/dev/kmsg", "/run/host/notify", NULL };
    for (int i = 0; opened[i]; i++) {
        int fd = open(opened[i], O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        fact(key("write", opened[i]), "%s", error_name(fd));
        if (fd >= 0)
            close(fd);
    }
    const char *read_too[] = { "/proc/kcore", "/proc/kallsyms", "/proc/keys", "/proc/kmsg", "/proc/timer_list",
        "/proc/1/environ", "/proc/1/mem", "/sys/firmware", "/sys/module", "/run/host/incoming", NULL };
    for (int i = 0; read_too[i]; i++) {
        int fd = open(read_too[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        fact(key("read", read_too[i]), "%s", error_name(fd));
        if (fd >= 0)
            close(fd);
    }
    const char *dirs[] = { "/", "/dev", "/dev/shm", "/dev/mqueue", "/etc", "/home/user", "/mnt", "/proc", "/root", "/run",
        "/run/host", "/run/host/incoming", "/run/host/unix-export", "/run/host/credentials", "/sys", "/sys/fs/cgroup",
        "/tmp", "/usr", "/var", "/var/tmp", NULL };
    for (int i = 0; dirs[i]; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/.compat-probe", dirs[i]);
        int made = mkdir(path, 0700);
        fact(key("mkdir", dirs[i]), "%s", error_name(made));
        if (made == 0)
            rmdir(path);
    }
    int made = mknod("/tmp/.compat-node", S_IFCHR | 0600, makedev(1, 3));
    fact("mknod./tmp/null", "%s", error_name(made));
    unlink("/tmp/.compat-node");
    struct { const char *name; mode_t type; dev_t number; } devices[] = { { "mem", S_IFCHR, makedev(1, 1) },
        { "disk", S_IFBLK, makedev(8, 0) }, { "kmsg", S_IFCHR, makedev(1, 11) }, { "fuse", S_IFCHR, makedev(10, 229) },
        { "rtc", S_IFCHR, makedev(10, 135) }, { "null", S_IFCHR, makedev(1, 3) } };
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        made = mknod("/dev/.compat-node", devices[i].type | 0600, devices[i].number);
        fact(key("mknod", devices[i].name), "%s", error_name(made));
        int fd = open("/dev/.compat-node", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        fact(key("device", devices[i].name), "%s", made < 0 ? "not made" : error_name(fd));
        if (fd >= 0)
            close(fd);
        unlink("/dev/.compat-node");
    }
}
