/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* payload COUNT: what one socket(2) with its close(2) costs here, in nanoseconds: the best of fifty turns of COUNT. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv) {
    long count = argc > 1 ? atol(argv[1]) : 0;
    double best = 1e18;
    if (count < 1)
        return 2;
    for (int turn = 0; turn < 50; turn++) {
        double start = now();
        for (long i = 0; i < count; i++) {
            int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            if (fd < 0)
                return 1;
            close(fd);
        }
        double each = (now() - start) / (double)count;
        if (each < best)
            best = each;
    }
    printf("%.1f\n", best);
    return 0;
}
