// SPDX-License-Identifier: LGPL-2.1-or-later
//! How the link between the journals is taken back.

use super::read_link;
use crate::error::{Code, Diagnostic, Result};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// One thing that was done, to be taken back in reverse order when the start fails. After a run all of it stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkUndo {
    /// Remove a link if it still points there.
    RemoveLink {
        /// The link.
        path: PathBuf,
        /// Its target.
        target: PathBuf,
    },
    /// Put back a link that was replaced.
    RestoreLink {
        /// The link.
        path: PathBuf,
        /// Its target.
        target: PathBuf,
    },
    /// Put back an empty directory that was replaced.
    RestoreDirectory {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Remove a directory if it is still empty.
    RemoveDirectory {
        /// The root that `below` is resolved in.
        root: PathBuf,
        /// The directory, relative to `root`.
        below: PathBuf,
    },
}

impl LinkUndo {
    /// Takes it back. What somebody else has changed since is left as it is.
    pub fn run(&self) -> Result<()> {
        let (path, result) = match self {
            Self::RemoveLink { path, target } => {
                let ours = read_link(rustix::fs::CWD, path).is_ok_and(|t| t == *target);
                (path.clone(), if ours { rustix::fs::unlink(path) } else { Ok(()) })
            }
            Self::RestoreLink { path, target } => (path.clone(), rustix::fs::symlink(target, path)),
            Self::RestoreDirectory { path, mode, uid, gid } => {
                let (uid, gid) = (Some(Uid::from_raw(*uid)), Some(Gid::from_raw(*gid)));
                let made = rustix::fs::mkdir(path, Mode::from_raw_mode(0o700))
                    .and_then(|()| rustix::fs::chown(path, uid, gid))
                    .and_then(|()| rustix::fs::chmod(path, Mode::from_raw_mode(*mode)));
                (path.clone(), made)
            }
            Self::RemoveDirectory { root, below } => (root.join(below), remove_empty(root, below)),
        };
        match result {
            Ok(()) | Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOENT) => Ok(()),
            Err(e) => {
                let what = format!("cannot put back {} as it was", path.display());
                Err(Diagnostic::new(Code::ReleaseFailed, what).errno(e))
            }
        }
    }
}

fn remove_empty(root: &Path, below: &Path) -> rustix::io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    let mut dir = rustix::fs::open(root, flags, Mode::empty())?;
    if let Some(parent) = below.parent().filter(|p| *p != Path::new("")) {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        dir = rustix::fs::openat2(&dir, parent, flags, Mode::empty(), resolve)?;
    }
    rustix::fs::unlinkat(&dir, below.file_name().unwrap_or_default(), AtFlags::REMOVEDIR)
}
