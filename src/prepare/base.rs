// SPDX-License-Identifier: LGPL-2.1-or-later
//! What programs expect at the top of a tree (file-hierarchy(7)) and what is not there: an image may hold `/usr` alone.

use crate::exec::OpKind;
use crate::image::inside::{ImageRoot, LastLink};
use std::ffi::CString;
use std::path::Path;

const DIRECTORIES: [(&str, u32); 7] =
    [("root", 0o750), ("var", 0o755), ("etc", 0o755), ("proc", 0o555), ("sys", 0o555), ("dev", 0o755), ("run", 0o755)];

/// Where the loader that programs of this architecture name may be, if not in `/lib`, which is a link to `/usr/lib`.
const LOADER: Option<(&str, [&str; 3])> = if cfg!(target_arch = "x86_64") {
    Some(("ld-linux-x86-64.so.2", ["usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib"]))
} else {
    None
};

/// Instructions that make what is missing at the top of the tree. That they cannot, as in a tree that is read-only, is no
/// failure: who needs it finds out.
pub fn missing(image: &ImageRoot) -> Vec<OpKind> {
    let lacks = |name: &str| image.find(Path::new(name), LastLink::Keep).is_ok_and(|found| found.is_none());
    let mut ops = Vec::new();
    for (name, target) in links(image) {
        if lacks(name) {
            ops.push(OpKind::BaseLink { name: c(name), text: c(&target) });
        }
    }
    for (name, mode) in DIRECTORIES {
        if lacks(name) {
            ops.push(OpKind::BaseDirectory { name: c(name), mode });
        }
    }
    ops
}

/// Links into `/usr` that lead somewhere.
fn links(image: &ImageRoot) -> Vec<(&'static str, String)> {
    let is_there = |path: &str| image.find(Path::new(path), LastLink::Follow).is_ok_and(|found| found.is_some());
    let mut links: Vec<_> = ["bin", "lib", "sbin"].map(|name| (name, format!("usr/{name}"))).into();
    links.retain(|(_, target)| is_there(target));
    links.extend(loader(image).map(|target| ("lib64", target)));
    links
}

/// Where `/lib64` has to lead for programs to find their loader.
pub fn loader(image: &ImageRoot) -> Option<String> {
    let is_there = |path: &str| image.find(Path::new(path), LastLink::Follow).is_ok_and(|found| found.is_some());
    let (name, places) = LOADER?;
    places.into_iter().find(|place| is_there(&format!("{place}/{name}"))).map(Into::into)
}

/// Names of this file and of directories in it: without zero bytes.
fn c(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}
