// SPDX-License-Identifier: LGPL-2.1-or-later
//! What must not outlive a container besides what [`super::HostState`] shows: processes and locks.

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// From now on processes that lose their parent become ours, as long as we live.
pub fn adopt_orphans() -> std::io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Waits until all processes that we have started or adopted are gone; kills and names those that are not within
/// `patience`.
pub fn processes(patience: Duration) -> Vec<String> {
    let deadline = Instant::now() + patience;
    let mut killed = Vec::new();
    loop {
        let children = children();
        for pid in &children {
            // Only the reaping matters: one that still runs is looked at again.
            let _ = waitpid(Some(*pid), WaitOptions::NOHANG);
        }
        if children.is_empty() {
            return killed;
        }
        if Instant::now() >= deadline {
            for pid in children {
                let number = pid.as_raw_nonzero();
                let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
                killed.push(format!("process {number} ({})", name.trim()));
                // Gone in the meantime is as good.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        if Instant::now() >= deadline + Duration::from_secs(5) {
            return killed;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn children() -> Vec<Pid> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect::<Vec<_>>())
        .collect()
}

/// The lock files of machine names and trees that somebody has locked. `tree` has its lock file beside it.
pub fn locks(tree: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> = ["/run/spawn", "/run/systemd/nspawn/locks"]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()))
        .filter(|path| path.is_file())
        .collect();
    if let (Some(folder), Some(name)) = (tree.parent(), tree.file_name()) {
        files.push(folder.join(format!(".#{}.lck", name.to_string_lossy())));
    }
    files.into_iter().filter(|file| is_locked(file)).map(|file| format!("lock {}", file.display())).collect()
}

fn is_locked(path: &Path) -> bool {
    // A file that is not there (any more) is not locked.
    let Ok(file) = fs::OpenOptions::new().read(true).write(true).open(path) else { return false };
    let whole =
        libc::flock { l_type: libc::F_WRLCK as _, l_whence: libc::SEEK_SET as _, l_start: 0, l_len: 0, l_pid: 0 };
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_OFD_SETLK(&whole)).is_err()
}
