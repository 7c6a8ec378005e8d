#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The demonstration itself, on a host with systemd: steps.sh LAUNCHER DEBIAN-TREE SMALL-TREE
# Each step says what it shows, shows it, and ends the demonstration when that is not what there is.
set -u

launcher=$1 tree=$2 small=$3
name=demo
log=$(mktemp /run/spawn-demo-XXXXXX)
container=

clean_up() {
    # Only what is still there: a demonstration that went well has ended its container itself.
    if [ -n "$container" ] && kill -0 "$container" 2>/dev/null; then
        timeout 10 machinectl terminate "$name" 2>/dev/null
        kill -TERM "$container" 2>/dev/null
    fi
    rm -f "$log"
}
trap clean_up EXIT

say() {
    printf '\n== %s\n' "$*"
}

give_up() {
    printf '\ndemo: %s\n' "$*" >&2
    [ ! -s "$log" ] || { printf 'What the container has said:\n' >&2; tail -n 20 "$log" >&2; }
    exit 1
}

# show PATTERN CMD…: runs a command, which must succeed and say something that matches.
show() {
    local pattern=$1 output
    shift
    printf '$ %s\n' "$*"
    output=$(timeout 30 "$@" 2>&1 </dev/null) || give_up "'$*' failed: $output"
    [ -z "$output" ] || printf '%s\n' "$output" | head -n 30
    grep -qE -- "$pattern" <<<"$output" || give_up "'$*' does not show '$pattern'"
}

is_up() {
    case $(timeout 5 systemctl -M "$name" is-system-running 2>/dev/null) in running | degraded) return 0 ;; *) return 1 ;; esac
}

export PAGER=cat SYSTEMD_PAGER=cat SYSTEMD_COLORS=0 TERM=dumb

say "Boot the Debian tree: its own systemd becomes PID 1 of the container"
printf '$ %s -b -D %s -M %s &\n' "$launcher" "$tree" "$name"
begun=$(date +%s%N)
"$launcher" -b -D "$tree" -M "$name" </dev/null >"$log" 2>&1 &
container=$!
for _ in $(seq 600); do
    is_up && break
    kill -0 "$container" 2>/dev/null || give_up "the launcher has ended before the container was up"
    sleep 0.1
done
is_up || give_up "the container is not up after a minute"
printf 'up after %d ms\n' $((($(date +%s%N) - begun) / 1000000))

say "machined knows the machine, under its name"
show "^$name +container" machinectl list
show "Leader: [0-9]+" machinectl status "$name"

leader=$(machinectl show "$name" --property=Leader --value)
if [ "$(basename "$launcher")" != systemd-nspawn ]; then
    say "Root in the container is nobody on the host: a user namespace, and no file of the tree was changed for it"
    show "^ +0 +[1-9][0-9]+ +65536$" cat "/proc/$leader/uid_map"
    show "^0$" stat --format=%u "$tree/etc"
fi

unit=$(machinectl show "$name" --property=Unit --value)
say "systemd owns its cgroup: the scope $unit, in machine.slice"
show "active \(running\)" systemctl status "$unit"
show "init.scope" systemd-cgls --unit "$unit"

say "The host's journal tells of the scope, and reads the container's own journal"
show "Started .*$name" journalctl --boot --unit "$unit" --lines 5
show "Reached target" journalctl --machine "$name" --boot --lines 200 --grep "Reached target"
if [ "$(basename "$launcher")" != systemd-nspawn ]; then
    show "." journalctl --boot --lines 10 "SPAWN_MACHINE=$name"
fi

say "A program inside, started by machined"
show "uid=0\(root\)" machinectl --quiet shell "$name" /usr/bin/id

say "A limit, changed while it runs: systemd owns the scope"
show "" systemctl set-property --runtime "$unit" TasksMax=500
show "^TasksMax=500$" systemctl show "$unit" --property=TasksMax

say "Meanwhile, one program in the small tree: its output and exit status come straight through"
show "^Linux" "$launcher" -q -D "$small" -- uname -a
timeout 30 "$launcher" -q -D "$small" -- sh -c 'exit 7' </dev/null
status=$?
printf '$ %s -q -D %s -- sh -c "exit 7"; echo $?\n%s\n' "$launcher" "$small" "$status"
[ "$status" -eq 7 ] || give_up "the exit status should have been 7"

say "A reboot: another leader under the same name and id"
id=$(machinectl show "$name" --property=Id --value)
show "" machinectl reboot "$name"
for _ in $(seq 600); do
    again=$(machinectl show "$name" --property=Leader --value 2>/dev/null)
    [ -n "$again" ] && [ "$again" != "$leader" ] && is_up && break
    kill -0 "$container" 2>/dev/null || give_up "the launcher has ended instead of rebooting the container"
    sleep 0.1
done
[ "$again" != "$leader" ] || give_up "the container has not rebooted after a minute"
printf 'leader %s, before %s\n' "$again" "$leader"
if [ "$(basename "$launcher")" != systemd-nspawn ]; then
    show "^Id=$id$" machinectl show "$name" --property=Id
fi

say "An orderly shutdown, asked for through machined"
show "" machinectl poweroff "$name"
for _ in $(seq 600); do
    kill -0 "$container" 2>/dev/null || break
    sleep 0.1
done
kill -0 "$container" 2>/dev/null && give_up "the container is still there after a minute"
wait "$container"
status=$?
container=
printf 'the launcher has ended with status %s\n' "$status"
[ "$status" -eq 0 ] || give_up "a poweroff should end it with 0"

say "Nothing is left: no machine, no scope"
show "No machines" machinectl list
if systemctl is-active --quiet "$unit"; then
    give_up "$unit is still active"
fi
printf '%s is gone\n' "$unit"

if [ "$(basename "$launcher")" != systemd-nspawn ]; then
    say "What is left is in the journal: what it consumed"
    show "consumed" journalctl --boot --output=cat "SPAWN_MACHINE=$name"
fi
