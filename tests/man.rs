// SPDX-License-Identifier: LGPL-2.1-or-later
//! The manual has every option and every error code, with the text written for it in `man/options.md` and
//! `man/errors.md`. `UPDATE_EXPECT=1` (which `make man` sets) writes the parts between the markers anew.

#[path = "common/generated.rs"]
mod generated;

use spawn::config::keys::environment::VARIABLES;
use spawn::config::{Adds, Built, Invocation, Key, Listing, Section, Takes, Topic, Trust, keys};
use spawn::error::Code;
use spawn::log::{FIELDS, MessageId};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const BEGIN: &str = ".\\\" begin generated part\n";
const END: &str = ".\\\" end generated part\n";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man").join(name)
}

/// The texts of a Markdown file by heading; comments are left out.
fn texts(name: &str) -> BTreeMap<String, String> {
    let source = std::fs::read_to_string(file(name)).unwrap();
    let sections = source.split("\n## ").skip(1);
    let split = |section: &str| {
        let (heading, text) = section.split_once('\n').unwrap_or((section, ""));
        (heading.trim().to_string(), text.trim().to_string())
    };
    sections.map(split).collect()
}

/// Text in roff: `code` is bold, *word* is italic.
fn roff(text: &str) -> String {
    let mut out = String::new();
    let (mut bold, mut italic) = (false, false);
    for c in text.chars() {
        match c {
            '`' => {
                bold = !bold;
                out += if bold { "\\fB" } else { "\\fR" };
            }
            '*' if !bold => {
                italic = !italic;
                out += if italic { "\\fI" } else { "\\fR" };
            }
            '-' => out += "\\-",
            '\\' => out += "\\e",
            '~' => out += "\\(ti",
            '^' => out += "\\(ha",
            '…' => out += "...",
            '\n' => out += "\n",
            c => out.push(c),
        }
    }
    assert!(!bold && !italic, "unbalanced marks in: {text}");
    // A line that starts with a dot or a quote would be a request.
    out.lines().map(|l| if l.starts_with(['.', '\'']) { format!("\\&{l}\n") } else { format!("{l}\n") }).collect()
}

fn spelled(key: &Key) -> String {
    let value = |joint: &str, name: &str| format!("`{joint}`*{name}*");
    let long = key.long.map(|long| match key.takes {
        Takes::Flag | Takes::OptionalOrWord(_) => format!("`--{long}`"),
        Takes::Value(name) => format!("`--{long}`{}", value("=", name)),
        Takes::Optional(name) => format!("`--{long}`[{}]", value("=", name)),
    });
    let short = key.short.map(|letter| match (key.long, key.takes) {
        (_, Takes::Value(name)) => format!("`-{letter}` *{name}*"),
        _ => format!("`-{letter}`"),
    });
    short.into_iter().chain(long).collect::<Vec<_>>().join(", ")
}

fn is_option(key: &&Key) -> bool {
    (key.long.is_some() || key.short.is_some()) && key.listing != Listing::Hidden
}

fn options() -> String {
    let texts = texts("options.md");
    let mut used = Vec::new();
    let mut out = String::new();
    for (topic, heading) in Topic::ALL {
        let built = |key: &&Key| key.topic == *topic && !matches!(key.built, Built::No(_));
        let mut shown = keys::all().filter(is_option).filter(built).peekable();
        if shown.peek().is_some() {
            let _ = writeln!(out, ".SS {heading}");
        }
        for key in shown {
            let text = texts.get(key.id).unwrap_or_else(|| panic!("man/options.md has no section {}", key.id));
            used.push(key.id);
            let _ = write!(out, ".TP\n{}{}", roff(&spelled(key)), roff(text));
            if key.listing == Listing::SpawnOnly {
                out += "Only under the name \\fBspawn\\fR.\n";
            }
        }
    }
    out += ".SS Not built yet\nThese are known and refused.\n";
    for key in keys::all().filter(is_option) {
        if let Built::No(reason) = key.built {
            let _ = write!(out, ".TP\n{}{}", roff(&spelled(key)), roff(&format!("{}: {reason}.", key.help)));
        }
    }
    let stray: Vec<_> = texts.keys().filter(|id| !used.contains(&id.as_str())).collect();
    assert!(stray.is_empty(), "man/options.md has sections for no option: {stray:?}");
    out
}

fn errors() -> String {
    let texts = texts("errors.md");
    let mut out = String::new();
    for code in Code::ALL {
        let heading = code.to_string();
        let text = texts.get(&heading).unwrap_or_else(|| panic!("man/errors.md has no section {heading}"));
        let _ = write!(out, ".TP\n{}{}", roff(&format!("`{heading}` {}", code.meaning())), roff(text));
    }
    assert_eq!(texts.len(), Code::ALL.len(), "man/errors.md has sections for no code");
    out
}

/// The second kind of generated part in spawn-journal(7), after the first.
const MESSAGES_BEGIN: &str = ".\\\" begin generated messages\n";
const MESSAGES_END: &str = ".\\\" end generated messages\n";

fn fields() -> String {
    let field =
        |(name, text): &(&str, &str)| format!(".TP\n{}{}", roff(&format!("`{name}=`")), roff(&format!("{text}.")));
    FIELDS.iter().map(field).collect()
}

/// `@SPAWN_MACHINE@` is shown by journalctl as the machine's name.
fn messages() -> String {
    let plain = |text: &str| text.replace("@SPAWN_MACHINE@", "*NAME*").replace("@SPAWN_LEADER@", "*PID*");
    let message = |id: &MessageId| {
        let subject = roff(&plain(id.subject()));
        format!(
            ".TP\n{subject}.RS\n{}.PP\n{}.RE\n",
            roff(&format!("`MESSAGE_ID={}`", id.as_str())),
            roff(&plain(id.body()))
        )
    };
    MessageId::ALL.iter().map(message).collect()
}

fn keys_of_files() -> String {
    let texts = texts("keys.md");
    let mut used = Vec::new();
    let mut out = String::new();
    for section in Section::ALL {
        let _ = writeln!(out, ".SS [{}]", section.name());
        for key in keys::all() {
            let Some(file) = key.in_files_of(Invocation::Spawn).filter(|file| file.section == section) else {
                continue;
            };
            let form = match key.takes {
                Takes::Flag => "BOOL",
                takes => takes.metavar().unwrap_or("VALUE"),
            };
            let _ = write!(out, ".TP\n{}", roff(&format!("`{}=`*{form}*", file.name)));
            let option = match is_option(&key) {
                true => format!(" As {} of spawn(1).", spelled(key)),
                false => String::new(),
            };
            let own = texts.get(file.name).map(|text| format!(" {text}")).unwrap_or_default();
            used.extend(texts.get_key_value(file.name).map(|(name, _)| name.as_str()));
            let mut facts = Vec::new();
            facts.extend((file.adds == Adds::Up).then_some("adds up"));
            facts.extend((key.trust == Trust::Trusted).then_some("trusted files only"));
            facts.extend((file.listing == Listing::SpawnOnly).then_some("only under the name `spawn`"));
            let default = format!("default `{}`", file.default);
            facts.extend((!file.default.is_empty()).then_some(default.as_str()));
            facts.extend(matches!(key.built, Built::No(_)).then_some("not built yet"));
            let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join("; ")) };
            out += &roff(&format!("{}{facts}.{option}{own}", key.help));
        }
    }
    let stray: Vec<_> = texts.keys().filter(|name| !used.contains(&name.as_str())).collect();
    assert!(stray.is_empty(), "man/keys.md has sections for no key: {stray:?}");
    out
}

/// Compares what is between the markers of a page, or writes it.
fn check(page: &str, generated: &str) {
    generated::check(&format!("man/{page}"), BEGIN, END, generated);
}

#[test]
fn the_manual_has_every_option() {
    check("spawn.1", &options());
}

#[test]
fn the_manual_has_every_key_of_files() {
    check("spawn.nspawn.5", &keys_of_files());
}

#[test]
fn the_manual_has_every_error_code() {
    check("spawn-errors.7", &errors());
}

#[test]
fn the_manual_has_every_field_and_message() {
    check("spawn-journal.7", &fields());
    generated::check("man/spawn-journal.7", MESSAGES_BEGIN, MESSAGES_END, &messages());
}

#[test]
fn the_manual_has_every_variable() {
    // Not read now, while another test may write its own part of the page.
    let (_, section) = include_str!("../man/spawn.1").split_once(".SH ENVIRONMENT\n").unwrap();
    let section = section.split(".SH ").next().unwrap();
    let named = |name: &str| section.lines().any(|line| line.split([' ', '=']).any(|word| word == name));
    for variable in VARIABLES {
        assert_eq!(named(variable.name), variable.is_built(), "{} in ENVIRONMENT of spawn.1", variable.name);
    }
}

/// Words in backquotes that are paths of the checkout.
#[test]
fn the_checklists_name_what_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let paths: Vec<&str> = quoted.filter_map(|word| word.split(' ').next()).filter(|word| is_path(word)).collect();
    assert!(paths.len() > 20, "{paths:?}");
    let missing: Vec<&&str> = paths.iter().filter(|path| !root.join(path).exists()).collect();
    assert!(missing.is_empty(), "CONTRIBUTING.md names {missing:?}");
}

fn is_path(word: &str) -> bool {
    ["src/", "tests/", "man/", "docs/", "packaging/"].iter().any(|folder| word.starts_with(folder))
}
