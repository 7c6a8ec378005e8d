# SPDX-License-Identifier: LGPL-2.1-or-later
# What a person types. The work is done by cargo and by the scripts that are named here.

prefix ?= /usr/local
bindir = $(prefix)/bin
mandir = $(prefix)/share/man
unitdir = $(prefix)/lib/systemd/system
catalogdir = $(prefix)/lib/systemd/catalog
docdir = $(prefix)/share/doc/spawn
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
export PATH := $(PATH):$(HOME)/.cargo/bin
binary ?= $(CARGO_TARGET_DIR)/release/spawn

.PHONY: all demo check check-vm bench lint man install install-drop-in clean toolchain

# Linked statically, position-independent all the same: a third of what it takes to start the program was the dynamic
# linker's, and every process that it clones has fewer mappings to copy. It needs no C library of the host either.
STATIC = -C target-feature=+crt-static

all: toolchain
	cargo rustc --release --locked --bin spawn -- $(STATIC)

# The main job on real input: boots a Debian container and shows what systemd, machined and journald know of it.
demo: toolchain
	@demo/run

# Every test. Parts of it: tests/check lint unit root bookworm trixie sid vm
check:
	@tests/check

# What needs a kernel of its own; part of no other target, since it is slow without KVM.
check-vm:
	@tests/check vm

lint:
	@tests/check lint

# Against systemd-nspawn, crun and bubblewrap, in one run. Never part of check: it measures.
bench: toolchain
	benches/run

# The parts of the manual that come from the tables of options and errors.
man: toolchain
	UPDATE_EXPECT=1 cargo test --quiet --locked --test man

$(binary):
	$(MAKE) all

# The command, its manual, a unit template and the explanations of its messages.
install: $(binary)
	install -D -m 0755 $(binary) $(DESTDIR)$(bindir)/spawn
	install -D -m 0644 -t $(DESTDIR)$(mandir)/man1 man/*.1
	install -D -m 0644 -t $(DESTDIR)$(mandir)/man5 man/*.5
	install -D -m 0644 -t $(DESTDIR)$(mandir)/man7 man/*.7
	install -D -m 0644 -t $(DESTDIR)$(docdir) README.md SECURITY.md ARCHITECTURE.md CHANGELOG.md
	install -D -m 0644 units/spawn.catalog $(DESTDIR)$(catalogdir)/spawn.catalog
	install -d $(DESTDIR)$(unitdir)
	sed 's|@bindir@|$(bindir)|' units/spawn@.service.in >$(DESTDIR)$(unitdir)/spawn@.service
	@echo 'On a running system: systemctl daemon-reload; journalctl --update-catalog'

# Makes `machinectl start` and systemd-nspawn@.service use spawn; removing the file undoes it.
install-drop-in:
	install -d $(DESTDIR)$(unitdir)/systemd-nspawn@.service.d
	sed 's|@bindir@|$(bindir)|' units/systemd-nspawn@.service.d/50-spawn.conf.in \
		>$(DESTDIR)$(unitdir)/systemd-nspawn@.service.d/50-spawn.conf

clean:
	cargo clean

toolchain:
	@tests/toolchain
