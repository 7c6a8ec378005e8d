# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# The lint steps of tests/check; `make lint` runs these alone. Each counts as a test.

DENY_TOOLS=${SPAWN_BED_DIR:-/var/cache/spawn-bed}/tools
deny_install=

# Building cargo-deny takes minutes (less without optimisation): it runs beside everything else and is kept outside of
# the checkout.
begin_deny() {
    PATH=$PATH:$DENY_TOOLS/bin
    if ! cargo deny --version >/dev/null 2>&1; then
        # Not in our target folder: cargo locks it while it builds.
        nice timeout --foreground 1200 env -u CARGO_TARGET_DIR cargo install --debug --quiet --locked --root "$DENY_TOOLS" cargo-deny \
            >"$LOGS/cargo-deny-install.log" 2>&1 </dev/null &
        deny_install=$!
    fi
}

finish_deny() {
    local reason
    [ -z "$deny_install" ] || wait "$deny_install"
    if cargo deny --version >/dev/null 2>&1; then
        step "cargo deny" 300 cargo deny --locked --all-features check licenses bans sources
    else
        reason=$(tail -n 1 "$LOGS/cargo-deny-install.log")
        count_skipped 1 "cargo deny" "cargo-deny cannot be installed: ${reason:-not built within 20 minutes}"
    fi
}

scripts() {
    git ls-files -z | xargs -0 grep -lE '^#!/bin/(ba)?sh|^# shellcheck shell=' -- 2>/dev/null
}

# Every file says its licence, but those that hold nothing of one's own or cannot hold a comment.
licences() {
    local bare
    bare=$(git ls-files -z | grep -zvE '^(COPYING|Cargo.lock|packaging/debian/(changelog|copyright)|tests/(snapshots|corpus)/.*)$|(^|/)\.gitignore$' |
        xargs -0 grep -L SPDX-License-Identifier --)
    [ -z "$bare" ] || { printf 'without SPDX line:\n%s\n' "$bare"; return 1; }
}

lint() {
    if cargo fmt --version >/dev/null 2>&1; then
        step rustfmt 120 cargo fmt --check -- --color never
    else
        count_skipped 1 rustfmt "this toolchain has none: rustup component add rustfmt"
    fi
    if cargo clippy --version >/dev/null 2>&1; then
        step clippy 1200 cargo clippy --locked --all-targets -- -D warnings
    else
        count_skipped 1 clippy "this toolchain has none: rustup component add clippy"
    fi
    if command -v shellcheck >/dev/null; then
        mapfile -t found < <(scripts)
        step shellcheck 300 shellcheck "${found[@]}"
    else
        count_skipped 1 shellcheck "shellcheck is not installed"
    fi
    step licences 60 bash -c '. tests/lint.sh; licences'
    if command -v mandoc >/dev/null; then
        step "man pages" 60 mandoc -T lint -W warning man/*.[1-8]
    else
        count_skipped 1 "man pages" "mandoc is not installed"
    fi
}
