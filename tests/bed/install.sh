# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# bed install SUITE PACKAGE…: Debian packages into a running host. It has no network: they come in from this machine.

# install_into ROOT PACKAGE…: into a root file system, with this machine's network.
install_into() {
    local root=$1 resolv=${1%/*}/resolv.conf status=0
    shift
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

bed_install() {
    local suite=$1
    shift
    need_root
    bed_pid "$suite" >/dev/null || die "$(bed_name "$suite") is not running: bed up $suite"
    install_into "$(bed_state "$suite")/root" "$@"
}
