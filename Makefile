# SPDX-License-Identifier: LGPL-2.1-or-later
# What a person types. The work is done by cargo and by the scripts that are named here.

prefix ?= /usr/local
bindir = $(prefix)/bin
mandir = $(prefix)/share/man
unitdir = $(prefix)/lib/systemd/system
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
export PATH := $(PATH):$(HOME)/.cargo/bin

.PHONY: all demo check bench lint man install install-drop-in clean toolchain

all: toolchain
	cargo build --release --locked

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

# Writes the generated parts of man/spawn.1 and man/spawn-errors.7 anew; a test compares them.
man: toolchain
	UPDATE_EXPECT=1 cargo test --quiet --locked --test man

install: all
	install -D -m 0755 $(CARGO_TARGET_DIR)/release/spawn $(DESTDIR)$(bindir)/spawn
	set -e; for page in man/*.[1-8]; do \
		[ -e "$$page" ] || continue; \
		install -D -m 0644 "$$page" "$(DESTDIR)$(mandir)/man$${page##*.}/$${page##*/}"; \
	done
	set -e; for unit in units/*.service.in; do \
		file="$${unit##*/}"; \
		install -d "$(DESTDIR)$(unitdir)"; \
		sed 's|@bindir@|$(bindir)|g' "$$unit" >"$(DESTDIR)$(unitdir)/$${file%.in}"; \
	done
	install -D -m 0644 units/spawn.catalog $(DESTDIR)$(prefix)/lib/systemd/catalog/spawn.catalog

# Lets `machinectl start NAME` and systemd-nspawn@NAME.service use spawn. Removing the file undoes it.
install-drop-in: install
	install -d "$(DESTDIR)$(unitdir)/systemd-nspawn@.service.d"
	sed 's|@bindir@|$(bindir)|g' units/systemd-nspawn@.service.d/50-spawn.conf.in \
		>"$(DESTDIR)$(unitdir)/systemd-nspawn@.service.d/50-spawn.conf"

clean:
	cargo clean

toolchain:
	@tests/toolchain
