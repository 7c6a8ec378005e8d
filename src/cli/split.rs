// SPDX-License-Identifier: LGPL-2.1-or-later
//! Parts the command line into options and payload, in one pass, as getopt_long(3) does with a `+` in front. No value is
//! looked at here, and each mistake of the line is told once.

use crate::config::{Invocation, Key, Listing, Repeat, Takes, keys};
use crate::error::{Code, Diagnostic};
use crate::model::distance;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::iter::Peekable;
use std::os::unix::ffi::OsStrExt;
use std::vec::IntoIter;

/// Mistakes that are told of one line: one with more was not for us.
const MISTAKES_MAX: usize = 20;

/// One option as it was typed.
pub(super) struct Occurrence {
    pub key: &'static Key,
    pub value: Option<OsString>,
    /// As it reads on the command line, without what may be secret.
    pub typed: String,
}

/// A command line in parts.
pub(super) struct Line {
    pub options: Vec<Occurrence>,
    pub payload: Vec<OsString>,
    /// Options that do not exist, lack a value or take none.
    pub refused: Vec<Diagnostic>,
}

/// Parts `words`, which do not hold the program's name.
pub(super) fn split(invocation: Invocation, words: Vec<OsString>) -> Line {
    let mut splitter = Splitter {
        invocation,
        rest: words.into_iter().peekable(),
        options: Vec::new(),
        refused: Vec::new(),
        told: BTreeSet::new(),
    };
    while let Some(word) = splitter.rest.next_if(|word| is_option(word)) {
        match word.as_bytes() {
            b"--" => break,
            [b'-', b'-', ..] => splitter.long(&word),
            letters => splitter.cluster(&letters[1..]),
        }
    }
    Line { options: splitter.options, payload: splitter.rest.collect(), refused: splitter.refused }
}

fn is_option(word: &OsStr) -> bool {
    word.len() > 1 && word.as_bytes()[0] == b'-'
}

struct Splitter {
    invocation: Invocation,
    rest: Peekable<IntoIter<OsString>>,
    options: Vec<Occurrence>,
    refused: Vec<Diagnostic>,
    /// What the refusals say.
    told: BTreeSet<String>,
}

impl Splitter {
    fn known(&self) -> impl Iterator<Item = &'static Key> + use<> {
        let invocation = self.invocation;
        keys::all().filter(move |key| key.known_to(invocation))
    }

    fn refuse(&mut self, refusal: Diagnostic) {
        let told = self.refused.len();
        if told == MISTAKES_MAX || !self.told.insert(refusal.headline()) {
            return;
        }
        if told + 1 == MISTAKES_MAX {
            self.rest = Vec::new().into_iter().peekable();
            self.refused.push(refusal.note("the rest of the line was not looked at"));
        } else {
            self.refused.push(refusal);
        }
    }

    /// `--NAME` or `--NAME=VALUE`
    fn long(&mut self, word: &OsStr) {
        let mut parts = word.as_bytes()[2..].splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default();
        let mut value = parts.next().map(|value| OsStr::from_bytes(value).to_owned());
        let key = match self.by_name(name) {
            Ok(key) => key,
            Err(refusal) => return self.refuse(refusal),
        };
        let mut typed = readable(word, key.repeat);
        if value.is_none() {
            value = match key.takes {
                Takes::Value(metavar) => match self.rest.next() {
                    Some(next) => Some(next),
                    None => return self.refuse(needs_a_value(&typed, metavar)),
                },
                Takes::OptionalOrWord(_) => self.rest.next_if(|next| !is_option(next)),
                Takes::Optional(_) | Takes::Flag => None,
            };
            if let Some(next) = &value {
                typed = format!("{typed} {}", readable(next, key.repeat));
            }
        } else if key.takes == Takes::Flag {
            let what = format!("--{} takes no value", key.long.unwrap_or_default());
            return self.refuse(Diagnostic::new(Code::OptionValue, what));
        }
        self.options.push(Occurrence { key, value, typed });
    }

    /// Letters behind one dash. The first one that takes a value has all that follows, or the next word.
    fn cluster(&mut self, letters: &[u8]) {
        let mut after = 0;
        for chunk in letters.utf8_chunks() {
            let invalid = if chunk.invalid().is_empty() {
                None
            } else {
                Some((char::REPLACEMENT_CHARACTER, chunk.invalid().len()))
            };
            for (letter, length) in chunk.valid().chars().map(|letter| (letter, letter.len_utf8())).chain(invalid) {
                after += length;
                let Some(key) = self.known().find(|key| key.short == Some(letter)) else {
                    let name = readable(OsStr::new(&format!("-{letter}")), Repeat::Whole);
                    let unknown = Diagnostic::new(Code::OptionUnknown, format!("{name} is not an option"));
                    self.refuse(unknown.help("see --help for the options"));
                    continue;
                };
                let Takes::Value(metavar) = key.takes else {
                    self.options.push(Occurrence { key, value: None, typed: format!("-{letter}") });
                    continue;
                };
                let joined = OsStr::from_bytes(&letters[after..]);
                let (value, between) =
                    if joined.is_empty() { (self.rest.next(), " ") } else { (Some(joined.into()), "") };
                match value {
                    Some(value) => {
                        let typed = format!("-{letter}{between}{}", readable(&value, key.repeat));
                        self.options.push(Occurrence { key, value: Some(value), typed });
                    }
                    None => self.refuse(needs_a_value(&format!("-{letter}"), metavar)),
                }
                return;
            }
        }
    }

    /// The option of that name, or the only one whose name begins so.
    fn by_name(&self, name: &[u8]) -> Result<&'static Key, Diagnostic> {
        let mut begin_so = Vec::new();
        for key in self.known() {
            match key.long {
                Some(long) if long.as_bytes() == name => return Ok(key),
                Some(long) if long.as_bytes().starts_with(name) && !name.is_empty() => begin_so.push((key, long)),
                _ => {}
            }
        }
        let shown = format!("--{}", readable(OsStr::from_bytes(name), Repeat::Whole));
        match begin_so[..] {
            [(key, _)] => Ok(key),
            [] => {
                let unknown = Diagnostic::new(Code::OptionUnknown, format!("{shown} is not an option"));
                Err(match self.near(name) {
                    Some(near) => unknown.help(format!("did you mean --{near}?")),
                    None => unknown.help("see --help for the options"),
                })
            }
            _ => {
                let candidates: Vec<_> = begin_so.iter().map(|(_, long)| format!("--{long}")).collect();
                Err(Diagnostic::new(Code::OptionAmbiguous, format!("{shown} is ambiguous"))
                    .help(format!("write one of {}", candidates.join(", "))))
            }
        }
    }

    /// The name that was meant, if not more than a third of the letters are wrong.
    fn near(&self, name: &[u8]) -> Option<&'static str> {
        let shown = self.known().filter(|key| key.listing != Listing::Hidden);
        let close = shown.filter_map(|key| key.long).filter(|long| long.len().abs_diff(name.len()) <= name.len() / 3);
        let measured = close.map(|long| (distance(name, long.as_bytes()), long));
        measured
            .filter(|(distance, _)| *distance <= name.len() / 3)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, long)| long)
    }
}

fn needs_a_value(option: &str, metavar: &str) -> Diagnostic {
    Diagnostic::new(Code::OptionValueMissing, format!("{option} needs a value: {metavar}"))
}

/// A word for people: escapes for control characters, nothing that may be secret.
fn readable(word: &OsStr, repeat: Repeat) -> String {
    let mut text = word.as_bytes();
    if let Repeat::UpTo(byte) = repeat {
        // The `=` after the name of a long option does not begin the value's secret part.
        let start =
            if text.starts_with(b"--") { text.iter().position(|&b| b == b'=').map_or(0, |at| at + 1) } else { 0 };
        let secret = text[start..].iter().position(|&b| b == byte).map(|at| start + at);
        text = &text[..secret.unwrap_or(text.len())];
    }
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    String::from_utf8_lossy(text).chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn words(word: impl Fn(usize) -> String, bytes: usize) -> Vec<OsString> {
        (0..bytes / (word(0).len() + 1)).map(|n| word(n).into()).collect()
    }

    /// Read in one go: once for each mistake would take minutes.
    #[test]
    fn long_lines_take_time_in_proportion() {
        const LONG: usize = 20_000;
        let letters = |letter: &str| vec![OsString::from(format!("-{}", letter.repeat(LONG / letter.len())))];
        for (line, options, refused) in [
            (letters("k"), 0, 1),
            (letters("bxkK"), LONG / 2, 2),
            (words(|_| "-k".into(), LONG), 0, 1),
            (words(|_| "--nosuch".into(), LONG), 0, 1),
            (words(|n| format!("--nosuch{n:05}"), LONG), 0, MISTAKES_MAX),
            (words(|_| "--boot=1".into(), LONG), 0, 1),
            (words(|_| "--bind".into(), LONG), LONG / 7 / 2, 1),
            (words(|_| "-b".into(), LONG), LONG / 3, 0),
        ] {
            let (first, begin) = (line[0].clone(), Instant::now());
            let parts = split(Invocation::Spawn, line);
            let found = (parts.options.len(), parts.refused.len(), parts.payload.len());
            assert_eq!(found, (options, refused, 0), "{:.20}", first.display());
            assert!(begin.elapsed() < Duration::from_secs(20), "{:.20}: {:?}", first.display(), begin.elapsed());
        }
    }
}
