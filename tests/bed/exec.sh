# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# bed exec SUITE CMD…: runs a command inside the nested host.

bed_exec() {
    local suite=$1 pid
    shift
    [ $# -gt 0 ] || die "exec needs a command"
    need_root
    pid=$(bed_pid "$suite") || die "$(bed_name "$suite") is not running: bed up $suite"
    # A cgroup outside of the host's root would have no name inside.
    echo "$BASHPID" >"$(bed_cgroup "$suite")/system.slice/bed.service/cgroup.procs" ||
        die "cannot join bed.service of $(bed_name "$suite")"
    if [ -t 0 ] && [ -t 1 ]; then
        # The caller's terminal has no name inside: make one there.
        bed_enter "$pid" script -q -e -c "$(printf '%q ' "$@")" /dev/null
    else
        bed_enter "$pid" "$@"
    fi
}
