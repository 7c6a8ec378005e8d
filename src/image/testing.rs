// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the tests of images and links share.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// True as root; says that and why `test` is skipped otherwise, past the capture of the test harness.
pub(crate) fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped(test, "needs root");
    }
    root
}

/// Says that and why `test` is skipped, past the capture of the test harness.
pub(crate) fn skipped(test: &str, reason: &str) {
    writeln!(std::io::stderr(), "test {test} ... skipped: {reason}").expect("stderr takes a line");
}

/// An empty directory that is gone with the value.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("spawn-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir_all(&self.0);
        if !std::thread::panicking() {
            removed.expect("the test's own directory can be removed");
        }
    }
}
