# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# bed install SUITE PACKAGE…: Debian packages into a running host. It has no network: they come in from this machine.

bed_install() {
    local suite=$1 root resolv status=0
    shift
    need_root
    bed_pid "$suite" >/dev/null || die "$(bed_name "$suite") is not running: bed up $suite"
    root=$(bed_state "$suite")/root resolv=$(bed_state "$suite")/resolv.conf
    rm -rf "$resolv"
    if [ -L "$root/etc/resolv.conf" ] || [ -e "$root/etc/resolv.conf" ]; then
        mv "$root/etc/resolv.conf" "$resolv"
    fi
    cp -L /etc/resolv.conf "$root/etc/resolv.conf" &&
        timeout 120 chroot "$root" apt-get -q update </dev/null &&
        timeout 600 chroot "$root" env DEBIAN_FRONTEND=noninteractive \
            apt-get -q -y --no-install-recommends install "$@" </dev/null || status=1
    rm -f "$root/etc/resolv.conf"
    if [ -L "$resolv" ] || [ -e "$resolv" ]; then
        mv "$resolv" "$root/etc/resolv.conf"
    fi
    return $status
}
