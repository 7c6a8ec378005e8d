// SPDX-License-Identifier: LGPL-2.1-or-later
//! Which cgroup2 hierarchy is mounted where, and our own place in it.

use super::Group;
use crate::error::{Code, Diagnostic, Result};
use crate::sys::small_file;
use crate::sys::statmount::mount_root;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// What lies at `/sys/fs/cgroup`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// cgroup2 itself.
    Unified,
    /// cgroup2 is elsewhere, beside or without version 1 hierarchies; controllers may be missing from it.
    Hybrid,
}

/// The mounted cgroup2 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Which group of the hierarchy, as our cgroup namespace names it, is visible at the mount point.
    pub root: PathBuf,
    /// What lies at `/sys/fs/cgroup`.
    pub layout: Layout,
}

/// `statfs(2)` type of cgroup2 (`linux/magic.h`).
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

impl Hierarchy {
    /// Looks at the usual place, and where that is none reads `/proc/self/mountinfo`. `None` when no cgroup2 is mounted.
    pub fn find() -> Result<Option<Self>> {
        match Self::at_usual_place() {
            Some(found) => Ok(Some(found)),
            None => Ok(Self::find_in(&read("/proc/self/mountinfo")?)),
        }
    }

    /// The list of all mounts takes long to read where there are many.
    fn at_usual_place() -> Option<Self> {
        let mount_point = PathBuf::from("/sys/fs/cgroup");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&mount_point, flags, Mode::empty()).ok()?;
        let is_cgroup2 = rustix::fs::fstatfs(&directory).ok()?.f_type as u64 == CGROUP2_SUPER_MAGIC;
        let root = is_cgroup2.then(|| mount_root(&directory).ok()).flatten()?;
        Some(Self { mount_point, root: PathBuf::from(OsString::from_vec(root)), layout: Layout::Unified })
    }

    /// The usual mount points first, then any other (proc_pid_mountinfo(5)).
    pub fn find_in(mountinfo: &[u8]) -> Option<Self> {
        let mut found: Vec<Self> = mountinfo.split(|b| *b == b'\n').filter_map(parse_line).collect();
        let rank = |h: &Self| match h.mount_point.to_str() {
            Some("/sys/fs/cgroup") => 0,
            Some("/sys/fs/cgroup/unified") => 1,
            _ => 2,
        };
        // Of several mounts at one place the last line is the visible one; the sort is stable.
        found.reverse();
        found.sort_by_key(rank);
        found.into_iter().next()
    }

    /// Whether memory, tasks or IO are counted in this hierarchy: figures that are gone with a group, unlike the CPU time,
    /// which who waits for a process is told as well.
    pub fn counts(&self) -> bool {
        let controllers = small_file::read(self.mount_point.join("cgroup.controllers")).unwrap_or_default();
        let mut names = controllers.split(u8::is_ascii_whitespace);
        names.any(|name| matches!(name, b"memory" | b"pids" | b"io"))
    }

    /// Opens the group that `/proc/PID/cgroup` or systemd's `ControlGroup` names `path` ("/machine.slice/foo.scope").
    pub fn open(&self, path: &Path) -> Result<Group> {
        let failed =
            || Diagnostic::new(Code::CgroupFailed, format!("cannot open the control group {}", path.display()));
        let below = self.relative(path).ok_or_else(|| failed().cause("it is not below the mounted hierarchy"))?;
        let host_path = self.mount_point.join(&below);
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&host_path, flags, Mode::empty()).map_err(|e| failed().errno(e))?;
        let kind = rustix::fs::fstatfs(&fd).map_err(|e| failed().errno(e))?.f_type;
        if kind as u64 != CGROUP2_SUPER_MAGIC {
            return Err(failed().cause(format!("{} is not on cgroup2", host_path.display())));
        }
        Ok(Group::from_parts(fd, path.to_owned()))
    }

    /// The directory of the group that `/proc/PID/cgroup` names `path`. `None` when it is not visible here.
    pub fn directory(&self, path: &Path) -> Option<PathBuf> {
        Some(self.mount_point.join(self.relative(path)?))
    }

    /// Our own group, as `/proc/self/cgroup` names it. `None` when it has no cgroup2 line.
    pub fn own_path() -> Result<Option<PathBuf>> {
        Ok(Self::own_path_in(&read("/proc/self/cgroup")?))
    }

    /// The line of the unified hierarchy is the one that starts with `0::` (cgroups(7)).
    pub fn own_path_in(cgroup: &[u8]) -> Option<PathBuf> {
        let path = cgroup.split(|b| *b == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        Some(PathBuf::from(OsString::from_vec(path.to_vec())))
    }

    /// `path` relative to the mount point. `None` when it lies outside (`/..` in a cgroup namespace).
    pub(super) fn relative(&self, path: &Path) -> Option<PathBuf> {
        let below = path.strip_prefix(&self.root).ok()?;
        below.components().all(|c| matches!(c, Component::Normal(_))).then(|| below.to_owned())
    }
}

fn read(path: &str) -> Result<Vec<u8>> {
    small_file::read(path).map_err(|e| Diagnostic::new(Code::CgroupFailed, format!("cannot read {path}")).io(&e))
}

fn parse_line(line: &[u8]) -> Option<Hierarchy> {
    let mut fields = line.split(|b| *b == b' ');
    let root = unescape(fields.nth(3)?);
    let mount_point = unescape(fields.next()?);
    let kind = fields.skip_while(|f| *f != b"-").nth(1)?;
    let layout = if mount_point == Path::new("/sys/fs/cgroup") { Layout::Unified } else { Layout::Hybrid };
    (kind == b"cgroup2").then_some(Hierarchy { mount_point, root, layout })
}

/// Undoes the kernel's `\ooo` for blanks and backslashes (`seq_path`).
fn unescape(field: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|d| *first == b'\\' && d.iter().all(|b| (b'0'..=b'7').contains(b)));
        match octal {
            Some(d) => {
                out.push(d.iter().fold(0u8, |n, b| (n << 3) | (b - b'0')));
                rest = &tail[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

/// A name that may be a directory entry: not empty, no `/`, not `.` or `..`.
pub(super) fn is_entry_name(name: &std::ffi::OsStr) -> bool {
    !name.is_empty() && !matches!(name.as_bytes(), b"." | b"..") && !name.as_bytes().contains(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UNIFIED: &str = "25 20 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                          36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n\
                          41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 master:1 - cgroup2 cgroup2 rw\n";

    #[test]
    fn finds_the_hierarchy_in_each_layout() {
        let found = |text: &str| Hierarchy::find_in(text.as_bytes()).map(|h| (h.mount_point, h.layout));
        assert_eq!(found(UNIFIED), Some(("/sys/fs/cgroup".into(), Layout::Unified)));
        assert_eq!(found(HYBRID), Some(("/sys/fs/cgroup/unified".into(), Layout::Hybrid)));
        let odd = "9 1 0:1 /a\\040b /mnt/c\\134g rw - cgroup2 none rw\n";
        assert_eq!(found(odd), Some(("/mnt/c\\g".into(), Layout::Hybrid)));
        assert_eq!(found(&format!("{odd}{UNIFIED}")), Some(("/sys/fs/cgroup".into(), Layout::Unified)));
        assert_eq!(found("31 23 0:28 / /cgroup2 rw - tmpfs cgroup2 rw\ngarbage\n\n"), None);
    }

    #[test]
    fn the_short_way_finds_what_the_list_of_mounts_has() {
        let listed = Hierarchy::find_in(&std::fs::read("/proc/self/mountinfo").unwrap());
        assert_eq!(Hierarchy::find().unwrap(), listed);
    }

    #[test]
    fn own_path_and_what_is_below_the_mount() {
        let own = |text: &[u8]| Hierarchy::own_path_in(text);
        assert_eq!(own(b"8:pids:/x\n0::/user.slice/a b\n"), Some("/user.slice/a b".into()));
        assert_eq!(own(b"0::/gone (deleted)\n"), Some("/gone".into()));
        assert_eq!(own(b"8:pids:/x\n"), None);
        let h = Hierarchy { mount_point: "/cg".into(), root: "/sub".into(), layout: Layout::Hybrid };
        assert_eq!(h.relative(Path::new("/sub/x/y")), Some("x/y".into()));
        assert_eq!(h.relative(Path::new("/sub")), Some("".into()));
        assert_eq!(h.relative(Path::new("/other")), None);
        assert_eq!(h.relative(Path::new("/sub/../x")), None);
    }

    proptest! {
        /// Mount points hold whatever somebody called a directory: no panic, and no line of another file system counts.
        #[test]
        fn any_mountinfo(text in "([0-9 /:.-]{0,30}(\\\\[0-9]{0,4}| - cgroup2| - tmpfs|cgroup2 )?[a-z/ ]{0,12}\n?){0,6}") {
            let found = Hierarchy::find_in(text.as_bytes());
            prop_assert!(found.is_none() || text.contains("cgroup2"));
        }

        #[test]
        fn a_mount_point_comes_back(name in proptest::collection::vec(1u8.., 1..40)) {
            let escaped: String = name.iter().map(|b| format!("\\{b:03o}")).collect();
            let line = format!("9 8 0:2 / /{escaped} rw - cgroup2 none rw\n");
            let found = Hierarchy::find_in(line.as_bytes()).map(|h| h.mount_point.into_os_string().into_vec());
            prop_assert_eq!(found, Some([b"/".as_slice(), &name].concat()));
        }

        /// A group's name never leads above the mounted hierarchy.
        #[test]
        fn any_cgroup_file(path in "(/|[.]{1,2}|[a-z]{1,3}){0,8}") {
            let root = Hierarchy { mount_point: "/sys/fs/cgroup".into(), root: "/".into(), layout: Layout::Unified };
            let below = Hierarchy::own_path_in(format!("1:name=x:/y\n0::/{path}\n").as_bytes());
            let below = below.and_then(|p| root.relative(&p));
            prop_assert!(below.is_none_or(|p| p.components().all(|c| matches!(c, Component::Normal(_)))));
        }
    }
}
