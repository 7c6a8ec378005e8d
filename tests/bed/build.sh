# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# bed build SUITE: makes the root file system of a nested host, once per recipe.

# The mirror of this machine's own apt configuration: the one that serves its own release.
machine_mirror() {
    local codename
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    [ -n "$codename" ] || die "this machine's os-release names no release: beds need a Debian machine"
    {
        # deb822: the URI of a stanza follows or precedes its suites, so collect both until the stanza ends.
        cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk -v want="$codename" '
            function flush(    i, n, part) {
                n = split(suites, part, " ")
                for (i = 1; i <= n; i++) if (part[i] == want && uri != "") print uri
                uri = suites = ""
            }
            /^[ \t]*$/ { flush() }
            /^URIs:/   { uri = $2 }
            /^Suites:/ { sub(/^Suites:[ \t]*/, ""); suites = $0 }
            END        { flush() }'
        # One line each: deb [options] URI SUITE COMPONENT…
        cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | sed 's/\[[^]]*\]//' |
            awk -v want="$codename" '$1 == "deb" && $3 == want { print $2 }'
    } | head -n 1 | grep . || die "no apt source of this machine serves $codename"
}

# bootstrap SUITE DIR PACKAGES
bootstrap() {
    local options=(--variant=minbase --include="$3") option
    for option in "${DPKG_OPTIONS[@]}"; do
        options+=(--dpkgopt="$option")
    done
    # A mirror frozen at some date serves lists that call themselves out of date.
    options+=(--aptopt='Acquire::Check-Valid-Until "false"')
    timeout 600 mmdebstrap --quiet "${options[@]}" "$1" "$2" "$(machine_mirror)" </dev/null
}

make_debian_tree() {
    bootstrap "$1" "$2" "$TREE_PACKAGES"
    chroot "$2" passwd --quiet --delete root
    : >"$2/etc/machine-id"
    rm -f "$2/etc/resolv.conf"
    echo debian-tree >"$2/etc/hostname"
}

# Settings of the host itself: see recipe.sh for why the units are masked.
configure_host() {
    local root=$1 unit
    for unit in "${MASKED_UNITS[@]}"; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    # Commands that come in from outside live in a unit of their own, as a shell on a real host does.
    cat >"$root/etc/systemd/system/bed.service" <<'END'
[Unit]
Description=Commands run inside the bed

[Service]
ExecStart=/bin/sleep infinity
Delegate=yes
TasksMax=infinity
END
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/spawn" "$root/spawn-target"
    ln -s ../bed.service "$root/etc/systemd/system/multi-user.target.wants/bed.service"
    rm -f "$root/etc/resolv.conf"
    echo bed >"$root/etc/hostname"
}

bed_build() {
    local suite=$1 image work
    need_root
    image=$(bed_image "$suite")
    mkdir -p "$BED_DIR"
    exec 9>"$BED_DIR/.$suite.lock"
    flock -w 1200 9 || die "somebody else has been building $suite for 20 minutes"
    if [ ! -d "$image" ]; then
        command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: apt-get install mmdebstrap"
        work=$(mktemp -d "$BED_DIR/.build-$suite-XXXXXX")
        # shellcheck disable=SC2064
        trap "rm -rf --one-file-system '$work'" EXIT
        bootstrap "$suite" "$work/root" "$HOST_PACKAGES" || die "cannot make the root file system of $suite"
        configure_host "$work/root"
        make_debian_tree "$suite" "$work/root/var/lib/machines/debian" || die "cannot make the debian tree of $suite"
        sh "$BED_HERE/busybox-tree.sh" "$work/root/var/lib/machines/busybox" "$work/root/bin/busybox"
        mv "$work/root" "$image"
    fi
    exec 9>&-
    printf '%s\n' "$image"
}
