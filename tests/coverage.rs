// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every option, every key of `.nspawn` files and every variable is on a line on which this program is compared with
//! systemd-nspawn (`tests/compat`), or a sentence in `tests/compat/reasons.rs` says why it is not.

#[allow(dead_code, reason = "what lines need to be run is used by the compat tests")]
#[path = "compat/lines/mod.rs"]
mod lines;
#[path = "compat/reasons.rs"]
mod reasons;

use lines::{ALL, Line};
use spawn::config::file::layer::Layer;
use spawn::config::keys::environment::VARIABLES;
use spawn::config::{Built, Invocation, Key, Trust, keys};
use std::collections::BTreeSet;
use std::path::Path;

/// Every spelling of the table that systemd-nspawn could know, with what is not built of it.
fn spellings() -> Vec<(String, bool)> {
    let mut all = Vec::new();
    for key in keys::all() {
        let lacks = matches!(key.built, Built::No(_));
        all.extend(key.long.map(|long| (format!("--{long}"), lacks)));
        all.extend(key.file.map(|file| (format!("{}=", file.name), lacks)));
        // A letter is another spelling, but for those that have no other.
        all.extend(key.short.filter(|_| key.long.is_none()).map(|letter| (format!("-{letter}"), lacks)));
    }
    all.extend(VARIABLES.iter().map(|variable| (format!("${}", variable.name), !variable.is_built())));
    all
}

fn option(word: &str) -> Option<&'static Key> {
    let name = word.split('=').next().unwrap_or(word);
    keys::all().find(|key| match name.strip_prefix("--") {
        Some(long) => key.long == Some(long),
        None => name.strip_prefix('-').is_some_and(|letter| key.short.is_some_and(|c| letter == c.to_string())),
    })
}

fn said_by(line: &Line) -> Vec<String> {
    let mut said = Vec::new();
    for key in line.options.split_whitespace().filter_map(option) {
        said.extend(key.long.map(|long| format!("--{long}")));
        said.extend(key.short.filter(|_| key.long.is_none()).map(|letter| format!("-{letter}")));
    }
    if let Some(text) = line.file {
        let text = text.replace("@DIR@", "/dir");
        let path = Path::new("/dir/tree.nspawn");
        let layer = Layer::parse(path, text.as_bytes(), Trust::Trusted, Invocation::SystemdNspawn);
        assert!(layer.warnings.is_empty() && layer.broken.is_none(), "{}: {:?}", line.name(), layer.warnings);
        said.extend(layer.entries.iter().map(|entry| format!("{}=", entry.file.name)));
    }
    let around = line.around.unwrap_or_default();
    let set = |name: &str| around.contains(&format!("{name}="));
    said.extend(VARIABLES.iter().filter(|v| set(v.name)).map(|v| format!("${}", v.name)));
    // The runner says it on every line.
    said.push("--directory".into());
    said
}

#[test]
fn every_option_and_key_is_compared_or_a_reason_is_given() {
    let compared: BTreeSet<String> = ALL.iter().copied().flatten().flat_map(said_by).collect();
    let reason = |name: &str| reasons::REASONS.iter().find(|(of, _)| *of == name).map(|(_, why)| *why);
    let missing: Vec<String> = spellings()
        .into_iter()
        .filter(|(name, lacks)| !lacks && !compared.contains(name) && reason(name).is_none())
        .map(|(name, _)| name)
        .collect();
    assert!(
        missing.is_empty(),
        "add a line to tests/compat/lines, or a reason to tests/compat/reasons.rs: {missing:#?}"
    );
}

#[test]
fn reasons_are_sentences_for_what_has_no_line() {
    let compared: BTreeSet<String> = ALL.iter().copied().flatten().flat_map(said_by).collect();
    let known: BTreeSet<String> = spellings().into_iter().filter(|(_, lacks)| !lacks).map(|(name, _)| name).collect();
    let mut seen = BTreeSet::new();
    for (name, why) in reasons::REASONS {
        assert!(known.contains(*name), "{name} is not in the table, or is not built, which is reason enough");
        assert!(!compared.contains(*name), "{name} has a line: the reason must go");
        assert!(seen.insert(name), "{name} has two reasons");
        assert!(why.split(' ').count() >= 5 && !why.ends_with('.'), "{name}: {why}");
    }
}
