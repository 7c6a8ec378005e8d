// SPDX-License-Identifier: LGPL-2.1-or-later
//! Which process of a start it is that makes a system call.

use super::notify::Waiting;
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// The processes of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    Supervisor,
    Keeper,
    Stager,
    /// PID 1 of the container until it executes something.
    Init,
    /// Another process of the container's PID namespace: the helper for procfs, PID 2 until it executes something.
    Second,
}

/// Tells them apart.
pub struct Roles {
    executable: (u64, u64),
    supervisor: Option<(u32, String)>,
}

impl Roles {
    /// For that program under test.
    pub fn new(executable: &Path) -> io::Result<Self> {
        let file = fs::metadata(executable)?;
        Ok(Roles { executable: (file.dev(), file.ino()), supervisor: None })
    }

    /// `None`: not a process whose calls are of interest, such as the payload.
    pub fn of(&mut self, pid: u32) -> Option<Who> {
        let process = format!("/proc/{pid}");
        let file = fs::metadata(format!("{process}/exe")).ok()?;
        if (file.dev(), file.ino()) != self.executable {
            let name = fs::read_link(format!("{process}/exe")).ok()?;
            return name.to_string_lossy().starts_with("/memfd:spawn-keeper").then_some(Who::Keeper);
        }
        let mounts = || fs::read_link(format!("{process}/ns/mnt")).map(|p| p.to_string_lossy().into_owned());
        match &self.supervisor {
            None => {
                self.supervisor = Some((pid, mounts().ok()?));
                return Some(Who::Supervisor);
            }
            Some((supervisor, _)) if *supervisor == pid => return Some(Who::Supervisor),
            Some(_) => {}
        }
        let status = fs::read_to_string(format!("{process}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        let pids: Vec<&str> = line.split_whitespace().collect();
        Some(match pids[..] {
            [_] if self.supervisor.as_ref().is_some_and(|(_, own)| mounts().is_ok_and(|m| m == *own)) => Who::Keeper,
            [_] => Who::Stager,
            [.., "1"] => Who::Init,
            _ => Who::Second,
        })
    }
}

/// The path that a call is about, where it has one.
pub fn about(call: &Waiting) -> String {
    let Some(number) = call.call() else { return String::new() };
    let path_at = match number.name() {
        "open" | "mkdir" | "rmdir" | "unlink" | "umount2" | "execve" | "fsopen" => 0,
        "openat" | "openat2" | "mkdirat" | "mknodat" | "unlinkat" | "open_tree" => 1,
        "write" | "read" | "sendmsg" | "recvmsg" | "ioctl" | "fcntl" => {
            let fd = call.argument(0) as i32;
            let target = fs::read_link(format!("/proc/{}/fd/{fd}", call.pid())).unwrap_or_default();
            return target.to_string_lossy().into_owned();
        }
        "prctl" => return call.argument(0).to_string(),
        _ => return String::new(),
    };
    let mut bytes = [0; 128];
    let read = fs::File::open(format!("/proc/{}/mem", call.pid()))
        .and_then(|memory| memory.read_at(&mut bytes, call.argument(path_at)))
        .unwrap_or(0);
    let text = &bytes[..read];
    String::from_utf8_lossy(text.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}
