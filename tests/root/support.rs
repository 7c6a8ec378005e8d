// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the topics share: a tree with the probe in it, and the facts that a payload reports.

use crate::common::{Case, Output, Program, Reason, skip};
use std::collections::BTreeMap;
use std::ops::Index;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

const PROBE: &str = include_str!("../probe/probe.c");

/// The name under which the program is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Spawn,
    Nspawn,
}

pub const BOTH: [Name; 2] = [Name::Spawn, Name::Nspawn];

/// The status of a start that fails.
pub fn failure(name: Name) -> i32 {
    if name == Name::Spawn { 125 } else { 1 }
}

/// A busybox tree of the case and ways to run spawn on it.
pub struct Tree {
    pub path: PathBuf,
}

impl Tree {
    pub fn new(case: &Case) -> Result<Self, Reason> {
        // Other users of the host cannot reach it: that is worth a warning on every start.
        std::fs::set_permissions(case.dir(), PermissionsExt::from_mode(0o700))?;
        Ok(Tree { path: case.busybox_tree("tree")? })
    }

    /// With the probe as `/probe`.
    pub fn with_probe(case: &Case) -> Result<Self, Reason> {
        let tree = Tree::new(case)?;
        compile_probe(case, &tree.path.join("probe"))?;
        Ok(tree)
    }

    /// `spawn -D TREE OPTIONS…`, words follow with `args`.
    pub fn spawn(&self, case: &Case, options: &[&str]) -> Program {
        case.spawn().arg("-D").arg(&self.path).args(options)
    }

    /// The same under one of the two names.
    pub fn called(&self, case: &Case, name: Name, options: &[&str]) -> Result<Program, Reason> {
        let program = match name {
            Name::Spawn => case.spawn(),
            Name::Nspawn => case.spawn_as_nspawn()?,
        };
        Ok(program.arg("-D").arg(&self.path).args(options))
    }

    /// What `/probe` reports when it is run with these options.
    pub fn probe(&self, case: &Case, options: &[&str]) -> Facts {
        Facts::of(&self.spawn(case, options).arg("/probe").run().expect_code(0).stdout)
    }

    /// What a shell script prints when it is run with these options.
    pub fn script(&self, case: &Case, options: &[&str], script: &str) -> String {
        self.spawn(case, options).args(["/bin/sh", "-c", script]).run().expect_code(0).stdout
    }

    pub fn write(&self, path: &str, text: &str) -> Result<(), Reason> {
        Ok(std::fs::write(self.path.join(path), text)?)
    }

    pub fn read(&self, path: &str) -> Result<String, Reason> {
        Ok(std::fs::read_to_string(self.path.join(path))?)
    }
}

/// Builds the probe at `path`.
pub fn compile_probe(case: &Case, path: &Path) -> Result<(), Reason> {
    let source = case.dir().join("probe.c");
    std::fs::write(&source, PROBE)?;
    let made = Program::new("cc").args(["-static", "-O1", "-o"]).arg(path).arg(&source).run();
    match made.status.success() {
        true => Ok(()),
        false => skip(format!("no static C program can be built: {}", made.stderr)),
    }
}

/// What a payload has reported, `key=value` by line.
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    pub fn of(text: &str) -> Self {
        Facts(text.lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Those whose key starts so, without that start.
    pub fn below<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(k, v)| Some((k.strip_prefix(start)?, v.as_str())))
    }
}

impl Index<&str> for Facts {
    type Output = str;
    #[track_caller]
    fn index(&self, key: &str) -> &str {
        match self.get(key) {
            Some(value) => value,
            None => panic!("no {key} among {:?}", self.0),
        }
    }
}

/// One line of proc_pid_mountinfo(5).
#[derive(Debug, Clone)]
pub struct MountLine {
    pub point: String,
    /// Of the mount, sorted, without what says nothing (relatime) or differs by where it is (propagation).
    pub flags: String,
    pub kind: String,
    /// Of the file system.
    pub options: String,
}

/// The mounts of a container, by mount point; the last one on a point counts.
pub fn mounts(table: &str) -> BTreeMap<String, MountLine> {
    let line = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let mut flags: Vec<&str> = left.get(5)?.split(',').filter(|f| !matches!(*f, "relatime" | "idmapped")).collect();
        flags.sort_unstable();
        let point = left.get(4)?.to_string();
        Some(MountLine {
            flags: flags.join(","),
            kind: right.first()?.to_string(),
            options: right.get(2).unwrap_or(&"").to_string(),
            point,
        })
    };
    table.lines().filter_map(line).map(|m| (m.point.clone(), m)).collect()
}

/// Waits until `true`; panics after ten seconds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A container in the background that runs until it is dropped.
pub struct Background {
    pub child: Child,
}

impl Background {
    /// Starts the program and waits until its payload has made the file.
    #[track_caller]
    pub fn start(program: &Program, ready: &Path) -> Self {
        let child = program.start();
        let it = Background { child };
        eventually(&format!("{} appears", ready.display()), || ready.exists());
        it
    }

    /// The container's first process, as the host sees it: the payload of this supervisor.
    #[track_caller]
    pub fn leader(&self) -> i32 {
        let path = format!("/proc/{0}/task/{0}/children", self.child.id());
        let children = std::fs::read_to_string(&path).unwrap_or_default();
        let in_own_pid_namespace = |pid: &i32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|l| l.starts_with("NSpid:") && l.split_whitespace().last() == Some("1"))
        };
        let found = children.split_whitespace().filter_map(|p| p.parse().ok()).find(in_own_pid_namespace);
        found.unwrap_or_else(|| panic!("no first process among {children:?}"))
    }

    pub fn signal(&self, signal: rustix::process::Signal) -> Result<(), Reason> {
        Ok(rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)?)
    }

    /// Its exit status within ten seconds.
    #[track_caller]
    pub fn wait(mut self) -> Option<i32> {
        crate::common::pty::wait(&mut self.child, Duration::from_secs(10)).code()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Without a kill signal the container ends at once; gone in the meantime is as good.
            let _ = self.signal(rustix::process::Signal::TERM);
            let deadline = Instant::now() + Duration::from_secs(10);
            while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Words that the program printed on standard error.
#[track_caller]
pub fn assert_says(output: &Output, words: &str) {
    assert!(output.stderr.contains(words), "{words:?} is not in {output}");
}

#[track_caller]
pub fn assert_silent_about(output: &Output, words: &str) {
    assert!(!output.stderr.contains(words) && !output.stdout.contains(words), "{words:?} is in {output}");
}
