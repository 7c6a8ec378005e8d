// SPDX-License-Identifier: LGPL-2.1-or-later
//! What host and container share below `/run/systemd/nspawn`, where systemd's own tools look for it.

use crate::error::{Code, Diagnostic, Result};
use crate::log::{self, Logger, MessageId};
use crate::model::UidRange;
use crate::plan::{Action, Plan, Shared, Source};
use crate::prepare::SharedDirectory;
use crate::undo::{PathRelease, Undo};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags};
use std::path::{Path, PathBuf};

/// Where systemd-machined, ssh-proxy and systemd-nspawn expect it (systemd's nspawn.c and machine-dbus.c).
const BASE: &str = "/run/systemd/nspawn";
/// Names below [`BASE`] that are no machine's.
const RESERVED: [&str; 3] = ["locks", "propagate", "unix-export"];

/// Makes what the plan shares. What cannot be made is told and left out, as it is optional by design.
pub fn make(plan: &Plan, range: Option<UidRange>, log: &Logger, undo: &mut Undo) -> Vec<SharedDirectory> {
    let mut made = Vec::new();
    for step in &plan.steps {
        let Action::Mount(mount) = &step.action else { continue };
        let directory = match mount.source {
            Source::Shared { what: Shared::Incoming } => incoming(plan.machine.as_str(), undo),
            Source::Shared { what: Shared::UnixExport } => unix_export(plan.machine.as_str(), range, undo),
            _ => continue,
        };
        match (directory, &mount.source) {
            (Ok(directory), Source::Shared { what }) => {
                made.push(SharedDirectory { what: *what, directory, target: mount.target.clone() });
            }
            (Err(d), _) => log::warning!(log, MessageId::Degraded, step: "share", "{d}"),
            (Ok(_), _) => {}
        }
    }
    made
}

/// Where machined hands mounts into the container.
fn incoming(name: &str, undo: &mut Undo) -> Result<OwnedFd> {
    let parent = Path::new(BASE).join("propagate");
    let path = parent.join(name);
    ensure(Path::new(BASE))?;
    ensure(&parent)?;
    // machined makes its own mount points in there, and may be interrupted.
    undo.push(PathRelease::RemoveTree(path.clone()), format!("the directory {}", path.display()))?;
    match rustix::fs::mkdir(&path, Mode::RUSR | Mode::WUSR) {
        Ok(()) | Err(Errno::EXIST) => open(&path),
        Err(e) => Err(cannot("make", &path).errno(e)),
    }
}

/// A small file system of its own, so that the container can fill nobody else's; the host sees it read-only.
fn unix_export(name: &str, range: Option<UidRange>, undo: &mut Undo) -> Result<OwnedFd> {
    let parent = Path::new(BASE).join(name);
    let path = parent.join("unix-export");
    if RESERVED.contains(&name) {
        return Err(cannot("make", &path).cause("systemd uses the machine's name for a directory of its own"));
    }
    ensure(Path::new(BASE))?;
    if ensure(&parent)? {
        undo.push(PathRelease::RemoveDir(parent.clone()), format!("the directory {}", parent.display()))?;
    }
    ensure(&path)?;
    if is_mount(&path) {
        return Err(cannot("use", &path)
            .cause("something is mounted there already")
            .help(format!("see what has left it behind, then: umount {0}; rmdir {0}", path.display())));
    }
    undo.push(PathRelease::RemoveDir(path.clone()), format!("the directory {}", path.display()))?;
    let mount = small_tmpfs(range).map_err(|e| cannot("make the file system of", &path).errno(e))?;
    undo.push(PathRelease::Unmount(path.clone()), format!("the mount on {}", path.display()))?;
    rustix::mount::move_mount(&mount, c"", CWD, &path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .map_err(|e| cannot("mount", &path).errno(e))?;
    open(&path)
}

fn small_tmpfs(range: Option<UidRange>) -> std::result::Result<OwnedFd, Errno> {
    let owner = range.map_or(0, |r| r.base).to_string();
    let context = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in [("size", "4m"), ("nr_inodes", "64"), ("mode", "0755"), ("uid", &owner), ("gid", &owner)] {
        rustix::mount::fsconfig_set_string(&context, key, value)?;
    }
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC
        | MountAttrFlags::MOUNT_ATTR_NOSYMFOLLOW;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Whether the directory had to be made.
fn ensure(path: &Path) -> Result<bool> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) => Err(cannot("make", path).errno(e)),
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|e| cannot("open", path).errno(e))
}

fn is_mount(path: &Path) -> bool {
    rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MODE)
        .is_ok_and(|s| s.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

fn cannot(verb: &str, path: &Path) -> Diagnostic {
    Diagnostic::new(Code::Prepare, format!("cannot {verb} {}", PathBuf::from(path).display()))
}
