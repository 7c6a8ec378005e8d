# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# SELinux of a virtual machine's disk: Debian's policy, and a label on every file. Only a boot with SPAWN_VM_SELINUX
# makes use of it. Bookworm's has none: its policy knows no container_t.

# selinux_packages SUITE: with a comma in front.
selinux_packages() {
    [ "$1" = bookworm ] || echo ,selinux-policy-default,policycoreutils
}

# selinux_words SUITE: what vm run adds to the kernel's command line. Without SELinux nobody reads what would be audited.
selinux_words() {
    case ${SPAWN_VM_SELINUX:-} in
    '') echo audit=0 ;;
    *) [ "$(selinux_packages "$1")" ] || die "there is no SELinux policy on the disk of $1" ;;&
    permissive) echo audit=1 security=selinux selinux=1 enforcing=0 ;;
    enforcing) echo audit=1 security=selinux selinux=1 enforcing=1 ;;
    ?*) die "SPAWN_VM_SELINUX is permissive or enforcing, not '$SPAWN_VM_SELINUX'" ;;
    esac
}

# add_selinux PACKAGES ADD: what the packages have outside of /usr.
add_selinux() {
    [ -d "$1/var/lib/selinux" ] || return 0
    mkdir -p "$2/etc" "$2/var/lib" &&
        cp -a "$1/etc/selinux" "$2/etc/" &&
        cp -a "$1/var/lib/selinux" "$2/var/lib/" &&
        printf '%s\n' SELINUX=permissive SELINUXTYPE=default >"$2/etc/selinux/config"
}

# What Fedora's container-selinux allows and Debian's policy lacks: that who starts a container turns into container_t,
# which then writes to who has started it. In the virtual machine that is initrc_t.
start_containers() {
    cat <<'END'
(allow initrc_t container_t (process (transition siginh rlimitinh noatsecure)))
(allow container_t initrc_t (fd (use)))
(allow container_t initrc_t (fifo_file (read write append getattr ioctl)))
(allow container_t initrc_t (process (sigchld)))
END
}

# make_policy ROOT: as the package's postinst, then labels for all that there is.
make_policy() {
    local store=usr/share/selinux/default module modules=()
    [ -d "$1/$store" ] || return 0
    while read -r module; do
        modules+=("-i/$store/$module.pp.bz2")
    done < <(grep -o '[^ ]*' "$1/$store/.modules")
    start_containers >"$1/tmp/start-containers.cil" &&
        chroot "$1" semodule -n -X 100 -s default "${modules[@]}" -i /tmp/start-containers.cil &&
        rm "$1/tmp/start-containers.cil" &&
        chroot "$1" setfiles -m -F /etc/selinux/default/contexts/files/file_contexts /
}
