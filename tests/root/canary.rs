// SPDX-License-Identifier: LGPL-2.1-or-later
//! A folder and a file of the host that no container may read, write or show.

use crate::common::{Case, Reason};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What stands in every file of it.
const MARK: &str = "canary-of-the-host-5d1c";

/// The folder, with files under the names that spawn looks for.
pub struct Canary {
    dir: PathBuf,
    before: BTreeMap<PathBuf, Look>,
}

/// What a change would show in: size, owner, mode, times of content and inode, and of the last read.
type Look = (u64, u32, u32, i64, i64, i64, i64);

impl Canary {
    /// Makes it in the case's folder, outside of any tree.
    pub fn new(case: &Case) -> Result<Self, Reason> {
        let dir = case.dir().join("canary");
        let _again = std::fs::remove_dir_all(&dir);
        for name in ["log/journal", "share/zoneinfo", "lib", "pts", "host"] {
            std::fs::create_dir_all(dir.join(name))?;
        }
        let files = [
            "canary",
            "passwd",
            "group",
            "machine-id",
            "os-release",
            "lib/os-release",
            "resolv.conf",
            "localtime",
            "file",
            "null",
            "console",
            "share/zoneinfo/UTC",
        ];
        for name in files {
            std::fs::write(dir.join(name), format!("{MARK}\n"))?;
        }
        let mut canary = Self { dir, before: BTreeMap::new() };
        // A read is recorded only where the last one is older than the last change (mount(8), relatime).
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        for path in canary.paths() {
            if path.is_file() {
                std::fs::File::options()
                    .write(true)
                    .open(&path)?
                    .set_times(std::fs::FileTimes::new().set_accessed(old))?;
            }
        }
        canary.before = canary.look();
        Ok(canary)
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// One file of it.
    pub fn file(&self) -> PathBuf {
        self.dir.join("canary")
    }

    /// Whether what a container printed holds something of it.
    pub fn shows_in(&self, text: &str) -> bool {
        text.contains(MARK)
    }

    /// Panics when something of it was read, written, made or removed.
    #[track_caller]
    pub fn assert_untouched(&self) {
        assert_eq!(self.look(), self.before, "the host's files were touched");
    }

    fn paths(&self) -> Vec<PathBuf> {
        let mut found = vec![self.dir.clone()];
        let mut at = 0;
        while at < found.len() {
            // Listing a folder changes the time of its last read: those of files count only.
            let entries = std::fs::read_dir(&found[at]).into_iter().flatten().flatten();
            let entries: Vec<PathBuf> = entries.map(|e| e.path()).collect();
            found.extend(entries);
            at += 1;
        }
        found
    }

    fn look(&self) -> BTreeMap<PathBuf, Look> {
        let look = |path: PathBuf| {
            let m = path.symlink_metadata().expect("it was just listed");
            let read = if m.is_dir() { 0 } else { m.atime() };
            (path, (m.size(), m.uid(), m.mode(), m.mtime(), m.mtime_nsec(), m.ctime(), read))
        };
        self.paths().into_iter().map(look).collect()
    }
}
