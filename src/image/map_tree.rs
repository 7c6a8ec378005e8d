// SPDX-License-Identifier: LGPL-2.1-or-later
//! Which parts of a tree have owners that cannot be mapped.

use super::idmap::{IdMap, MapNamespace, MountsBelow};
use crate::error::{Code, Diagnostic, Result, describe_errno, ran_out};
use crate::model::UidRange;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Most mounts that are named in one message.
const NAMED_MAX: usize = 5;

/// The map of a trial, and its copy of the tree, for who needs the same next: making them takes as long as many a step.
#[derive(Debug)]
pub struct TriedMap {
    lines: IdMap,
    namespace: MapNamespace,
}

impl TriedMap {
    /// What was made, if it is for these lines.
    pub fn of(self, lines: &IdMap) -> Option<MapNamespace> {
        (self.lines == *lines).then_some(self.namespace)
    }
}

/// What a trial has shown.
#[derive(Debug)]
pub enum Trial {
    /// The owners can be mapped.
    Mapped(TriedMap),
    /// They cannot: in words, the mounts that the tree consists of and whose owners cannot be mapped.
    Unmappable(Vec<String>),
}

impl Trial {
    /// The words; none where all can be mapped.
    pub fn unmappable(self) -> Vec<String> {
        match self {
            Self::Mapped(_) => Vec::new(),
            Self::Unmappable(mounts) => mounts,
        }
    }
}

/// Tries on a copy whether the owners of a tree can be mapped. `below` says whether the mounts below the tree are part
/// of it, `likely` which range will be asked for later: any would do here.
///
/// # Errors
/// It could not be tried for want of descriptors, memory or processes.
pub fn try_map(tree: BorrowedFd<'_>, below: MountsBelow, likely: Option<UidRange>) -> Result<Trial> {
    let lines = IdMap::of_range(likely.unwrap_or(UidRange { base: 1 << 19, size: UidRange::USUAL_SIZE }));
    let map = match MapNamespace::new(&lines) {
        Ok(map) => map,
        Err(d) if d.ran_out() => return Err(d),
        Err(d) => return Ok(Trial::Unmappable(vec![d.headline()])),
    };
    let errno = match map.clone_mapped(tree, below) {
        Ok(copy) => {
            return Ok(Trial::Mapped(TriedMap { lines, namespace: map.with_tried(copy, below) }));
        }
        Err(errno) if ran_out(errno) => {
            let what = "cannot find out whether the owners of the tree can be mapped";
            return Err(Diagnostic::new(Code::Prepare, what).errno(errno));
        }
        Err(errno) => errno,
    };
    let unmapped = unmappable(&map, tree);
    let named = unmapped.iter().take(NAMED_MAX).map(|(path, kind, e)| {
        let why = if *e == Errno::PERM { "are mapped already, or are not ours" } else { "cannot be mapped" };
        format!("the owners on {} ({}) {why}", path.display(), kind.display())
    });
    let named: Vec<String> = named.collect();
    Ok(Trial::Unmappable(match named.is_empty() {
        true => vec![format!("the owners cannot be mapped: {}", describe_errno(errno.raw_os_error()))],
        false => named,
    }))
}

/// The mounts that the tree consists of and that cannot be mapped: where, the type of the file system, why.
fn unmappable(map: &MapNamespace, tree: BorrowedFd<'_>) -> Vec<(PathBuf, OsString, Errno)> {
    let (Ok(top), Ok(table)) = (
        std::fs::read_link(format!("/proc/self/fd/{}", tree.as_raw_fd())),
        std::fs::read("/proc/thread-self/mountinfo"),
    ) else {
        return Vec::new();
    };
    let mounts = table.split(|&b| b == b'\n').filter_map(mount_point_and_type);
    let (below, above): (Vec<_>, Vec<_>) = mounts.partition(|(point, _)| point.starts_with(&top) && *point != top);
    // The tree itself is on the last mounted of the deepest mounts that lead to it.
    let above =
        above.into_iter().filter(|(point, _)| top.starts_with(point)).max_by_key(|(point, _)| point.as_os_str().len());
    let own = above.map(|(_, kind)| (top, kind));
    let tried = own.into_iter().chain(below).filter_map(|(point, kind)| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let mount = rustix::fs::open(&point, flags, Mode::empty()).ok()?;
        let errno = map.clone_mapped(mount.as_fd(), MountsBelow::LeftOut).err()?;
        Some((point, kind, errno))
    });
    tried.collect()
}

/// Mount point and type of the file system in a line of proc_pid_mountinfo(5).
pub fn mount_point_and_type(line: &[u8]) -> Option<(PathBuf, OsString)> {
    let mut fields = line.split(|&b| b == b' ').skip(4);
    let point = unescape(fields.next()?);
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some((OsString::from_vec(point).into(), std::ffi::OsStr::from_bytes(kind).into()))
}

/// Turns the octal escapes of blanks and backslashes back.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, more @ ..] = rest {
        rest = more;
        match (first, more) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', behind @ ..]) => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = behind;
            }
            _ => plain.push(*first),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::{TempDir, is_root};
    use crate::image::{Crossing, ImageRoot};
    use nix::sched::{CloneFlags, unshare};
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

    #[test]
    fn lines_of_the_mount_table() {
        let line = b"36 35 98:0 /mnt1 /mnt\\040a\\134 rw,noatime shared:1 master:2 - ext3 /dev/root rw";
        assert_eq!(mount_point_and_type(line), Some(("/mnt a\\".into(), "ext3".into())));
        assert_eq!(mount_point_and_type(b""), None);
        assert_eq!(unescape(b"\\9\\04"), b"\\9\\04");
    }

    #[test]
    fn a_mount_that_cannot_be_mapped_is_named() {
        if !is_root("image::map_tree a_mount_that_cannot_be_mapped_is_named") {
            return;
        }
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let dir = TempDir::new();
        let names = ["with blank", "fine", "bad"].map(|name| dir.path().join(name));
        names.iter().for_each(|name| std::fs::create_dir(name).unwrap());
        mount("none", &names[0], "ramfs", MountFlags::empty(), None).unwrap();
        mount("none", &names[1], "tmpfs", MountFlags::empty(), None).unwrap();
        let tree = ImageRoot::open(dir.path(), Crossing::Allowed).unwrap();

        let try_map = |below| try_map(tree.as_fd(), below, None).unwrap().unmappable();
        let named = try_map(MountsBelow::Mapped);
        let shown = format!("the owners on {} (ramfs) cannot be mapped", names[0].display());
        assert_eq!(named, [shown]);
        assert_eq!(try_map(MountsBelow::LeftOut), [""; 0]);

        rustix::mount::unmount(&names[0], rustix::mount::UnmountFlags::DETACH).unwrap();
        assert_eq!(try_map(MountsBelow::Mapped), [""; 0]);
        rustix::mount::unmount(&names[1], rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}
