// SPDX-License-Identifier: LGPL-2.1-or-later
// What a hostile payload tries from inside a container, one verb an argument ("VERB" or "VERB=WORD"). For each a line
// "VERB OUTCOME" is printed, where OUTCOME is "ok", an errno's name or what the verb found. Each verb runs in a process
// of its own and has five seconds. Nothing here writes to what it could open: opening is the finding.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <sys/io.h>
#endif

#define FLAG_REMOUNT 32
#define FLAG_BIND 4096
#define FLAG_MOVE 8192
#define FLAG_REC 16384
#define FLAG_PRIVATE (1 << 18)
#define DETACH 2

static int mount_(const char *what, const char *where, const char *type, unsigned long flags) {
    return syscall(SYS_mount, what, where, type, flags, "");
}

static void outcome(long result) { puts(result < 0 ? strerrorname_np(errno) : "ok"); }

// Descriptors with their types; the one that lists them is left out.
static void fds(void) {
    DIR *dir = opendir("/proc/self/fd");
    if (!dir) return outcome(-1);
    static const char *const TYPES[16] = {[1] = "fifo", [2] = "char", [4] = "dir", [6] = "block",
                                          [8] = "file", [10] = "link", [12] = "socket"};
    char list[4096] = "";
    for (int fd = 0; fd < 4096; fd++) {
        struct stat st;
        if (fd == dirfd(dir) || fstat(fd, &st) < 0) continue;
        const char *type = TYPES[st.st_mode >> 12 & 15];
        sprintf(list + strlen(list), "%s%d:%s%s", *list ? " " : "", fd, type ? type : "anonymous", isatty(fd) ? "/tty" : "");
    }
    puts(list);
}

// The first kilobyte of a file, newlines and NULs as blanks.
static void show(const char *path) {
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return outcome(-1);
    char text[1025];
    ssize_t length = read(fd, text, 1024);
    if (length < 0) return outcome(-1);
    for (ssize_t i = 0; i < length; i++)
        if (text[i] == '\n' || text[i] == 0) text[i] = ' ';
    text[length] = 0;
    printf("[%s]\n", text);
}

static void link_text(const char *path) {
    char text[512];
    ssize_t length = readlink(path, text, sizeof text - 1);
    if (length < 0) return outcome(-1);
    text[length] = 0;
    puts(text);
}

static void pids(void) {
    DIR *dir = opendir("/proc");
    int count = 0, highest = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        int pid = atoi(e->d_name);
        if (pid > 0) count++;
        if (pid > highest) highest = pid;
    }
    // This program, this verb's process and, with a stub, PID 1; nobody else.
    printf("%s\n", count <= 3 && highest < 100 ? "own" : "others");
}

// Makes a node and opens it: "b,8,0".
static void device(const char *words) {
    unsigned major = 0, minor = 0;
    sscanf(words + 1, ",%u,%u", &major, &minor);
    if (mknod("/node", (*words == 'b' ? S_IFBLK : S_IFCHR) | 0600, makedev(major, minor)) < 0) {
        printf("mknod ");
        return outcome(-1);
    }
    int fd = open("/node", O_RDONLY | O_NONBLOCK);
    int error = errno;
    unlink("/node");
    errno = error;
    printf("open ");
    outcome(fd);
}

struct line { char path[512], options[256]; };

static int mounts(struct line *lines, int most) {
    FILE *table = fopen("/proc/self/mountinfo", "r");
    char text[2048];
    int count = 0;
    while (table && count < most && fgets(text, sizeof text, table))
        if (sscanf(text, "%*s %*s %*s %*s %511s %255s", lines[count].path, lines[count].options) == 2) count++;
    return count;
}

static struct line LINES[256];

static unsigned long flags_of(const char *options) {
    unsigned long flags = 0;
    if (strstr(options, "nosuid")) flags |= 2;
    if (strstr(options, "nodev")) flags |= 4;
    if (strstr(options, "noexec")) flags |= 8;
    if (strstr(options, "relatime")) flags |= 1 << 21;
    return flags;
}

// Each way is tried on every mount; the names of those where it worked.
static void undo(const char *how) {
    int count = mounts(LINES, 256), done = 0;
    char list[4096] = "";
    mkdir("/tmp/moved", 0755);
    for (int i = count - 1; i >= 0; i--) {
        const char *path = LINES[i].path;
        if (!strcmp(path, "/")) continue;
        long result = -1;
        if (!strcmp(how, "umount")) result = syscall(SYS_umount2, path, DETACH);
        if (!strcmp(how, "move")) result = mount_(path, "/tmp/moved", 0, FLAG_MOVE);
        if (!strcmp(how, "remount") && strncmp(LINES[i].options, "ro", 2) == 0)
            result = mount_("", path, 0, FLAG_REMOUNT | FLAG_BIND | flags_of(LINES[i].options));
        if (!strcmp(how, "setattr")) {
            struct mount_attr a = {.attr_clr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
            // Where none of these is set, clearing them is no finding.
            if (strncmp(LINES[i].options, "ro", 2) == 0 || flags_of(LINES[i].options) & 14)
                result = syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &a, sizeof a);
        }
        // A copy without what is mounted below it would show what lies under the masks.
        if (!strcmp(how, "bind")) {
            int has_children = 0;
            for (int k = 0; k < count; k++)
                has_children |= !strncmp(LINES[k].path, path, strlen(path)) && LINES[k].path[strlen(path)] == '/';
            if (has_children) result = mount_(path, "/tmp/moved", 0, FLAG_BIND);
            if (result == 0) syscall(SYS_umount2, "/tmp/moved", DETACH);
        }
        if (!strcmp(how, "tree")) {
            int has_children = 0;
            for (int k = 0; k < count; k++)
                has_children |= !strncmp(LINES[k].path, path, strlen(path)) && LINES[k].path[strlen(path)] == '/';
            if (has_children) result = syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE);
        }
        if (result >= 0 && done++ < 16) sprintf(list + strlen(list), " %s", path);
    }
    printf("%s%s\n", done ? "worked on" : "none", list);
}

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY);
    if (fd >= 0) {
        if (write(fd, text, strlen(text)) < 0) perror(path);
        close(fd);
    }
}

// A file system of new namespaces of our own: must not be less masked than the one we have.
static void fresh(const char *type) {
    uid_t uid = getuid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC) < 0) {
        printf("unshare ");
        return outcome(-1);
    }
    char map[64];
    sprintf(map, "0 %u 1", uid);
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", map);
    pid_t child = fork();
    if (child == 0) {
        mount_("", "/", 0, FLAG_PRIVATE | FLAG_REC);
        outcome(mount_("none", "/tmp", type, 0));
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, 0, 0);
}

// As root of the container, in its own namespaces.
static void mount_type(const char *type) {
    mkdir("/tmp/fs", 0755);
    outcome(mount_("none", "/tmp/fs", type, 0));
}

// Out of a chroot by a descriptor of a directory above it, and up: where does it end?
static void leave_chroot(void) {
    mkdir("/tmp/jail", 0755);
    int above = open("/", O_RDONLY | O_DIRECTORY);
    if (chroot("/tmp/jail") < 0 || fchdir(above) < 0) return outcome(-1);
    for (int i = 0; i < 64; i++)
        if (chdir("..") < 0) return outcome(-1);
    if (chroot(".") < 0) return outcome(-1);
    struct stat st, mark;
    int own = stat("/", &st) == 0 && stat("/marked-tree", &mark) == 0;
    puts(own ? "own root" : "another root");
}

static void pivot(void) {
    if (unshare(CLONE_NEWNS) < 0) return outcome(-1);
    if (mount_("", "/", 0, FLAG_PRIVATE | FLAG_REC) < 0) return outcome(-1);
    mkdir("/tmp/new", 0755);
    if (mount_("none", "/tmp/new", "tmpfs", 0) < 0) return outcome(-1);
    mkdir("/tmp/new/old", 0755);
    if (syscall(SYS_pivot_root, "/tmp/new", "/tmp/new/old") < 0) return outcome(-1);
    struct stat mark;
    puts(stat("/old/marked-tree", &mark) == 0 && stat("/old/../marked-tree", &mark) < 0 ? "own root" : "another root");
}

static void by_handle(void) {
    struct { struct file_handle head; char bytes[128]; } handle = {.head = {.handle_bytes = 128}};
    int mount_id;
    if (name_to_handle_at(AT_FDCWD, "/", &handle.head, &mount_id, 0) < 0) {
        printf("name ");
        return outcome(-1);
    }
    int at = open("/", O_RDONLY | O_DIRECTORY);
    outcome(open_by_handle_at(at, &handle.head, O_RDONLY));
}

static void abstract(const char *name) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strcpy(to.sun_path + 1, name);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    outcome(connect(fd, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)));
}

// Datagrams to the notify socket for as long as the verb may run.
static void flood_notify(void) {
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/run/host/notify"};
    static char text[4000];
    memset(text, 'x', sizeof text);
    memcpy(text, "STATUS=", 7);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    alarm(0);
    signal(SIGTERM, SIG_IGN);
    for (;;)
        if (sendto(fd, text, sizeof text, 0, (struct sockaddr *)&to, sizeof to) < 0 && errno == ENOENT) _exit(1);
}

static void flood_console(const char *megabytes) {
    static char text[65536];
    memset(text, 'y', sizeof text);
    alarm(0);
    for (long left = atol(megabytes) * 16; left > 0; left--)
        for (size_t done = 0; done < sizeof text;) {
            ssize_t n = write(1, text + done, sizeof text - done);
            if (n < 0) _exit(1);
            done += n;
        }
    puts("\nflooded");
}

static void deep_groups(const char *count) {
    if (chdir("/sys/fs/cgroup") < 0) return outcome(-1);
    for (int i = atoi(count); i > 0; i--)
        if (mkdir("g", 0755) < 0 || chdir("g") < 0) return outcome(-1);
    puts("ok");
}

static void peek(const char *pid) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    outcome(process_vm_readv(atoi(pid), &here, 1, &there, 1, 0));
}

static void attach(const char *pid) {
    long result = ptrace(PTRACE_ATTACH, atoi(pid), 0, 0);
    outcome(result);
    if (result == 0) {
        waitpid(atoi(pid), 0, 0);
        ptrace(PTRACE_DETACH, atoi(pid), 0, 0);
    }
}

static void verb(const char *name, const char *word) {
#define IS(text) (!strcmp(name, text))
    if IS("fds") fds();
    else if IS("show") show(word);
    else if IS("link") link_text(word);
    else if IS("open-write") outcome(open(word, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    else if IS("open-read") outcome(open(word, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    else if IS("create") outcome(open(word, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    else if IS("pids") pids();
    else if IS("device") device(word);
    else if IS("undo") undo(word);
    else if IS("fresh") fresh(word);
    else if IS("mount") mount_type(word);
    else if IS("chroot") leave_chroot();
    else if IS("pivot") pivot();
    else if IS("by-handle") by_handle();
    else if IS("abstract") abstract(word);
    else if IS("flood-notify") flood_notify();
    else if IS("flood-console") flood_console(word);
    else if IS("deep-groups") deep_groups(word);
    else if IS("peek") peek(word);
    else if IS("attach") attach(word);
    else if IS("kill") outcome(kill(atoi(word), 0));
    else if IS("keyctl") outcome(syscall(SYS_keyctl, 6 /* DESCRIBE */, -3 /* session */, 0, 0, 0));
    else if IS("add-key") outcome(syscall(SYS_add_key, "user", "attack", "x", 1, -2));
    else if IS("bpf") outcome(syscall(SYS_bpf, 0, 0, 0));
    else if IS("kexec") outcome(syscall(SYS_kexec_load, 0, 0, 0, 0));
    else if IS("init-module") outcome(syscall(SYS_init_module, "", 0, ""));
    else if IS("delete-module") outcome(syscall(SYS_delete_module, "attack", 0));
    else if IS("settimeofday") outcome(syscall(SYS_settimeofday, 0, 0));
    else if IS("swapon") outcome(syscall(SYS_swapon, "/none", 0));
    else if IS("acct") outcome(syscall(SYS_acct, 0));
    else if IS("syslog") outcome(syscall(SYS_syslog, 10, 0, 0));
    else if IS("perf") outcome(syscall(SYS_perf_event_open, 0, -1, 0, -1, 0));
    else if IS("pkey") outcome(syscall(SYS_pkey_alloc, 1, 0));
    else if IS("io-uring") outcome(syscall(SYS_io_uring_setup, 0, 0));
    else if IS("userfaultfd") outcome(syscall(SYS_userfaultfd, 0x10000));
    else if IS("vsock") outcome(socket(AF_VSOCK, SOCK_STREAM, 0));
    else if IS("packet") outcome(socket(AF_PACKET, SOCK_RAW, 0));
    else if IS("cad") outcome(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, 0));
    else if IS("personality") outcome(personality(0xffffffff));
    else if IS("tiocsti") outcome(ioctl(atoi(word), TIOCSTI, "x"));
#ifdef __x86_64__
    else if IS("ioperm") outcome(ioperm(0x80, 1, 1));
    else if IS("iopl") outcome(iopl(3));
#else
    else if (IS("ioperm") || IS("iopl")) puts("ENOSYS");
#endif
    else puts("no such verb");
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char *word = strchr(argv[i], '=');
        printf("%s ", argv[i]);
        fflush(stdout);
        if (word) *word++ = 0;
        pid_t child = fork();
        if (child == 0) {
            alarm(5);
            verb(argv[i], word ? word : "");
            fflush(stdout);
            _exit(0);
        }
        int status;
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status)) printf("killed by signal %d\n", WTERMSIG(status));
        fflush(stdout);
    }
    return 0;
}
