// SPDX-License-Identifier: LGPL-2.1-or-later
//! Overlays that were asked for (linux/Documentation/filesystems/overlayfs.rst). Child-safe.
//!
//! Layers are named to the kernel by short names in a file system in memory that is mounted for a moment only: options
//! are limited to 256 bytes, and paths of layers may hold the characters that separate them.

use super::child::{During, Fault};
use super::mounting::{attach, attach_fitting, borrow};
use super::ops::Create;
use super::places::Places;
use super::report::Part;
use super::resolve::{kind_of, open_inside};
use super::stager::act_as;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string,
    fsmount, fsopen, open_tree, unmount,
};
use std::ffi::{CStr, CString};

/// Where the directory that holds the upper one is attached in the scratch space.
pub const UPPER_HOLDER: &CStr = c"holder";
/// Leads to the upper directory in the scratch space.
pub const UPPER: &CStr = c"upper";
/// Leads to the directory that the kernel works in.
pub const WORK: &CStr = c"work";

/// An overlay.
pub struct Overlay {
    /// A detached tmpfs with a directory for each layer.
    pub scratch: RawFd,
    /// The directory of the container that the scratch space covers for a moment.
    pub aside: CString,
    /// Those that are only read.
    pub layers: Vec<Layer>,
    /// Their names in the scratch space, the uppermost first, with colons between.
    pub lowerdir: CString,
    /// What takes the changes.
    pub top: Top,
    /// Of the new mount.
    pub attributes: MountAttrFlags,
    /// Where it goes.
    pub target: CString,
}

/// A layer and the directory of the scratch space that it is attached to.
pub struct Layer {
    /// The layer.
    pub from: LayerFrom,
    /// The name in the scratch space.
    pub at: CString,
}

/// Where a directory comes from.
pub enum LayerFrom {
    /// A detached mount of a directory of the host.
    Host(RawFd),
    /// A path of the container.
    Inside(CString, Create),
}

/// What takes the changes of an overlay.
pub enum Top {
    /// There are none.
    ReadOnly,
    /// Directories of the scratch space.
    Temporary,
    /// A directory, made where it is missing, with one beside it for the kernel to work in.
    Kept {
        /// The directory that holds both.
        holder: LayerFrom,
        /// The upper one's name in it.
        name: CString,
        /// The name of the one to work in.
        work: CString,
    },
}

/// Mounts an overlay.
pub fn mount(places: &Places<'_>, overlay: &Overlay) -> Result<(), Fault> {
    let Some(at) = places.target(&overlay.target, Create::Dir)? else { return Ok(()) };
    let root = places.root.as_fd();
    let scratch = borrow(&overlay.scratch);
    let aside = open_inside(root, &overlay.aside, OFlags::PATH | OFlags::DIRECTORY).during(Part::Open)?;
    attach(scratch, aside.as_fd()).during(Part::Attach)?;
    for layer in &overlay.layers {
        lay(places, scratch, &layer.from, &layer.at)?;
    }
    if let Top::Kept { holder, name, work } = &overlay.top {
        // On the host only its root may make directories, in the image they belong to the container's root.
        let ids = if matches!(holder, LayerFrom::Host(_)) { (0, 0) } else { places.root_ids };
        act_as(ids)?;
        let holder = lay(places, scratch, holder, UPPER_HOLDER)?;
        make_upper(&holder, name, work)?;
    }
    // The kernel keeps the credentials of who mounts, and uses them for what it does in the layers.
    act_as((0, 0))?;
    rustix::process::fchdir(scratch).during(Part::Open)?;
    let mount = configure(overlay).during(Part::Configure)?;
    unmount(c".", UnmountFlags::DETACH).during(Part::Attach)?;
    rustix::process::fchdir(root).during(Part::Open)?;
    act_as(places.root_ids)?;
    attach_fitting(places, mount.as_fd(), at.as_fd())
}

/// Attaches a layer in the scratch space and returns it.
fn lay(places: &Places<'_>, scratch: BorrowedFd<'_>, from: &LayerFrom, at: &CStr) -> Result<OwnedFd, Fault> {
    let layer = match from {
        LayerFrom::Host(mount) => rustix::io::fcntl_dupfd_cloexec(borrow(mount), 3).during(Part::Source)?,
        LayerFrom::Inside(path, create) => {
            let found = places.target(path, *create).map_err(|(_, errno)| (Part::Source, errno))?;
            let found = found.ok_or((Part::Source, Errno::NOENT))?;
            let flags =
                OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
            open_tree(&found, c"", flags).during(Part::Clone)?
        }
    };
    if kind_of(layer.as_fd()).during(Part::Source)? != FileType::Directory {
        return Err((Part::Source, Errno::NOTDIR));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = rustix::fs::openat(scratch, at, flags, Mode::empty()).during(Part::Open)?;
    attach(layer.as_fd(), place.as_fd()).during(Part::Attach)?;
    Ok(layer)
}

fn make_upper(holder: &OwnedFd, name: &CStr, work: &CStr) -> Result<(), Fault> {
    match rustix::fs::mkdirat(holder, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err((Part::Source, e)),
    }
    // A link would lead to another directory, which has no room for the kernel's own beside it.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(holder, name, flags, Mode::empty()).during(Part::Source)?;
    rustix::fs::mkdirat(holder, work, Mode::from_raw_mode(0o700)).during(Part::Source)
}

/// With the scratch space as working directory.
fn configure(overlay: &Overlay) -> Result<OwnedFd, Errno> {
    let fs = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&fs, c"source", c"overlay")?;
    fsconfig_set_string(&fs, c"lowerdir", overlay.lowerdir.as_c_str())?;
    if !matches!(overlay.top, Top::ReadOnly) {
        fsconfig_set_string(&fs, c"upperdir", UPPER)?;
        fsconfig_set_string(&fs, c"workdir", WORK)?;
    }
    fsconfig_create(&fs)?;
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, overlay.attributes)
}
