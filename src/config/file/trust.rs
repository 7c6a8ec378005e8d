// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a file that nobody vouches for may not say. Such a file lies next to the image and came with it: it may choose
//! what runs inside and take rights away, but not give any (systemd.nspawn(5)).

use super::layer::{Entry, Layer};
use crate::config::Trust;

const WAY_OUT: &str = "move the file to /etc/systemd/nspawn, or say --settings=trusted";

/// Why an entry of the layer does not count; `None` where it does. `filter_denies`: [`only_denies`] of the layer.
fn objection(layer: &Layer, entry: &Entry, filter_denies: bool) -> Option<String> {
    let refused = match entry.file.name {
        _ if layer.trust == Trust::Trusted || entry.value.is_empty() => false,
        // A filter that only takes away is fine. Lines belong together: refused ones beside allowed ones are not looked at
        // alone.
        "SystemCallFilter" => !filter_denies,
        _ => entry.key.trust == Trust::Trusted,
    };
    refused.then(|| {
        format!(
            "{}= is left out, since a file next to the image could give itself rights with it; {WAY_OUT}",
            entry.file.name
        )
    })
}

fn only_denies(layer: &Layer) -> bool {
    let mut lines = layer.entries.iter().filter(|e| e.file.name == "SystemCallFilter");
    lines.all(|e| e.value.is_empty() || e.value.starts_with('~'))
}

/// Whether the entry can do no more than take rights away, so that it may stand beside what others say.
pub fn only_narrows(entry: &Entry) -> bool {
    matches!(entry.file.name, "DropCapability" | "SystemCallFilter")
}

/// Why an entry of an untrusted file does not count where somebody trusted speaks of the same thing.
pub fn overruled(entry: &Entry, by: &str) -> String {
    format!("{}= is left out, since {by} and a file next to the image cannot change that; {WAY_OUT}", entry.file.name)
}

/// Removes what does not count from the layer and warns of it, unless it is hidden anyway.
pub fn sift(layer: &mut Layer, hidden: &dyn Fn(&Entry) -> bool) {
    let filter_denies = only_denies(layer);
    let objections: Vec<_> = layer.entries.iter().map(|entry| objection(layer, entry, filter_denies)).collect();
    let entries = std::mem::take(&mut layer.entries);
    for (entry, objection) in entries.into_iter().zip(objections) {
        match objection {
            None => layer.entries.push(entry),
            Some(_) if hidden(&entry) => {}
            Some(text) => layer.warn(entry.at, text),
        }
    }
}
