// SPDX-License-Identifier: LGPL-2.1-or-later
//! Steps of the plan become instructions of the stager: everything that can fail outside the container is opened here.

use super::Inputs;
use super::base;
use super::filesystems::{self as fs, Owner};
use crate::error::{Code, Diagnostic, Origin, Result};
use crate::exec::{Create, Op, OpKind, OwnFs};
use crate::model::BindIdmap;
use crate::plan::{Action, Content, Missing, MountStep, Plan, Source, Step, WriteHow};
use crate::sys::mount_attr::{self, Reach};
use crate::undo::Release;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where the new root is attached: a directory of the host that only the stager sees covered.
pub const STAGING: &str = "/run/spawn";

/// The stager's instructions and the descriptors that they name.
#[derive(Default)]
pub struct Compiled {
    /// Before init exists.
    pub early: Vec<Op>,
    /// With init's namespaces.
    pub late: Vec<Op>,
    /// Kept open for the children.
    pub keep: Vec<OwnedFd>,
    /// Kept open by the supervisor.
    pub held: Vec<OwnedFd>,
    /// How what the children will make is released.
    pub releases: Vec<(Release, &'static str)>,
    /// What was asked for and is left out, as the plan allows.
    pub skipped: Vec<Diagnostic>,
    /// The devpts mount, to allocate the console in.
    pub devpts: Option<usize>,
    /// The tmpfs of `/run/host`, to bind the notify socket in.
    pub run_host: Option<usize>,
}

/// A path as the kernel takes it.
pub fn c_path(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Diagnostic::new(Code::Prepare, format!("the path {} holds a zero byte", path.display())))
}

/// Compiles every step.
pub fn compile(plan: &Plan, inputs: &Inputs) -> Result<Compiled> {
    let mut out = Compiled::default();
    for (index, step) in plan.steps.iter().enumerate() {
        if let Err(d) = one(plan, inputs, step, index as u16, &mut out) {
            // A label of file systems is asked for by another option than the step is.
            let d = if d.asked_by().is_some() { d } else { d.origin(&step.origin) };
            match step.optional {
                None => return Err(d),
                // What is optional by design and not there is left out, but not what somebody has asked for.
                Some(_) if step.origin == Origin::Default => {}
                Some(why) => out.skipped.push(d.note(format!("the start goes on: {why}"))),
            }
        }
    }
    Ok(out)
}

fn push(out: &mut Compiled, late: bool, step: u16, optional: bool, kind: OpKind) {
    let list = if late { &mut out.late } else { &mut out.early };
    list.push(Op { step, optional, kind });
}

fn one(plan: &Plan, inputs: &Inputs, step: &Step, n: u16, out: &mut Compiled) -> Result<()> {
    let optional = step.optional.is_some();
    match &step.action {
        Action::MountTree { read_only, .. } => {
            let kind = root(inputs.open_tree(Reach::Tree, inputs.root_attributes(*read_only))?, out)?;
            push(out, false, n, optional, kind);
        }
        // A copy that is thrown away takes the changes itself.
        Action::MountOverlay { read_only, .. } if inputs.context.tree.is_thrown_away() => {
            let kind = root(inputs.open_tree(Reach::Mount, inputs.root_attributes(*read_only))?, out)?;
            push(out, false, n, optional, kind);
        }
        Action::MountOverlay { read_only, .. } => {
            // An overlay shows one file system only: what is mounted below is not part of the copy.
            let lower = inputs.open_tree(Reach::Mount, MountAttrFlags::empty())?;
            let owner = inputs.owner();
            let flags = MountAttrFlags::empty();
            let scratch =
                fs::filled_tmpfs(inputs.options("mode=0755,size=25%"), flags, "the throw-away layer", owner, |at| {
                    fs::fill_scratch(at, lower.as_fd())
                })?;
            let part = |name: &str| c_path(&Path::new(STAGING).join(name));
            let kind = OpKind::AttachOverlay {
                lower: lower.as_raw_fd(),
                scratch: scratch.as_raw_fd(),
                at: c_path(Path::new(STAGING))?,
                parts: [part("lower")?, part("upper")?, part("work")?, part("root")?],
                attributes: inputs.root_attributes(*read_only),
            };
            out.keep.extend([lower, scratch]);
            push(out, false, n, optional, kind);
        }
        Action::MountEmpty { options, .. } => {
            let owner = inputs.owner();
            let links = inputs.context.tree.links_into_usr()?;
            let flags = MountAttrFlags::MOUNT_ATTR_STRICTATIME;
            let empty = fs::filled_tmpfs(inputs.options(options), flags, "an empty root", owner, |at| {
                fs::fill_root(at, &links)
            })?;
            let kind = root(empty, out)?;
            push(out, false, n, optional, kind);
        }
        Action::PivotRoot => push(out, false, n, optional, OpKind::Pivot),
        Action::CompleteRoot => {
            let (directories, links) = (base::directories(), base::links());
            push(out, false, n, optional, OpKind::CompleteRoot { directories, links });
        }
        Action::Mount(m) => mount(plan, inputs, m, n, optional, out)?,
        Action::WriteFile { path, source, how } => {
            let bytes = read_bounded(source)?;
            let (dir, name) = split(path)?;
            let temporary = inputs.temporary_name()?;
            let replace = *how == WriteHow::Replace;
            push(out, false, n, optional, OpKind::WriteFile { dir, name, temporary, bytes, replace });
        }
        Action::RemoveFile { path } => {
            let (dir, name) = split(path)?;
            push(out, false, n, optional, OpKind::RemoveFile { dir, name });
        }
        Action::TimezoneLink { zone } => {
            let localtime = Path::new("/etc/localtime");
            let (dir, name) = split(localtime)?;
            let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
                | MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV;
            let (path, recursive, idmap) = (localtime, false, BindIdmap::None);
            let (otherwise, _) = host(plan, inputs, &HostBind { path, target: path, recursive, idmap, attributes })?;
            let kind = OpKind::Link {
                dir,
                name,
                temporary: inputs.temporary_name()?,
                text: c_path(&Path::new("../usr/share/zoneinfo").join(zone))?,
                must_exist: c_path(&Path::new("/usr/share/zoneinfo").join(zone))?,
                path: c_path(localtime)?,
                otherwise: otherwise.as_raw_fd(),
                bytes: read_bounded(localtime)?,
            };
            out.keep.push(otherwise);
            push(out, false, n, optional, kind);
        }
    }
    Ok(())
}

fn root(mount: OwnedFd, out: &mut Compiled) -> Result<OpKind> {
    let kind = OpKind::AttachRoot { mount: mount.as_raw_fd(), at: c_path(Path::new(STAGING))? };
    out.keep.push(mount);
    Ok(kind)
}

fn split(path: &Path) -> Result<(CString, CString)> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let name = Path::new(path.file_name().unwrap_or_default());
    Ok((c_path(dir)?, c_path(name)?))
}

fn create(missing: Missing, directory: bool) -> Create {
    match missing {
        Missing::Create if directory => Create::Dir,
        Missing::Create => Create::File,
        Missing::Skip => Create::Skip,
        Missing::Fail => Create::Never,
    }
}

fn mount(plan: &Plan, inputs: &Inputs, m: &MountStep, n: u16, optional: bool, out: &mut Compiled) -> Result<()> {
    let target = c_path(&m.target)?;
    let owner = inputs.owner();
    let name = m.target.display().to_string();
    let dir = create(m.missing, true);
    let late = m.late;
    let kind = match &m.source {
        Source::Tmpfs { options, content } => {
            let made = tmpfs(plan, inputs, m, options, *content, owner, &name)?;
            if *content == Content::RunHost {
                out.held.push(hold_kmsg(made.as_fd())?);
                out.run_host = Some(out.keep.len());
            }
            attach(out, made, target, dir)
        }
        Source::Devpts => {
            let made = fs::devpts(inputs.label, m.attributes, owner)?;
            out.devpts = Some(out.keep.len());
            attach(out, made, target, dir)
        }
        Source::Sysfs => attach(out, fs::make("sysfs", "", m.attributes, &name)?, target, dir),
        Source::Host { path, recursive, idmap } => {
            let (recursive, idmap, attributes) = (*recursive, *idmap, m.attributes);
            let bind = HostBind { path, target: &m.target, recursive, idmap, attributes };
            let (made, directory) = host(plan, inputs, &bind)?;
            attach(out, made, target, create(m.missing, directory))
        }
        Source::Home { path, owner, seen_as } => {
            let made = super::home::open(path, *owner, *seen_as, inputs.context.range)?;
            attach(out, made, target, dir)
        }
        Source::Inside { path, recursive } => OpKind::CloneInside {
            source: c_path(path)?,
            recursive: *recursive,
            set: m.attributes,
            // The writable part of a read-only mount is taken from that mount.
            clear: MountAttrFlags::MOUNT_ATTR_RDONLY.difference(m.attributes),
            target,
            create: dir,
        },
        Source::Shared { what } => match inputs.open_shared(*what, m.attributes)? {
            Some((mount, target)) => attach(out, mount, c_path(&target)?, dir),
            None => return Ok(()),
        },
        Source::OldRoot { read_only, .. } => {
            let mut attributes = m.attributes | inputs.tree_attributes();
            attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, *read_only);
            attach(out, inputs.context.tree.mount_top(attributes, inputs.map.as_ref())?, target, dir)
        }
        Source::Usr { .. } => {
            let attributes = m.attributes | inputs.tree_attributes();
            let usr = inputs.context.tree.mount_below("usr", Reach::Tree, attributes, inputs.map.as_ref())?;
            attach(out, usr, target, dir)
        }
        Source::Overlay { lower, upper, read_only, owners } => {
            let asked = super::overlay::Asked { lower, upper, read_only: *read_only, owners: *owners };
            super::overlay::compile(inputs, m, &asked, out)?
        }
        Source::Inaccessible => {
            let run_host = out.run_host.and_then(|at| out.keep.get(at)).map(AsRawFd::as_raw_fd);
            let run_host = run_host.ok_or_else(|| Diagnostic::new(Code::Prepare, "there is no /run/host yet"))?;
            OpKind::Cover { target, create: dir, run_host }
        }
        Source::Proc => OpKind::Own { fs: OwnFs::Proc, attributes: m.attributes, target, create: dir },
        Source::Cgroup2 => OpKind::Own { fs: OwnFs::Cgroup2, attributes: m.attributes, target, create: dir },
        Source::HostCgroup2 => OpKind::HostCgroups { attributes: m.attributes, target, create: dir },
        Source::Mqueue => OpKind::Own { fs: OwnFs::Mqueue, attributes: m.attributes, target, create: dir },
        Source::SysfsParts => return sysfs_parts(plan, inputs, m, n, out),
    };
    push(out, late, n, optional, kind);
    Ok(())
}

fn attach(out: &mut Compiled, mount: OwnedFd, target: CString, create: Create) -> OpKind {
    let kind = OpKind::Attach { mount: mount.as_raw_fd(), target, create };
    out.keep.push(mount);
    kind
}

fn tmpfs(
    plan: &Plan,
    inputs: &Inputs,
    m: &MountStep,
    options: &str,
    content: Content,
    owner: Owner,
    name: &str,
) -> Result<OwnedFd> {
    let what = format!("the tmpfs of {name}");
    if content == Content::Credentials {
        return fs::credentials(inputs.options(options), m.attributes, inputs.credentials, owner);
    }
    // Names of sockets are made after the content, through a descriptor of the directory.
    if content == Content::RunHost {
        let read_only = m.attributes;
        let made = fs::filled_tmpfs(
            inputs.options(options),
            read_only.difference(MountAttrFlags::MOUNT_ATTR_RDONLY),
            &what,
            owner,
            |at| fs::fill_run_host(at, &inputs.host_info(plan)),
        )?;
        inputs.bind_notify(made.as_fd())?;
        mount_attr::attributes(made.as_fd(), Reach::Mount, read_only, MountAttrFlags::empty())
            .map_err(|e| Diagnostic::new(Code::Prepare, format!("cannot make {what} read-only")).errno(e))?;
        return Ok(made);
    }
    let options = inputs.options(options);
    match content {
        Content::Empty | Content::Run | Content::RunHost | Content::Credentials => {
            fs::tmpfs(options, m.attributes, &what, owner)
        }
        Content::Dev => fs::filled_tmpfs(options, m.attributes, &what, owner, |at| {
            fs::fill_dev(at, plan, inputs.console, inputs.kcore)
        }),
    }
}

/// The FIFO that the container sees as `/proc/kmsg`, held open so that who opens it there does not wait for a writer.
fn hold_kmsg(run_host: BorrowedFd<'_>) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(run_host, "proc-kmsg", flags, Mode::empty())
        .map_err(|e| Diagnostic::new(Code::Prepare, "cannot open the container's kernel log").errno(e))
}

/// Where a private sysfs is while its parts are taken: a mount point that the container has anyway.
const SYSFS_ASIDE: &str = "/sys/fs/bpf";

/// The parts of a private sysfs: it is mounted aside, its parts are cloned from there, and it goes again.
fn sysfs_parts(plan: &Plan, inputs: &Inputs, m: &MountStep, n: u16, out: &mut Compiled) -> Result<()> {
    let owner = inputs.owner();
    let base = fs::filled_tmpfs(
        inputs.options("mode=0555,size=4m,nr_inodes=1k"),
        m.attributes.difference(MountAttrFlags::MOUNT_ATTR_RDONLY),
        "the tmpfs of /sys",
        owner,
        |at| fs::fill_sys(at, plan.mounts_on("/sys/fs/selinux").then_some("fs/selinux")),
    )?;
    let own = |text: &str| c_path(Path::new(text));
    let base = attach(out, base, own("/sys")?, Create::Dir);
    push(out, true, n, false, base);
    let full =
        OpKind::Own { fs: OwnFs::Sysfs, attributes: m.attributes, target: own(SYSFS_ASIDE)?, create: Create::Never };
    push(out, true, n, false, full);
    for part in fs::SYSFS_PARTS {
        let clone = OpKind::CloneInside {
            source: own(&format!("{SYSFS_ASIDE}/{part}"))?,
            recursive: false,
            set: m.attributes,
            clear: MountAttrFlags::empty(),
            target: own(&format!("/sys/{part}"))?,
            create: Create::Skip,
        };
        push(out, true, n, false, clone);
    }
    push(out, true, n, false, OpKind::Unmount(own(SYSFS_ASIDE)?));
    push(out, true, n, false, OpKind::SetAttributes(own("/sys")?, m.attributes));
    if !plan.network.is_new() {
        // It belongs to whoever made it.
        return Ok(());
    }
    push(out, true, n, false, OpKind::LoopbackUp);
    if plan.user_namespace.is_some() {
        // Otherwise nobody in the container may use ping sockets (icmp(7)): the kernel's default is an empty range.
        let kind = OpKind::WriteSysctl {
            path: own("/proc/sys/net/ipv4/ping_group_range")?,
            text: own(&format!("{} {}", owner.id, owner.id.saturating_add(0xffff)))?,
        };
        push(out, true, n, true, kind);
    }
    Ok(())
}

/// A file or directory of the host that is shown in the container.
pub struct HostBind<'a> {
    /// On the host.
    pub path: &'a Path,
    /// In the container.
    pub target: &'a Path,
    /// With what is mounted below it.
    pub recursive: bool,
    /// The owners' map.
    pub idmap: BindIdmap,
    /// Of the mount.
    pub attributes: MountAttrFlags,
}

/// A clone of a mount of the host, and whether it is a directory.
fn host(plan: &Plan, inputs: &Inputs, bind: &HostBind<'_>) -> Result<(OwnedFd, bool)> {
    let fail = |e: Errno| {
        Diagnostic::new(Code::Prepare, format!("cannot bind {}", bind.path.display()))
            .errno(e)
            .help("name an existing file or directory of the host")
    };
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if bind.recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let mount = open_tree(CWD, bind.path, flags).map_err(fail)?;
    let reach = if bind.recursive { Reach::Tree } else { Reach::Mount };
    if !bind.attributes.is_empty() {
        mount_attr::attributes(mount.as_fd(), reach, bind.attributes, MountAttrFlags::empty()).map_err(fail)?;
    }
    let stat = rustix::fs::fstat(&mount).map_err(fail)?;
    inputs.idmap_bind(plan, mount.as_fd(), bind)?;
    Ok((mount, FileType::from_raw_mode(stat.st_mode) == FileType::Directory))
}

/// A file of the host that is copied into the image: small, regular.
fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    const LIMIT: u64 = 1 << 20;
    let fail = |e: Errno| Diagnostic::new(Code::Prepare, format!("cannot read {}", path.display())).errno(e);
    let fd =
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty()).map_err(fail)?;
    let stat = rustix::fs::fstat(&fd).map_err(fail)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_size as u64 > LIMIT {
        return Err(Diagnostic::new(
            Code::Prepare,
            format!("{} is not a regular file of at most 1 MiB", path.display()),
        ));
    }
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(std::fs::File::from(fd), LIMIT), &mut bytes)
        .map_err(|e| Diagnostic::new(Code::Prepare, format!("cannot read {}", path.display())).io(&e))?;
    Ok(bytes)
}
