// SPDX-License-Identifier: LGPL-2.1-or-later
//! The keeper and control groups: its own, and the one of a scope.

use crate::calls::{self, AT_FDCWD, ENOENT, O_WRONLY, Result};
use core::ffi::CStr;

/// Where the unified hierarchy is mounted, alone or beside those of version 1.
const MOUNTS: [&[u8]; 2] = [b"/sys/fs/cgroup", b"/sys/fs/cgroup/unified"];
const FILE: &[u8] = b"/cgroup.procs\0";
/// Room for `/proc/self/cgroup` and for a path: small, as it stays in memory. Who has longer ones waits longer.
const ROOM: usize = 1024;

/// Moves this process into the control group that it is in.
///
/// The first move of any process after some time without one waits for a grace period of RCU, 8 to 16 ms
/// (`cgroup_procs_write_start` in kernel/cgroup/cgroup.c takes `cgroup_threadgroup_rwsem`, and `rcu_sync_enter` waits);
/// moves behind it do not. Made while the supervisor prepares, it spares PID 1 most of that wait when it makes the scope.
pub fn stay() -> Result<()> {
    let mut text = [0; ROOM];
    let file = calls::open(AT_FDCWD, c"/proc/self/cgroup", 0)?;
    let length = calls::read(file, &mut text);
    calls::close(file)?;
    let lines = text[..length?].split(|byte| *byte == b'\n');
    let own = lines.filter_map(|line| line.strip_prefix(b"0::")).next().ok_or(ENOENT)?;
    let mut outcome = Err(ENOENT);
    for mount in MOUNTS {
        let mut path = [0; ROOM];
        for (to, from) in path.iter_mut().zip(mount.iter().chain(own).chain(FILE)) {
            *to = *from;
        }
        let path = CStr::from_bytes_until_nul(&path).map_err(|_| ENOENT)?;
        outcome = calls::open(AT_FDCWD, path, O_WRONLY).and_then(|procs| {
            let moved = calls::write(procs, b"0");
            calls::close(procs)?;
            moved.map(|_| ())
        });
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// Puts a process into the control group at `path` that stays there until the connection ends.
///
/// systemd removes a scope's group, and every figure with it, as soon as no process is in it; with this one in it the
/// supervisor can read them after the payload's end.
pub fn occupy(path: &CStr, socket: i32) -> Result<()> {
    // The one before it, of a guest that has rebooted.
    while let Ok(Some(_)) = calls::reap() {}
    let group = calls::open_dir(AT_FDCWD, path)?;
    let forked = calls::fork_into(group);
    if forked == Ok(0) {
        calls::exit(stand_by(socket).err().unwrap_or(0));
    }
    calls::close(group)?;
    forked.map(|_| ())
}

/// Waits for the end of the connection with nothing else open.
fn stand_by(socket: i32) -> Result<()> {
    calls::set_name(c"(spawn-group)");
    calls::dup3(socket, 0)?;
    calls::close_from(1)?;
    while calls::read(0, &mut [0]) == Err(calls::EINTR) {}
    Ok(())
}
