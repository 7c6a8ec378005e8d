# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# bed status: one line per host that was started.

bed_status() {
    local state name pid started
    for state in "$BED_DIR"/run/*/; do
        [ -e "$state/pid" ] || continue
        name=$(basename "$state")
        read -r pid started <"$state/pid"
        if [ "$(start_time "$pid")" = "$started" ]; then
            printf '%s\trunning\tpid %s\t%s\n' "$name" "$pid" "$state"
        else
            printf '%s\tstopped\t-\t%s\n' "$name" "$state"
        fi
    done
}
