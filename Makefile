# SPDX-License-Identifier: LGPL-2.1-or-later
# What a person types. The work is done by cargo and by the scripts that are named here.

prefix ?= /usr/local
bindir = $(prefix)/bin
mandir = $(prefix)/share/man
unitdir = $(prefix)/lib/systemd/system
catalogdir = $(prefix)/lib/systemd/catalog
docdir = $(prefix)/share/doc/spawn
licencedir = $(prefix)/share/licenses/spawn
bashdir = $(prefix)/share/bash-completion/completions
zshdir = $(prefix)/share/zsh/site-functions
fishdir = $(prefix)/share/fish/vendor_completions.d
CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
export PATH := $(PATH):$(HOME)/.cargo/bin
binary ?= $(CARGO_TARGET_DIR)/release/spawn
licences = $(CARGO_TARGET_DIR)/THIRD-PARTY

.PHONY: all demo check check-vm test-13 fuzz bench lint man install install-drop-in deb rpm sysext clean toolchain

# Linked statically, position-independent all the same: a third of what it takes to start the program was the dynamic
# linker's, and every process that it clones has fewer mappings to copy. It needs no C library of the host either.
STATIC = -C target-feature=+crt-static

all: toolchain
	cargo rustc --release --locked --bin spawn -- $(STATIC)
	@$(MAKE) --no-print-directory $(licences)

# The main job on real input: boots a Debian container and shows what systemd, machined and journald know of it.
demo: toolchain
	@demo/run

# Every test. Parts of it: tests/check lint unit root bookworm trixie sid vm
check:
	@tests/check

# The tests in virtual machines, with an older kernel (6.1) as well, which is no part of check.
check-vm:
	@SPAWN_VM_SUITES="$${SPAWN_VM_SUITES:-trixie bookworm}" tests/check vm

# systemd's own acceptance test of systemd-nspawn, with the link in place. Never part of check. VM=1: in a virtual machine.
test-13: toolchain
	cargo build --locked
	@tests/test-13

lint:
	@tests/check lint

# Every reader of foreign bytes with libFuzzer, a minute each. Never part of check, which runs the same ones without coverage.
fuzz: toolchain
	@fuzz/run

# Against systemd-nspawn, crun and bubblewrap, in one run. Never part of check: it measures.
bench: toolchain
	benches/run

# The parts of the manual and of the completions that come from the tables of options, errors and messages.
man: toolchain
	UPDATE_EXPECT=1 cargo test --quiet --locked --test man
	UPDATE_EXPECT=1 cargo test --quiet --locked --test completions knows_the_table
	UPDATE_EXPECT=1 cargo test --quiet --locked --lib the_shipped_catalog_is_this_table

$(binary):
	$(MAKE) all

# Of the libraries in it.
$(licences): Cargo.lock packaging/licences
	packaging/licences >$@.new
	@mv $@.new $@

# The command, its manual and completions, a unit template, the explanations of its messages, documents and licences.
# The drop-in that makes systemd's own template use it is an example here: it is for the administrator to put in place.
install: $(binary) $(licences)
	install -D -m 0755 $(binary) $(DESTDIR)$(bindir)/spawn
	install -D -m 0644 -t $(DESTDIR)$(mandir)/man1 man/*.1
	install -D -m 0644 -t $(DESTDIR)$(mandir)/man5 man/*.5
	install -D -m 0644 -t $(DESTDIR)$(mandir)/man7 man/*.7
	install -D -m 0644 completions/spawn.bash $(DESTDIR)$(bashdir)/spawn
	install -D -m 0644 completions/_spawn $(DESTDIR)$(zshdir)/_spawn
	install -D -m 0644 completions/spawn.fish $(DESTDIR)$(fishdir)/spawn.fish
	install -D -m 0644 -t $(DESTDIR)$(docdir) README.md SECURITY.md ARCHITECTURE.md CHANGELOG.md docs/*.md
	install -D -m 0644 -t $(DESTDIR)$(licencedir) COPYING $(licences)
	install -D -m 0644 units/spawn.catalog $(DESTDIR)$(catalogdir)/spawn.catalog
	install -d $(DESTDIR)$(unitdir) $(DESTDIR)$(docdir)/examples/systemd-nspawn@.service.d
	sed 's|@bindir@|$(bindir)|' units/spawn@.service.in >$(DESTDIR)$(unitdir)/spawn@.service
	sed 's|@bindir@|$(bindir)|' units/systemd-nspawn@.service.d/50-spawn.conf.in \
		>$(DESTDIR)$(docdir)/examples/systemd-nspawn@.service.d/50-spawn.conf
	@[ -n '$(DESTDIR)' ] || echo 'On a running system: systemctl daemon-reload; journalctl --update-catalog'

# Makes `machinectl start` and systemd-nspawn@.service use spawn; removing the file undoes it.
install-drop-in:
	install -d $(DESTDIR)$(unitdir)/systemd-nspawn@.service.d
	sed 's|@bindir@|$(bindir)|' units/systemd-nspawn@.service.d/50-spawn.conf.in \
		>$(DESTDIR)$(unitdir)/systemd-nspawn@.service.d/50-spawn.conf

# Packages of the program that is built, below target/packages: see packaging/README.md.
deb: $(binary)
	packaging/deb $(binary) $(CARGO_TARGET_DIR)/packages

rpm: $(binary)
	packaging/rpm $(binary) $(CARGO_TARGET_DIR)/packages

sysext: $(binary)
	packaging/sysext $(binary) $(CARGO_TARGET_DIR)/packages

clean:
	cargo clean

toolchain:
	@tests/toolchain
