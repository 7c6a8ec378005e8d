// SPDX-License-Identifier: LGPL-2.1-or-later
//! What is started, as whom, and what it may do.

use super::{Line, line};

pub const START: &[Line] = &[
    line(""),
    line("--quiet"),
    line("--as-pid2"),
    line("--as-pid2 --quiet -u user"),
    line("--boot").setup("mv usr/bin/compat-probe usr/lib/systemd-probe; mkdir usr/lib/systemd; mv usr/lib/systemd-probe usr/lib/systemd/systemd; mkdir -p sbin"),
    line("--boot --kill-signal=SIGUSR1").setup("mkdir usr/lib/systemd; cp usr/bin/compat-probe usr/lib/systemd/systemd"),
    line("--machine=other-name --hostname=web.example").machine("other-name"),
    line("--ephemeral --machine=gone").machine("gone"),
    line("--read-only"),
    line("--no-ask-password").since(258),
    line("--system").since(261),
    line("--quiet").around("SYSTEMD_NSPAWN_LOCK=0 exec \"$@\""),
    line("--quiet").around("SYSTEMD_NSPAWN_TMPFS_TMP=0 exec \"$@\""),
    line("--quiet").around("SYSTEMD_NSPAWN_CONTAINER_SERVICE=mine exec \"$@\""),
    line("--quiet --hostname=no-cgns").around("SYSTEMD_NSPAWN_USE_CGNS=0 exec \"$@\""),
    line("--quiet --private-network --hostname=no-cgns").around("SYSTEMD_NSPAWN_USE_CGNS=0 exec \"$@\""),
    line("--quiet --private-users=pick --hostname=no-cgns").around("SYSTEMD_NSPAWN_USE_CGNS=0 exec \"$@\""),
    line("--quiet").around("SYSTEMD_NSPAWN_SHARE_NS_IPC=1 exec \"$@\""),
    line("--quiet --hostname=unused").around("SYSTEMD_NSPAWN_SHARE_NS_UTS=1 exec \"$@\""),
    line("--quiet --private-users=pick --private-network --hostname=shared")
        .around("SYSTEMD_NSPAWN_SHARE_NS_IPC=1 SYSTEMD_NSPAWN_SHARE_NS_UTS=yes exec \"$@\""),
    line("--quiet").around("SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 exec \"$@\""),
    line("--quiet --private-network").around("SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 exec \"$@\""),
    line("--quiet --hostname=open-network").around("SYSTEMD_NSPAWN_API_VFS_WRITABLE=network exec \"$@\""),
    line("--quiet --private-network --private-users=pick")
        .around("SYSTEMD_NSPAWN_API_VFS_WRITABLE=network exec \"$@\""),
    line("--quiet --hostname=no-cgns").around("SYSTEMD_NSPAWN_USE_CGNS=0 SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 exec \"$@\""),
    line("--boot").around("SYSTEMD_NSPAWN_CHECK_OS_RELEASE=0 exec \"$@\"")
        .setup("rm usr/lib/os-release etc/os-release; mkdir usr/lib/systemd; cp usr/bin/compat-probe usr/lib/systemd/systemd"),
    line("--read-only --tmpfs=/var --tmpfs=/mnt:mode=1777,size=1M"),
];

pub const IDENTITY: &[Line] = &[
    line("-u user"),
    line("-u daemon"),
    line("--user=user"),
    line("--uid=user").since(261),
    line("-u root"),
    line("-u user --quiet").setup("rmdir home/user home"),
    line("-U -u user --quiet").setup("rmdir home/user"),
    line("-u user --quiet --tmpfs=/home"),
    line("-u user --quiet --read-only").setup("rmdir home/user").program("true"),
    line("-u user --quiet --volatile=state").setup("rmdir home/user").program("true"),
    line("-u user --quiet --volatile=overlay").setup("rmdir home/user"),
    line("-u daemon --quiet")
        .setup("sed -i s,:daemon:/:,:daemon:/away/home:, etc/passwd; ln -s /gone away")
        .program("true"),
    line("-u daemon --quiet --no-new-privileges=yes")
        .setup("sed -i s,:daemon:/:,:daemon:/away:, etc/passwd; ln -s /gone away"),
    line("-u user --no-new-privileges=yes --set-credential=a:b"),
    line("--setenv=FOO=bar --setenv=EMPTY= --setenv=PATH=/usr/bin --setenv=TERM=weird"),
    line("--setenv=FROM_CALLER --setenv=NOT_THERE --setenv=HOME=/x").around("FROM_CALLER=here exec \"$@\""),
    line("--chdir=/usr/lib"),
    line("-u user --chdir=/tmp"),
    line("--hostname=some-host"),
    line("--forward-journal=@DIR@/j --forward-journal-max-use=10M --forward-journal-keep-free=1M --forward-journal-max-file-size=1M --forward-journal-max-files=3")
        .since(261),
    line("--hostname=gone --cpu-affinity=0 --cpu-affinity="),
    line("--oom-score-adjust=0x1f4 --register=no --register=").since(262),
    line("").setup("rm bin sbin lib; rm -rf root proc sys dev run").since(257),
    line("-U --quiet").setup("rm bin sbin lib; rm -rf root proc sys dev run").since(257),
    line("--uuid=0123456789abcdef0123456789abcdef"),
    line("--uuid=0123456789abcdef0123456789abcdef --quiet")
        .setup("echo fedcba98765432100123456789abcdef >etc/machine-id"),
];

pub const POWERS: &[Line] = &[
    line("--capability=CAP_NET_ADMIN,CAP_SYS_TIME"),
    line("--capability=all"),
    line("--drop-capability=CAP_SYS_ADMIN,CAP_MKNOD"),
    line("--drop-capability=all"),
    line("--capability=all --drop-capability=CAP_SYS_PTRACE"),
    line("--ambient-capability=CAP_NET_BIND_SERVICE -u user").since(248),
    line("--ambient-capability=CAP_CHOWN"),
    line("--no-new-privileges=yes"),
    line("-u user --no-new-privileges=yes"),
    line("--system-call-filter=@clock --system-call-filter=perf_event_open"),
    line("--system-call-filter=~@mount --system-call-filter=~keyctl"),
    line("--system-call-filter=@keyring --system-call-filter=~add_key"),
    line("--restrict-address-families=AF_INET --restrict-address-families=AF_UNIX").since(261),
    line("--restrict-address-families=~AF_PACKET").since(261),
    line("--quiet").around("SYSTEMD_SECCOMP=0 exec \"$@\""),
    line("--quiet").around("SYSTEMD_LOG_SECCOMP=1 exec \"$@\""),
    line("--quiet").around("SYSTEMD_SUPPRESS_SYNC=1 exec \"$@\""),
    line("--restrict-address-families=none").since(261),
    // Earlier ones fail where there is no SELinux. tests/vm/selinux.rs compares them where there is.
    line("-Z system_u:system_r:container_t:s0:c1,c2").since(262),
];

pub const LIMITS: &[Line] = &[
    line("--rlimit=NOFILE=100:200 --rlimit=RLIMIT_CORE=infinity"),
    line("--rlimit=NPROC=infinity --rlimit=NICE=5"),
    line("--oom-score-adjust=500"),
    line("--oom-score-adjust=0"),
    line("--cpu-affinity=0"),
    line("--personality=x86"),
    line("--personality=x86-64"),
    line("--settings=no"),
];

pub const USERS: &[Line] = &[
    line("--private-users=identity"),
    line("--private-users=pick"),
    line("-U"),
    line("-U --private-network"),
    line("--private-users=1048576 --private-users-ownership=map"),
    line("--private-users=1048576 --private-users-ownership=chown"),
    line("-U --private-users-chown"),
    line("--private-users=0 --private-users-ownership=chown").setup("chown -hR 1048576:1048576 ."),
    line("--private-users=1048576 --private-users-ownership=map -u user"),
    line("--private-users=1048576:65536 --private-users-ownership=off").setup("chown -hR 1048576:1048576 ."),
    line("--private-users=yes").setup("chown -hR 1048576:1048576 ."),
    line("--private-users=1048576 --private-users-ownership=off"),
    line("-U --as-pid2"),
    line("-U --capability=CAP_NET_ADMIN,CAP_SYS_MODULE"),
    line("-U --bind=@DIR@/folder:/mnt/a --bind=@DIR@/folder:/mnt/b:idmap"),
    line("-U --tmpfs=/mnt --read-only"),
    line("-U --set-credential=one:eins --inaccessible=/var"),
    line("--private-users=no -U --private-users=no"),
    line("--private-users-ownership=map").since(262),
    line("--private-users-ownership=off").since(262),
    line("--private-users=no --private-users-ownership=map"),
];
