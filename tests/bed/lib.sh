# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Shared by the bed's commands: where things are, and who is alive.

BED_DIR=${SPAWN_BED_DIR:-/var/cache/spawn-bed}
BED_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034  # used by the commands
BED_SOURCE=$(cd "$BED_HERE/../.." && pwd)

# shellcheck source=recipe.sh
. "$BED_HERE/recipe.sh"

die() {
    printf 'bed: %s\n' "$*" >&2
    exit 1
}

need_root() {
    [ "$(id -u)" -eq 0 ] || die "a nested host needs root"
}

need_suite() {
    local known
    for known in "${BED_SUITES[@]}"; do
        [ "${1:-}" = "$known" ] && return
    done
    die "unknown suite '${1:-}', known are: ${BED_SUITES[*]}"
}

# The folder in the cache that holds the suite's root file system, complete once it exists.
bed_image() {
    local hash
    hash=$(cat "$BED_HERE/recipe.sh" "$BED_HERE/build.sh" "$BED_HERE/busybox-tree.sh" | sha256sum | cut -c1-12)
    printf '%s/%s-%s\n' "$BED_DIR" "$1" "$hash"
}

# Several hosts of one suite can run at a time under different names.
bed_name() {
    printf '%s\n' "${SPAWN_BED_NAME:-$1}"
}

bed_state() {
    printf '%s/run/%s\n' "$BED_DIR" "$(bed_name "$1")"
}

# Mount point of the machine's cgroup2 hierarchy: /sys/fs/cgroup, or …/unified beside the v1 controllers.
cgroup_root() {
    findmnt -n -l -t cgroup2 -o TARGET | head -n 1 | grep . || die "no cgroup2 hierarchy is mounted on this machine"
}

bed_cgroup() {
    printf '%s/spawn-bed-%s\n' "$(cgroup_root)" "$(bed_name "$1")"
}

# Start time of a process in clock ticks: with the pid it names a process for good.
start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    printf '%s\n' "${20}"
}

# Prints the pid of the suite's running host, or fails.
bed_pid() {
    local state pid started
    state=$(bed_state "$1")
    [ -e "$state/pid" ] || return 1
    read -r pid started <"$state/pid"
    [ "$(start_time "$pid")" = "$started" ] || return 1
    printf '%s\n' "$pid"
}

# Runs a command in all namespaces of the host whose PID 1 is $1, with an environment made from nothing.
bed_enter() {
    local pid=$1
    shift
    local keep=()
    local variable
    for variable in $(compgen -e | grep -E '^(SPAWN_|RUST_)'); do
        keep+=("$variable=${!variable}")
    done
    nsenter -t "$pid" -m -p -u -i -n -C -r -w -- env -i \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LOGNAME=root \
        SHELL=/bin/bash LANG=C.UTF-8 TERM="${TERM:-dumb}" "${keep[@]}" "$@"
}

# Removes cgroup $1 and all below it; what still runs there is killed first.
remove_cgroup() {
    local attempt
    [ -d "$1" ] || return 0
    [ ! -w "$1/cgroup.kill" ] || echo 1 >"$1/cgroup.kill"
    for attempt in $(seq 50); do
        find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
        [ -d "$1" ] || return 0
        sleep 0.1
    done
    die "cgroup $1 is still busy after $attempt tries"
}
