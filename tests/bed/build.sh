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

# bootstrap SUITE DIR PACKAGES: mmdebstrap, tried again when a download fails.
bootstrap() {
    local options=(--variant=minbase --include="$3") option log mirror
    mirror=$(machine_mirror) || return 1
    for option in "${DPKG_OPTIONS[@]}"; do
        options+=(--dpkgopt="$option")
    done
    # A mirror frozen at some date serves lists that call themselves out of date.
    options+=(--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "5"')
    for _ in 1 2 3; do
        log=$(timeout 600 mmdebstrap "${options[@]}" "$1" "$2" "$mirror" 2>&1 </dev/null) && return
        rm -rf --one-file-system "$2"
    done
    printf '%s\n' "$log" | tail -n 20 >&2
    return 1
}

make_debian_tree() {
    bootstrap "$1" "$2" "$TREE_PACKAGES" &&
        chroot "$2" passwd --quiet --delete root &&
        : >"$2/etc/machine-id" &&
        rm -f "$2/etc/resolv.conf" &&
        echo debian-tree >"$2/etc/hostname"
}

mask_units() {
    local unit
    for unit in "${MASKED_UNITS[@]}"; do
        ln -sf /dev/null "$1/etc/systemd/system/$unit" || return 1
    done
}

# Commands that come in from outside live in a unit of their own, as a shell on a real host does.
add_bed_service() {
    local units=$1/etc/systemd/system
    mkdir -p "$units/multi-user.target.wants" &&
        ln -s ../bed.service "$units/multi-user.target.wants/bed.service" &&
        cat >"$units/bed.service" <<'END'
[Unit]
Description=Commands run inside the bed

[Service]
ExecStart=/bin/sleep infinity
Delegate=yes
TasksMax=infinity
END
}

configure_host() {
    mask_units "$1" &&
        add_bed_service "$1" &&
        mkdir "$1/spawn" "$1/spawn-target" &&
        rm -f "$1/etc/resolv.conf" &&
        echo bed >"$1/etc/hostname"
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
        configure_host "$work/root" || die "cannot set up the root file system of $suite"
        make_debian_tree "$suite" "$work/root/var/lib/machines/debian" || die "cannot make the debian tree of $suite"
        sh "$BED_HERE/busybox-tree.sh" "$work/root/var/lib/machines/busybox" "$work/root/bin/busybox" ||
            die "cannot make the busybox tree of $suite"
        mv "$work/root" "$image" || die "cannot put $image in place"
    fi
    exec 9>&-
    printf '%s\n' "$image"
}
