// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a run has changed in the tree.

use super::facts::{Facts, Masks};
use crate::common::Reason;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Path below the root → type, mode, owner, and target or content.
pub type Listing = BTreeMap<String, String>;

pub fn list(root: &Path) -> Result<Listing, Reason> {
    let mut listing = Listing::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let meta = fs::symlink_metadata(&path)?;
        let name = format!("/{}", path.strip_prefix(root).unwrap_or(&path).display());
        let tail = if meta.is_symlink() {
            format!(" -> {}", fs::read_link(&path)?.display())
        } else if meta.is_file() && meta.len() < 4096 {
            format!(" {:?}", String::from_utf8_lossy(&fs::read(&path)?))
        } else if meta.is_file() {
            format!(" {} bytes", meta.len())
        } else {
            String::new()
        };
        if meta.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        }
        // What the probe itself writes is no finding.
        if name != "/report" {
            listing.insert(name, format!("{:o} {}:{}{tail}", meta.mode(), meta.uid(), meta.gid()));
        }
    }
    Ok(listing)
}

pub fn changes(before: &Listing, after: &Listing, masks: &Masks, facts: &mut Facts) {
    for (path, entry) in after {
        if before.get(path) != Some(entry) {
            facts.add(&masks.apply("", &format!("tree.{path}")), masks.apply("", entry));
        }
    }
    for path in before.keys().filter(|path| !after.contains_key(*path)) {
        facts.add(&masks.apply("", &format!("tree.{path}")), "removed");
    }
}
