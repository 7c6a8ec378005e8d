// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a person gets to see: help, version, mistakes. The only place that writes to standard output.

use super::Command;
use crate::config::{Built, Invocation, Key, Listing, Takes, Topic, keys};
use crate::error::Diagnostic;
use std::fmt::Write as _;
use std::io::{self, Write as _};

/// The release of systemd whose options these are.
const SYSTEMD_RELEASE: u32 = 262;

/// Where the descriptions begin.
const COLUMN: usize = 28;

/// The name the program was called by, as messages show it.
pub fn name(invocation: Invocation) -> &'static str {
    match invocation {
        Invocation::Spawn => "spawn",
        Invocation::SystemdNspawn => "systemd-nspawn",
    }
}

/// The help, grouped by topic.
pub fn help(invocation: Invocation) -> String {
    let mut text = format!("{} [OPTION…] [PROGRAM [ARGUMENT…]]\n\n", name(invocation));
    text += "Run a program in a lightweight container, or boot an operating system in it.\n";
    for (topic, heading) in Topic::ALL {
        let shown = keys::all().filter(|key| {
            let option = key.long.is_some() || key.short.is_some();
            key.topic == *topic && option && key.listing != Listing::Hidden && key.known_to(invocation)
        });
        let _ = writeln!(text, "\n{heading}:");
        shown.for_each(|key| write_option(&mut text, key));
    }
    let listed: Vec<_> = keys::all().filter(|key| key.values.is_some()).filter_map(|key| key.long).collect();
    let _ = writeln!(text, "\nThe value 'help' lists the values of {}.", wrapped(&listed));
    text += "Options marked * are known, but not built yet.\n";
    text
}

/// Names with commas, broken into lines of about 70 columns.
fn wrapped(names: &[&str]) -> String {
    let mut text = String::new();
    let mut width = "The value 'help' lists the values of ".len();
    for (at, name) in names.iter().enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        if width + separator.len() + name.len() > 76 {
            let _ = write!(text, ",\n{name}");
            width = name.len();
        } else {
            let _ = write!(text, "{separator}{name}");
            width += separator.len() + name.len();
        }
    }
    text
}

fn write_option(text: &mut String, key: &Key) {
    let short = key.short.map_or("    ".into(), |letter| format!(" -{letter} "));
    let long = match (key.long, key.takes) {
        (None, _) => String::new(),
        (Some(long), Takes::Flag) => format!("--{long}"),
        (Some(long), Takes::Value(metavar)) => format!("--{long}={metavar}"),
        (Some(long), Takes::Optional(metavar)) => format!("--{long}[={metavar}]"),
        // The old meaning of its value is not worth a line.
        (Some(long), Takes::OptionalOrWord(_)) => format!("--{long}"),
    };
    let left = format!(" {short}{long}");
    let star = if matches!(key.built, Built::No(_)) { "* " } else { "" };
    // Writing to a String cannot fail.
    let _ = match left.chars().count() < COLUMN {
        true => writeln!(text, "{left:COLUMN$}{star}{}", key.help),
        false => writeln!(text, "{left}\n{:COLUMN$}{star}{}", "", key.help),
    };
}

/// The version. Under the name `systemd-nspawn` the first line is the one that tools read there.
pub fn version(invocation: Invocation) -> String {
    let own = concat!("spawn ", env!("CARGO_PKG_VERSION"), "\n");
    match invocation {
        Invocation::Spawn => own.into(),
        Invocation::SystemdNspawn => format!("systemd {SYSTEMD_RELEASE} ({SYSTEMD_RELEASE})\n{own}"),
    }
}

/// The table of options as JSON, one object for each.
pub fn introspect(invocation: Invocation) -> String {
    let options = keys::all().filter(|key| key.known_to(invocation)).map(|key| {
        serde_json::json!({
            "id": key.id,
            "long": key.long,
            "short": key.short,
            "argument": key.takes.metavar(),
            "argumentOptional": matches!(key.takes, Takes::Optional(_) | Takes::OptionalOrWord(_)),
            "section": key.in_files_of(invocation).map(|file| file.section.name()),
            "key": key.in_files_of(invocation).map(|file| file.name),
            "hidden": key.listing == Listing::Hidden,
            "built": !matches!(key.built, Built::No(_)),
            "help": key.help,
        })
    });
    format!("{:#}\n", serde_json::Value::from_iter(options))
}

/// What a command that only shows something shows; `None` for a run.
pub fn output(command: &Command, invocation: Invocation) -> Option<String> {
    match command {
        Command::Run(_) => None,
        Command::Help => Some(help(invocation)),
        Command::Version => Some(version(invocation)),
        Command::PrintValues(values) => Some(values.clone()),
        Command::IntrospectCli => Some(introspect(invocation)),
    }
}

/// Writes to standard output. A reader that went away is no mistake.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Diagnostics in plain words, each headed by the program's name; control characters are escaped.
pub fn diagnostics(invocation: Invocation, list: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in list {
        for c in format!("{}: {diagnostic}\n", name(invocation)).chars() {
            if c.is_control() && c != '\n' { text.extend(c.escape_default()) } else { text.push(c) }
        }
    }
    text
}

/// Writes [`diagnostics`] to standard error. There is nobody left to tell when that fails.
pub fn complain(invocation: Invocation, list: &[Diagnostic]) {
    let _ = io::stderr().lock().write_all(diagnostics(invocation, list).as_bytes());
}
