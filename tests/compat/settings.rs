// SPDX-License-Identifier: LGPL-2.1-or-later
//! Generated `.nspawn` files: systemd-nspawn and spawn must complain about the same lines of each.
//!
//! systemd-nspawn reads the file before it looks for the tree, so a tree that is not there ends it after some
//! milliseconds; what it says of the file is on stderr by then. `SPAWN_SETTINGS_SECONDS` is how long to go on (25) and
//! `SPAWN_SETTINGS_FILES` for how many files (2000), `SPAWN_SETTINGS_SEED` the first seed; each file has a seed of its own, which a failure names. With `SPAWN_SETTINGS_ALL`
//! the first difference is not the end.

use super::settings_files::{Random, file};
use crate::common::{Case, Outcome, Program, Reason, fail, skip};
use spawn::config::file::layer::Layer;
use spawn::config::{Invocation, Trust};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const NSPAWN: &str = "/usr/bin/systemd-nspawn";
/// The release whose grammar is ours; older ones differ in numbers, headers and in what ends a file.
const RELEASE: u32 = 262;
/// Two processors are what a test may count on.
const WORKERS: usize = 2;

/// What a reader made of a file.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    /// Lines that are wrong.
    lines: BTreeSet<u32>,
    /// The file is refused.
    refused: bool,
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The release of systemd that is compared with.
fn release() -> Result<u32, Reason> {
    let shown = Program::new(NSPAWN).arg("--version").run().expect_code(0).stdout;
    let word = shown.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    Ok(word[..digits].parse()?)
}

fn of_nspawn(path: &Path, tree: &Path, bytes: &[u8]) -> Result<(Verdict, String), std::io::Error> {
    std::fs::write(path, bytes)?;
    let output = std::process::Command::new(NSPAWN)
        .args(["--quiet", "--console=pipe", "--keep-unit", "--register=no", "-D"])
        .arg(tree)
        .arg("true")
        .env_clear()
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mine = format!("{}:", path.display());
    let lines = said.lines().filter_map(|line| line.strip_prefix(&mine)?.split(':').next()?.parse().ok()).collect();
    let refused = said
        .lines()
        .any(|l| l.starts_with(&mine) && (l.contains("Failed to parse file") || l.contains("ine too long")));
    Ok((Verdict { lines, refused }, said))
}

fn of_spawn(path: &Path, bytes: &[u8]) -> (Verdict, Vec<String>) {
    let layer = Layer::parse(path, bytes, Trust::Trusted, Invocation::SystemdNspawn);
    // A word that is no assignment is handed to the program there.
    let kept = layer.warnings.iter().filter(|w| !w.text.contains("must be NAME=VALUE"));
    let mut lines: BTreeSet<u32> = kept.map(|w| w.at.last_line).collect();
    lines.extend(layer.broken.iter().map(|(at, _)| at.last_line));
    let mut said: Vec<String> = layer.warnings.iter().map(ToString::to_string).collect();
    said.extend(layer.broken.iter().map(|(_, why)| why.headline()));
    (Verdict { lines, refused: layer.broken.is_some() }, said)
}

/// The lines that both see differently, with what was said of them.
fn difference(path: &Path, tree: &Path, bytes: &[u8]) -> Result<Option<String>, std::io::Error> {
    let (theirs, their_words) = of_nspawn(path, tree, bytes)?;
    let (ours, our_words) = of_spawn(path, bytes);
    if theirs == ours {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(bytes).into_owned();
    let lines: Vec<&str> = text.split('\n').collect();
    let mut told = format!("refused by systemd-nspawn {}, by spawn {}", theirs.refused, ours.refused);
    for number in theirs.lines.symmetric_difference(&ours.lines) {
        let line = lines.get((*number as usize).saturating_sub(1)).unwrap_or(&"");
        let said = their_words.lines().chain(our_words.iter().map(String::as_str));
        let about = said.filter(|words| words.contains(&format!(":{number}:")));
        let who = if theirs.lines.contains(number) { "systemd-nspawn" } else { "spawn" };
        told += &format!("\n  {who} alone on {line:?}: {}", about.collect::<Vec<_>>().join(" | "));
    }
    if std::env::var_os("SPAWN_SETTINGS_DUMP").is_some() {
        told += &format!("\n{text}\nTHEIRS {their_words}");
    }
    Ok(Some(told))
}

pub fn generated_files(case: &mut Case) -> Outcome {
    let release = release()?;
    if release < RELEASE {
        return skip(format!("systemd {release} takes and refuses other values than {RELEASE}, which is followed"));
    }
    let seconds = number("SPAWN_SETTINGS_SECONDS", 25);
    let first = number("SPAWN_SETTINGS_SEED", 20_000);
    let last = first + number("SPAWN_SETTINGS_FILES", 2000);
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let (next, found) = (AtomicU64::new(first), AtomicBool::new(false));
    let folder = case.dir().to_owned();
    let results: Vec<Result<Vec<String>, std::io::Error>> = std::thread::scope(|scope| {
        let workers = (0..WORKERS).map(|worker| {
            let (next, found, folder) = (&next, &found, folder.clone());
            scope.spawn(move || work(worker, &folder, deadline, last, next, found))
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")).collect()
    });
    let count = next.load(Ordering::SeqCst).min(last) - first;
    println!("    {count} files from seed {first} on, systemd {release}");
    let mut differences = Vec::new();
    for result in results {
        differences.extend(result?);
    }
    match differences.is_empty() {
        true if count < 200 => fail(format!("only {count} files in {seconds} seconds")),
        true => Ok(()),
        false => fail(differences.join("\n")),
    }
}

fn work(
    worker: usize,
    folder: &Path,
    deadline: Instant,
    last: u64,
    next: &AtomicU64,
    found: &AtomicBool,
) -> Result<Vec<String>, std::io::Error> {
    let mut differences = Vec::new();
    let path: PathBuf = folder.join(format!("m{worker}.nspawn"));
    let tree = folder.join(format!("m{worker}"));
    while Instant::now() < deadline && !found.load(Ordering::SeqCst) {
        let seed = next.fetch_add(1, Ordering::SeqCst);
        if seed >= last {
            break;
        }
        let bytes = file(&mut Random::new(seed));
        if let Some(text) = difference(&path, &tree, &bytes)? {
            differences.push(format!("SPAWN_SETTINGS_SEED={seed}: {text}"));
            if std::env::var_os("SPAWN_SETTINGS_ALL").is_none() {
                found.store(true, Ordering::SeqCst);
            }
        }
    }
    Ok(differences)
}
