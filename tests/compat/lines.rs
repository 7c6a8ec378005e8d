// SPDX-License-Identifier: LGPL-2.1-or-later
//! The command lines. A line is `LAUNCHER --directory=TREE OPTIONS… PROBE`; `@DIR@` in it is the case's folder, which holds
//! the files and folders that `run::prepare_sources` makes, `@TREE@` the tree.

/// What stands between the test and the launcher's standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    Pipes,
    Terminal,
}

/// How the container is ended once it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The probe exits with this status.
    Exit(u8),
    /// SIGKILL to the probe.
    Killed,
    /// SIGTERM to the launcher.
    Stopped,
    /// There is no probe, or it does not run.
    ByItself,
}

/// One command line, under both launchers.
#[derive(Debug, Clone)]
pub struct Line {
    pub options: &'static str,
    /// Instead of the probe and its words.
    pub program: Option<&'static str>,
    /// The probe's words.
    pub words: &'static [&'static str],
    /// Before the launcher: a shell script that ends with `"$@"`.
    pub around: Option<&'static str>,
    /// A shell script on the fresh tree, with the tree as working directory.
    pub setup: Option<&'static str>,
    pub streams: Streams,
    pub end: End,
    /// First version of systemd-nspawn that has all options.
    pub since: u32,
    pub machine: &'static str,
    pub unit: Option<&'static str>,
    /// The probe writes into the tree, as the console shows nothing.
    pub to_file: bool,
}

/// The usual line with these options.
pub const fn line(options: &'static str) -> Line {
    Line {
        options,
        program: None,
        words: &["one", "t w o"],
        around: None,
        setup: None,
        streams: Streams::Pipes,
        end: End::Exit(0),
        since: 0,
        machine: "tree",
        unit: None,
        to_file: false,
    }
}

impl Line {
    const fn program(mut self, program: &'static str) -> Self {
        self.program = Some(program);
        self.end = End::ByItself;
        self
    }
    const fn around(mut self, script: &'static str) -> Self {
        self.around = Some(script);
        self
    }
    const fn setup(mut self, script: &'static str) -> Self {
        self.setup = Some(script);
        self
    }
    const fn on_terminal(mut self) -> Self {
        self.streams = Streams::Terminal;
        self
    }
    const fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }
    const fn since(mut self, version: u32) -> Self {
        self.since = version;
        self
    }
    const fn machine(mut self, name: &'static str) -> Self {
        self.machine = name;
        self
    }
    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }
    const fn into_file(mut self) -> Self {
        self.to_file = true;
        self
    }

    /// How reports and accepted differences name the line.
    pub fn name(&self) -> String {
        let mut name = if self.options.is_empty() { "(plain)".to_owned() } else { self.options.to_owned() };
        match self.end {
            End::Exit(0) | End::ByItself => {}
            End::Exit(status) => name += &format!(" [exit {status}]"),
            End::Killed => name += " [killed]",
            End::Stopped => name += " [stopped]",
        }
        if let Some(program) = self.program {
            name += &format!(" [run {program}]");
        }
        if self.streams == Streams::Terminal {
            name += " [terminal]";
        }
        name
    }
}

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
    line("--read-only --tmpfs=/var --tmpfs=/mnt:mode=1777,size=1M"),
];

pub const IDENTITY: &[Line] = &[
    line("-u user"),
    line("-u daemon"),
    line("--user=user"),
    line("--uid=user").since(261),
    line("-u root"),
    line("-u user --no-new-privileges=yes --set-credential=a:b"),
    line("--setenv=FOO=bar --setenv=EMPTY= --setenv=PATH=/usr/bin --setenv=TERM=weird"),
    line("--setenv=FROM_CALLER --setenv=NOT_THERE --setenv=HOME=/x").around("FROM_CALLER=here exec \"$@\""),
    line("--chdir=/usr/lib"),
    line("-u user --chdir=/tmp"),
    line("--hostname=some-host"),
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
    line("--restrict-address-families=none").since(261),
    // Earlier ones fail where there is no SELinux.
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

pub const MOUNTS: &[Line] = &[
    line("--bind=@DIR@/folder:/mnt/there"),
    line("--bind-ro=@DIR@/folder:/mnt/there --bind=@DIR@/file:/mnt/file"),
    line("--bind=@DIR@/folder:/mnt/a:norbind --bind-ro=@DIR@/folder:/mnt/b:rbind"),
    line("--bind=+/usr/lib:/mnt/lib"),
    line("--bind-ro=+/etc/passwd:/mnt/passwd --bind=:/mnt/temporary"),
    line("--bind=@DIR@/folder:/run/inside"),
    line("--bind=/dev/full:/dev/other"),
    line("--tmpfs=/mnt"),
    line("--tmpfs=/new/folder:size=2M,mode=0700 --tmpfs=/var"),
    line("--inaccessible=/etc/passwd --inaccessible=/var"),
    line("--resolv-conf=off"),
    line("--resolv-conf=copy-host"),
    line("--timezone=off"),
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
    line("--network-veth --network-veth-extra=further0:in0 --network-veth-extra=further1"),
    line("--network-bridge=compat-bridge --private-users=pick"),
    line("--network-zone=compat"),
    line("--network-zone=compat --machine=a-rather-long-machine-name").machine("a-rather-long-machine-name"),
    line("--network-veth --port=8081:80 --port=udp:8081"),
    line("--network-veth").around("SYSTEMD_NSPAWN_NETWORK_MAC=02:00:00:aa:bb:cc exec \"$@\"").since(257),
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

pub const ENDS: &[Line] = &[
    line("").end(End::Exit(7)),
    line("").end(End::Exit(133)),
    line("").end(End::Exit(255)),
    line("").end(End::Killed),
    line("").end(End::Stopped),
    line("--as-pid2").end(End::Exit(7)),
    line("--as-pid2").end(End::Killed),
    line("--kill-signal=SIGUSR1").end(End::Stopped),
    line("").program("/does/not/exist"),
    line("").program("does-not-exist"),
    line("").program("/etc/passwd"),
    line("").program("/usr"),
    line("").program("true"),
    line("--as-pid2").program("false"),
    line("--as-pid2").program("/does/not/exist"),
    line("--pipe").program("cat"),
    line("-u nosuchuser").program("true"),
    line("--chdir=/does/not/exist").program("true"),
    line("--bind=/does/not/exist:/mnt").program("true"),
    line("--inaccessible=/does/not/exist").program("true"),
    line("--boot").setup("rm usr/lib/os-release etc/os-release").program(""),
    line("--read-only --bind=@DIR@/folder:/not/there").program("true"),
];

/// Lines that spawn refuses by name so far.
pub const NOT_BUILT: &[Line] = &[line("").around("export SYSTEMD_NSPAWN_USE_CGNS=no; exec \"$@\"").program("true")];

/// Lines that both refuse.
pub const REFUSED: &[Line] = &[
    line("--boot --as-pid2").program("true"),
    line("--no-such-option").program("true"),
    line("--image=/nowhere").program("true"),
    line("--template=/nowhere --ephemeral").program("true"),
    line("--private-users=junk").program("true"),
    line("--private-users=0:0").program("true"),
    line("--private-users-ownership=chown --read-only").program("true"),
    line("--capability=CAP_NONSENSE").program("true"),
    line("--boot --ambient-capability=CAP_CHOWN").program("true"),
    line("--rlimit=NOFILE=many").program("true"),
    line("--uuid=0").program("true"),
    line("--hostname=-x-").program("true"),
    line("--machine=a/b").program("true"),
    line("--bind=relative:relative").program("true"),
    line("--tmpfs=relative").program("true"),
    line("--setenv==x").program("true"),
    line("--oom-score-adjust=5000").program("true"),
    line("--console=nothing").program("true"),
    line("--kill-signal=SIGNOTHING").program("true"),
    line("--chdir=relative").program("true"),
    line("--chdir=/proc/self").program("true"),
    line("--port=80").program("true"),
    line("--network-zone=x --network-bridge=y").program("true"),
    line("--resolv-conf=nothing").program("true"),
    line("--set-credential=a:b --set-credential=a:c").program("true"),
    line("--slice=").program("true"),
    line("--personality=z80").program("true"),
    line("--link-journal=host --ephemeral").program("true"),
    // There is no SELinux in the nested hosts.
    line("-L system_u:object_r:container_file_t:s0").program("true"),
];
