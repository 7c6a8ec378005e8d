#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# First process of a nested host, already in its new namespaces: builds the mounts, protects the machine, becomes systemd.
#   init.sh STATE SOURCE TARGET "EXTRA…"
set -eu

state=$1 source=$2 target=$3 extra=$4
root=$state/root

# /proc is still the machine's: this is the pid as seen from outside.
read -r pid _ </proc/self/stat
printf '%s\n' "$pid" >"$state/host-pid.new"
mv "$state/host-pid.new" "$state/host-pid"

mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"

mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o nosuid,nodev,noexec sysfs sys
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=0755,nosuid,size=16m tmpfs dev
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp

mkdir dev/pts dev/shm dev/net
for device in null zero full random urandom tty fuse net/tun; do
    [ -c "/dev/$device" ] || continue
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5,nosuid,noexec devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr

mount --bind "$source" spawn
mount -o remount,bind,ro spawn
mount --bind "$target" spawn-target
for folder in $extra; do
    mkdir -p "./$folder"
    mount --bind "$folder" "./$folder"
done

# Programs in user namespaces of their own may mount proc and sysfs only while an uncovered one is in sight.
mkdir -m 0700 run/uncovered
mkdir run/uncovered/proc run/uncovered/sys
mount -t proc -o nosuid,nodev,noexec proc run/uncovered/proc
mount -t sysfs -o nosuid,nodev,noexec sysfs run/uncovered/sys

# Protect the machine. Sysctls of the new network namespace are the bed's own.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro,nosuid,nodev,noexec proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,rw,nosuid,nodev,noexec proc/sys/net
if [ -e proc/sysrq-trigger ]; then
    mount --bind /dev/null proc/sysrq-trigger
    mount -o remount,bind,ro proc/sysrq-trigger
fi
mount -o remount,bind,ro,nosuid,nodev,noexec sys

pivot_root . .
umount -l .
exec env -i container=nest PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /usr/lib/systemd/systemd
