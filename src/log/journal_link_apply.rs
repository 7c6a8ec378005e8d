// SPDX-License-Identifier: LGPL-2.1-or-later
//! Carries out a [`LinkPlan`], and takes it back when the start fails.

mod undo;

pub use undo::LinkUndo;

use super::journal_link::{Existing, HostEntry, JOURNAL_DIRECTORY, LinkPlan};
use crate::error::{Code, Diagnostic, Result};
use crate::model::Id128;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, Uid};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Who owns what is made in the tree: its root user, as written to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id on disk.
    pub uid: u32,
    /// Group id on disk.
    pub gid: u32,
}

/// What is left to do for the caller.
#[derive(Debug)]
pub enum Applied {
    /// Nothing.
    Done,
    /// Mount `source`, a directory of the host, over `target`, a path in the tree.
    Bind {
        /// The host's directory.
        source: OwnedFd,
        /// Absolute, in the machine.
        target: PathBuf,
    },
}

/// The directory of the host's journals.
#[derive(Debug)]
pub struct HostJournal {
    dir: OwnedFd,
    path: PathBuf,
}

impl HostJournal {
    /// Opens it, usually at [`JOURNAL_DIRECTORY`]; `None` when there is none: the host keeps no persistent journal.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(dir) => Ok(Some(Self { dir, path: path.to_owned() })),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(failed("open", path, e)),
        }
    }
}

/// Looks at the entry of `id` there.
pub fn observe(journal: Option<&HostJournal>, id: Id128) -> Result<HostEntry> {
    let Some(HostJournal { dir: journal, path }) = journal else { return Ok(HostEntry::NoJournal) };
    let name = id.plain();
    let place = path.join(&name);
    let stat = match statx(journal, &name) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(HostEntry::Absent),
        Err(e) => return Err(failed("look at", &place, e)),
    };
    if stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(HostEntry::MountPoint);
    }
    match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::Directory => {
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let dir = rustix::fs::openat(journal, &name, flags, Mode::empty()).and_then(Dir::new);
            let dir = dir.map_err(|e| failed("open", &place, e))?;
            let mut names = dir.filter_map(|e| e.ok()).filter(|e| !matches!(e.file_name().to_bytes(), b"." | b".."));
            Ok(if names.next().is_none() { HostEntry::EmptyDirectory } else { HostEntry::Directory })
        }
        FileType::Symlink => {
            let target = read_link(journal, &name).map_err(|e| failed("read the link", &place, e))?;
            let there = rustix::fs::openat(journal, &name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
            Ok(if there.is_ok() { HostEntry::Link(target) } else { HostEntry::DeadLink(target) })
        }
        _ => Ok(HostEntry::Other),
    }
}

/// Does what the plan says. `tree` is the root of the tree without an id map and its path, none where the machine's
/// /var is not the tree's. Everything done is pushed on `undo` at once, so that it can be taken back after an error too.
pub fn apply(
    plan: &LinkPlan,
    HostJournal { dir: journal, path: journal_path }: &HostJournal,
    tree: Option<(BorrowedFd<'_>, &Path)>,
    owner: Owner,
    undo: &mut Vec<LinkUndo>,
) -> Result<Applied> {
    if let (LinkPlan::Guest { id, .. } | LinkPlan::Host { id, .. }, Some((tree, tree_path))) = (plan, tree) {
        make_in_tree(*id, tree, tree_path, owner, undo)?;
    }
    match plan {
        LinkPlan::Nothing | LinkPlan::Skip(_) => Ok(Applied::Done),
        LinkPlan::Guest { id, target, existing } => {
            if *existing == Existing::Replaceable {
                clear((journal, journal_path), *id, undo)?;
            }
            if *existing != Existing::Wanted {
                let path = journal_path.join(id.plain());
                rustix::fs::symlinkat(target, journal, id.plain()).map_err(|e| failed("make the link", &path, e))?;
                undo.push(LinkUndo::RemoveLink { path, target: target.clone() });
            }
            Ok(Applied::Done)
        }
        LinkPlan::Host { id, existing } => {
            let place = journal_path.join(id.plain());
            if *existing == Existing::Nothing {
                rustix::fs::mkdirat(journal, id.plain(), Mode::from_raw_mode(0o755))
                    .map_err(|e| failed("make", &place, e))?;
                undo.push(LinkUndo::RemoveDirectory { root: journal_path.clone(), below: id.plain().into() });
            }
            let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let source =
                rustix::fs::openat(journal, id.plain(), flags, Mode::empty()).map_err(|e| failed("open", &place, e))?;
            Ok(Applied::Bind { source, target: Path::new(JOURNAL_DIRECTORY).join(id.plain()) })
        }
    }
}

/// Makes `/var/log/journal/ID` in the tree. A link on the way is refused: on the host it would lead somewhere else.
fn make_in_tree(
    id: Id128,
    tree: BorrowedFd<'_>,
    tree_path: &Path,
    owner: Owner,
    undo: &mut Vec<LinkUndo>,
) -> Result<()> {
    let name = id.plain();
    let mut below = PathBuf::new();
    let mut here: Option<OwnedFd> = None;
    for part in ["var", "log", "journal", &name] {
        below.push(part);
        let parent = here.as_ref().map_or(tree, |fd| fd.as_fd());
        let shown = tree_path.join(&below);
        let made = match rustix::fs::mkdirat(parent, part, Mode::from_raw_mode(0o755)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(e) => return Err(failed("make", &shown, e)),
        };
        if made {
            undo.push(LinkUndo::RemoveDirectory { root: tree_path.to_owned(), below: below.clone() });
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat2(parent, part, flags, Mode::empty(), resolve).map_err(|e| match e {
            Errno::LOOP | Errno::NOTDIR => Diagnostic::new(
                Code::ImageObject,
                format!("cannot link the journal: in the tree {} is not a directory", shown.display()),
            ),
            e => failed("open", &shown, e),
        })?;
        if made {
            let (uid, gid) = (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)));
            rustix::fs::chownat(&fd, "", uid, gid, AtFlags::EMPTY_PATH)
                .map_err(|e| failed("change the owner of", &shown, e))?;
        }
        here = Some(fd);
    }
    let mounted = here.is_some_and(|fd| {
        rustix::fs::statx(&fd, "", AtFlags::EMPTY_PATH, StatxFlags::MODE)
            .is_ok_and(|s| s.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    });
    match mounted {
        true => Err(Diagnostic::new(
            Code::JournalLink,
            format!("cannot link the journal: something is mounted at {}", tree_path.join(below).display()),
        )),
        false => Ok(()),
    }
}

/// Removes a link to a tree that is gone, or an empty directory.
fn clear((journal, journal_path): (&OwnedFd, &Path), id: Id128, undo: &mut Vec<LinkUndo>) -> Result<()> {
    let name = id.plain();
    let path = journal_path.join(&name);
    let removing = |e| failed("remove", &path, e);
    match read_link(journal, &name) {
        Ok(target) => {
            rustix::fs::unlinkat(journal, &name, AtFlags::empty()).map_err(removing)?;
            undo.push(LinkUndo::RestoreLink { path: path.clone(), target });
        }
        Err(_) => {
            let stat = statx(journal, &name).map_err(removing)?;
            rustix::fs::unlinkat(journal, &name, AtFlags::REMOVEDIR).map_err(removing)?;
            let (mode, uid, gid) = (u32::from(stat.stx_mode) & 0o7777, stat.stx_uid, stat.stx_gid);
            undo.push(LinkUndo::RestoreDirectory { path: path.clone(), mode, uid, gid });
        }
    }
    Ok(())
}

fn statx(dir: &OwnedFd, name: &str) -> rustix::io::Result<rustix::fs::Statx> {
    rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)
}

fn read_link(dir: impl AsFd, path: impl rustix::path::Arg) -> rustix::io::Result<PathBuf> {
    let target = rustix::fs::readlinkat(dir, path, Vec::new())?;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes())))
}

fn failed(doing: &str, path: &Path, errno: Errno) -> Diagnostic {
    Diagnostic::new(Code::JournalLink, format!("cannot link the journal: cannot {doing} {}", path.display()))
        .errno(errno)
}

#[cfg(test)]
mod tests;
