// SPDX-License-Identifier: LGPL-2.1-or-later
//! A container that runs in the background of a case.

use super::{Program, Reason, fail};
use rustix::process::{Pid, Signal};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Its output goes to files.
pub struct Background {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Background {
    /// Starts it; `name` tells its files below `dir` apart from others'.
    pub fn start(program: &Program, dir: &Path, name: &str) -> Result<Self, Reason> {
        let (out, err) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.err")));
        let mut command = program.command();
        command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
        Ok(Self { child: command.spawn()?, out, err })
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.err).unwrap_or_default()
    }

    /// Waits until it has printed `text`.
    pub fn expect(&mut self, text: &str, limit: Duration) -> Result<(), Reason> {
        let deadline = Instant::now() + limit;
        while !self.stdout().contains(text) {
            if let Some(status) = self.child.try_wait()? {
                return fail(format!("ended with {status} before it said \"{text}\": {}", self.stderr()));
            }
            if Instant::now() >= deadline {
                return fail(format!("did not say \"{text}\" within {limit:?}: {}", self.stderr()));
            }
            thread::sleep(Duration::from_millis(3));
        }
        Ok(())
    }

    pub fn signal(&self, signal: Signal) -> Result<(), Reason> {
        Ok(rustix::process::kill_process(self.pid(), signal)?)
    }

    /// Waits for its end; kills it and fails when that takes longer.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus, Reason> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                self.child.kill()?;
                self.child.wait()?;
                return fail(format!("did not end within {limit:?}: {}", self.stderr()));
            }
            thread::sleep(Duration::from_millis(3));
        }
    }

    /// The children of it that have this name.
    pub fn children(&self, name: &str) -> Vec<Pid> {
        let pid = self.pid().as_raw_nonzero();
        let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let pids = list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
        pids.filter(|pid| {
            let comm = fs::read_to_string(format!("/proc/{}/comm", pid.as_raw_nonzero())).unwrap_or_default();
            comm.trim() == name
        })
        .collect()
    }

    /// The same, once there are `count`: the kernel's list leaves some out while others end (proc_tid_children(5)).
    pub fn await_children(&self, name: &str, count: usize) -> Vec<Pid> {
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            let children = self.children(name);
            if children.len() == count || Instant::now() >= deadline {
                return children;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid().as_raw_nonzero())).map_or(0, Iterator::count)
    }
}
