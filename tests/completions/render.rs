// SPDX-License-Identifier: LGPL-2.1-or-later
//! The generated part of each shell's file.

use crate::rows::{self, Domain, Row, kind, takes_next_word, wrapped};
use spawn::config::Takes;
use std::fmt::Write as _;

/// A function that knows each option, and the names that are offered.
pub fn bash() -> String {
    let mut out = String::from(
        "# Sets `takes` (nothing, value, joined), `kind` and `words` of an option; fails for a word that is none.\n\
         _spawn_option() {\n    takes=nothing kind='' words=''\n    case $1 in\n",
    );
    let mut names = Vec::new();
    for row in rows::all() {
        let takes = match row.key.takes {
            Takes::Flag => None,
            Takes::Value(_) => Some("value"),
            Takes::Optional(_) | Takes::OptionalOrWord(_) => Some("joined"),
        };
        let (kind, words) = kind(&row.domain);
        let mut sets: Vec<String> = takes.into_iter().map(|takes| format!("takes={takes}")).collect();
        if !kind.is_empty() {
            sets.push(format!("kind={kind}"));
        }
        if !words.is_empty() {
            let short = words.join(" ");
            let long = || "\n        ".to_string() + &wrapped(words, "        ");
            sets.push(format!("words='{}'", if short.len() < 70 { short.clone() } else { long() }));
        }
        sets.push(";;".into());
        let _ = writeln!(out, "    {}) {}", row.names().join(" | "), sets.join(" "));
        names.extend(row.names().into_iter().flat_map(|name| with_equals(&row, name)));
    }
    let _ = write!(out, "    *) return 1 ;;\n    esac\n}}\n_spawn_names='{}'\n", wrapped(&names, "    "));
    out
}

/// A long option as it is offered: with `=` where a value follows, both ways where it may.
fn with_equals(row: &Row, name: String) -> Vec<String> {
    match row.key.takes {
        _ if !name.starts_with("--") => vec![name],
        Takes::Flag => vec![name],
        Takes::Value(_) => vec![name + "="],
        Takes::Optional(_) | Takes::OptionalOrWord(_) => vec![name.clone(), name + "="],
    }
}

/// Escapes text for a part of an `_arguments` specification inside single quotes.
fn zsh_text(text: &str) -> String {
    text.chars().fold(String::new(), |out, c| match c {
        '\'' => out + "'\\''",
        ':' | '[' | ']' | '\\' => out + "\\" + &c.to_string(),
        c => out + &c.to_string(),
    })
}

/// Specifications for `_arguments`.
pub fn zsh() -> String {
    let mut out = String::from("    options=(\n");
    for row in rows::all() {
        let help = zsh_text(row.key.help);
        let value = row.key.takes.metavar().map(|metavar| {
            let action = match &row.domain {
                Domain::Free => " ".into(),
                Domain::Words(words) => format!("({})", words.join(" ")),
                Domain::List(words) => format!(" _spawn_list {}", words.join(" ")),
                Domain::Filter(words) => format!(" _spawn_filter {}", words.join(" ")),
                Domain::Assignment(words) => format!(" _spawn_assignment {}", words.join(" ")),
                Domain::Directory => "_files -/".into(),
                Domain::Path => " _spawn_path".into(),
                Domain::Machine => " _spawn_machines".into(),
                Domain::User => " _spawn_users".into(),
                Domain::Group => "_groups".into(),
                Domain::Interface => "_net_interfaces".into(),
            };
            format!("{}:{action}", zsh_text(metavar))
        });
        for name in row.names() {
            let long = name.starts_with("--");
            let _ = match (row.key.takes, &value) {
                (Takes::Value(_), Some(value)) => {
                    let ending = if long { "=" } else { "+" };
                    writeln!(out, "        '*{name}{ending}[{help}]:{value}'")
                }
                (_, Some(value)) if long => writeln!(out, "        '*{name}=-[{help}]::{value}'"),
                _ => writeln!(out, "        '*{name}[{help}]'"),
            };
        }
    }
    out + "    )\n"
}

fn fish_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

/// One `complete` for each option, and the list of those that take the next word.
pub fn fish() -> String {
    let all = rows::all();
    let next: Vec<String> = all.iter().filter(|row| takes_next_word(row.key.takes)).flat_map(Row::names).collect();
    let mut out = format!("set -g __spawn_takes_value {}\n", wrapped(&next, "    ").replace('\n', " \\\n"));
    for row in &all {
        out += "complete -c spawn -n __spawn_in_options";
        if let Some(short) = row.key.short {
            let _ = write!(out, " -s {short}");
        }
        if let Some(long) = row.key.long {
            let _ = write!(out, " -l {long}");
        }
        let files = matches!(row.domain, Domain::Path);
        out += match row.key.takes {
            Takes::Flag => "",
            Takes::Value(_) if files => " -r",
            Takes::Value(_) => " -x",
            Takes::Optional(_) | Takes::OptionalOrWord(_) => " -f",
        };
        let negated = |words: &[String]| words.iter().flat_map(|w| [w.clone(), format!("~{w}")]).collect::<Vec<_>>();
        let offers = match &row.domain {
            Domain::Free => None,
            Domain::Words(words) => Some(words.join(" ")),
            Domain::List(words) => Some(format!("(__spawn_list {})", words.join(" "))),
            Domain::Filter(words) => Some(negated(words).join(" ")),
            Domain::Assignment(words) => Some(words.iter().map(|w| format!("{w}=")).collect::<Vec<_>>().join(" ")),
            Domain::Directory => Some("(__fish_complete_directories (__spawn_value))".into()),
            Domain::Path => Some("(__spawn_paths)".into()),
            Domain::Machine => Some("(__spawn_machines)".into()),
            Domain::User => Some("(__spawn_users)".into()),
            Domain::Group => Some("(__fish_complete_groups)".into()),
            Domain::Interface => Some("(__fish_print_interfaces)".into()),
        };
        if let Some(offers) = offers {
            let _ = write!(out, " -a '{}'", fish_text(&offers));
        }
        let _ = writeln!(out, " -d '{}'", fish_text(row.key.help));
    }
    out
}
