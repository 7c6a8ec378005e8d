// SPDX-License-Identifier: LGPL-2.1-or-later
//! The table of settings, a file per topic: the only place that knows their names.

pub mod environment;
mod execution;
mod identity;
mod image;
mod integration;
mod limits;
mod mounts;
mod network;
mod program;
mod security;
mod streams;
mod users;

use super::key::{Key, Lacking};
use super::settings::One;
use super::{Built, Settings};
use crate::error::{Code, Diagnostic};

/// The table, in the order of the help.
pub const TABLE: &[&[Key]] = &[
    program::KEYS,
    image::KEYS,
    execution::KEYS,
    identity::KEYS,
    users::KEYS,
    network::KEYS,
    security::KEYS,
    limits::KEYS,
    integration::KEYS,
    mounts::KEYS,
    streams::KEYS,
];

/// Every setting, in the order of the help.
pub fn all() -> impl Iterator<Item = &'static Key> {
    TABLE.iter().copied().flatten()
}

/// The words of a list of modes, one a line.
fn words<T>(modes: &[(&str, T)]) -> String {
    modes.iter().map(|(word, _)| format!("{word}\n")).collect()
}

/// The mode that was said, if it is one of those that are not built.
fn lacking_mode<T: std::fmt::Display>(said: &One<T>, option: &str, lacks: fn(&T) -> bool) -> Vec<Lacking> {
    let found = said.iter().filter(|s| lacks(&s.value));
    found.map(|s| (s.origin.clone(), format!("{option}{}", s.value))).collect()
}

/// One refusal for each value in the settings that this version cannot do yet. Options that are not built at all are
/// refused where they are said.
pub fn values_not_built(settings: &Settings) -> Vec<Diagnostic> {
    let partly = all().filter_map(|key| match key.built {
        Built::Partly(lacking) => Some(lacking(settings)),
        _ => None,
    });
    partly
        .flatten()
        .map(|(origin, what)| Diagnostic::new(Code::NotBuiltYet, format!("{what} is not built yet")).origin(&origin))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Does, FileKey, Invocation, Listing, Takes, Topic};
    use super::*;
    use std::collections::BTreeSet;

    fn assert_unique<T: Ord + std::fmt::Debug + Copy>(names: impl Iterator<Item = T>) -> usize {
        let mut seen = BTreeSet::new();
        for name in names {
            assert!(seen.insert(name), "{name:?} is there twice");
        }
        seen.len()
    }

    #[test]
    fn no_name_is_used_twice() {
        assert_unique(all().map(|k| k.id));
        assert_unique(all().filter_map(|k| k.long));
        assert_unique(all().filter_map(|k| k.short));
        assert_eq!(assert_unique(all().filter_map(|k| k.in_files_of(Invocation::SystemdNspawn).map(|f| f.name))), 65);
    }

    #[test]
    fn every_setting_has_help() {
        for key in all() {
            assert!(!key.help.is_empty() && !key.help.ends_with('.'), "{}", key.id);
            assert!(key.help.len() <= 52, "{} is too long for a line of 80 columns: {}", key.id, key.help.len());
            assert!(key.takes.metavar().is_none_or(|m| !m.is_empty()), "{}", key.id);
            assert!(Topic::ALL.iter().any(|(topic, _)| *topic == key.topic), "{}", key.id);
        }
        assert!(all().is_sorted_by_key(|key| key.topic));
    }

    #[test]
    fn settings_of_files_are_masked_and_named() {
        for key in all() {
            if let Some(FileKey { name, .. }) = key.in_files_of(Invocation::SystemdNspawn) {
                assert!(key.mask.is_some(), "{name} is in files, so an option must be able to hide it");
                assert!(matches!(key.does, Does::Set(_)), "{name}");
            }
            assert!(key.long.is_some() || key.short.is_some() || key.file.is_some(), "{}", key.id);
        }
    }

    #[test]
    fn lists_of_values_are_there() {
        let with_help: Vec<_> = all().filter(|k| k.values.is_some()).map(|k| k.id).collect();
        let expected = [
            "volatile",
            "kill-signal",
            "private-users-ownership",
            "capability",
            "drop-capability",
            "ambient-capability",
            "rlimit",
            "resolv-conf",
            "timezone",
            "console",
        ];
        assert_eq!(with_help, expected);
        for key in all() {
            assert!(key.values.is_none_or(|list| list().lines().count() > 2), "{}", key.id);
        }
    }

    #[test]
    fn flags_of_spawn_alone_are_no_flags_of_nspawn() {
        let own: Vec<_> = all().filter(|k| k.listing == Listing::SpawnOnly).map(|k| k.id).collect();
        assert_eq!(own, ["verbose", "dry-run", "scope"]);
        assert_eq!(all().filter(|k| matches!(k.takes, Takes::OptionalOrWord(_))).count(), 1);
    }
}
