// SPDX-License-Identifier: LGPL-2.1-or-later
//! Tells when the kernel kills processes of a group for want of memory.

use super::{Group, usage::oom_kills};
use rustix::fs::inotify;
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A watch on `memory.events` of a group (the kernel's Documentation/admin-guide/cgroup-v2.rst).
#[derive(Debug)]
pub struct OomWatch {
    inotify: OwnedFd,
    seen: u64,
}

impl AsFd for OomWatch {
    /// Readable when the file has changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl OomWatch {
    /// Begins to watch. `None` where memory is not accounted for, or the kernel has no watches left.
    pub fn new(group: &Group) -> Option<Self> {
        let seen = oom_kills(group)?;
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let inotify = inotify::init(flags).ok()?;
        let path = format!("/proc/self/fd/{}/memory.events", group.as_fd().as_raw_fd());
        inotify::add_watch(&inotify, path, inotify::WatchFlags::MODIFY).ok()?;
        Some(Self { inotify, seen })
    }

    /// How many of `kills` in all are new since the last call, which is to follow each change. A group that is gone says
    /// nothing more.
    pub fn new_kills(&mut self, kills: Option<u64>) -> u64 {
        self.drain();
        let now = kills.unwrap_or(self.seen);
        let new = now.saturating_sub(self.seen);
        self.seen = now;
        new
    }

    fn drain(&self) {
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}
