#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# PID 1 of `bed alone`, already in its new namespaces: hides the machine's services, makes the machine's files
# read-only, runs the command, stays to reap.
#   alone-init.sh CGROUP2 TEMPORARY SOURCE TARGET CMD…
set -e

hierarchy=$1 temporary=$2 source=$3 target=$4
shift 4
ip link set lo up
# The kernel refuses a hierarchy on top of itself.
umount -l "$hierarchy"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$hierarchy"
# A mount of its own stays writable.
mount --bind "$temporary" "$temporary"
# The checkout may be below one of the folders that are covered: bind it first.
mkdir "$temporary/run" "$temporary/var-tmp" "$temporary/machines"
chmod 1777 "$temporary/var-tmp"
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs "$temporary/run"
mkdir -p "$temporary/run/bed/spawn" "$temporary/run/bed/target" "$temporary/run/lock"
mount --bind "$source" "$temporary/run/bed/spawn"
mount --bind "$target" "$temporary/run/bed/target"
mount --bind "$target" "$target"
mkdir -p /var/lib/machines
mount --bind "$temporary/machines" /var/lib/machines
# A test that goes astray meets a read-only file system instead of the machine's files.
mount -o remount,bind,ro /
mount --rbind "$temporary/run" /run
# Last, since the bed's own folder may be below it.
mount --bind "$temporary/var-tmp" /var/tmp
# A bind has the flags of the mount that it was taken from, which has just become read-only.
mount -o remount,bind,rw /var/tmp
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /tmp
# Test binaries remember these paths, which may have just been covered.
[ -d "$source" ] || { mkdir -p "$source" && mount --bind /run/bed/spawn "$source"; }
[ -d "$target" ] || { mkdir -p "$target" && mount --bind /run/bed/target "$target"; }

cd /
set +e
"$@"
