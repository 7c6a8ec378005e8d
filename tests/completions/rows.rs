// SPDX-License-Identifier: LGPL-2.1-or-later
//! The options that are offered, from the table of settings, each with what its values are.

use spawn::config::{Built, Does, Key, Listing, Said, Settings, Takes, keys};
use spawn::error::Origin;
use spawn::model::{DryRun, LinkJournal, Register, ScopeMode, SettingsMode};
use std::ffi::OsStr;

/// What can be offered as the value of an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// Nothing: numbers, names that are made up.
    Free,
    /// One of these words.
    Words(Vec<String>),
    /// Any of these words, with commas.
    List(Vec<String>),
    /// One of these words, perhaps after a tilde.
    Filter(Vec<String>),
    /// One of these words and `=`.
    Assignment(Vec<String>),
    /// A directory of the host.
    Directory,
    /// A path of the host, perhaps with further ones after colons.
    Path,
    /// A tree in `/var/lib/machines`.
    Machine,
    /// A user of the tree.
    User,
    /// A group of the host.
    Group,
    /// A network interface of the host.
    Interface,
}

/// An option that is offered.
pub struct Row {
    pub key: &'static Key,
    pub domain: Domain,
}

impl Row {
    /// `--long` and `-s`.
    pub fn names(&self) -> Vec<String> {
        let long = self.key.long.map(|long| format!("--{long}"));
        long.into_iter().chain(self.key.short.map(|short| format!("-{short}"))).collect()
    }
}

fn texts<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_string).collect()
}

fn modes<T>(modes: &[(&'static str, T)]) -> Domain {
    Domain::Words(texts(modes.iter().map(|(word, _)| *word)))
}

/// What the values of an option are. Panics for an option that is new here: it has to be told.
fn domain(key: &Key) -> Domain {
    let listed = key.values.map(|list| texts(list().lines().collect::<Vec<_>>()));
    match (key.id, key.takes.metavar(), listed) {
        (_, None, _) => Domain::Free,
        ("capability", _, Some(words)) => Domain::List(words.into_iter().chain(["all".to_string()]).collect()),
        ("drop-capability" | "ambient-capability", _, Some(words)) => Domain::List(words),
        ("rlimit", _, Some(words)) => Domain::Assignment(words),
        (_, _, Some(words)) => Domain::Words(words),
        ("dry-run", ..) => modes(DryRun::ALL),
        ("settings", ..) => modes(SettingsMode::ALL),
        ("register", ..) => modes(Register::ALL),
        ("scope", ..) => modes(ScopeMode::ALL),
        ("link-journal", ..) => modes(LinkJournal::ALL),
        ("private-users", ..) => Domain::Words(texts(["no", "yes", "pick", "identity", "managed"])),
        ("system-call-filter", ..) => Domain::Filter(texts(spawn::seccomp::group_names())),
        ("restrict-address-families", ..) => Domain::Filter(texts(spawn::seccomp::family_names())),
        ("property", ..) => Domain::Assignment(texts(spawn::bus::properties::names())),
        ("machine", ..) => Domain::Machine,
        ("network-interface" | "network-macvlan" | "network-ipvlan" | "network-bridge", ..) => Domain::Interface,
        ("directory" | "template" | "mstack" | "oci-bundle" | "forward-journal", ..) => Domain::Directory,
        // Paths of the container.
        ("chdir" | "inaccessible" | "tmpfs" | "pivot-root", ..) => Domain::Free,
        ("user", ..) => Domain::User,
        (_, Some("USER"), _) => Domain::User,
        (_, Some("GROUP"), _) => Domain::Group,
        (_, Some("BOOL"), _) => Domain::Words(texts(["yes", "no"])),
        (_, Some(path), _) if path.starts_with("PATH") => Domain::Path,
        (id, ..) if FREE.contains(&id) => Domain::Free,
        (id, Some(name), _) => panic!("tests/completions does not know what {name} of {id} can be"),
    }
}

/// Options whose values nobody can list.
const FREE: &[&str] = &[
    "background",
    "bind-user-shell",
    "cpu-affinity",
    "forward-journal-keep-free",
    "forward-journal-max-file-size",
    "forward-journal-max-files",
    "forward-journal-max-use",
    "hostname",
    "image-policy",
    "load-credential",
    "network-veth-extra",
    "network-zone",
    "oom-score-adjust",
    "personality",
    "port",
    "private-users-chown",
    "private-users-delegate",
    "root-hash",
    "root-hash-sig",
    "selinux-apifs-context",
    "selinux-context",
    "set-credential",
    "setenv",
    "slice",
    "uuid",
];

/// Makes the setting; panics when the value is refused as such.
fn settings_with(key: &Key, value: &str) -> Settings {
    let mut settings = Settings::default();
    let Does::Set(apply) = key.does else { return settings };
    let said = Said { value: Some(OsStr::new(value)), origin: Origin::Default, base: None };
    apply(&mut settings, &said).unwrap_or_else(|why| panic!("{}{value} would be offered: {why}", key.spelling()));
    settings
}

/// Whether this version does what the value asks for.
fn is_built(key: &Key, value: &str) -> bool {
    let settings = settings_with(key, value);
    !matches!(key.built, Built::Partly(lacking) if !lacking(&settings).is_empty())
}

/// Every option that is offered, in the order of the help: those that this version refuses are not.
pub fn all() -> Vec<Row> {
    let offered = keys::all().filter(|key| {
        let option = key.long.is_some() || key.short.is_some();
        option && key.listing != Listing::Hidden && !matches!(key.built, Built::No(_))
    });
    offered.map(|key| Row { key, domain: built(key, domain(key)) }).collect()
}

/// Leaves out the words that are not built; each word is tried.
fn built(key: &Key, domain: Domain) -> Domain {
    let only = |words: Vec<String>, value: fn(&str) -> String| -> Vec<String> {
        words.into_iter().filter(|word| is_built(key, &value(word))).collect()
    };
    match domain {
        Domain::Words(words) => Domain::Words(only(words, str::to_string)),
        Domain::List(words) => Domain::List(only(words, str::to_string)),
        Domain::Filter(words) => Domain::Filter(only(words, |word| format!("~{word}"))),
        Domain::Assignment(words) => Domain::Assignment(only(words, |word| format!("{word}=1"))),
        other => other,
    }
}

/// The domain's name in the shells' tables, and its words.
pub fn kind(domain: &Domain) -> (&'static str, &[String]) {
    match domain {
        Domain::Free => ("", &[]),
        Domain::Words(words) => ("words", words),
        Domain::List(words) => ("list", words),
        Domain::Filter(words) => ("filter", words),
        Domain::Assignment(words) => ("assignment", words),
        Domain::Directory => ("directory", &[]),
        Domain::Path => ("path", &[]),
        Domain::Machine => ("machine", &[]),
        Domain::User => ("user", &[]),
        Domain::Group => ("group", &[]),
        Domain::Interface => ("interface", &[]),
    }
}

/// Whether a value can follow as the next word.
pub fn takes_next_word(takes: Takes) -> bool {
    matches!(takes, Takes::Value(_))
}

/// Words with blanks between them, broken into lines of about 110 columns that begin with `indent`.
pub fn wrapped(words: &[String], indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in words {
        let line = lines.last_mut().expect("there is always one");
        match line.is_empty() || line.len() + word.len() < 110 {
            true if line.is_empty() => *line = word.clone(),
            true => *line = format!("{line} {word}"),
            false => lines.push(word.clone()),
        }
    }
    lines.join(&format!("\n{indent}"))
}
