// SPDX-License-Identifier: LGPL-2.1-or-later
//! Random starts from the table of settings: as options, in a file, in the environment.

use super::values;
use crate::settings_files::{Random, file};
use crate::support::Name;
use spawn::cli::{Caller, parse};
use spawn::config::file::layer::Layer;
use spawn::config::{Built, Does, Invocation, Key, Takes, Trust, keys};
use std::path::Path;

/// What is said about one setting.
#[derive(Clone)]
pub struct Item {
    key: &'static Key,
    value: Option<&'static str>,
}

/// One start.
#[derive(Clone)]
pub struct Start {
    pub name: Name,
    pub options: Vec<Item>,
    /// What the file says that counts as one of the administrator's; its bytes are in `garbage` when they are no lines of ours.
    pub file: Vec<Item>,
    pub garbage: Option<Vec<u8>>,
    pub variables: Vec<(&'static str, &'static str)>,
    pub program: &'static [&'static str],
    /// What the caller does before: a shell script that ends with `"$@"`.
    pub around: &'static str,
}

/// The status that the payload ends with.
pub const STATUS: i32 = 42;

const PROGRAMS: &[&[&str]] = &[
    &["/status", "42"],
    &["/status", "42"],
    &["status", "42"],
    &["sh", "-c", "echo ran; exit 42"],
    &["/missing"],
    &["missing"],
    &["/etc/passwd"],
    &["/usr"],
    &["/script"],
];

/// Most callers do nothing of their own.
const AROUND: &[&str] = &[
    "exec \"$@\" <&-",
    "exec \"$@\" >&-",
    "exec \"$@\" </dev/null >&- <&-",
    "exec 3</etc/passwd; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"",
    "exec 3</etc 7</etc/passwd; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"",
    "exec 5</etc/passwd 9>>/dev/null; exec \"$@\"",
    "ulimit -n 40; exec \"$@\"",
    "ulimit -n 20; exec \"$@\"",
    "ulimit -S -s 256; exec \"$@\"",
    "umask 077; exec \"$@\"",
    "trap '' TERM HUP INT QUIT PIPE CHLD USR1; exec \"$@\"",
    "mkdir -p here; cd here; rmdir ../here; exec \"$@\"",
    "unset TERM PATH HOME LANG; exec \"$@\"",
    "export NOTIFY_SOCKET=/missing WATCHDOG_USEC=1; exec \"$@\"",
];

/// On a terminal; errors are still told apart from what it shows.
const ON_A_TERMINAL: &str = "q=; for w; do q=\"$q '$(printf %s \"$w\" | sed \"s/'/'\\\\\\\\''/g\")'\"; done; export SHELL=/bin/sh; exec 9>&2 script -qec \"exec$q 2>&9 9>&-\" /dev/null";

const VARIABLES: &[&str] = &["0", "1", "yes", "no", "perhaps", "", "mine", "02:00:00:aa:bb:cc", "network"];

fn invocation(name: Name) -> Invocation {
    match name {
        Name::Spawn => Invocation::Spawn,
        Name::Nspawn => Invocation::SystemdNspawn,
    }
}

/// The start that belongs to a seed.
pub fn start(seed: u64) -> Start {
    let mut random = Random::new(seed);
    let random = &mut random;
    let name = if random.one_in(3) { Name::Nspawn } else { Name::Spawn };
    let most = if random.one_in(4) { 12 } else { 5 };
    let count = 1 + random.below(most);
    let in_file = random.one_in(4);
    let mut start = Start {
        name,
        options: Vec::new(),
        file: Vec::new(),
        garbage: (in_file && random.one_in(3)).then(|| file(random)),
        variables: Vec::new(),
        around: match random.below(12) {
            0 | 1 => random.pick(AROUND),
            2 | 3 => ON_A_TERMINAL,
            _ => "",
        },
        program: PROGRAMS[if random.one_in(6) { random.below(PROGRAMS.len()) } else { random.below(4) }],
    };
    for _ in 0..count {
        match in_file && start.garbage.is_none() && !random.one_in(4) {
            true => start
                .file
                .extend(sound(random, Item::is_right_in_a_file, |key| key.in_files_of(invocation(name)).is_some())),
            false => start.options.extend(sound(
                random,
                |item| item.is_right_as_an_option(name),
                |key| (key.long.is_some() || key.short.is_some()) && key.known_to(invocation(name)),
            )),
        }
    }
    while random.one_in(6) {
        let variable = &keys::environment::VARIABLES[random.below(keys::environment::VARIABLES.len())];
        let most = if random.one_in(4) { VARIABLES.len() } else { 4 };
        start.variables.push((variable.name, random.pick(&VARIABLES[..most])));
    }
    start
}

/// A setting that mostly is understood by itself: what is wrong with it shows together with others.
fn sound(random: &mut Random, is_right: impl Fn(&Item) -> bool, suits: impl Fn(&Key) -> bool) -> Option<Item> {
    (0..4).find_map(|_| item(random, &suits).filter(|item| is_right(item) || random.one_in(16)))
}

/// A setting of those that suit; what only shows something or is not built is said seldom.
fn item(random: &mut Random, suits: impl Fn(&Key) -> bool) -> Option<Item> {
    let all: Vec<&'static Key> = keys::all().filter(|key| suits(key)).collect();
    let key = all[random.below(all.len())];
    let seldom = !matches!(key.does, Does::Set(_))
        || matches!(key.built, Built::No(_))
        || matches!(key.id, "dry-run" | "cleanup" | "directory" | "machine");
    if seldom && !random.one_in(12) {
        return None;
    }
    let pool = values::of(key.id).unwrap_or_else(|| panic!("tests/root/random/values.rs has no values for {}", key.id));
    let value = match key.takes {
        Takes::Flag => None,
        Takes::Optional(_) | Takes::OptionalOrWord(_) if random.one_in(3) => None,
        // What is right comes first in each list, so the first half is taken more often.
        _ if random.one_in(3) => Some(random.pick(pool)),
        _ => Some(random.pick(&pool[..pool.len().div_ceil(2)])),
    };
    Some(Item { key, value })
}

impl Item {
    /// As a word of the command line.
    fn word(&self, dir: &str) -> String {
        let name = match (self.key.long, self.key.short) {
            (Some(long), _) => format!("--{long}"),
            (None, Some(letter)) => format!("-{letter}"),
            (None, None) => format!("--{}", self.key.id),
        };
        match self.value {
            Some(value) => format!("{name}={}", value.replace("@DIR@", dir)),
            None => name,
        }
    }

    fn is_right_as_an_option(&self, name: Name) -> bool {
        let called = if name == Name::Spawn { "spawn" } else { "systemd-nspawn" };
        let caller = Caller { environment: Vec::new(), directory: Some("/".into()) };
        parse(vec![called.into(), "-D/".into(), self.word("/dir").into(), "x".into()], &caller).is_ok()
    }

    fn is_right_in_a_file(&self) -> bool {
        let text = self.line("/dir");
        let layer = Layer::parse(Path::new("/file"), text.as_bytes(), Trust::Trusted, Invocation::Spawn);
        layer.warnings.is_empty() && layer.broken.is_none()
    }

    /// As a line of a file.
    fn line(&self, dir: &str) -> String {
        let Some(file) = &self.key.file else { return String::new() };
        let value = self.value.unwrap_or("yes").replace("@DIR@", dir);
        format!("[{}]\n{}={value}\n", file.section.name(), file.name)
    }

    pub fn id(&self) -> &'static str {
        self.key.id
    }
}

impl Start {
    /// The words after the program's name, without the tree.
    pub fn words(&self, dir: &str) -> Vec<String> {
        let mut words: Vec<String> = self.options.iter().map(|item| item.word(dir)).collect();
        if self.has_file() {
            words.push("--settings=trusted".into());
        }
        words
    }

    pub fn has_file(&self) -> bool {
        !self.file.is_empty() || self.garbage.is_some()
    }

    /// The bytes of the file.
    pub fn file(&self, dir: &str) -> Vec<u8> {
        match &self.garbage {
            Some(bytes) => bytes.clone(),
            None => self.file.iter().map(|item| item.line(dir)).collect::<String>().into_bytes(),
        }
    }

    /// Whether one of these settings is said.
    pub fn says(&self, ids: &[&str]) -> bool {
        self.options.iter().chain(&self.file).any(|item| ids.contains(&item.id()))
    }

    /// The same start with one thing less, in every way.
    pub fn smaller(&self) -> Vec<Start> {
        let mut all = Vec::new();
        let mut without = |change: &dyn Fn(&mut Start)| {
            let mut one = self.clone();
            change(&mut one);
            all.push(one);
        };
        if let Some(bytes) = &self.garbage {
            let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
            for at in 0..lines.len() {
                let rest = [&lines[..at], &lines[at + 1..]].concat().concat();
                without(&|one| one.garbage = Some(rest.clone()));
            }
        }
        for at in 0..self.options.len() {
            without(&|one| {
                one.options.remove(at);
            });
        }
        for at in 0..self.file.len() {
            without(&|one| {
                one.file.remove(at);
            });
        }
        if !self.around.is_empty() {
            without(&|one| one.around = "");
        }
        (0..self.variables.len()).for_each(|at| {
            without(&|one| {
                one.variables.remove(at);
            })
        });
        all
    }
}
