// SPDX-License-Identifier: LGPL-2.1-or-later
// What a payload sees of its container, as KEY=VALUE lines between two markers. Linked statically: it runs in any tree.
//
//     compat [-o FILE] [-e STATUS] [-n] [WORD…]
//
// Then it waits for SIGUSR1, at most 20 seconds, so that the host can be looked at meanwhile (-n: it does not), and exits
// with STATUS.

#define _GNU_SOURCE
#include "compat.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <termios.h>
#include <time.h>

static FILE *out;
extern char **environ;

static void escaped(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = text[i];
        if (c < 0x20 || c > 0x7e || c == '\\')
            fprintf(out, "\\x%02x", c);
        else
            fputc(c, out);
    }
}

void fact(const char *key, const char *format, ...) {
    char value[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    escaped(key, strlen(key));
    fputc('=', out);
    escaped(value, strlen(value));
    fputc('\n', out);
}

const char *error_name(long result) {
    if (result >= 0)
        return "ok";
    const char *name = strerrorname_np(errno);
    return name ? name : "?";
}

static void words(int argc, char **argv) {
    for (int i = 0; i < argc; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        fact(key("argv", number), "%s", argv[i]);
    }
    for (char **e = environ; *e; e++) {
        char *equals = strchr(*e, '=');
        if (!equals)
            continue;
        *equals = 0;
        fact(key("env", *e), "%s", equals + 1);
        *equals = '=';
    }
    char cwd[4096];
    fact("cwd", "%s", getcwd(cwd, sizeof cwd) ? cwd : error_name(-1));
}

static void identity(void) {
    uid_t u[3];
    gid_t g[3], groups[256];
    getresuid(&u[0], &u[1], &u[2]);
    getresgid(&g[0], &g[1], &g[2]);
    fact("uid", "%u %u %u", u[0], u[1], u[2]);
    fact("gid", "%u %u %u", g[0], g[1], g[2]);
    int count = getgroups(256, groups);
    char list[4096] = "";
    for (int i = 0; i < count; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%u ", groups[i]);
    fact("groups", "%s", list);
}

static void status(void) {
    const char *wanted[] = { "Name", "Umask", "Tgid", "PPid", "TracerPid", "Threads", "SigPnd", "ShdPnd",
        "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
        "Seccomp_filters", "Speculation_Store_Bypass", "SpeculationIndirectBranch", "Cpus_allowed_list",
        "Mems_allowed_list", "THP_enabled", "CoreDumping", NULL };
    FILE *file = fopen("/proc/self/status", "re");
    char line[4096];
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        *colon = 0;
        char *value = colon + 1 + strspn(colon + 1, " \t");
        value[strcspn(value, "\n")] = 0;
        for (int i = 0; wanted[i]; i++)
            if (!strcmp(wanted[i], line))
                fact(key("status", line), "%s", value);
    }
    if (file)
        fclose(file);
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;
        char number[16];
        getrlimit(i, &limit);
        snprintf(number, sizeof number, "%d", i);
        fact(key("rlimit", number), "%lld:%lld", (long long)limit.rlim_cur, (long long)limit.rlim_max);
    }
    const char *files[] = { "oom_score_adj", "personality", "loginuid", "sessionid", "timerslack_ns", "coredump_filter",
        "uid_map", "gid_map", "setgroups", "cgroup", "timens_offsets", NULL };
    for (int i = 0; files[i]; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/%s", files[i]);
        file_fact(key("self", files[i]), path);
    }
    int signal = 0, subreaper = 0;
    prctl(PR_GET_PDEATHSIG, &signal);
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
    fact("prctl.pdeathsig", "%d", signal);
    fact("prctl.subreaper", "%d", subreaper);
    fact("prctl.dumpable", "%d", prctl(PR_GET_DUMPABLE));
    fact("prctl.securebits", "%d", prctl(PR_GET_SECUREBITS));
    fact("nice", "%d", getpriority(PRIO_PROCESS, 0));
    fact("scheduler", "%d", sched_getscheduler(0));
    fact("session", "pid %d ppid %d sid %d pgid %d", getpid(), getppid(), getsid(0), getpgrp());
    char description[512] = "";
    long ring = syscall(SYS_keyctl, 0L /* GET_KEYRING_ID */, -3L /* session */, 0L);
    if (ring >= 0)
        syscall(SYS_keyctl, 6L /* DESCRIBE */, ring, description, sizeof description);
    fact("keyring.session", "%s", ring < 0 ? error_name(-1) : description);
}

static void machine(void) {
    struct utsname name;
    uname(&name);
    fact("uname.machine", "%s", name.machine);
    fact("uname.nodename", "%s", name.nodename);
    fact("uname.domainname", "%s", name.domainname);
    file_fact("machine-id", "/etc/machine-id");
    file_fact("boot-id", "/proc/sys/kernel/random/boot_id");
    file_fact("sysctl.ping_group_range", "/proc/sys/net/ipv4/ping_group_range");
    const char *spaces[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts", NULL };
    for (int i = 0; spaces[i]; i++) {
        char path[64], target[128];
        snprintf(path, sizeof path, "/proc/self/ns/%s", spaces[i]);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        fact(key("ns", spaces[i]), "%s", target);
    }
}

static void descriptors(void) {
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[300], target[4096];
        if (e->d_name[0] == '.' || atoi(e->d_name) == dirfd(dir))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        char *inode = strchr(target, '[');
        if (inode)
            *inode = 0;
        fact(key("fd", e->d_name), "%s flags %#x %s", target, fcntl(atoi(e->d_name), F_GETFL),
            fcntl(atoi(e->d_name), F_GETFD) ? "cloexec" : "");
    }
    if (dir)
        closedir(dir);
    for (int fd = 0; fd < 3; fd++) {
        struct winsize size;
        struct termios settings;
        char number[16];
        snprintf(number, sizeof number, "%d", fd);
        fact(key("isatty", number), "%d", isatty(fd));
        int has_size = ioctl(fd, TIOCGWINSZ, &size) == 0;
        // Older launchers start the payload before they have set it.
        for (int tries = 0; has_size && size.ws_row == 0 && tries < 30; tries++) {
            usleep(10000);
            ioctl(fd, TIOCGWINSZ, &size);
        }
        if (has_size)
            fact(key("winsize", number), "%u %u", size.ws_row, size.ws_col);
        if (tcgetattr(fd, &settings) == 0)
            fact(key("termios", number), "%#x %#x %#x %#x", settings.c_iflag, settings.c_oflag, settings.c_cflag,
                settings.c_lflag);
    }
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    fact("tty.controlling", "%s", error_name(tty));
    if (tty >= 0) {
        fact("tty.foreground", "%d", tcgetpgrp(tty));
        close(tty);
    }
}

static void network(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    FILE *file = fopen("/proc/net/dev", "re");
    char line[1024];
    while (file && fgets(line, sizeof line, file)) {
        struct ifreq request = { 0 };
        char name[64];
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        *colon = 0;
        snprintf(name, sizeof name, "link.%s", line + strspn(line, " "));
        snprintf(request.ifr_name, sizeof request.ifr_name, "%s", line + strspn(line, " "));
        if (ioctl(fd, SIOCGIFFLAGS, &request) == 0)
            fact(key(name, "flags"), "%#x", (unsigned short)request.ifr_flags);
        if (ioctl(fd, SIOCGIFMTU, &request) == 0)
            fact(key(name, "mtu"), "%d", request.ifr_mtu);
        if (ioctl(fd, SIOCGIFHWADDR, &request) == 0) {
            unsigned char *m = (unsigned char *)request.ifr_hwaddr.sa_data;
            fact(key(name, "mac"), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
        }
        if (ioctl(fd, SIOCGIFADDR, &request) == 0)
            fact(key(name, "address"), "%s", inet_ntoa(((struct sockaddr_in *)&request.ifr_addr)->sin_addr));
    }
    if (file)
        fclose(file);
    if (fd >= 0)
        close(fd);
}

static void processes(void) {
    DIR *dir = opendir("/proc");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[300];
        if (e->d_name[0] >= '0' && e->d_name[0] <= '9') {
            snprintf(path, sizeof path, "/proc/%s/comm", e->d_name);
            file_fact(key("process", e->d_name), path);
        } else {
            snprintf(path, sizeof path, "/proc/%s", e->d_name);
            node(key("node", path), path);
        }
    }
    if (dir)
        closedir(dir);
    if (getpid() != 1) {
        file_fact("pid1.cmdline", "/proc/1/cmdline");
        node("pid1.exe", "/proc/1/exe");
    }
}

static void input(void) {
    if (!isatty(0)) {
        struct pollfd ready = { .fd = 0, .events = POLLIN };
        char bytes[4096];
        if (poll(&ready, 1, 500) == 0) {
            fact("stdin", "(nothing comes)");
            return;
        }
        ssize_t length = read(0, bytes, sizeof bytes - 1);
        bytes[length < 0 ? 0 : length] = 0;
        fact("stdin", "%s", length < 0 ? error_name(-1) : bytes);
    }
}

int main(int argc, char **argv) {
    const char *to = NULL;
    int option, code = 0, wait = 1;
    char *text = NULL;
    size_t length = 0;
    out = open_memstream(&text, &length);
    fprintf(out, "<<<facts\n");
    // Before anything is opened or changed.
    status();
    descriptors();
    while ((option = getopt(argc, argv, "+o:e:n")) != -1) {
        if (option == 'o')
            to = optarg;
        else if (option == 'e')
            code = atoi(optarg);
        else if (option == 'n')
            wait = 0;
    }
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    words(argc, argv);
    identity();
    machine();
    mounts();
    files();
    writable();
    network();
    processes();
    input();
    calls();
    fprintf(out, ">>>facts\n");
    fclose(out);
    int fd = to ? open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : 1;
    for (size_t done = 0; fd >= 0 && done < length;) {
        ssize_t written = write(fd, text + done, length - done);
        if (written < 0)
            return 98;
        done += written;
    }
    struct timespec limit = { .tv_sec = 20 };
    if (wait && sigtimedwait(&set, NULL, &limit) < 0)
        return 99;
    return code;
}
