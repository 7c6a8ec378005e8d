// SPDX-License-Identifier: LGPL-2.1-or-later
//! How containers end, and lines that do not start one.

use super::{End, Line, line};

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
    line("--help --no-pager").program(""),
    line("--version").program(""),
    line("--introspect-cli").program("").since(262),
    line("--cleanup --machine=tree").program("").since(258),
    line("-u nosuchuser").program("true"),
    line("--chdir=/does/not/exist").program("true"),
    line("--bind=/does/not/exist:/mnt").program("true"),
    line("--inaccessible=/does/not/exist").program("true"),
    line("--boot").setup("rm usr/lib/os-release etc/os-release").program(""),
    line("--read-only --bind=@DIR@/folder:/not/there").program("true"),
];

/// Lines that spawn refuses by name so far.
pub const NOT_BUILT: &[Line] =
    &[line("").around("export SYSTEMD_NSPAWN_SHARE_NS_PID=yes; exec \"$@\"").program("true")];

/// Lines that both refuse.
pub const REFUSED: &[Line] = &[
    line("--boot --as-pid2").program("true"),
    line("--as-pid2").around("SYSTEMD_NSPAWN_SHARE_NS_UTS=1 exec \"$@\"").program("true"),
    line("--boot").around("SYSTEMD_NSPAWN_SHARE_NS_UTS=1 exec \"$@\"").program("true"),
    line("--private-users=pick").around("SYSTEMD_NSPAWN_API_VFS_WRITABLE=1 exec \"$@\"").program("true"),
    line("--private-users=pick").around("SYSTEMD_NSPAWN_API_VFS_WRITABLE=network exec \"$@\"").program("true"),
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
    // There is no SELinux in the nested hosts; tests/vm/selinux.rs has one.
    line("-L system_u:object_r:container_file_t:s0").program("true"),
];
