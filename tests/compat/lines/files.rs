// SPDX-License-Identifier: LGPL-2.1-or-later
//! `.nspawn` files with right values: what the payload and the host see of each key must be the same.

use super::{Line, line};

/// A file that counts as one of the administrator's.
const fn trusted(text: &'static str) -> Line {
    line("--settings=trusted").file(text)
}

pub const FILES: &[Line] = &[
    trusted("[Exec]\nProcessTwo=yes\nParameters=/usr/bin/compat-probe -e 0 one \"t w o\""),
    trusted("[Exec]\nBoot=yes\nKillSignal=SIGUSR1\nParameters=-e 0 one \"t w o\"")
        .setup("mkdir usr/lib/systemd; cp usr/bin/compat-probe usr/lib/systemd/systemd"),
    trusted("[Exec]\nProcessTwo=yes"),
    trusted("[Exec]\nProcessTwo=no\nBoot=no\nEphemeral=no\nNotifyReady=no\nSuppressSync=no\nNoNewPrivileges=no\n[Files]\nReadOnly=no\n[Network]\nPrivate=no\nVirtualEthernet=no"),
    line("--settings=trusted --machine=gone").machine("gone").file("[Exec]\nEphemeral=yes"),
    trusted("[Exec]\nEnvironment=A=b \"C=d e\" EMPTY=\nEnvironment=A=again\nWorkingDirectory=/usr/lib\nUser=user\nNoNewPrivileges=yes"),
    trusted("[Exec]\nHostname=from-file\nMachineID=0123456789abcdef0123456789abcdef\nKillSignal=SIGTERM\nNotifyReady=yes"),
    trusted("[Exec]\nCapability=CAP_NET_ADMIN CAP_SYS_TIME\nDropCapability=CAP_MKNOD CAP_KILL"),
    trusted("[Exec]\nCapability=all\nDropCapability=CAP_SYS_PTRACE"),
    line("--settings=trusted --capability=CAP_SYS_TIME").file("[Network]\nPrivate=yes"),
    trusted("[Exec]\nUser=user\nAmbientCapability=CAP_CHOWN CAP_NET_BIND_SERVICE"),
    trusted("[Exec]\nSystemCallFilter=@clock perf_event_open\nSystemCallFilter=~keyctl"),
    trusted("[Exec]\nRestrictAddressFamilies=AF_INET AF_UNIX").since(261),
    trusted("[Exec]\nOOMScoreAdjust=300\nCPUAffinity=0\nPersonality=x86\nSuppressSync=yes"),
    trusted("[Exec]\nLimitCPU=1000:2000\nLimitFSIZE=100M:infinity\nLimitDATA=1G\nLimitSTACK=4M:8M\nLimitCORE=0:infinity\nLimitRSS=1G:2G\nLimitNPROC=5000\nLimitNOFILE=100:200"),
    trusted("[Exec]\nLimitMEMLOCK=1M\nLimitAS=8G:infinity\nLimitLOCKS=100\nLimitSIGPENDING=500:600\nLimitMSGQUEUE=100K\nLimitNICE=+5\nLimitRTPRIO=3\nLimitRTTIME=1s:2s"),
    trusted("[Exec]\nResolvConf=off\nTimezone=off\nLinkJournal=no"),
    trusted("[Exec]\nResolvConf=copy-host\nTimezone=copy\nLinkJournal=try-guest"),
    trusted("[Exec]\nPivotRoot=/inner:/old")
        .setup("mkdir /run/spawn-compat-inner; mv * /run/spawn-compat-inner; mv /run/spawn-compat-inner inner; mkdir inner/old")
        .since(257),
    trusted("[Exec]\nPrivateUsers=pick"),
    trusted("[Exec]\nPrivateUsers=1048576:65536\n[Files]\nPrivateUsersOwnership=map"),
    trusted("[Exec]\nPrivateUsers=1048576\n[Files]\nPrivateUsersChown=yes"),
    trusted("[Files]\nReadOnly=yes\nTemporaryFileSystem=/mnt:mode=0700,size=1M\nInaccessible=/etc/passwd"),
    trusted("[Files]\nVolatile=state"),
    trusted("[Files]\nBind=@DIR@/folder:/mnt/there:norbind\nBindReadOnly=@DIR@/file:/mnt/file"),
    trusted("[Files]\nOverlay=@DIR@/folder:@DIR@/upper:/mnt/there"),
    trusted("[Files]\nOverlayReadOnly=@DIR@/folder:+/etc:/mnt/there"),
    trusted("[Network]\nPrivate=yes"),
    trusted("[Network]\nVirtualEthernet=yes\nVirtualEthernetExtra=further0:in0\nVirtualEthernetExtra=further1\nPort=8081:80\nPort=udp:8081"),
    trusted("[Network]\nInterface=compat0:inside\nMACVLAN=compat1:mine").since(254),
    trusted("[Network]\nIPVLAN=compat0:mine").since(254),
    trusted("[Network]\nBridge=compat-bridge"),
    trusted("[Network]\nZone=compat"),
    // Before 262 the container gets the host's network all the same.
    trusted("[Network]\nNamespacePath=/run/netns/compat").since(262),
    // What the file beside the tree may not say does not count, the rest does.
    line("").file("[Exec]\nHostname=from-file\nCapability=CAP_NET_ADMIN\nLimitNOFILE=100\n[Files]\nBind=@DIR@/folder:/mnt\nReadOnly=yes\n[Network]\nPrivate=yes"),
    // The line hides what is in a file, a group at a time.
    line("--settings=trusted --hostname=from-line --bind=@DIR@/folder:/mnt/line --drop-capability=CAP_KILL")
        .file("[Exec]\nHostname=from-file\nCapability=CAP_NET_ADMIN\nWorkingDirectory=/tmp\n[Files]\nBindReadOnly=@DIR@/file:/mnt/file\nInaccessible=/etc/group"),
    line("--settings=override --hostname=from-line").file("[Exec]\nHostname=from-file\nLimitNOFILE=100"),
    line("--settings=no").file("[Exec]\nHostname=from-file"),
];
