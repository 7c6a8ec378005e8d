// SPDX-License-Identifier: LGPL-2.1-or-later
//! One running test case: its folder and the programs that it starts.

use super::{Program, tree};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs};

/// How a case ends. A panic (`assert_eq!` and friends) is a failure too.
pub type Outcome = Result<(), Reason>;

/// Why a case did not pass.
#[derive(Debug)]
pub enum Reason {
    /// It cannot run here. The text says what is missing.
    Skip(String),
    Fail(String),
}

/// Ends a case that cannot run here.
pub fn skip<T>(why: impl fmt::Display) -> Result<T, Reason> {
    Err(Reason::Skip(why.to_string()))
}

pub fn fail<T>(why: impl fmt::Display) -> Result<T, Reason> {
    Err(Reason::Fail(why.to_string()))
}

impl<E: Error> From<E> for Reason {
    fn from(error: E) -> Self {
        Reason::Fail(error.to_string())
    }
}

/// Handed to each case.
pub struct Case {
    pub name: String,
    dir: PathBuf,
}

impl Case {
    pub(super) fn new(name: &str, dir: PathBuf) -> Self {
        Case { name: name.to_owned(), dir }
    }

    /// An empty folder on a disk (not on tmpfs) that is removed after the case.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A busybox container tree named `name` in the case's folder.
    pub fn busybox_tree(&self, name: &str) -> Result<PathBuf, Reason> {
        let tree = self.dir.join(name);
        tree::make_busybox(&tree)?;
        Ok(tree)
    }

    /// The program under test: `SPAWN_BIN`, or the one that cargo has built.
    pub fn spawn_path() -> PathBuf {
        env::var_os("SPAWN_BIN").map_or_else(|| env!("CARGO_BIN_EXE_spawn").into(), PathBuf::from)
    }

    /// The program under test, under its own name.
    pub fn spawn(&self) -> Program {
        Program::new(Self::spawn_path())
    }

    /// The program under test, called `systemd-nspawn`.
    pub fn spawn_as_nspawn(&self) -> Result<Program, Reason> {
        let link = self.dir.join("systemd-nspawn");
        if !link.is_symlink() {
            std::os::unix::fs::symlink(Self::spawn_path(), &link)?;
        }
        Ok(Program::new(link))
    }

    /// systemd's own systemd-nspawn.
    pub fn nspawn(&self) -> Result<Program, Reason> {
        let path = Path::new("/usr/bin/systemd-nspawn");
        match fs::metadata(path) {
            Ok(_) => Ok(Program::new(path)),
            Err(error) => skip(format!("{}: {error}", path.display())),
        }
    }

    /// The suite whose nested host this is, as `tests/check` says.
    pub fn suite() -> Result<String, Reason> {
        match env::var("SPAWN_SUITE") {
            Ok(suite) => Ok(suite),
            Err(_) => skip("SPAWN_SUITE does not say which suite this host is"),
        }
    }
}
