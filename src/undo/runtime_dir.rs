// SPDX-License-Identifier: LGPL-2.1-or-later
//! `/run/spawn/NAME/`: the name's lock, the record, the plan, the control socket.

use super::list::Undo;
use super::process::{NO_PROC, ProcessId};
use super::record::{Record, VERSION};
use super::recover::{PATIENCE, end_keeper, recover};
use super::release::{PathRelease, Release};
use crate::error::{Code, Diagnostic, Result};
use crate::sys::ofd_lock::{LockKind, OfdLock};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the directories of all machines are.
pub const BASE: &str = "/run/spawn";

/// How long somebody may hold a name's lock without a record saying who it is.
const MOMENT: Duration = Duration::from_secs(1);
const RECORD: &str = "record";
const PLAN: &str = "plan.json";

/// The runtime directory of one machine (mode 0700), whose name is locked as long as the [`Undo`] that it was claimed
/// with says so.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
    dir: OwnedFd,
}

/// What an earlier machine of the name had left when it was claimed. Its processes, and what its record named, are gone.
#[derive(Debug)]
pub struct Stale {
    /// Its scope unit, which systemd may still have.
    pub scope: Option<String>,
    /// What could not be released.
    pub failures: Vec<Diagnostic>,
}

impl RuntimeDir {
    /// Takes the machine name `name` (a valid one) and makes its directory below `base`, usually [`BASE`]. What a killed
    /// supervisor left under that name is cleaned up first, which takes 5 s at most. Lock and directory are pushed on
    /// `undo`; a first record is written.
    ///
    /// # Errors
    /// [`Code::NameBusy`] when the name is in use, saying by whom; [`Code::Prepare`] when something cannot be made.
    pub fn claim(base: &Path, name: &str, undo: &mut Undo) -> Result<(Self, Option<Stale>)> {
        make_base(base)?;
        let path = base.join(name);
        let lock = take_lock(base, name, &path)?;
        let found = std::fs::symlink_metadata(&path).is_ok().then(|| read_record(&path));
        if let Some(Some(record)) = &found
            && record.supervisor.is_alive()
        {
            // It holds a lock on a file that somebody has removed since.
            return Err(busy(name, Some(record.supervisor)));
        }
        undo.push(Release::Unlock(lock), format!("the lock of the name {name}"))?;
        let stale = found.map(|record| clean_up(&path, record.as_ref()));
        undo.push(PathRelease::RemoveTree(path.clone()), format!("the directory {}", path.display()))?;
        let made = rustix::fs::mkdir(&path, Mode::RWXU);
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = made.and_then(|()| rustix::fs::open(&path, flags, Mode::empty()));
        let dir = opened.map_err(|errno| cannot("make the directory", &path).errno(errno))?;
        let runtime = Self { path, dir };
        let mut record = Record::of_this_process().map_err(|error| {
            cannot("read what tells this process apart in", "/proc".as_ref()).io(&error).help(NO_PROC)
        })?;
        record.keeper = undo.keeper().and_then(|keeper| keeper.process_id());
        record.undo = undo.recordable();
        runtime.write_record(&record)?;
        Ok((runtime, stale))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the record anew, at once or not at all.
    ///
    /// # Errors
    /// [`Code::Prepare`]; the record is then as it was.
    pub fn write_record(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_vec(record).map_err(|error| cannot("write", &self.path).cause(error.to_string()))?;
        self.write(RECORD, &text)
    }

    /// Writes the plan, which must be without secrets.
    ///
    /// # Errors
    /// [`Code::Prepare`].
    pub fn write_plan(&self, json: &str) -> Result<()> {
        self.write(PLAN, json.as_bytes())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let unfinished = format!(".{name}.new");
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let write = || -> rustix::io::Result<()> {
            let file = rustix::fs::openat(&self.dir, &unfinished, flags, Mode::RUSR | Mode::WUSR)?;
            let mut rest = bytes;
            while !rest.is_empty() {
                let written = rustix::io::retry_on_intr(|| rustix::io::write(&file, rest))?;
                rest = &rest[written..];
            }
            rustix::fs::renameat(&self.dir, &unfinished, &self.dir, name)
        };
        write().map_err(|errno| cannot("write", &self.path.join(name)).errno(errno))
    }
}

fn make_base(base: &Path) -> Result<()> {
    let mode = Mode::from_raw_mode(0o755);
    match rustix::fs::mkdir(base, mode) {
        // Whatever umask(2) says: everybody may see which machines there are, and nothing more.
        Ok(()) => rustix::fs::chmod(base, mode).map_err(|errno| cannot("set the mode of", base).errno(errno))?,
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(cannot("make the directory", base).errno(errno)),
    }
    let is = rustix::fs::lstat(base).map_err(|errno| cannot("look at", base).errno(errno))?;
    let ours = rustix::fs::FileType::from_raw_mode(is.st_mode).is_dir()
        && is.st_uid == rustix::process::geteuid().as_raw()
        && is.st_mode & 0o022 == 0;
    if ours {
        return Ok(());
    }
    Err(cannot("use", base)
        .cause("it is not a directory of this user that nobody else can write to")
        .help(format!("remove {}", base.display())))
}

/// Takes the lock of the name. It lies beside the directory, under a name that no machine has, and stays.
fn take_lock(base: &Path, name: &str, dir: &Path) -> Result<OfdLock> {
    let path = base.join(format!(".{name}.lock"));
    let start = Instant::now();
    let mut seen = start;
    let mut keeper_was_ended = false;
    loop {
        match OfdLock::try_at(&path, LockKind::Exclusive) {
            Err(Errno::AGAIN) => {}
            other => return other.map_err(|errno| cannot("lock", &path).errno(errno)),
        }
        let record = read_record(dir);
        if record.is_some() {
            seen = Instant::now();
        }
        match &record {
            // Either its first record is about to be written, or its last things have been removed.
            None if seen.elapsed() < MOMENT => {}
            // The supervisor was killed and its keeper is still at work: it has 2 s for each thing that hangs.
            Some(record) if !record.supervisor.is_alive() && start.elapsed() < PATIENCE => {}
            Some(Record { keeper: Some(keeper), supervisor, .. }) if !supervisor.is_alive() && !keeper_was_ended => {
                keeper_was_ended = true;
                if let Some(failure) = end_keeper(*keeper, Duration::ZERO) {
                    return Err(failure);
                }
            }
            _ => return Err(busy(name, record.map(|record| record.supervisor))),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn busy(name: &str, holder: Option<ProcessId>) -> Diagnostic {
    let cause = match holder {
        Some(process) => {
            let command = process.command().unwrap_or_else(|| "ended meanwhile".into());
            format!("process {} ({command}) runs it", process.pid)
        }
        None => "another process is just starting it, or cleaning up after it".into(),
    };
    Diagnostic::new(Code::NameBusy, format!("the machine name {name} is in use"))
        .cause(cause)
        .help("choose another name with --machine=, or stop that machine")
}

/// The record in `dir`, when there is one that this version can read.
fn read_record(dir: &Path) -> Option<Record> {
    let record: Record = serde_json::from_slice(&std::fs::read(dir.join(RECORD)).ok()?).ok()?;
    (record.version == VERSION).then_some(record)
}

/// The links that are lent to machines with a directory below `base`: the link's name on the host, the machine's name.
pub fn lent_links(base: &Path) -> Vec<(String, String)> {
    let machines = std::fs::read_dir(base).into_iter().flatten().flatten();
    let lent = |release: PathRelease, machine: &str| match release {
        PathRelease::ReturnLink { name, .. } => Some((name, machine.to_string())),
        _ => None,
    };
    machines
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, read_record(&entry.path())?)))
        .flat_map(|(machine, record)| record.undo.into_iter().filter_map(move |release| lent(release, &machine)))
        .collect()
}

fn clean_up(dir: &Path, record: Option<&Record>) -> Stale {
    let mut failures = match record {
        Some(record) => recover(record),
        // Killed before it had written anything, so before it had anything else.
        None if rustix::fs::rmdir(dir).is_ok() => Vec::new(),
        None => {
            let what = format!("an earlier start left {} without a record that can be read", dir.display());
            vec![Diagnostic::new(Code::ReleaseFailed, what).help("look for its processes, mounts and links yourself")]
        }
    };
    let rest = PathRelease::RemoveTree(dir.into());
    failures.extend(super::perform::perform_path(&rest, Duration::ZERO).err());
    Stale { scope: record.and_then(|record| record.scope.clone()), failures }
}

fn cannot(verb: &str, path: &Path) -> Diagnostic {
    Diagnostic::new(Code::Prepare, format!("cannot {verb} {}", path.display()))
}
