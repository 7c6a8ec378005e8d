// SPDX-License-Identifier: LGPL-2.1-or-later
//! What each instruction of the stager does. Child-safe.

use super::child::{During, Fault};
use super::ops::{BaseLink, Create, OpKind, OwnFs};
use super::places::Places;
use super::report::Part;
use super::resolve::{kind_of, open_inside, target};
use crate::sys::beside::run_beside;
use crate::sys::clone::flags;
use crate::sys::mount_attr::{Reach, attributes};
use crate::sys::process::{pid_namespace, setns};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree, unmount,
};
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;

const EMPTY_BOTH: MoveMountFlags =
    MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH.union(MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH);

pub(super) fn borrow(fd: &RawFd) -> BorrowedFd<'_> {
    crate::sys::process::borrow_fd(*fd)
}

pub(super) fn attach(mount: BorrowedFd<'_>, at: BorrowedFd<'_>) -> Result<(), Errno> {
    move_mount(mount, c"", at, c"", EMPTY_BOTH)
}

/// Attaches the new root at a directory of the host and enters it.
pub fn attach_root(mount: RawFd, at: &CStr) -> Result<(), Fault> {
    let mount = borrow(&mount);
    move_mount(mount, c"", rustix::fs::CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).during(Part::Attach)?;
    rustix::process::fchdir(mount).during(Part::Open)
}

/// Makes an overlay of the tree and a writable layer in memory the new root and enters it.
pub fn attach_overlay(
    lower: RawFd,
    scratch: RawFd,
    at: &CStr,
    parts: &[CString; 4],
    attributes: MountAttrFlags,
) -> Result<(), Fault> {
    let empty_from = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    let [lower_at, upper, work, root] = parts;
    move_mount(borrow(&scratch), c"", rustix::fs::CWD, at, empty_from).during(Part::Attach)?;
    move_mount(borrow(&lower), c"", rustix::fs::CWD, lower_at.as_c_str(), empty_from).during(Part::Attach)?;
    let fs = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC).during(Part::Configure)?;
    fsconfig_set_string(&fs, c"source", c"overlay").during(Part::Configure)?;
    for (key, value) in [(c"lowerdir", lower_at), (c"upperdir", upper), (c"workdir", work)] {
        fsconfig_set_string(&fs, key, value.as_c_str()).during(Part::Configure)?;
    }
    fsconfig_create(&fs).during(Part::Configure)?;
    let mount = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes).during(Part::Configure)?;
    move_mount(&mount, c"", rustix::fs::CWD, root.as_c_str(), empty_from).during(Part::Attach)?;
    rustix::process::fchdir(&mount).during(Part::Open)
}

/// The working directory becomes the root, the old root is dropped. Returns the new root.
pub fn pivot() -> Result<OwnedFd, Fault> {
    rustix::process::pivot_root(c".", c".").during(Part::Attach)?;
    unmount(c".", UnmountFlags::DETACH).during(Part::Attach)?;
    rustix::process::chdir(c"/").during(Part::Open)?;
    rustix::fs::open(c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).during(Part::Open)
}

/// Every instruction that works inside the new root.
pub fn below(places: &mut Places<'_>, kind: &OpKind, init: Option<BorrowedFd<'_>>) -> Result<(), Fault> {
    if let OpKind::Own { fs: OwnFs::Proc, attributes, target: path, create } = kind {
        let mount = procfs(*attributes, init.ok_or((Part::Helper, Errno::SRCH))?)?;
        if let Some(at) = target(places.root.as_fd(), path, *create)? {
            attach_fitting(places, mount.as_fd(), at.as_fd())?;
            places.proc = Some(mount);
        }
        return Ok(());
    }
    let root = places.root.as_fd();
    match kind {
        OpKind::Attach { mount, target: path, create } => {
            let Some(at) = places.target(path, *create)? else { return Ok(()) };
            attach_fitting(places, borrow(mount), at.as_fd())
        }
        OpKind::CloneInside { source, recursive, set, clear, target: path, create } => {
            let Some(mount) = clone_inside(places.of(source), *recursive, *create)? else { return Ok(()) };
            let reach = if *recursive { Reach::Tree } else { Reach::Mount };
            attributes(mount.as_fd(), reach, *set, *clear).during(Part::Attributes)?;
            let create = match (create, kind_of(mount.as_fd()).during(Part::Source)?) {
                (Create::Dir, FileType::Directory) => Create::Dir,
                (Create::Dir, _) => Create::File,
                (other, _) => *other,
            };
            let Some(at) = places.target(path, create)? else { return Ok(()) };
            attach_fitting(places, mount.as_fd(), at.as_fd())
        }
        OpKind::Overlay(overlay) => super::overlay::mount(places, overlay),
        OpKind::Cover { target: path, create, run_host } => cover(places, path, *create, borrow(run_host)),
        OpKind::Own { fs, attributes, target: path, create } => {
            let mount = own_fs(*fs, *attributes).during(Part::Configure)?;
            let Some(at) = places.target(path, *create)? else { return Ok(()) };
            attach_fitting(places, mount.as_fd(), at.as_fd())
        }
        OpKind::HostCgroups { attributes, target: path, create } => {
            // Whatever fails from here on, nothing of the host's can be changed.
            let read_only = attributes.union(MountAttrFlags::MOUNT_ATTR_RDONLY);
            let mount = own_fs(OwnFs::Cgroup2, read_only).during(Part::Configure)?;
            let Some(at) = places.target(path, *create)? else { return Ok(()) };
            attach_fitting(places, mount.as_fd(), at.as_fd())?;
            super::cgroups::open_own_group(places, mount.as_fd())
        }
        OpKind::Unmount(path) => {
            unmount(path.as_c_str(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).during(Part::Attach)
        }
        OpKind::SetAttributes(path, set) => {
            let fd = open_inside(root, path, OFlags::PATH).during(Part::Open)?;
            attributes(fd.as_fd(), Reach::Mount, *set, MountAttrFlags::empty()).during(Part::Attributes)
        }
        OpKind::WriteFile { dir, name, temporary, bytes, replace } => {
            write_file(places, dir, name, temporary, bytes, *replace)
        }
        OpKind::Link { dir, name, temporary, text, must_exist, path, otherwise, bytes } => {
            if open_inside(root, must_exist, OFlags::PATH).is_err() {
                return match places.target(path, Create::File) {
                    Ok(Some(at)) if attach_fitting(places, borrow(otherwise), at.as_fd()).is_ok() => Ok(()),
                    Ok(None) => Ok(()),
                    _ => write_file(places, dir, name, temporary, bytes, true),
                };
            }
            let dir = open_inside(root, dir, OFlags::PATH | OFlags::DIRECTORY).during(Part::Open)?;
            if links_to(dir.as_fd(), name, text) || links_to(dir.as_fd(), name, must_exist) {
                return Ok(());
            }
            rustix::fs::symlinkat(text.as_c_str(), &dir, temporary.as_c_str()).during(Part::Create)?;
            rename_over(&dir, temporary, name)
        }
        OpKind::RemoveFile { dir, name } => {
            let dir = open_inside(root, dir, OFlags::PATH | OFlags::DIRECTORY).during(Part::Open)?;
            match rustix::fs::unlinkat(&dir, name.as_c_str(), rustix::fs::AtFlags::empty()) {
                Err(Errno::NOENT) => Ok(()),
                r => r.during(Part::Write),
            }
        }
        OpKind::CompleteRoot { directories, links } => complete_root(root, directories, links),
        OpKind::WriteSysctl { path, text } => {
            let file = open_inside(root, path, OFlags::WRONLY).during(Part::Open)?;
            write_all(file.as_fd(), text.to_bytes()).during(Part::Write)
        }
        OpKind::LoopbackUp => crate::sys::net::lo_up_current().during(Part::Whole),
        OpKind::AttachRoot { .. } | OpKind::AttachOverlay { .. } | OpKind::Pivot => Err((Part::Whole, Errno::INVAL)),
    }
}

/// Makes the directories and links that are not there, be it in a read-only tree none of them. None is followed.
fn complete_root(root: BorrowedFd<'_>, directories: &[(CString, u32)], links: &[BaseLink]) -> Result<(), Fault> {
    let lacks = |name: &CString| {
        let seen = rustix::fs::statat(root, name.as_c_str(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        seen.is_err_and(|e| e == Errno::NOENT)
    };
    let tolerate = |made: Result<(), Errno>| match made {
        Err(Errno::EXIST | Errno::ROFS) => Ok(()),
        made => made.during(Part::Create),
    };
    for (name, mode) in directories.iter().filter(|(name, _)| lacks(name)) {
        tolerate(rustix::fs::mkdirat(root, name.as_c_str(), Mode::from_raw_mode(*mode)))?;
    }
    for link in links.iter().filter(|link| lacks(&link.name)) {
        if open_inside(root, &link.must_exist, OFlags::PATH).is_ok() {
            tolerate(rustix::fs::symlinkat(link.text.as_c_str(), root, link.name.as_c_str()))?;
        }
    }
    Ok(())
}

/// A directory on a directory, anything else on what is no directory, and nothing on the root itself: a link in the
/// image may lead there, and what is below would then no longer be reached.
pub(super) fn attach_fitting(places: &Places<'_>, mount: BorrowedFd<'_>, at: BorrowedFd<'_>) -> Result<(), Fault> {
    let target = rustix::fs::fstat(at).during(Part::Open)?;
    if (target.st_dev, target.st_ino) == places.top {
        return Err((Part::Type, Errno::BUSY));
    }
    let what = kind_of(mount).during(Part::Source)?;
    let on = FileType::from_raw_mode(target.st_mode);
    let fits = match what {
        FileType::Directory => on == FileType::Directory,
        _ => on != FileType::Directory && on != FileType::Symlink,
    };
    if !fits {
        let errno = if what == FileType::Directory { Errno::NOTDIR } else { Errno::ISDIR };
        return Err((Part::Type, errno));
    }
    attach(mount, at).during(Part::Attach)
}

fn clone_inside(
    (base, source): (BorrowedFd<'_>, &CStr),
    recursive: bool,
    create: Create,
) -> Result<Option<OwnedFd>, Fault> {
    let from = match open_inside(base, source, OFlags::PATH) {
        Err(Errno::NOENT) if create == Create::Skip => return Ok(None),
        r => r.during(Part::Source)?,
    };
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(&from, c"", flags).map(Some).during(Part::Clone)
}

/// Covers what is there with the node of mode 000 of the same type. Somebody may have asked for another mount on `/run`,
/// so the nodes are found from where they were made.
fn cover(places: &Places<'_>, path: &CStr, create: Create, run_host: BorrowedFd<'_>) -> Result<(), Fault> {
    let Some(at) = places.target(path, create)? else { return Ok(()) };
    let node = match kind_of(at.as_fd()).during(Part::Open)? {
        FileType::Directory => c"inaccessible/dir",
        FileType::Fifo => c"inaccessible/fifo",
        FileType::Socket => c"inaccessible/sock",
        FileType::CharacterDevice => c"inaccessible/chr",
        FileType::BlockDevice => c"inaccessible/blk",
        _ => c"inaccessible/reg",
    };
    let Some(mount) = clone_inside((run_host, node), false, Create::Never)? else { return Ok(()) };
    let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    attributes(mount.as_fd(), Reach::Mount, read_only, MountAttrFlags::empty()).during(Part::Attributes)?;
    attach_fitting(places, mount.as_fd(), at.as_fd())
}

/// A file system of the namespaces that the calling process is in.
fn own_fs(fs: OwnFs, attributes: MountAttrFlags) -> Result<OwnedFd, Errno> {
    fs_of(fs, attributes, None)
}

/// The same, or procfs of another PID namespace (`pidns=` of the kernel's filesystems/proc, Linux 6.17).
fn fs_of(fs: OwnFs, attributes: MountAttrFlags, pid_namespace: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Errno> {
    let context = fsopen(fs.name(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    if let Some(namespace) = pid_namespace {
        fsconfig_set_fd(&context, c"pidns", namespace)?;
    }
    // What mount(8) and df(1) show in their first column.
    fsconfig_set_string(&context, c"source", fs.name())?;
    if fs == OwnFs::Sysfs && attributes.contains(MountAttrFlags::MOUNT_ATTR_RDONLY) {
        fsconfig_set_flag(&context, c"ro")?;
    }
    if fs == OwnFs::Cgroup2 {
        // Options of the whole hierarchy: only the host's first cgroup namespace may set them, so a refusal is fine.
        for option in [c"nsdelegate", c"memory_recursiveprot"] {
            let _as_the_host_has_it = fsconfig_set_flag(&context, option);
        }
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// procfs of init's PID namespace. A kernel that cannot be told the namespace takes that of the process that makes it.
fn procfs(attributes: MountAttrFlags, init: BorrowedFd<'_>) -> Result<OwnedFd, Fault> {
    pid_namespace(init)
        .and_then(|namespace| fs_of(OwnFs::Proc, attributes, Some(namespace.as_fd())))
        .or_else(|_| proc_by_helper(attributes, init))
}

/// One can enter a PID namespace only by a child: a helper that shares our table of descriptors makes the mount and leaves
/// it at a number that we hold free.
fn proc_by_helper(attributes: MountAttrFlags, init: BorrowedFd<'_>) -> Result<OwnedFd, Fault> {
    setns(init.as_raw_fd(), flags::NEWPID).during(Part::Helper)?;
    let place = rustix::io::fcntl_dupfd_cloexec(init, 3).during(Part::Helper)?;
    let mut made = Err(Errno::INTR);
    run_beside(&mut || {
        made = own_fs(OwnFs::Proc, attributes).and_then(|m| crate::sys::process::dup_to(m.as_fd(), place.as_fd()));
    })
    .during(Part::Helper)?;
    made.map(|()| place).during(Part::Configure)
}

fn write_file(
    places: &Places<'_>,
    dir: &CStr,
    name: &CStr,
    temporary: &CStr,
    bytes: &[u8],
    replace: bool,
) -> Result<(), Fault> {
    let dir = open_inside(places.root.as_fd(), dir, OFlags::PATH | OFlags::DIRECTORY).during(Part::Open)?;
    let mode = Mode::from_raw_mode(0o644);
    let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    if places.holds(dir.as_fd(), name, bytes) {
        return Ok(());
    }
    if replace {
        let file = rustix::fs::openat(&dir, temporary, new, mode).during(Part::Create)?;
        let written = write_all(file.as_fd(), bytes).and_then(|()| rustix::fs::fchmod(&file, mode));
        if let Err(e) = written {
            let _half = rustix::fs::unlinkat(&dir, temporary, rustix::fs::AtFlags::empty());
            return Err((Part::Write, e));
        }
        return rename_over(&dir, temporary, name);
    }
    let file = match rustix::fs::openat(&dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => rustix::fs::openat(&dir, name, new, mode).during(Part::Create)?,
        // Opening a device may do something already, so what it is must be known before.
        Ok(found) => match kind_of(found.as_fd()).during(Part::Open)? {
            FileType::RegularFile => places.reopen(&found).during(Part::Open)?,
            FileType::Symlink => return Err((Part::Open, Errno::LOOP)),
            _ => return Err((Part::Type, Errno::INVAL)),
        },
        Err(e) => return Err((Part::Open, e)),
    };
    write_all(file.as_fd(), bytes).during(Part::Write)
}

/// Whether the link is there already.
fn links_to(dir: BorrowedFd<'_>, name: &CStr, text: &CStr) -> bool {
    let mut buffer = [MaybeUninit::uninit(); 1024];
    rustix::fs::readlinkat_raw(dir, name, &mut buffer).is_ok_and(|(found, _)| *found == *text.to_bytes())
}

fn rename_over(dir: &OwnedFd, temporary: &CStr, name: &CStr) -> Result<(), Fault> {
    rustix::fs::renameat(dir, temporary, dir, name).map_err(|e| {
        let _half = rustix::fs::unlinkat(dir, temporary, rustix::fs::AtFlags::empty());
        (Part::Write, e)
    })
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let n = rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?;
        bytes = bytes.get(n..).unwrap_or_default();
    }
    Ok(())
}
