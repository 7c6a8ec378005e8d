// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the table knows of a setting in a `.nspawn` file.

use super::key::{Apply, Does, Key, Listing};
use super::{Invocation, Settings, Topic};
use std::ffi::OsStr;

/// A section of `.nspawn` files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// `[Exec]`
    Exec,
    /// `[Files]`
    Files,
    /// `[Network]`
    Network,
}

impl Section {
    /// Every section, in the order of the manual.
    pub const ALL: [Section; 3] = [Section::Exec, Section::Files, Section::Network];

    /// Its name, without brackets.
    pub fn name(self) -> &'static str {
        match self {
            Section::Exec => "Exec",
            Section::Files => "Files",
            Section::Network => "Network",
        }
    }
}

/// Whose files may make a setting (systemd.nspawn(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Files below `/etc` and `/run` only.
    Trusted,
    /// The file next to the image as well.
    Anyone,
}

/// What follows from a value that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadValue {
    /// The line is left out, with a warning.
    Ignored,
    /// The file is refused, whoever it is from and whatever hides it.
    RefusesFile,
    /// The start is refused if the line counts: it asks for something, so it is not to be left out.
    RefusesStart,
}

/// Whether what is said of a key several times adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adds {
    /// The last one wins.
    No,
    /// All of it counts.
    Up,
}

/// A setting as files hold it.
#[derive(Clone, Copy)]
pub struct FileKey {
    /// Where it stands.
    pub section: Section,
    /// The key.
    pub name: &'static str,
    /// How its value is read. What is right in a list of words counts even where the result is an error.
    pub apply: Apply,
    /// Takes back what the key has said.
    pub reset: fn(&mut Settings),
    /// What follows from a value that is wrong.
    pub bad: fn(Invocation, &OsStr) -> BadValue,
    /// What a person may take a value for that means something else, under our own name.
    pub mistakable: fn(&str) -> Option<&'static str>,
    /// Whether it accumulates.
    pub adds: Adds,
    /// What holds where nobody says anything, as the key would be written; empty where that is nothing at all.
    pub default: &'static str,
    /// Under which names of the program it is known.
    pub listing: Listing,
}

impl Key {
    /// A key that only files have.
    pub(super) const fn only_file(
        section: Section,
        name: &'static str,
        topic: Topic,
        metavar: &'static str,
        help: &'static str,
        apply: Apply,
        reset: fn(&mut Settings),
    ) -> Self {
        Self::new(name, topic, super::Takes::Value(metavar), help, Does::Set(apply)).file(section, name, reset)
    }

    /// A key of systemd.nspawn(5), read as the option is.
    pub(super) const fn file(mut self, section: Section, name: &'static str, reset: fn(&mut Settings)) -> Self {
        if let Does::Set(apply) = self.does {
            self.file = Some(FileKey {
                section,
                name,
                apply,
                reset,
                bad: |_, _| BadValue::Ignored,
                mistakable: |_| None,
                adds: Adds::No,
                default: "",
                listing: Listing::Shown,
            });
        }
        self
    }

    /// A key that systemd-nspawn lacks; only trusted files have it.
    pub(super) const fn own_file(self, section: Section, name: &'static str, reset: fn(&mut Settings)) -> Self {
        let mut key = self.file(section, name, reset).trusted();
        if let Some(mut file) = key.file {
            file.listing = Listing::SpawnOnly;
            key.file = Some(file);
        }
        key
    }

    /// The file's grammar, where it is not the option's.
    pub(super) const fn reads(mut self, apply: Apply) -> Self {
        if let Some(mut file) = self.file {
            file.apply = apply;
            self.file = Some(file);
        }
        self
    }

    pub(super) const fn bad_value(mut self, bad: fn(Invocation, &OsStr) -> BadValue) -> Self {
        if let Some(mut file) = self.file {
            file.bad = bad;
            self.file = Some(file);
        }
        self
    }

    pub(super) const fn mistakable(mut self, told: fn(&str) -> Option<&'static str>) -> Self {
        if let Some(mut file) = self.file {
            file.mistakable = told;
            self.file = Some(file);
        }
        self
    }

    /// It accumulates.
    pub(super) const fn adds_up(mut self) -> Self {
        if let Some(mut file) = self.file {
            file.adds = Adds::Up;
            self.file = Some(file);
        }
        self
    }

    pub(super) const fn default_is(mut self, default: &'static str) -> Self {
        if let Some(mut file) = self.file {
            file.default = default;
            self.file = Some(file);
        }
        self
    }

    pub(super) const fn trusted(mut self) -> Self {
        self.trust = Trust::Trusted;
        self
    }

    /// How files hold it, if they can under the name that the program was called by.
    pub fn in_files_of(&self, invocation: Invocation) -> Option<&FileKey> {
        let known = |file: &&FileKey| invocation == Invocation::Spawn || file.listing != Listing::SpawnOnly;
        self.file.as_ref().filter(known)
    }
}
