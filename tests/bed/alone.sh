# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# bed alone CMD…: this machine's files and kernel without its systemd, processes, network and cgroups.
# What a command leaves behind ends with it. The checkout is at /run/bed/spawn, its target folder at /run/bed/target.

bed_alone() {
    local cgroup temporary status
    [ $# -gt 0 ] || die "alone needs a command"
    need_root
    mkdir -p "$BED_DIR/run" "${CARGO_TARGET_DIR:-$BED_SOURCE/target}"
    temporary=$(mktemp -d "$BED_DIR/run/.alone-XXXXXX")
    cgroup=$(cgroup_root)/spawn-bed-alone-$$
    mkdir "$cgroup"
    # shellcheck disable=SC2064
    trap "remove_cgroup '$cgroup'; rm -rf --one-file-system '$temporary'" EXIT
    (
        echo "$BASHPID" >"$cgroup/cgroup.procs"
        exec unshare --mount --pid --fork --kill-child --uts --ipc --net --cgroup --mount-proc \
            bash "$BED_HERE/alone-init.sh" "$(cgroup_root)" "$temporary" "$BED_SOURCE" \
            "${CARGO_TARGET_DIR:-$BED_SOURCE/target}" "$@"
    )
    status=$?
    return "$status"
}
