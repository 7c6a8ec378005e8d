// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the table knows of one setting, and how a value said somewhere reaches [`Settings`].

use super::file_key::{FileKey, Trust};
use super::settings::{Many, One};
use super::{Invocation, Settings};
use crate::error::{Origin, Sourced};
use crate::model::{absolute, as_text, parse_bool};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A heading of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The program itself.
    Program,
    /// What is booted.
    Image,
    /// What runs in it.
    Execution,
    /// Names and ids.
    Identity,
    /// The unit of systemd.
    Unit,
    /// User namespaces.
    Users,
    /// Network.
    Network,
    /// What the payload may do.
    Security,
    /// Limits.
    Resources,
    /// Files shared with the host.
    Integration,
    /// Mounts.
    Mounts,
    /// Terminal, pipes.
    InputOutput,
    /// Credentials.
    Credentials,
}

impl Topic {
    /// Every topic with its heading, in the order of the help.
    pub const ALL: &[(Topic, &str)] = &[
        (Topic::Program, "Program"),
        (Topic::Image, "Image"),
        (Topic::Execution, "Execution"),
        (Topic::Identity, "System Identity"),
        (Topic::Unit, "Unit and Registration"),
        (Topic::Users, "User Namespacing"),
        (Topic::Network, "Networking"),
        (Topic::Security, "Security"),
        (Topic::Resources, "Resource Limits"),
        (Topic::Integration, "Integration"),
        (Topic::Mounts, "Mounts"),
        (Topic::InputOutput, "Input/Output"),
        (Topic::Credentials, "Credentials"),
    ];
}

/// What an option takes; the text is the placeholder of the value in the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Flag,
    /// A value, joined with `=` or as the next word.
    Value(&'static str),
    /// A value that can only be joined with `=`, or nothing.
    Optional(&'static str),
    /// As [`Takes::Optional`], but a next word that is no option is taken as well.
    OptionalOrWord(&'static str),
}

impl Takes {
    /// The placeholder of the value, if one can be given.
    pub fn metavar(self) -> Option<&'static str> {
        match self {
            Takes::Flag => None,
            Takes::Value(name) | Takes::Optional(name) | Takes::OptionalOrWord(name) => Some(name),
        }
    }
}

/// Where an option is shown and known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// In the help.
    Shown,
    /// Accepted, not in the help: old spellings and internal ones.
    Hidden,
    /// Only under the name `spawn`.
    SpawnOnly,
}

/// A value that was said and is not built yet: who said it, and how it reads.
pub type Lacking = (Origin, String);

/// Whether this version can do it.
#[derive(Clone, Copy)]
pub enum Built {
    /// Yes.
    Yes,
    /// No value of it; what the help says about it.
    No(&'static str),
    /// Not all its values: finds in the settings those that are not.
    Partly(fn(&Settings) -> Vec<Lacking>),
}

/// How much of the option may be repeated in messages and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// All of it.
    Whole,
    /// Up to this byte: what follows may be secret.
    UpTo(u8),
}

/// Puts what was said into the settings. The error says what is wrong with the value and what is allowed.
pub type Apply = fn(&mut Settings, &Said) -> Result<(), String>;

/// What an option does.
#[derive(Clone, Copy)]
pub enum Does {
    /// Makes a setting.
    Set(Apply),
    /// Shows the help.
    Help,
    /// Shows the version.
    Version,
    /// Shows the table as JSON.
    IntrospectCli,
}

/// One setting: everything that command line, files, help, manual page and completions know of it.
#[derive(Clone, Copy)]
pub struct Key {
    /// Unique: the long option, else the short option or the key of the file.
    pub id: &'static str,
    /// Heading of the help.
    pub topic: Topic,
    /// Long option, without dashes.
    pub long: Option<&'static str>,
    /// Short option, without dash.
    pub short: Option<char>,
    /// How `.nspawn` files hold it.
    pub file: Option<FileKey>,
    /// What the option takes.
    pub takes: Takes,
    /// One line of help, without a full stop.
    pub help: &'static str,
    /// The text of `--OPTION=help`.
    pub values: Option<fn() -> String>,
    /// The release of systemd that has it first; empty for those before 209 and for those that systemd lacks.
    pub since: &'static str,
    /// Whether it is built.
    pub built: Built,
    /// Whose files may make it.
    pub trust: Trust,
    /// The group of settings that it hides in a file when said on the command line (systemd.nspawn(5)); limits have a
    /// bit of their own each, from 35 on.
    pub mask: Option<u8>,
    /// Where it is shown.
    pub listing: Listing,
    /// How much of it may be repeated.
    pub repeat: Repeat,
    /// What it does.
    pub does: Does,
}

impl Key {
    pub(super) const fn new(id: &'static str, topic: Topic, takes: Takes, help: &'static str, does: Does) -> Self {
        Self {
            id,
            topic,
            long: None,
            short: None,
            file: None,
            takes,
            help,
            values: None,
            since: "",
            built: Built::Yes,
            trust: Trust::Anyone,
            mask: None,
            listing: Listing::Shown,
            repeat: Repeat::Whole,
            does,
        }
    }
    /// An option with a long name.
    pub(super) const fn option(
        name: &'static str,
        topic: Topic,
        takes: Takes,
        help: &'static str,
        apply: Apply,
    ) -> Self {
        let mut key = Self::new(name, topic, takes, help, Does::Set(apply));
        key.long = Some(name);
        key
    }
    /// An option that shows something and ends.
    pub(super) const fn shows(name: &'static str, help: &'static str, does: Does) -> Self {
        let mut key = Self::new(name, Topic::Program, Takes::Flag, help, does);
        key.long = Some(name);
        key
    }
    /// An option without a long name.
    pub(super) const fn letter(id: &'static str, letter: char, topic: Topic, help: &'static str, apply: Apply) -> Self {
        Self::new(id, topic, Takes::Flag, help, Does::Set(apply)).short(letter)
    }
    pub(super) const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }
    pub(super) const fn mask(mut self, bit: u8) -> Self {
        self.mask = Some(bit);
        self
    }
    pub(super) const fn since(mut self, release: &'static str) -> Self {
        self.since = release;
        self
    }
    pub(super) const fn values(mut self, list: fn() -> String) -> Self {
        self.values = Some(list);
        self
    }
    pub(super) const fn not_built(mut self, reason: &'static str) -> Self {
        self.built = Built::No(reason);
        self
    }
    pub(super) const fn partly(mut self, lacking: fn(&Settings) -> Vec<Lacking>) -> Self {
        self.built = Built::Partly(lacking);
        self
    }
    pub(super) const fn listing(mut self, listing: Listing) -> Self {
        self.listing = listing;
        self
    }
    pub(super) const fn secret_after(mut self, byte: u8) -> Self {
        self.repeat = Repeat::UpTo(byte);
        self
    }

    /// Whether the program knows the option under the name it was called by.
    pub fn known_to(&self, invocation: Invocation) -> bool {
        invocation == Invocation::Spawn || self.listing != Listing::SpawnOnly
    }

    /// How the option is written: `--bind=`, `--boot`, `-U`; the key of the file where there is none.
    pub fn spelling(&self) -> String {
        match (self.long, self.short) {
            (Some(long), _) if matches!(self.takes, Takes::Value(_)) => format!("--{long}="),
            (Some(long), _) => format!("--{long}"),
            (None, Some(letter)) => format!("-{letter}"),
            (None, None) => format!("{}=", self.id),
        }
    }
}

/// One thing that was said, before it is understood.
#[derive(Debug, Clone)]
pub struct Said<'a> {
    /// The value; `None` where the option stood alone.
    pub value: Option<&'a OsStr>,
    /// Where it was said.
    pub origin: Origin,
    /// What relative paths are relative to; without it they are refused.
    pub base: Option<&'a Path>,
}

impl Said<'_> {
    /// The value; empty where there is none.
    pub fn raw(&self) -> &OsStr {
        self.value.unwrap_or_default()
    }
    /// The value as text.
    pub fn text(&self) -> Result<&str, String> {
        as_text(self.raw())
    }
    /// Pairs a value with the origin.
    pub fn sourced<T>(&self, value: T) -> Sourced<T> {
        Sourced::new(value, self.origin.clone())
    }
    /// Fills a setting that is made once.
    pub fn put<T>(&self, slot: &mut One<T>, value: T) -> Result<(), String> {
        *slot = Some(self.sourced(value));
        Ok(())
    }
    /// Adds to a setting that accumulates.
    pub fn add<T>(&self, slot: &mut Many<T>, value: T) -> Result<(), String> {
        slot.push(self.sourced(value));
        Ok(())
    }
    /// Parses the value and fills the setting.
    pub fn one<T: FromStr<Err = String>>(&self, slot: &mut One<T>) -> Result<(), String> {
        self.put(slot, self.text()?.parse()?)
    }
    /// Parses the value and adds it.
    pub fn many<T: FromStr<Err = String>>(&self, slot: &mut Many<T>) -> Result<(), String> {
        self.add(slot, self.text()?.parse()?)
    }
    /// A boolean; an option alone says yes.
    pub fn flag(&self, slot: &mut One<bool>) -> Result<(), String> {
        self.put(slot, self.is_yes()?)
    }
    /// The boolean that was said; an option alone says yes.
    pub fn is_yes(&self) -> Result<bool, String> {
        self.value.map_or(Ok(true), |value| parse_bool(as_text(value)?))
    }
    /// A boolean; an empty value resets the setting.
    pub fn tristate(&self, slot: &mut One<bool>) -> Result<(), String> {
        if self.raw().is_empty() {
            *slot = None;
            return Ok(());
        }
        self.flag(slot)
    }
    /// Parses the value and fills the setting; an empty value resets it.
    pub fn one_or_reset<T: FromStr<Err = String>>(&self, slot: &mut One<T>) -> Result<(), String> {
        if self.raw().is_empty() {
            *slot = None;
            return Ok(());
        }
        self.one(slot)
    }
    /// A path of the host, made absolute; an empty one resets the setting.
    pub fn path(&self, slot: &mut One<PathBuf>) -> Result<(), String> {
        *slot = match self.raw().is_empty() {
            true => None,
            false => Some(self.sourced(absolute(Path::new(self.raw()), self.base)?)),
        };
        Ok(())
    }
    /// A text that is looked at later; an empty one resets the setting.
    pub fn string(&self, slot: &mut One<String>) -> Result<(), String> {
        let text = self.text()?;
        *slot = (!text.is_empty()).then(|| self.sourced(text.to_string()));
        Ok(())
    }
}
