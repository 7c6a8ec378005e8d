# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# bed up SUITE: boots a copy of the suite's root file system as a nested systemd host.

wait_until_booted() {
    local pid=$1 log=$2 state=unknown
    for _ in $(seq 600); do
        [ -d "/proc/$pid" ] || { tail -n 20 "$log" >&2; die "the nested host died while booting"; }
        state=$(timeout 5 nsenter -t "$pid" -m -p -u -i -n -C -r -w -- systemctl is-system-running 2>/dev/null)
        case $state in running | degraded) return ;; esac
        sleep 0.1
    done
    die "the nested host is '$state' after a minute"
}

bed_up() {
    local suite=$1 state cgroup pid image
    need_root
    image=$(bed_build "$suite") || exit
    exec 8>"$BED_DIR/.up-$(bed_name "$suite").lock"
    flock -w 120 8 || die "somebody else has been starting $(bed_name "$suite") for two minutes"
    if pid=$(bed_pid "$suite"); then
        printf '%s\n' "$pid"
        return
    fi
    state=$(bed_state "$suite")
    cgroup=$(bed_cgroup "$suite")
    remove_cgroup "$cgroup"
    [ ! -d "$state" ] || rm -rf --one-file-system "$state"
    mkdir -p "$state" "${CARGO_TARGET_DIR:-$BED_SOURCE/target}"
    cp -a --reflink=auto "$image" "$state/root"
    tr -d - </proc/sys/kernel/random/uuid >"$state/root/etc/machine-id"
    mkdir "$cgroup"

    (
        # The new cgroup namespace is rooted where its first process is.
        echo "$BASHPID" >"$cgroup/cgroup.procs"
        exec setsid unshare --mount --pid --fork --uts --ipc --net --cgroup \
            bash "$BED_HERE/init.sh" "$state" "$BED_SOURCE" "${CARGO_TARGET_DIR:-$BED_SOURCE/target}" \
            "${SPAWN_BED_BIND:-}"
    ) </dev/null >"$state/log" 2>&1 8>&- &

    for _ in $(seq 100); do
        pid=$(cat "$state/host-pid" 2>/dev/null) && break
        sleep 0.05
    done
    [ -n "$pid" ] || { cat "$state/log" >&2; die "the nested host did not start"; }
    printf '%s %s\n' "$pid" "$(start_time "$pid")" >"$state/pid"
    wait_until_booted "$pid" "$state/log"
    printf '%s\n' "$pid"
}
