// SPDX-License-Identifier: LGPL-2.1-or-later
//! Cleans up after a machine whose supervisor and keeper were killed, from its record.

use super::perform::{kill_cgroup, kill_process, perform_path, wait_readable};
use super::process::ProcessId;
use super::record::{Record, boot_id};
use crate::error::{Code, Diagnostic};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long all of it may wait for things to be gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Releases what the record names, the youngest first. A failure keeps none of the rest from being released.
pub(super) fn recover(record: &Record) -> Vec<Diagnostic> {
    if boot_id().ok().as_ref() != Some(&record.boot_id) {
        // Nothing of it has survived, and its paths may belong to somebody else by now.
        return Vec::new();
    }
    let deadline = Instant::now() + PATIENCE;
    let mut failures = Vec::new();
    // A keeper that is still at work must not go on beside this and the next machine.
    failures.extend(record.keeper.and_then(|keeper| end_keeper(keeper, left(deadline))));
    if let Some(leader) = record.leader
        && let Some(pidfd) = leader.open()
        && let Err(errno) = kill_process(pidfd.as_fd(), left(deadline))
    {
        let what = format!("cannot kill process {}, left over from an earlier start", leader.pid);
        failures.push(Diagnostic::new(Code::ReleaseFailed, what).errno(errno));
    }
    if let Some(group) = &record.group
        && let Some(dir) = group.open()
        && let Err(errno) = kill_cgroup(dir.as_fd(), left(deadline))
    {
        let what = format!("cannot kill the control group {}, left over from an earlier start", group.path.display());
        failures.push(Diagnostic::new(Code::ReleaseFailed, what).errno(errno));
    }
    for release in record.undo.iter().rev() {
        failures.extend(perform_path(release, left(deadline)).err());
    }
    failures
}

/// Waits for a keeper to end by itself and kills it when it does not.
pub(super) fn end_keeper(keeper: ProcessId, patience: Duration) -> Option<Diagnostic> {
    let pidfd = keeper.open()?;
    if wait_readable(pidfd.as_fd(), patience) == Ok(true) {
        return None;
    }
    let killed = kill_process(pidfd.as_fd(), Duration::from_secs(1)).err()?;
    let what = format!("cannot end the keeper of an earlier start, process {}", keeper.pid);
    Some(Diagnostic::new(Code::ReleaseFailed, what).errno(killed))
}

/// The time left, never less than a moment: each release gets a chance.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(50))
}
