// SPDX-License-Identifier: LGPL-2.1-or-later
//! Overlays that were asked for: their layers, opened and mapped, and the names by which the kernel is told of them.

use super::Inputs;
use super::compile::{Compiled, c_path};
use super::filesystems as fs;
use crate::error::{Code, Diagnostic, Result};
use crate::exec::{Create, Layer, LayerFrom, OpKind, Overlay, Top, UPPER, UPPER_HOLDER, WORK};
use crate::image::{IdMap, MapNamespace};
use crate::model::BindSource;
use crate::plan::{LayerOwners, MountStep};
use crate::sys::mount_attr::{self, Reach};
use crate::undo::{PathRelease, Release};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// A directory that every container has, which nothing else uses while the mounts are made.
const ASIDE: &CStr = c"/run/host/unix-export";

/// What is mounted, as the plan says it.
pub struct Asked<'a> {
    /// The lowest first.
    pub lower: &'a [BindSource],
    /// The uppermost.
    pub upper: &'a BindSource,
    /// Without changes, the upper one is a layer like the others.
    pub read_only: bool,
    /// Of layers of the host.
    pub owners: LayerOwners,
}

/// The instruction for an overlay.
pub fn compile(inputs: &Inputs<'_>, m: &MountStep, asked: &Asked<'_>, out: &mut Compiled) -> Result<OpKind> {
    let mut made = Making { inputs, owners: asked.owners, layers: Vec::new(), map: None, out };
    asked.lower.iter().try_for_each(|layer| made.layer(layer, Create::Never))?;
    let top = match (asked.read_only, asked.upper) {
        (true, BindSource::Temporary) => Top::ReadOnly,
        (true, upper) => {
            make_host_directory(upper)?;
            made.layer(upper, Create::Dir)?;
            Top::ReadOnly
        }
        (false, BindSource::Temporary) => Top::Temporary,
        (false, BindSource::Host(path)) => made.upper_of_host(path)?,
        (false, BindSource::Image(path)) => made.upper_inside(path)?,
    };
    let names = made.layers.iter().rev().map(|layer| layer.at.as_c_str());
    // An empty layer is one all the same: the kernel takes no overlay of a single one.
    let empty = (asked.read_only && *asked.upper == BindSource::Temporary).then_some(UPPER);
    let names: Vec<&str> = empty.into_iter().chain(names).filter_map(|name| name.to_str().ok()).collect();
    let lowerdir = CString::new(names.join(":")).unwrap_or_default();
    let layers = made.layers;
    let scratch = scratch(inputs, &layers, &top, &m.target)?;
    let overlay = Overlay {
        scratch: scratch.as_raw_fd(),
        aside: ASIDE.into(),
        layers,
        lowerdir,
        top,
        attributes: m.attributes | inputs.tree_attributes(),
        target: c_path(&m.target)?,
    };
    out.keep.push(scratch);
    Ok(OpKind::Overlay(overlay))
}

/// The tmpfs that the layers are attached in, and that holds the changes nobody keeps.
fn scratch(inputs: &Inputs<'_>, layers: &[Layer], top: &Top, target: &Path) -> Result<OwnedFd> {
    let what = format!("the overlay of {}", target.display());
    let owner = inputs.owner();
    fs::filled_tmpfs(inputs.options("mode=0755"), rustix::mount::MountAttrFlags::empty(), &what, owner, |at| {
        layers.iter().try_for_each(|layer| fs::directory(at, &layer.at))?;
        match top {
            Top::ReadOnly => fs::directory(at, UPPER),
            Top::Temporary => [UPPER, WORK].iter().try_for_each(|name| fs::directory(at, name)),
            Top::Kept { name, work, .. } => {
                fs::directory(at, UPPER_HOLDER)?;
                let below = |name: &CStr| [UPPER_HOLDER.to_bytes(), b"/", name.to_bytes()].concat();
                rustix::fs::symlinkat(below(name).as_slice(), at, UPPER)?;
                rustix::fs::symlinkat(below(work).as_slice(), at, WORK)
            }
        }
    })
}

/// The upper directory is made where it is missing, with what is above.
fn make_host_directory(source: &BindSource) -> Result<()> {
    let BindSource::Host(path) = source else { return Ok(()) };
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
    made.map_err(|e| {
        Diagnostic::new(Code::Prepare, format!("cannot make the upper directory {} of an overlay", path.display()))
            .io(&e)
            .help("name a directory, or one that can be made")
    })
}

struct Making<'i, 'c, 'o> {
    inputs: &'i Inputs<'c>,
    owners: LayerOwners,
    layers: Vec<Layer>,
    map: Option<MapNamespace>,
    out: &'o mut Compiled,
}

impl Making<'_, '_, '_> {
    fn layer(&mut self, source: &BindSource, create: Create) -> Result<()> {
        let from = match source {
            BindSource::Host(path) => self.of_host(path, path)?,
            BindSource::Image(path) => LayerFrom::Inside(c_path(path)?, create),
            BindSource::Temporary => return Ok(()),
        };
        let at = CString::new(self.layers.len().to_string()).unwrap_or_default();
        self.layers.push(Layer { from, at });
        Ok(())
    }

    /// A clone of the mount that the directory `path` is on, from there on. Mapped like `judged`, if that needs a map.
    fn of_host(&mut self, path: &Path, judged: &Path) -> Result<LayerFrom> {
        let fail = |e: Errno| {
            Diagnostic::new(Code::Prepare, format!("cannot use {} as a layer of an overlay", path.display()))
                .errno(e)
                .help("name an existing directory of the host")
        };
        let mount = open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC);
        let mount = mount.map_err(fail)?;
        let stat = rustix::fs::fstat(&mount).map_err(fail)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(fail(Errno::NOTDIR));
        }
        mount_attr::make_private(mount.as_fd(), Reach::Mount).map_err(fail)?;
        let owner = rustix::fs::stat(judged).map_err(fail)?.st_uid;
        self.map(mount.as_fd(), path, owner)?;
        let number = mount.as_raw_fd();
        self.out.keep.push(mount);
        Ok(LayerFrom::Host(number))
    }

    fn map(&mut self, mount: BorrowedFd<'_>, path: &Path, owner: u32) -> Result<()> {
        let Some(range) = self.inputs.context.range else { return Ok(()) };
        // Ids beyond the first 65536 belong to a range already: that of this container, or somebody else's.
        if self.owners == LayerOwners::Unmapped || range.base == 0 || owner >= crate::model::UidRange::USUAL_SIZE {
            return Ok(());
        }
        let map = match self.map.take() {
            Some(map) => map,
            None => MapNamespace::new(&IdMap::of_range(range))?,
        };
        let mapped = mount_attr::idmap(mount, Reach::Mount, map.as_fd());
        self.map = Some(map);
        match mapped {
            Err(Errno::INVAL | Errno::PERM) if self.owners == LayerOwners::MappedIfPossible => Ok(()),
            r => r.map_err(|e| {
                Diagnostic::new(Code::Mount, format!("cannot map the owners of {}", path.display()))
                    .errno(e)
                    .help("use a layer on another file system, or --private-users-ownership=off")
            }),
        }
    }

    fn upper_of_host(&mut self, path: &Path) -> Result<Top> {
        make_host_directory(&BindSource::Host(path.into()))?;
        let fail = |e: Errno| {
            Diagnostic::new(
                Code::Prepare,
                format!("cannot use {} as the upper directory of an overlay", path.display()),
            )
            .errno(e)
        };
        let real = std::fs::canonicalize(path).map_err(|e| fail(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
        let (Some(holder), Some(name)) = (real.parent(), real.file_name()) else { return Err(fail(Errno::BUSY)) };
        if mount_id(&real).map_err(fail)? != mount_id(holder).map_err(fail)? {
            return Err(fail(Errno::XDEV)
                .note("something is mounted there, and the kernel needs room beside it on the same mount")
                .help("name a directory inside of it"));
        }
        let work = self.inputs.temporary_name()?;
        let left = holder.join(OsStr::new(work.to_str().unwrap_or_default()));
        self.out.releases.push((PathRelease::RemoveTree(left).into(), "the work directory of an overlay"));
        Ok(Top::Kept { holder: self.of_host(holder, &real)?, name: c_path(Path::new(name))?, work })
    }

    fn upper_inside(&mut self, path: &Path) -> Result<Top> {
        let (Some(holder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Diagnostic::new(
                Code::Prepare,
                "the root directory cannot be the upper directory of an overlay",
            ));
        };
        let work = self.inputs.temporary_name()?;
        let root = self.inputs.context.tree.fd().try_clone_to_owned();
        let root = root.map_err(|e| Diagnostic::new(Code::Prepare, "cannot hold on to the tree").io(&e))?;
        let left = holder.join(OsStr::new(work.to_str().unwrap_or_default()));
        self.out.releases.push((Release::RemoveInside { root, path: left }, "the work directory of an overlay"));
        let holder = LayerFrom::Inside(c_path(holder)?, Create::Dir);
        Ok(Top::Kept { holder, name: c_path(Path::new(name))?, work })
    }
}

fn mount_id(path: &Path) -> std::result::Result<u64, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty())?;
    rustix::fs::statx(&fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map(|x| x.stx_mnt_id)
}
