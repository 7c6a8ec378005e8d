/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Builds an allow-list through libseccomp. Argument: an architecture as libseccomp names it. Input, a line each:
 * "A NAME" allowed, "K NAME" known. Output: "call NUMBER NAME" for each name that it knows there, then
 * "insn CODE JT JF K" for its program.
 */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    uint32_t arch = argc == 2 ? seccomp_arch_resolve_name(argv[1]) : 0;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!arch || !filter)
        return 1;
    if (arch != seccomp_arch_native() &&
        (seccomp_arch_remove(filter, SCMP_ARCH_NATIVE) < 0 || seccomp_arch_add(filter, arch) < 0))
        return 1;
    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);

    char kind, name[64];
    while (scanf(" %c %63s", &kind, name) == 2) {
        int number = seccomp_syscall_resolve_name_arch(arch, name);
        int native = seccomp_syscall_resolve_name(name);
        if (number < 0 || native == __NR_SCMP_ERROR)
            continue;
        /* Some pseudo numbers of calls that the native ABI lacks lead nowhere; their rules would be dropped silently. */
        char *back = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, native);
        bool same = back && !strcmp(back, name);
        free(back);
        if (!same)
            continue;
        int r = seccomp_rule_add(filter, kind == 'A' ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM), native, 0);
        if (r < 0) {
            fprintf(stderr, "%s %s: %s\n", argv[1], name, strerror(-r));
            return 1;
        }
        printf("call %d %s\n", number, name);
    }

    FILE *program = tmpfile();
    if (!program || seccomp_export_bpf(filter, fileno(program)) < 0)
        return 1;
    rewind(program);
    struct sock_filter i;
    while (fread(&i, sizeof i, 1, program) == 1)
        printf("insn %u %u %u %u\n", i.code, i.jt, i.jf, i.k);
    return 0;
}
