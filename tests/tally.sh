# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2030,SC2031  # lanes count in subshells and bring the sums home themselves
# Counting for tests/check: steps that pass or fail, suites that count for themselves, and the closing line.

declare -i passed=0 failed=0 skipped=0
failures=() reasons=()

say() {
    printf '%-28s %s\n' "$1" "$2"
}

count_skipped() {
    skipped=$((skipped + $1))
    reasons+=("$2: $3")
    say "$2" "skipped ($1): $3"
}

# step NAME LIMIT CMD…: one test that passes when the command does. With status 77 it cannot run here, and its last line
# says why.
step() {
    local name=$1 limit=$2 log status started=$SECONDS
    shift 2
    log=$LOGS/${name// /-}.log
    timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 </dev/null
    status=$?
    if [ $status -eq 0 ]; then
        passed=$((passed + 1))
        say "$name" "ok ($((SECONDS - started)) s)"
    elif [ $status -eq 77 ]; then
        count_skipped 1 "$name" "$(tail -n 1 "$log")"
    else
        failed=$((failed + 1))
        failures+=("$name"$'\n'"$(tail -n 60 "$log")")
        say "$name" "FAILED ($((SECONDS - started)) s), see $log"
    fi
}

# The lines of a log that tell about failures: blocks of our own runner, or libtest's "failures:" part.
failure_text() {
    if grep -q '^FAILED ' "$1"; then
        awk '/^FAILED / { on = 1; print; next } on && /^    / { print; next } { on = 0 }' "$1"
    else
        sed -n '/^failures:/,$p' "$1" | head -n 200 | grep . || tail -n 40 "$1"
    fi
}

# Adds up closing lines, "N passed, N failed, N skipped" or libtest's, to three numbers.
# What libtest calls ignored is a program that other tests start, or is run elsewhere by name: no test of this suite.
closing_numbers() {
    sed -n -E \
        -e 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' \
        -e 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed;.*/\1 \2 0/p' "$1" |
        awk '{ p += $1; f += $2; s += $3; n++ } END { if (n) print p, f, s }'
}

# Reasons for what was skipped, one a line. Libtest knows no such thing: a test of its says `skipped: WHY` and passes,
# or `skipped in part: WHAT`.
skip_reasons() {
    sed -n 's/^skipped \([^ ]*: .*\)/\1/p' "$1" | grep -v '^in part: '
    awk '/^---- .* stdout ----$/ { name = $2 } /^skipped: / { print name $0 }' "$1" | sed 's/skipped: /: /'
}

skip_parts() {
    awk '/^---- .* stdout ----$/ { name = $2 } /^skipped in part: / { print name $0 }' "$1" | sed 's/skipped in part: /, part: /'
}

# suite NAME LIMIT CMD…: a program that runs many tests and closes with their numbers.
suite() {
    local name=$1 limit=$2 log status ok bad left whole parts started=$SECONDS
    shift 2
    log=$LOGS/${name// /-}.log
    timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 </dev/null
    status=$?
    read -r ok bad left <<<"$(closing_numbers "$log")"
    if [ -z "$ok" ] || { [ $status -ne 0 ] && [ "$bad" -eq 0 ]; }; then
        # It died without counting: that is one failure more.
        ok=${ok:-0} bad=$((${bad:-0} + 1)) left=${left:-0}
        failures+=("$name ended with status $status and no sum"$'\n'"$(tail -n 40 "$log")")
    elif [ "$bad" -gt 0 ]; then
        failures+=("$name"$'\n'"$(failure_text "$log")")
    fi
    if grep -q '^test result: ' "$log"; then
        whole=$(skip_reasons "$log" | wc -l)
        parts=$(skip_parts "$log" | wc -l)
        ok=$((ok - whole)) left=$((whole + parts))
    fi
    passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + left))
    while read -r line; do
        reasons+=("$name: $line")
    done < <(skip_reasons "$log"; skip_parts "$log")
    say "$name" "$ok passed, $bad failed, $left skipped ($((SECONDS - started)) s)"
}

# Lanes run beside each other, at most SPAWN_CHECK_LANES at a time, and bring their numbers home in a file each.
declare -A lanes=()

# lane NAME CMD…: a function of this shell that counts.
lane() {
    local name=$1
    shift
    rm -f "$LOGS/$name.lane"
    while [ ${#lanes[@]} -ge "${SPAWN_CHECK_LANES:-2}" ]; do
        end_lane
    done
    (
        trap - EXIT
        passed=0 failed=0 skipped=0 failures=() reasons=()
        "$@"
        {
            printf 'passed+=%d failed+=%d skipped+=%d\n' "$passed" "$failed" "$skipped"
            for text in "${failures[@]}"; do printf 'failures+=(%q)\n' "$text"; done
            for text in "${reasons[@]}"; do printf 'reasons+=(%q)\n' "$text"; done
        } >"$LOGS/$name.lane"
    ) &
    lanes[$!]=$name
}

end_lane() {
    local pid name
    wait -n -p pid "${!lanes[@]}"
    if [ -z "${pid:-}" ]; then
        # Not our children any more: nothing to wait for.
        failed=$((failed + ${#lanes[@]}))
        failures+=("lost: ${lanes[*]}")
        lanes=()
        return
    fi
    name=${lanes[$pid]}
    unset "lanes[$pid]"
    if [ -e "$LOGS/$name.lane" ]; then
        # shellcheck source=/dev/null
        . "$LOGS/$name.lane"
    else
        failed=$((failed + 1))
        failures+=("the tests of $name ended without a sum")
    fi
    rm -f "$LOGS/$name.lane"
}

end_lanes() {
    while [ ${#lanes[@]} -gt 0 ]; do
        end_lane
    done
}

# The reasons, the failures, the sum; returns whether all is well.
closing() {
    local text
    if [ ${#reasons[@]} -gt 0 ]; then
        printf '\nSkipped:\n'
        printf '  %s\n' "${reasons[@]}"
    fi
    if [ ${#failures[@]} -gt 0 ]; then
        printf '\nFailed:\n'
        for text in "${failures[@]}"; do
            printf '== %s\n\n' "$text"
        done
    fi
    printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ]
}
