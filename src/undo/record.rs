// SPDX-License-Identifier: LGPL-2.1-or-later
//! What is written down about a running machine, so that a later start can clean up after a supervisor and a keeper that
//! were both killed.

use super::process::ProcessId;
use super::release::{PathRelease, byte_path};
use crate::sys::small_file;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The record's form. A later form that this one cannot be read as gets another number.
pub(super) const VERSION: u32 = 1;

/// The record of one machine, `/run/spawn/NAME/record`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The form of the record.
    pub(super) version: u32,
    /// The boot it belongs to (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// Who runs the machine.
    pub supervisor: ProcessId,
    /// Its keeper.
    pub keeper: Option<ProcessId>,
    /// The invocation id of the machine's unit, 32 hexadecimal digits.
    pub invocation: Option<String>,
    /// The machine's scope unit.
    pub scope: Option<String>,
    /// The control group with the payload in it.
    pub group: Option<Group>,
    /// The payload's first process.
    pub leader: Option<ProcessId>,
    /// What a later process can release, in order of acquisition ([`Undo::recordable`](super::Undo::recordable)).
    pub undo: Vec<PathRelease>,
}

impl Record {
    /// A record of this process that says nothing else yet.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn of_this_process() -> io::Result<Self> {
        let supervisor = ProcessId::myself()?;
        Ok(Self {
            version: VERSION,
            boot_id: boot_id()?,
            supervisor,
            keeper: None,
            invocation: None,
            scope: None,
            group: None,
            leader: None,
            undo: Vec::new(),
        })
    }
}

/// The id of this boot, as the kernel writes it.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn boot_id() -> io::Result<String> {
    static KNOWN: OnceLock<String> = OnceLock::new();
    if let Some(id) = KNOWN.get() {
        return Ok(id.clone());
    }
    let text = small_file::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(KNOWN.get_or_init(|| text.trim_end().into()).clone())
}

/// A control group that is told apart from a later one of the same path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its directory.
    #[serde(with = "byte_path")]
    pub path: PathBuf,
    /// The directory's inode number, which cgroup2 does not use again.
    pub inode: u64,
}

impl Group {
    /// The group with this directory.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn at(path: &Path) -> rustix::io::Result<Self> {
        Ok(Self { path: path.into(), inode: rustix::fs::stat(path)?.st_ino })
    }

    /// Its directory, opened; `None` when the group is gone.
    pub fn open(&self) -> Option<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&self.path, flags, Mode::empty()).ok()?;
        (rustix::fs::fstat(&dir).ok()?.st_ino == self.inode).then_some(dir)
    }
}
