// SPDX-License-Identifier: LGPL-2.1-or-later
//! What is made before anything is mounted on it: what a system has at its root (file-hierarchy(7)), for trees that have
//! nothing but `/usr`, and mount points in `/run/host`.

use crate::exec::BaseLink;
use crate::image::inside::{ImageRoot, LastLink};
use crate::plan::{Action, Missing, Plan, Source};
use std::ffi::CString;
use std::path::Path;

/// Where the loader that programs of this architecture name may be, if not in `/lib`, which is a link to `/usr/lib`.
const LOADER: Option<(&str, [&str; 3])> = if cfg!(target_arch = "x86_64") {
    Some(("ld-linux-x86-64.so.2", ["usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib"]))
} else {
    None
};

/// Directories with their modes, as systemd-nspawn makes them.
pub fn directories() -> Vec<(CString, u32)> {
    let names = [c"root", c"usr", c"var", c"etc", c"proc", c"sys", c"dev", c"run"];
    let modes = [0o750, 0o755, 0o755, 0o755, 0o555, 0o555, 0o555, 0o555];
    names.map(CString::from).into_iter().zip(modes).collect()
}

/// Links of a system whose programs are all in `/usr`. The one for programs of 64 bits leads to where their loader is.
pub fn links() -> Vec<BaseLink> {
    let usual = ["bin", "lib", "sbin"].map(|name| BaseLink {
        name: c(name),
        text: c(&format!("usr/{name}")),
        must_exist: c(&format!("/usr/{name}")),
    });
    let loaders = LOADER.into_iter().flat_map(|(name, places)| places.map(|place| (name, place)));
    let loaders = loaders.map(|(name, place)| BaseLink {
        name: c("lib64"),
        text: c(place),
        must_exist: c(&format!("/{place}/{name}")),
    });
    usual.into_iter().chain(loaders).collect()
}

/// Where `/lib64` has to lead for programs to find their loader.
pub fn loader(image: &ImageRoot) -> Option<String> {
    let is_there = |path: &str| image.find(Path::new(path), LastLink::Follow).is_ok_and(|found| found.is_some());
    let (name, places) = LOADER?;
    places.into_iter().find(|place| is_there(&format!("{place}/{name}"))).map(Into::into)
}

/// Names of this file: without zero bytes.
fn c(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

/// Where something is mounted below `/run/host`, seen from there, and whether it is a directory.
pub fn places_in_run_host(plan: &Plan) -> Vec<(&Path, bool)> {
    let mounts = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Mount(mount) if mount.missing == Missing::Create => Some(mount),
        _ => None,
    });
    let places = mounts.filter_map(|mount| {
        let path = mount.target.strip_prefix("/run/host").ok().filter(|path| !path.as_os_str().is_empty())?;
        // What it is is seen again when it is mounted.
        let is_directory = match &mount.source {
            Source::Host { path, .. } => path.is_dir(),
            _ => true,
        };
        Some((path, is_directory))
    });
    places.collect()
}
