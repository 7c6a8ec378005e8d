// SPDX-License-Identifier: LGPL-2.1-or-later
// Shared by the parts of the compat probe.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

// Writes one line.
__attribute__((format(printf, 2, 3))) void fact(const char *key, const char *format, ...);
// "ok", or the name of errno.
const char *error_name(long result);
// "PREFIX.NAME" in a buffer that the next call overwrites.
const char *key(const char *prefix, const char *name);
// Content of a small file; what is at a path, owner and mode.
void file_fact(const char *name, const char *path);
void node(const char *name, const char *path);
// Parts of the report.
void mounts(void);
void files(void);
void writable(void);
void calls(void);
