// SPDX-License-Identifier: LGPL-2.1-or-later
//! Somebody who writes to the tree swaps paths during starts: a directory becomes a link to the host and back, faster
//! than a start takes.

use super::attack;
use super::canary::Canary;
use super::images::{judge, start};
use crate::common::{Case, Outcome, Reason, fail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Starts in total; `SPAWN_SWAPS` says another number.
const STARTS: usize = 120;

/// What is swapped, and the options that make a start use it.
const SWAPPED: [(&str, &[&str]); 6] = [
    ("etc", &["--resolv-conf=copy-host", "--timezone=auto", "--user=nobody"]),
    ("dev", &[]),
    ("run", &["--set-credential=c:x"]),
    ("var", &["--link-journal=try-guest", "--tmpfs=/var/new/place"]),
    ("parent", &["--tmpfs=/parent/new", "--inaccessible=/parent/covered", "--bind-ro=/proc/self/mounts:/parent/file"]),
    ("source", &["--bind=+/source:/opened"]),
];

/// Swaps until it is dropped.
struct Swapper {
    stop: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Swapper {
    fn start(tree: &Path, name: &str, canary: &Canary) -> Result<Self, Reason> {
        let (real, link) = (tree.join(name), tree.join(format!("{name}.link")));
        std::fs::create_dir_all(real.join("covered"))?;
        std::os::unix::fs::symlink(canary.dir(), &link)?;
        let (stop, swaps) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&swaps));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if renameat_with(CWD, &real, CWD, &link, RenameFlags::EXCHANGE).is_ok() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Self { stop, swaps, thread: Some(thread) })
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || std::thread::panicking());
    }
}

/// A canary on the host is never read, written or shown.
pub fn d50_swapped_paths_never_lead_to_the_host(case: &mut Case) -> Outcome {
    let canary = Canary::new(case)?;
    let good = attack::tree(case)?;
    let starts = std::env::var("SPAWN_SWAPS").ok().and_then(|n| n.parse().ok()).unwrap_or(STARTS);
    let (mut wrong, mut started) = (Vec::new(), 0);
    for (name, options) in SWAPPED {
        let tree = case.dir().join(format!("hostile-{name}"));
        crate::common::tree::copy(&good, &tree);
        let swapper = Swapper::start(&tree, name, &canary)?;
        for n in 0..starts / SWAPPED.len() {
            let mode: &[&str] = if n % 2 == 0 { &[] } else { &["--private-users=no"] };
            let output = start(case, &tree, options, mode, n % 3 == 2)?;
            started += usize::from(output.status.success());
            if let Err(why) = judge(&canary, &output) {
                wrong.push(format!("{name} {mode:?}: {why}\n{output}"));
            }
        }
        assert!(swapper.swaps.load(Ordering::Relaxed) > 1000, "{name} was hardly swapped");
    }
    canary.assert_untouched();
    // Who swaps may make a start fail, but not all of them: otherwise nothing was tried.
    assert!(started * 4 > starts, "{started} of {starts} started");
    if wrong.is_empty() { Ok(()) } else { fail(wrong.join("\n")) }
}
