// SPDX-License-Identifier: LGPL-2.1-or-later
//! Parts the command line into options and payload. No value is looked at here.
//!
//! clap does the splitting; what it lacks of getopt_long(3) is added around it: several mistakes at once, candidates of
//! an ambiguous abbreviation, options as they were typed, `-D=x` meaning the value `=x`.

use crate::config::{Invocation, Key, Repeat, Takes, keys};
use crate::error::{Code, Diagnostic};
use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Stands for "no value": an argument of a program cannot hold a NUL.
const ABSENT: &str = "\0";

/// Mistakes that are told of one line: finding each takes another look at the whole of it.
const MISTAKES_MAX: usize = 20;

/// Name of the positional words; no option is called so.
const PAYLOAD: &str = "";

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
    /// Options that do not exist or lack a value.
    pub refused: Vec<Diagnostic>,
}

/// Parts `words`, which do not hold the program's name.
pub(super) fn split(invocation: Invocation, mut words: Vec<OsString>) -> Line {
    let mut refused = Vec::new();
    // Most lines name few of the options and hold no mistake. To tell of one, all options are needed.
    let mut command = command(options(invocation).filter(|key| may_be_named(key, &words)));
    let mut parsed = command.try_get_matches_from_mut(&words);
    if parsed.is_err() {
        command = self::command(options(invocation));
        parsed = command.try_get_matches_from_mut(&words);
    }
    let mut tries = 0;
    loop {
        match parsed {
            Ok(matches) => {
                let payload: Vec<OsString> = matches.get_many(PAYLOAD).into_iter().flatten().cloned().collect();
                let typed = &words[..words.len() - payload.len()];
                return Line { options: occurrences(&matches, invocation, typed), payload, refused };
            }
            Err(error) => {
                let before = words.len() + words.iter().map(|w| w.len()).sum::<usize>();
                let mistake = explain(&error, invocation, &mut words);
                let unchanged = words.len() + words.iter().map(|w| w.len()).sum::<usize>() == before;
                if refused.iter().all(|told: &Diagnostic| told.headline() != mistake.headline()) {
                    refused.push(mistake);
                }
                tries += 1;
                if unchanged || tries == MISTAKES_MAX {
                    let more = (tries == MISTAKES_MAX).then(|| refused.pop()).flatten();
                    refused.extend(more.map(|last| last.note("the rest of the line was not looked at")));
                    return Line { options: Vec::new(), payload: Vec::new(), refused };
                }
                parsed = command.try_get_matches_from_mut(&words);
            }
        }
    }
}

fn options(invocation: Invocation) -> impl Iterator<Item = &'static Key> {
    keys::all().filter(move |key| (key.long.is_some() || key.short.is_some()) && key.known_to(invocation))
}

/// Whether a word could mean the option: as its name, the beginning of it, or a letter of a cluster.
fn may_be_named(key: &Key, words: &[OsString]) -> bool {
    words.iter().any(|word| match word.as_bytes().strip_prefix(b"--") {
        Some(long) => {
            let name = long.split(|b| *b == b'=').next().unwrap_or_default();
            key.long.is_some_and(|l| l.as_bytes().starts_with(name))
        }
        None => {
            let mut letter = [0; 4];
            let letter = key.short.map(|c| &*c.encode_utf8(&mut letter));
            letter.is_some_and(|l| word.as_bytes().first() == Some(&b'-') && word.to_string_lossy().contains(l))
        }
    })
}

fn command(options: impl Iterator<Item = &'static Key>) -> Command {
    let args = options.map(|key| {
        let arg = Arg::new(key.id).action(ArgAction::Append).value_parser(ValueParser::os_string());
        let arg = match key.takes {
            Takes::Flag => arg.num_args(0).default_missing_value(ABSENT),
            Takes::Value(_) => arg.num_args(1).allow_hyphen_values(true),
            Takes::Optional(_) => arg.num_args(0..=1).require_equals(true).default_missing_value(ABSENT),
            Takes::OptionalOrWord(_) => arg.num_args(0..=1).default_missing_value(ABSENT),
        };
        arg.long(key.long).short(key.short)
    });
    Command::new(PAYLOAD)
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .infer_long_args(true)
        .args(args)
        .arg(Arg::new(PAYLOAD).num_args(0..).trailing_var_arg(true).value_parser(ValueParser::os_string()))
}

/// The options in the order they were typed, `typed` being the words that hold them.
fn occurrences(matches: &ArgMatches, invocation: Invocation, typed: &[OsString]) -> Vec<Occurrence> {
    let mut found: Vec<(usize, &'static Key, &OsString)> = Vec::new();
    for key in options(invocation) {
        // Those that no word could mean are unknown to clap.
        if !matches.try_contains_id(key.id).is_ok_and(|typed| typed) {
            continue;
        }
        let (Some(indices), Some(values)) = (matches.indices_of(key.id), matches.get_many(key.id)) else { continue };
        found.extend(indices.zip(values).map(|(index, value)| (index, key, value)));
    }
    found.sort_by_key(|(index, ..)| *index);

    let mut words = typed.iter();
    let mut cluster: &[u8] = &[];
    let mut list = Vec::with_capacity(found.len());
    for (_, key, value) in found {
        let mut value = (value != ABSENT).then(|| value.clone());
        let text = if cluster.is_empty() { words.next().map_or(&[][..], |w| w.as_bytes()) } else { cluster };
        let is_long = cluster.is_empty() && text.starts_with(b"--");
        let mut typed;
        if is_long {
            typed = readable(OsStr::from_bytes(text), key.repeat);
            if !text.contains(&b'=') && value.is_some() {
                typed = joined(typed, words.next(), key.repeat);
            }
        } else {
            let letters = if cluster.is_empty() { text.get(1..).unwrap_or_default() } else { text };
            typed = format!("-{}", key.short.unwrap_or_default());
            cluster = letters.get(1..).unwrap_or_default();
            if let Takes::Value(_) = key.takes {
                if cluster.is_empty() {
                    typed = joined(typed, words.next(), key.repeat);
                } else {
                    let rest = OsStr::from_bytes(std::mem::take(&mut cluster));
                    typed += &readable(rest, key.repeat);
                    value = Some(rest.to_os_string());
                }
            }
        }
        list.push(Occurrence { key, value, typed });
    }
    list
}

fn joined(option: String, value: Option<&OsString>, repeat: Repeat) -> String {
    match value {
        Some(value) => format!("{option} {}", readable(value, repeat)),
        None => option,
    }
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

/// Words one mistake and takes it out of `words`, so that the next try finds the next one.
fn explain(error: &clap::Error, invocation: Invocation, words: &mut Vec<OsString>) -> Diagnostic {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(list)) => list.first().cloned(),
        _ => None,
    };
    let shown = context(ContextKind::InvalidArg).unwrap_or_default();
    let option = shown.split(' ').next().unwrap_or_default().to_string();
    match error.kind() {
        // A missing value is always at the end of the line.
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues => {
            let last = words.pop();
            let typed = last.as_deref().map(|w| readable(w, Repeat::Whole)).unwrap_or_default();
            let key = options(invocation).find(|k| k.long.is_some_and(|l| option == format!("--{l}")));
            let metavar = key.and_then(|k| k.takes.metavar()).unwrap_or("VALUE");
            Diagnostic::new(Code::OptionValueMissing, format!("{typed} needs a value: {metavar}"))
        }
        ErrorKind::TooManyValues => {
            remove_long(words, &option);
            Diagnostic::new(Code::OptionValue, format!("{option} takes no value"))
        }
        _ if option.starts_with("--") => {
            remove_long(words, &option);
            unknown_long(&option, invocation, context(ContextKind::SuggestedArg))
        }
        _ => {
            remove_letter(words, &option, invocation);
            let name = readable(OsStr::new(&option), Repeat::Whole);
            Diagnostic::new(Code::OptionUnknown, format!("{name} is not an option")).help("see --help for the options")
        }
    }
}

fn unknown_long(option: &str, invocation: Invocation, near: Option<String>) -> Diagnostic {
    let name = readable(OsStr::new(option), Repeat::Whole);
    let candidates = options(invocation).filter_map(|k| k.long).filter(|l| l.starts_with(&option[2..]));
    let candidates: Vec<_> = candidates.map(|l| format!("--{l}")).collect();
    if !candidates.is_empty() && option.len() > 2 {
        return Diagnostic::new(Code::OptionAmbiguous, format!("{name} is ambiguous"))
            .help(format!("write one of {}", candidates.join(", ")));
    }
    let unknown = Diagnostic::new(Code::OptionUnknown, format!("{name} is not an option"));
    match near {
        Some(near) => unknown.help(format!("did you mean {near}?")),
        None => unknown.help("see --help for the options"),
    }
}

fn remove_long(words: &mut Vec<OsString>, option: &str) {
    let fits = |word: &OsString| {
        let word = word.to_string_lossy();
        let (name, _) = word.split_once('=').unwrap_or((&word, ""));
        // A known option may have been abbreviated.
        name == option || (name.len() > 2 && name.starts_with("--") && option.starts_with(name))
    };
    if let Some(at) = words.iter().position(fits) {
        words.remove(at);
    }
}

/// Takes one letter out of the first cluster that holds it, but not out of a value that is joined to its option.
fn remove_letter(words: &mut Vec<OsString>, option: &str, invocation: Invocation) {
    let takes_value = |c: char| options(invocation).any(|k| k.short == Some(c) && matches!(k.takes, Takes::Value(_)));
    let Some(letter) = option.chars().nth(1) else { return };
    for at in 0..words.len() {
        let word = words[at].to_string_lossy().into_owned();
        if !word.starts_with('-') || word.starts_with("--") {
            continue;
        }
        let cluster = word.char_indices().skip(1);
        let found = cluster.take_while(|(_, c)| *c == letter || !takes_value(*c)).find(|(_, c)| *c == letter);
        if let Some((position, _)) = found {
            let rest = format!("{}{}", &word[..position], &word[position + letter.len_utf8()..]);
            if rest == "-" {
                drop(words.remove(at))
            } else {
                words[at] = rest.into()
            }
            return;
        }
    }
}
