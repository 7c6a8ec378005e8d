// SPDX-License-Identifier: LGPL-2.1-or-later
//! New file systems as detached mounts, filled before anybody can see them.

use crate::error::{Code, Diagnostic, Result, Sourced};
use crate::plan::Plan;
use crate::sys::caps;
use crate::sys::mount_attr::{Reach, attributes};
use crate::sys::process::set_fs_ids;
use crate::userdb::{BoundUser, Entry, Kind, entries};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags, chownat, makedev, mkdirat, mknodat, openat, symlinkat,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};
use std::ffi::CStr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Who owns what is made: the container's root as ids of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User and group id.
    pub id: u32,
}

impl Owner {
    /// What this thread makes from now on belongs to the owner (setfsuid(2)), and no file is changed after it was made.
    fn act(self) -> std::result::Result<Acting, Errno> {
        if self.id == 0 {
            return Ok(Acting(None));
        }
        let had = caps::get()?;
        let acting = Acting(Some(had));
        set_fs_ids(self.id, self.id)?;
        // The kernel takes the capabilities for files away with the user id, but not for good: device nodes need one.
        caps::set(had).map_err(|_| Errno::PERM)?;
        Ok(acting)
    }

    fn ids(self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.id)), Some(Gid::from_raw(self.id)))
    }
}

/// Goes back to the launcher's own ids.
struct Acting(Option<caps::Sets>);

impl Drop for Acting {
    fn drop(&mut self) {
        if let Some(had) = self.0 {
            // These are the ids that the process runs with, and capabilities that it has: both always succeed.
            let _back = set_fs_ids(0, 0);
            let _back = caps::set(had);
        }
    }
}

fn failed(what: &str) -> impl Fn(Errno) -> Diagnostic + '_ {
    move |e| Diagnostic::new(Code::Prepare, format!("cannot prepare {what}")).errno(e)
}

/// What a new file system is told.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// As mount(8) takes them, apart by commas.
    pub text: &'a str,
    /// The SELinux label of every file: its categories have commas of their own.
    pub label: Option<&'a Sourced<String>>,
}

impl<'a> From<&'a str> for Options<'a> {
    /// Without a label.
    fn from(text: &'a str) -> Self {
        Self { text, label: None }
    }
}

/// A new file system as a detached mount.
pub fn make<'a>(fs: &str, options: impl Into<Options<'a>>, flags: MountAttrFlags, what: &str) -> Result<OwnedFd> {
    let options = options.into();
    let fail = failed(what);
    let context = fsopen(fs, FsOpenFlags::FSOPEN_CLOEXEC).map_err(&fail)?;
    // What mount(8) and df(1) show in their first column.
    fsconfig_set_string(&context, "source", fs).map_err(&fail)?;
    for option in options.text.split(',').filter(|o| !o.is_empty()) {
        let set = match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(&context, key, value),
            None => fsconfig_set_flag(&context, option),
        };
        set.map_err(|e| {
            let what = format!("cannot prepare {what}: the option \"{option}\" is refused by {fs}");
            let d = Diagnostic::new(Code::Prepare, what).errno(e);
            if fs == "tmpfs" { d.help("see tmpfs(5) for the options of a tmpfs") } else { d }
        })?;
    }
    let Some(label) = options.label else {
        fsconfig_create(&context).map_err(&fail)?;
        return fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags).map_err(&fail);
    };
    // The first finds out whether there is such a label, the second whether we may use it.
    fsconfig_set_string(&context, "context", &label.value).and_then(|()| fsconfig_create(&context)).map_err(|e| {
        Diagnostic::new(Code::Prepare, format!("cannot label {what}"))
            .errno(e)
            .origin(&label.origin)
            .help("name a label of the loaded SELinux policy that a mount may have")
    })?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags).map_err(&fail)
}

/// An empty tmpfs that belongs to the container's root.
pub fn tmpfs(options: Options<'_>, flags: MountAttrFlags, what: &str, owner: Owner) -> Result<OwnedFd> {
    let id = owner.id;
    let text = if id == 0 { options.text.to_string() } else { format!("{},uid={id},gid={id}", options.text) };
    make("tmpfs", Options { text: &text, ..options }, flags, what)
}

/// A tmpfs that belongs to the container's root, with its content, which is made as the container's root too.
pub fn filled_tmpfs(
    options: Options<'_>,
    flags: MountAttrFlags,
    what: &str,
    owner: Owner,
    fill: impl FnOnce(BorrowedFd<'_>) -> std::result::Result<(), Errno>,
) -> Result<OwnedFd> {
    // Read-only comes last: the content must go in first.
    let mount = tmpfs(options, flags.difference(MountAttrFlags::MOUNT_ATTR_RDONLY), what, owner)?;
    // Modes are meant as they are given.
    let previous = rustix::process::umask(Mode::empty());
    let filled = owner.act().and_then(|_acting| fill(mount.as_fd()));
    rustix::process::umask(previous);
    filled.map_err(failed(what))?;
    if flags.contains(MountAttrFlags::MOUNT_ATTR_RDONLY) {
        attributes(mount.as_fd(), Reach::Mount, MountAttrFlags::MOUNT_ATTR_RDONLY, MountAttrFlags::empty())
            .map_err(failed(what))?;
    }
    Ok(mount)
}

/// A new instance of devpts; group 5 (tty) of the container owns terminals.
pub fn devpts(label: Option<&Sourced<String>>, flags: MountAttrFlags, owner: Owner) -> Result<OwnedFd> {
    let text = format!("newinstance,ptmxmode=0666,mode=600,gid={}", owner.id.saturating_add(5));
    let what = "the container's terminals (devpts)";
    let mount = make("devpts", Options { text: &text, label }, flags, what)?;
    own(mount.as_fd(), "ptmx", owner).map_err(failed(what))?;
    own(mount.as_fd(), ".", owner).map_err(failed(what))?;
    Ok(mount)
}

fn own(at: BorrowedFd<'_>, name: &str, owner: Owner) -> std::result::Result<(), Errno> {
    let (uid, gid) = owner.ids();
    if owner.id == 0 { Ok(()) } else { chownat(at, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW) }
}

fn dir(at: BorrowedFd<'_>, name: &str, mode: u32) -> std::result::Result<(), Errno> {
    mkdirat(at, name, Mode::from_raw_mode(mode))
}

/// A directory for everybody to read.
pub fn directory(at: BorrowedFd<'_>, name: &CStr) -> std::result::Result<(), Errno> {
    mkdirat(at, name, Mode::from_raw_mode(0o755))
}

fn link(at: BorrowedFd<'_>, text: &str, name: &str) -> std::result::Result<(), Errno> {
    symlinkat(text, at, name)
}

fn node(at: BorrowedFd<'_>, name: &str, kind: FileType, mode: u32, device: u64) -> std::result::Result<(), Errno> {
    mknodat(at, name, kind, Mode::from_raw_mode(mode), device)
}

/// A file with its bytes.
fn file(at: BorrowedFd<'_>, name: &str, mode: u32, bytes: &[u8]) -> std::result::Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let f = openat(at, name, flags, Mode::from_raw_mode(0o600))?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = rustix::io::retry_on_intr(|| rustix::io::write(&f, rest))?;
        rest = rest.get(n..).unwrap_or_default();
    }
    rustix::fs::fchmod(&f, Mode::from_raw_mode(mode))
}

/// The usual character devices and their numbers (linux/Documentation/admin-guide/devices.txt).
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Content of `/dev`.
pub fn fill_dev(at: BorrowedFd<'_>, plan: &Plan, console: bool, kcore: bool) -> std::result::Result<(), Errno> {
    for name in ["pts", "shm", "mqueue", "char"] {
        dir(at, name, 0o755)?;
    }
    let mut devices: Vec<(&str, u32, u32)> = DEVICES.to_vec();
    if plan.extra_devices.contains(&"fuse") {
        devices.push(("fuse", 10, 229));
    }
    if plan.extra_devices.contains(&"net/tun") {
        dir(at, "net", 0o755)?;
        devices.push(("net/tun", 10, 200));
    }
    for (name, major, minor) in devices {
        // The host may keep a device from its users.
        let mode = rustix::fs::stat(format!("/dev/{name}")).map_or(0o666, |s| s.st_mode & 0o777);
        node(at, name, FileType::CharacterDevice, mode, makedev(major, minor))?;
        link(at, &format!("../{name}"), &format!("char/{major}:{minor}"))?;
    }
    for (name, text) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        link(at, text, name)?;
    }
    if kcore {
        link(at, "/proc/kcore", "core")?;
    }
    if console {
        link(at, "pts/0", "console")?;
    }
    Ok(())
}

/// What the host tells the container in `/run/host`.
pub struct HostInfo<'a> {
    /// Bytes of os-release(5).
    pub os_release: &'a [u8],
    /// `$container`
    pub manager: &'a str,
    /// `$container_uuid`
    pub uuid: String,
    /// For `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Whether credentials are mounted below it.
    pub credentials: bool,
    /// Whether a socket for the journal is mounted below it.
    pub journal_socket: bool,
    /// Users of the host that are shown.
    pub users: &'a [BoundUser],
    /// What is mounted below it besides, and whether it is a directory: later it cannot be written to.
    pub places: Vec<(&'a Path, bool)>,
}

/// Content of `/run/host`.
pub fn fill_run_host(at: BorrowedFd<'_>, info: &HostInfo<'_>) -> std::result::Result<(), Errno> {
    dir(at, "inaccessible", 0o555)?;
    for (name, kind) in [
        ("reg", FileType::RegularFile),
        ("fifo", FileType::Fifo),
        ("sock", FileType::Socket),
        ("chr", FileType::CharacterDevice),
        ("blk", FileType::BlockDevice),
    ] {
        let made = node(at, &format!("inaccessible/{name}"), kind, 0, makedev(0, 0));
        let optional = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
        match made {
            // Without CAP_MKNOD there are no such nodes to cover either.
            Err(Errno::PERM) if optional => {}
            r => r?,
        }
    }
    dir(at, "inaccessible/dir", 0)?;
    dir(at, "incoming", 0o600)?;
    dir(at, "unix-export", 0o755)?;
    if info.credentials {
        dir(at, "credentials", 0o500)?;
    }
    if info.journal_socket {
        dir(at, "journal", 0o755)?;
        file(at, "journal/socket", 0, b"")?;
    }
    if !info.users.is_empty() {
        fill_users(at, info.users)?;
    }
    file(at, "os-release", 0o644, info.os_release)?;
    file(at, "container-manager", 0o444, format!("{}\n", info.manager).as_bytes())?;
    file(at, "container-uuid", 0o444, format!("{}\n", info.uuid).as_bytes())?;
    file(at, "proc-sys-kernel-random-boot-id", 0o444, format!("{}\n", info.boot_id).as_bytes())?;
    node(at, "proc-kmsg", FileType::Fifo, 0o600, 0)?;
    info.places.iter().try_for_each(|(path, is_directory)| place(at, path, *is_directory))
}

/// A mount point and the directories that lead to it, where they are missing.
fn place(at: BorrowedFd<'_>, path: &Path, is_directory: bool) -> std::result::Result<(), Errno> {
    let there = |made| match made {
        Err(Errno::EXIST) => Ok(()),
        made => made,
    };
    let above: Vec<&Path> = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
    above.iter().rev().try_for_each(|above| there(mkdirat(at, *above, Mode::from_raw_mode(0o755))))?;
    if is_directory {
        return there(mkdirat(at, path, Mode::from_raw_mode(0o755)));
    }
    there(mknodat(at, path, FileType::RegularFile, Mode::from_raw_mode(0o644), 0))
}

/// The records of users of the host, and where their homes are mounted.
fn fill_users(at: BorrowedFd<'_>, users: &[BoundUser]) -> std::result::Result<(), Errno> {
    dir(at, "home", 0o755)?;
    dir(at, "userdb", 0o755)?;
    for user in users {
        dir(at, &format!("home/{}", user.name), 0o755)?;
        for Entry { name, kind } in entries(user) {
            let name = format!("userdb/{name}");
            match kind {
                Kind::Public(bytes) => file(at, &name, 0o644, &bytes)?,
                Kind::Private(bytes) => file(at, &name, 0o600, &bytes)?,
                Kind::Link(to) => link(at, &to, &name)?,
            }
        }
    }
    Ok(())
}

/// The credentials, on a ramfs: a tmpfs could be swapped out. The files may be read by whom `options` let into the
/// directory.
pub fn credentials(
    options: Options<'_>,
    flags: MountAttrFlags,
    credentials: &[(String, Vec<u8>)],
    owner: Owner,
) -> Result<OwnedFd> {
    let what = "the credentials";
    let mount = make("ramfs", options, flags.difference(MountAttrFlags::MOUNT_ATTR_RDONLY), what)?;
    let fill = || {
        let _acting = owner.act()?;
        let mode = rustix::fs::fstat(&mount)?.st_mode & 0o444;
        credentials.iter().try_for_each(|(id, bytes)| file(mount.as_fd(), id, mode, bytes))?;
        own_top(mount.as_fd(), owner)
    };
    fill().map_err(failed(what))?;
    attributes(mount.as_fd(), Reach::Mount, flags, MountAttrFlags::empty()).map_err(failed(what))?;
    Ok(mount)
}

fn own_top(at: BorrowedFd<'_>, owner: Owner) -> std::result::Result<(), Errno> {
    let (uid, gid) = owner.ids();
    chownat(at, "", uid, gid, AtFlags::EMPTY_PATH)
}

/// Content of the tmpfs that a private `/sys` is put together on; `selinux` is the mount point of selinuxfs, if any.
pub fn fill_sys(at: BorrowedFd<'_>, selinux: Option<&str>) -> std::result::Result<(), Errno> {
    for name in SYSFS_PARTS.iter().copied().chain(["fs", "fs/cgroup", "fs/bpf"]).chain(selinux) {
        dir(at, name, 0o755)?;
    }
    Ok(())
}

/// The parts of sysfs that a container with a network of its own gets to see.
pub const SYSFS_PARTS: [&str; 6] = ["block", "bus", "class", "dev", "devices", "kernel"];

/// Content of a root directory that has nothing but `/usr`: what programs expect there (file-hierarchy(7)), and these
/// links into `/usr`.
pub fn fill_root(at: BorrowedFd<'_>, links: &[(&str, String)]) -> std::result::Result<(), Errno> {
    for (name, mode) in [
        ("usr", 0o755),
        ("root", 0o750),
        ("var", 0o755),
        ("etc", 0o755),
        ("proc", 0o555),
        ("sys", 0o555),
        ("dev", 0o755),
        ("run", 0o755),
        ("tmp", 0o1777),
    ] {
        dir(at, name, mode)?;
    }
    links.iter().try_for_each(|(name, text)| link(at, text, name))
}

/// Content of the writable layer of a throw-away copy.
pub fn fill_scratch(at: BorrowedFd<'_>, tree: BorrowedFd<'_>) -> std::result::Result<(), Errno> {
    for name in ["lower", "upper", "work", "root"] {
        dir(at, name, 0o755)?;
    }
    // An overlay's top is labelled as its upper layer's; a policy may keep the payload from anything but its own tree.
    let mut label = [0; 4096];
    if let Ok(length) = rustix::fs::getxattr(own_path(tree), SELINUX, &mut label[..]) {
        // With `--selinux-apifs-context=` it has that label already, and the policy may not want it changed.
        let _as_it_is =
            rustix::fs::setxattr(own_path(at).join("upper"), SELINUX, &label[..length], XattrFlags::empty());
    }
    Ok(())
}

const SELINUX: &CStr = c"security.selinux";

fn own_path(fd: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}
