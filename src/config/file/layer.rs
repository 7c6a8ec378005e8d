// SPDX-License-Identifier: LGPL-2.1-or-later
//! One file, understood: what it says key by key, and its mistakes.

use super::lines::{self, At, Item};
use crate::config::{BadValue, FileKey, Invocation, Key, Repeat, Said, Section, Settings, Trust, keys};
use crate::error::{Code, Diagnostic, Origin};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;

/// A mistake in a file that does not keep it from being used, or something of it that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file.
    pub path: Rc<Path>,
    /// Where in it.
    pub at: At,
    /// What is wrong and what follows, without a full stop.
    pub text: String,
}

/// `FILE:LINE: TEXT`
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.at.line, self.text)
    }
}

/// One assignment.
#[derive(Clone)]
pub struct Entry {
    /// The row of the table.
    pub key: &'static Key,
    /// How files hold it.
    pub file: &'static FileKey,
    /// As it stands in the file.
    pub value: String,
    /// Where.
    pub at: At,
    /// It is wrong, at least in parts.
    pub wrong: Option<String>,
}

/// A file.
#[derive(Clone)]
pub struct Layer {
    /// Where it was found.
    pub path: Rc<Path>,
    /// Whose it is.
    pub trust: Trust,
    /// The name the program was called by.
    pub invocation: Invocation,
    /// What it says, in order.
    pub entries: Vec<Entry>,
    /// Its mistakes.
    pub warnings: Vec<Warning>,
    /// Where and why it cannot be used at all.
    pub broken: Option<(At, Diagnostic)>,
}

/// The row of the table for a key, and how files hold it.
type Found = (&'static Key, &'static FileKey);

fn find(invocation: Invocation, section: Section, name: &str) -> Option<Found> {
    type Table = BTreeMap<(Section, &'static str), &'static Key>;
    static TABLE: OnceLock<Table> = OnceLock::new();
    let table = TABLE.get_or_init(|| keys::all().filter_map(|k| k.file.map(|f| ((f.section, f.name), k))).collect());
    let key = *table.get(&(section, name))?;
    Some((key, key.in_files_of(invocation)?))
}

impl Layer {
    /// Understands a file. Nothing of it is carried out.
    pub fn parse(path: &Path, bytes: &[u8], trust: Trust, invocation: Invocation) -> Self {
        let mut layer =
            Self { path: path.into(), trust, invocation, entries: Vec::new(), warnings: Vec::new(), broken: None };
        let mut scratch = Settings { invocation, ..Settings::default() };
        let mut place = Place::Outside;
        lines::read(bytes, &mut |at, item| {
            if layer.broken.is_none() {
                layer.take(at, item, &mut place, &mut scratch);
            }
        });
        layer
    }

    fn take(&mut self, at: At, item: Item<'_>, place: &mut Place, scratch: &mut Settings) {
        match item {
            Item::Broken { why } => self.broken = Some((at, self.refusal(at, why))),
            Item::Section { name } => {
                *place = match Section::ALL.into_iter().find(|s| s.name() == name) {
                    Some(section) => Place::In(section),
                    None => Place::Ignored,
                };
                if *place == Place::Ignored && !name.starts_with("X-") {
                    self.warn(at, format!("there is no section [{}]; it is left out", printable(name)));
                }
            }
            Item::Nonsense { .. } | Item::Assignment { .. } if *place == Place::Ignored => {}
            Item::Nonsense { .. } | Item::Assignment { .. } if *place == Place::Outside => {
                self.warn(at, "the line stands before every section; it is left out".into());
            }
            Item::Nonsense { why } => self.warn(at, format!("{why}; the line is left out")),
            Item::Assignment { key, value, value_column } => {
                let Place::In(section) = *place else { return };
                match find(self.invocation, section, key) {
                    Some(found) => self.assign(At { column: value_column, ..at }, found, value, scratch),
                    None if key.starts_with("X-") => {}
                    None => self.warn(at, self.unknown(section, key)),
                }
            }
        }
    }

    fn unknown(&self, section: Section, name: &str) -> String {
        let elsewhere = Section::ALL.into_iter().find(|s| find(self.invocation, *s, name).is_some());
        let hint = match elsewhere {
            Some(other) => format!("; it belongs to [{}]", other.name()),
            None => String::new(),
        };
        format!("there is no key {}= in [{}]{hint}; it is left out", printable(name), section.name())
    }

    fn assign(&mut self, at: At, (key, file): Found, value: &str, scratch: &mut Settings) {
        let mut entry = Entry { key, file, value: value.into(), at, wrong: None };
        entry.wrong = self.apply(&entry, scratch).err();
        if let Some(why) = &entry.wrong {
            match (file.bad)(self.invocation, value.as_ref()) {
                BadValue::Ignored => {
                    let part = if key_has_words(file) { "what is wrong is left out" } else { "the line is left out" };
                    self.warn(at, format!("{}: {why}; {part}", shown(key, file, value)));
                }
                BadValue::RefusesFile => {
                    self.broken = Some((at, self.refusal(at, &format!("{}: {why}", shown(key, file, value)))));
                }
                BadValue::RefusesStart => {}
            }
        }
        if let (Invocation::Spawn, Some(told)) = (self.invocation, (file.mistakable)(value)) {
            self.warn(at, format!("{} {told}", shown(key, file, value)));
        }
        self.entries.push(entry);
    }

    /// Puts an entry into the settings. Under our own name an empty value takes back what the key has said, whatever
    /// the key is.
    pub fn apply(&self, entry: &Entry, settings: &mut Settings) -> Result<(), String> {
        if entry.value.is_empty() && self.invocation == Invocation::Spawn {
            (entry.file.reset)(settings);
            return Ok(());
        }
        let said = Said { value: Some(OsStr::new(&entry.value)), origin: self.origin(entry), base: None };
        (entry.file.apply)(settings, &said)
    }

    /// Where an entry stands.
    pub fn origin(&self, entry: &Entry) -> Origin {
        Origin::File { path: self.path.to_path_buf(), line: entry.at.line, key: entry.file.name.into() }
    }

    /// A refusal for an entry that asks for something wrong, where that must not be left out.
    pub fn refuses(&self, entry: &Entry) -> Option<Diagnostic> {
        let why = entry.wrong.as_ref()?;
        let bad = (entry.file.bad)(self.invocation, entry.value.as_ref());
        (bad == BadValue::RefusesStart)
            .then(|| self.refusal(entry.at, &format!("{}={}: {why}", entry.file.name, entry.value)))
    }

    /// Adds a warning.
    pub fn warn(&mut self, at: At, text: String) {
        self.warnings.push(Warning { path: Rc::clone(&self.path), at, text });
    }

    fn refusal(&self, at: At, why: &str) -> Diagnostic {
        Diagnostic::new(Code::SettingsFile, format!("{}:{}: {why}", self.path.display(), at.line))
            .help("correct the file, or say --settings=no to start without it")
    }
}

fn key_has_words(file: &FileKey) -> bool {
    file.adds == crate::config::Adds::Up
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Ignored,
    In(Section),
}

/// An assignment for people: no control characters, nothing that may be secret, not too long.
fn shown(key: &Key, file: &FileKey, value: &str) -> String {
    let value = match key.repeat {
        Repeat::UpTo(byte) => value.split(char::from(byte)).next().unwrap_or_default(),
        Repeat::Whole => value,
    };
    format!("{}={}", file.name, printable(value))
}

fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(80) {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
