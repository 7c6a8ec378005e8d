// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the host has a part in: mounts, links, streams, units.

use super::{End, Line, line};

pub const MOUNTS: &[Line] = &[
    line("--bind=@DIR@/folder:/mnt/there"),
    line("--bind-ro=@DIR@/folder:/mnt/there --bind=@DIR@/file:/mnt/file"),
    line("--bind=@DIR@/folder:/mnt/a:norbind --bind-ro=@DIR@/folder:/mnt/b:rbind"),
    line("--bind=+/usr/lib:/mnt/lib"),
    line("--bind-ro=+/etc/passwd:/mnt/passwd --bind=:/mnt/temporary"),
    line("--bind=@DIR@/folder:/run/inside"),
    line("--bind=/dev/full:/dev/other"),
    line("--bind=@DIR@/folder:/run/host/deep/there --bind-ro=@DIR@/file:/run/host/one").since(257),
    line("--tmpfs=/mnt"),
    line("--tmpfs=/new/folder:size=2M,mode=0700 --tmpfs=/var"),
    line("--inaccessible=/etc/passwd --inaccessible=/var"),
    line("--resolv-conf=off"),
    line("--resolv-conf=copy-host"),
    line("--timezone=off"),
    line("--timezone=auto").setup("ln -s ../usr/share/zoneinfo/No/Where etc/localtime"),
    line("--timezone=symlink").setup("mkdir -p usr/share/zoneinfo/Etc; echo x >usr/share/zoneinfo/Etc/UTC; ln -s /usr/share/zoneinfo/Etc/UTC etc/localtime"),
    line("--timezone=copy"),
    line("--resolv-conf=replace-host"),
    line("--resolv-conf=bind-host"),
    line("--resolv-conf=delete").setup("echo old >etc/resolv.conf"),
    line("--timezone=bind"),
    line("--timezone=symlink"),
    line("--timezone=delete").setup("echo old >etc/localtime"),
    line("--suppress-sync=yes"),
    line("--volatile=yes"),
    line("--volatile=state"),
    line("--volatile=overlay"),
    line("-U --volatile=yes").since(257),
    line("-U --volatile=overlay"),
    line("--pivot-root=/inner:/old").setup("mkdir /run/spawn-compat-inner; mv * /run/spawn-compat-inner; mv /run/spawn-compat-inner inner; mkdir inner/old").since(257),
    line("--overlay=@DIR@/folder:@DIR@/upper:/mnt/there"),
    line("--overlay=@DIR@/folder:+/etc:+/new:/mnt/there --overlay=+/usr::/opt"),
    line("--overlay-ro=@DIR@/folder:+/etc:/mnt/there"),
    line("-U --overlay=+/etc::/mnt"),
    line("-U --bind=@DIR@/folder:/mnt:rootidmap --bind=@DIR@/folder:/home/user:owneridmap,norbind").since(256),
    line("--bind=@DIR@/folder:/mnt:rootidmap"),
    line("--set-credential=one:eins --set-credential=two:z\\x00w\\n --load-credential=three:@DIR@/file"),
];

pub const NETWORK: &[Line] = &[
    line("--private-network"),
    line("--network-veth"),
    line("--network-veth --private-users=pick"),
    line("--network-veth --machine=a-rather-long-machine-name").machine("a-rather-long-machine-name"),
    line("--private-network -u user --resolv-conf=copy-host"),
    line("--network-interface=compat0:inside --network-interface=compat1").since(254),
    line("--network-macvlan=compat0 --network-macvlan=compat1:mine").since(254),
    line("--network-ipvlan=compat0:mine").since(254),
    line("--network-namespace-path=/run/netns/compat"),
    line("--network-veth --network-veth-extra=further0:in0 --network-veth-extra=further1"),
    line("--network-bridge=compat-bridge --private-users=pick"),
    line("--network-zone=compat"),
    line("--network-zone=compat --machine=a-rather-long-machine-name").machine("a-rather-long-machine-name"),
    line("--network-veth --port=8081:80 --port=udp:8081"),
    line("--network-veth").around("SYSTEMD_NSPAWN_NETWORK_MAC=02:00:00:aa:bb:cc exec \"$@\"").since(257),
];

pub const STREAMS: &[Line] = &[
    line("").on_terminal(),
    line("--console=interactive").on_terminal(),
    line("--console=read-only").on_terminal(),
    line("--console=passive").into_file(),
    line("--console=pipe"),
    line("--pipe"),
    line("--pipe --as-pid2"),
    line("--console=autopipe"),
    line("--console=autopipe").on_terminal(),
    line("--pipe").on_terminal(),
    line("--quiet").on_terminal(),
    line("--background=44").on_terminal().since(256),
    line("").around("COLUMNS=99 LINES=33 exec \"$@\""),
    line("--pipe").around(
        "exec 3</etc/hostname 4</etc/passwd; export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b; exec \"$@\"",
    ),
    line("--as-pid2").around("exec 3</etc/hostname; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\""),
    line("--pipe --quiet").around("exec 7</etc/hostname; umask 077; trap '' USR2; exec \"$@\""),
];

pub const UNITS: &[Line] = &[
    line("--register=no"),
    line("--register=yes").since(255),
    line("--slice=compat-test.slice"),
    line("--property=TasksMax=123 --property=CPUWeight=50 --property=Description=Mine"),
    line("--kill-signal=SIGTERM"),
    line("--keep-unit")
        .around("exec systemd-run --quiet --wait --pipe --collect --property=Delegate=yes --unit=compat-keep \"$@\"")
        .unit("compat-keep.service"),
    line("--keep-unit --register=no")
        .around("exec systemd-run --quiet --wait --pipe --collect --property=Delegate=yes --unit=compat-keep \"$@\"")
        .unit("compat-keep.service"),
    line("--keep-unit -U")
        .around("exec systemd-run --quiet --wait --pipe --collect --property=Delegate=yes --unit=compat-keep \"$@\"")
        .unit("compat-keep.service")
        .end(End::Exit(133)),
    line("--notify-ready=yes"),
    line("--link-journal=no"),
    line("--link-journal=try-guest"),
    line("-j"),
];
