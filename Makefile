# SPDX-License-Identifier: LGPL-2.1-or-later
# What a person types. The work is done by cargo and by the scripts that are named here.

prefix ?= /usr/local
bindir = $(prefix)/bin
mandir = $(prefix)/share/man
unitdir = $(prefix)/lib/systemd/system
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: all demo check bench lint man install clean toolchain

# Linked statically, position-independent all the same: a third of what it takes to start the program was the dynamic
# linker's, and every process that it clones has fewer mappings to copy. It needs no C library of the host either.
STATIC = -C target-feature=+crt-static

all: toolchain
	cargo rustc --release --locked --bin spawn -- $(STATIC)

# The main job on real input: boots a Debian container and shows what systemd, machined and journald know of it.
demo: toolchain
	@demo/run

# Every test. Parts of it: tests/check lint unit root bookworm trixie sid
check:
	@tests/check

lint:
	@tests/check lint

# Against systemd-nspawn, crun and bubblewrap, in one run. Never part of check: it measures.
bench: toolchain
	benches/run

man: toolchain
	cargo run --quiet --locked --package xtask -- man

install: all
	install -D -m 0755 $(CARGO_TARGET_DIR)/release/spawn $(DESTDIR)$(bindir)/spawn
	set -e; for page in man/*.[1-8]; do \
		[ -e "$$page" ] || continue; \
		install -D -m 0644 "$$page" "$(DESTDIR)$(mandir)/man$${page##*.}/$${page##*/}"; \
	done
	set -e; for unit in units/*.service units/*.slice; do \
		[ -e "$$unit" ] || continue; \
		install -D -m 0644 "$$unit" "$(DESTDIR)$(unitdir)/$${unit##*/}"; \
	done

clean:
	cargo clean

toolchain:
	@tests/toolchain
