// SPDX-License-Identifier: LGPL-2.1-or-later
//! What holds for a machine once files and command line are put together, key by key, with who said it.

use super::Loaded;
use crate::config::{Adds, Assigned, FileKey, Invocation, Repeat, Section, Trust, keys};
use crate::error::Origin;
use crate::model::SettingsMode;
use std::collections::BTreeMap;

/// A value that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// As a file would hold it.
    pub text: String,
    /// Who said it.
    pub origin: Origin,
}

/// Values by key.
type Said = BTreeMap<&'static str, Vec<Value>>;

/// The settings that hold as a file would hold them, each with its origin behind a `#`; options that have no key of their
/// own follow.
pub fn effective(loaded: &Loaded) -> String {
    let said = values(loaded);
    let mut out = String::new();
    for section in Section::ALL {
        let mut lines = String::new();
        for file in keys::all().filter_map(|k| k.in_files_of(Invocation::Spawn)).filter(|f| f.section == section) {
            let found = said.get(file.name).map(Vec::as_slice).unwrap_or_default();
            for value in found {
                lines += &line(file, &value.text, &value.origin);
            }
            if found.is_empty() && !file.default.is_empty() {
                lines += &line(file, file.default, &Origin::Default);
            }
        }
        if !lines.is_empty() {
            out += &format!("{}[{}]\n{lines}", if out.is_empty() { "" } else { "\n" }, section.name());
        }
    }
    let others = loaded.settings.line.iter().filter(|a| a.key.file.is_none());
    let others: String = others.map(|a| format!("# {}\n", a.origin)).collect();
    if others.is_empty() { out } else { format!("{out}\n# Options without a key:\n{others}") }
}

fn line(file: &FileKey, value: &str, origin: &Origin) -> String {
    let who = match origin {
        Origin::File { path, line, .. } => format!("{}:{line}", path.display()),
        other => other.to_string(),
    };
    format!("{:<40} # {who}\n", format!("{}={value}", file.name))
}

/// Every value by key; single ones have one at most.
fn values(loaded: &Loaded) -> Said {
    let mut said = Said::new();
    let files_win = loaded.settings.settings_mode.as_ref().is_some_and(|m| m.value == SettingsMode::Override);
    let (below, above): (Vec<_>, Vec<_>) =
        loaded.layers.iter().partition(|layer| !files_win || layer.trust == Trust::Anyone);
    let layer = |said: &mut Said, layer: &super::layer::Layer| {
        for entry in &layer.entries {
            put(said, entry.file, entry.value.clone(), layer.origin(entry));
        }
    };
    below.into_iter().for_each(|l| layer(&mut said, l));
    for assigned in &loaded.settings.line {
        if let Some(file) = assigned.key.in_files_of(Invocation::Spawn) {
            put(&mut said, file, shown(assigned), assigned.origin.clone());
        }
    }
    above.into_iter().for_each(|l| layer(&mut said, l));
    said
}

fn put(said: &mut Said, file: &FileKey, text: String, origin: Origin) {
    let list = said.entry(file.name).or_default();
    if text.is_empty() || file.adds == Adds::No {
        list.clear();
    }
    if !text.is_empty() {
        list.push(Value { text, origin });
    }
}

/// An option's value, without what may be secret.
fn shown(assigned: &Assigned) -> String {
    let Some(value) = &assigned.value else { return "yes".into() };
    let text = value.to_string_lossy().into_owned();
    match assigned.key.repeat {
        Repeat::Whole => text,
        Repeat::UpTo(byte) => match text.split_once(char::from(byte)) {
            Some((name, _)) => format!("{name}{}…", char::from(byte)),
            None => text,
        },
    }
}
