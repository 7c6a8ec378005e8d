# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# bed down SUITE: powers the nested host off; bed prune: forgets old root file systems.

bed_down() {
    local suite=$1 pid state
    need_root
    state=$(bed_state "$suite")
    if pid=$(bed_pid "$suite"); then
        # systemd's signal for poweroff.target, which needs no bus that works.
        kill -s RTMIN+4 "$pid"
        for _ in $(seq 150); do
            bed_pid "$suite" >/dev/null || break
            sleep 0.1
        done
        if pid=$(bed_pid "$suite"); then
            printf 'bed: %s did not power off within 15 s, killing it\n' "$(bed_name "$suite")" >&2
            kill -KILL "$pid"
        fi
    fi
    remove_cgroup "$(bed_cgroup "$suite")"
    [ ! -d "$state" ] || rm -rf --one-file-system "$state"
}

bed_prune() {
    local suite image
    need_root
    for suite in "${BED_SUITES[@]}"; do
        for image in "$BED_DIR/$suite"-*; do
            if [ -d "$image" ] && [ "$image" != "$(bed_image "$suite")" ]; then
                rm -rf --one-file-system "$image"
            fi
        done
    done
}
