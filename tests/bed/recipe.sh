# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034
# What goes into a nested host and into the trees that it runs. A change here (or in build.sh) makes a new bed.

# systemd of each suite: bookworm 252, trixie 257, sid 262 or newer.
BED_SUITES=(bookworm trixie sid)

# The tree that the tests boot; the host has the same and more.
TREE_PACKAGES=systemd,systemd-sysv,dbus,libpam-systemd,login,passwd,util-linux,procps,iproute2

HOST_PACKAGES=$TREE_PACKAGES,systemd-container,strace,crun,bubblewrap,busybox-static,jq,sudo,nftables,acl,attr
HOST_PACKAGES+=,e2fsprogs,libcap2-bin,libnss-myhostname,systemd-journal-remote

# Documentation and translations are a third of the size and nobody reads them here.
DPKG_OPTIONS=(
    path-exclude=/usr/share/doc/*
    path-exclude=/usr/share/man/*
    path-exclude=/usr/share/info/*
    path-exclude=/usr/share/locale/*
)

# Units that would reach through to the machine's kernel: devices, modules, sysctls, kernel file systems.
MASKED_UNITS=(
    systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd-varlink.socket
    systemd-udev-trigger.service systemd-udev-settle.service systemd-udev-load-credentials.service
    systemd-sysctl.service systemd-modules-load.service systemd-hwdb-update.service systemd-binfmt.service
    kmod-static-nodes.service modprobe@.service
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount
    dev-hugepages.mount proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount
)
