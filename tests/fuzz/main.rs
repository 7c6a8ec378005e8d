// SPDX-License-Identifier: LGPL-2.1-or-later
//! Mutated inputs for every reader of foreign bytes ([`bodies`]): no panic, no hang, bounded memory, whatever the bytes. The
//! corpus is `tests/corpus/NAME`; what once broke something belongs there.
//!
//! `SPAWN_FUZZ_RUNS` is the number of inputs that a cheap body gets (5000), `SPAWN_FUZZ_SECONDS` the time for each body
//! instead, `SPAWN_FUZZ_BODY` names one body, `SPAWN_FUZZ_SEED` is the seed (1), `SPAWN_FUZZ_FOUND` a folder for the input
//! that broke one.

mod bodies;
mod mutate;

use bodies::{BODIES, Body};
use mutate::Mutator;
use rustix::thread::ClockId;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, Once, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// One input may take this long of the processor's time.
const PATIENCE: Duration = Duration::from_secs(2);
/// An input that takes this long, on however busy a machine, is told of and ends the tests.
const HANGS: Duration = Duration::from_secs(60);
/// What this process may ever have had in memory, in KiB.
const MEMORY: i64 = 100 * 1024;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("${name} is no number: {text:?}")))
}

/// The most that this process ever had in memory, in KiB (`ru_maxrss`, getrusage(2)).
fn peak() -> i64 {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF);
    usage.expect("a process knows its own usage").max_rss()
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let list = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = list.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Leaves the input that broke a body in `$SPAWN_FUZZ_FOUND`.
fn keep(name: &str, input: &[u8]) {
    if let Some(folder) = std::env::var_os("SPAWN_FUZZ_FOUND") {
        let file = Path::new(&folder).join(format!("{name}-{}", std::process::id()));
        std::fs::write(&file, input).unwrap_or_else(|e| eprintln!("{}: {e}", file.display()));
    }
}

/// What a thread tries, since when.
struct Trial {
    thread: ThreadId,
    name: &'static str,
    since: Instant,
    input: Vec<u8>,
}

static NOW: Mutex<Vec<Trial>> = Mutex::new(Vec::new());

/// Ends the process when an input hangs: nothing else can.
fn watch() {
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = NOW.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trial) = now.iter().find(|trial| trial.since.elapsed() > HANGS) {
            keep(trial.name, &trial.input);
            eprintln!("{} hangs with b\"{}\"", trial.name, trial.input.escape_ascii());
            std::process::exit(101);
        }
    }
}

/// Tries one input; panics with it. Returns the time that it took.
fn attempt(body: &Body, input: &[u8], seed: u64) -> Duration {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| drop(std::thread::spawn(watch)));
    let thread = std::thread::current().id();
    let trials = || NOW.lock().unwrap_or_else(PoisonError::into_inner);
    trials().push(Trial { thread, name: body.name, since: Instant::now(), input: input.to_vec() });
    let before = used();
    let result = catch_unwind(AssertUnwindSafe(|| (body.run)(input)));
    let took = used() - before;
    trials().retain(|trial| trial.thread != thread);
    let verdict = match result {
        Err(_) => "panics",
        Ok(()) if took > PATIENCE => "is slow",
        Ok(()) if peak() > MEMORY => "takes too much memory",
        Ok(()) => return took,
    };
    keep(body.name, input);
    let shown = input[..input.len().min(2000)].escape_ascii();
    let size = input.len();
    panic!("{} {verdict} ({took:?}, {} KiB), SPAWN_FUZZ_SEED={seed}, {size} bytes: b\"{shown}\"", body.name, peak());
}

/// The time that this thread has used, which others on the machine do not lengthen.
fn used() -> Duration {
    let now = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[test]
fn mutated_inputs_neither_panic_nor_hang() {
    let seed = number("SPAWN_FUZZ_SEED").unwrap_or(1);
    let runs = number("SPAWN_FUZZ_RUNS").unwrap_or(5000);
    let seconds = number("SPAWN_FUZZ_SECONDS").map(Duration::from_secs);
    let only = std::env::var("SPAWN_FUZZ_BODY").ok();
    assert!(only.as_ref().is_none_or(|only| BODIES.iter().any(|body| body.name == only)), "no such body: {only:?}");
    let dictionary = bodies::dictionary();
    let mut total = 0;
    for body in BODIES.iter().filter(|body| only.as_ref().is_none_or(|only| body.name == only)) {
        let corpus = corpus(body.name);
        for input in &corpus {
            attempt(body, input, seed);
        }
        let mut mutator = Mutator::new(seed, &corpus, &dictionary);
        let (start, before) = (Instant::now(), used());
        let wanted = runs * u64::from(body.share) / 100;
        let mut count = 0;
        while seconds.map_or(count < wanted, |seconds| start.elapsed() < seconds) {
            let seed = mutator.state();
            attempt(body, &mutator.next(), seed);
            count += 1;
        }
        total += count;
        println!("{:12} {count:9} inputs in {:?}, {} KiB at most", body.name, used() - before, peak());
    }
    println!("{total} inputs, seed {seed}, {} KiB at most", peak());
}

/// The bodies and the folders of the corpus are the same ones.
#[test]
fn every_body_has_a_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut folders: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    folders.sort();
    let mut names: Vec<_> = BODIES.iter().map(|body| body.name).collect();
    names.sort_unstable();
    assert_eq!(folders, names);
    BODIES.iter().for_each(|body| assert!(!corpus(body.name).is_empty(), "{}", body.name));
}

/// How many times longer an input is made.
const LONGER: usize = 8;
/// How much more than in proportion it may take: a quadratic reader takes [`LONGER`] times more.
const LEEWAY: u32 = 2;
/// What is too short to be measured, next to it.
const UNCLEAR: Duration = Duration::from_millis(5);
/// How often both lengths are measured once more before a reader counts as slow. One that takes the square is above the
/// limit by more than any disturbance, each time.
const AGAIN: usize = 8;
/// Inputs of this length are long enough, whatever they take.
const LONG: usize = 16 << 10;

/// The least time that the body takes for the input.
fn least(body: &Body, input: &[u8]) -> Duration {
    attempt(body, input, 0).min(attempt(body, input, 0))
}

/// Fails when the body takes more than its share of time for a longer input. `made` makes the input of so many parts.
fn is_linear(body: &Body, made: &dyn Fn(usize) -> Vec<u8>) {
    let fixed = least(body, &made(1));
    let mut parts = 1;
    let short = loop {
        let (input, clear) = (made(parts), (2 * fixed).max(UNCLEAR / 5));
        let took = least(body, &input);
        if took > clear || input.len() >= LONG {
            break took;
        }
        parts *= 2;
    };
    let limit = |short: Duration| LONGER as u32 * LEEWAY * short + UNCLEAR;
    let (input, long) = (made(parts), made(parts * LONGER));
    let (mut short, mut took) = (short, least(body, &long));
    // Others on the machine take caches and the processor's clock away for a while, which counts as time of this thread:
    // both are measured again, side by side.
    for _ in 0..AGAIN {
        if took < limit(short) {
            break;
        }
        (short, took) = (least(body, &input), least(body, &long));
    }
    let (name, was) = (body.name, long.len() / LONGER);
    assert!(
        took < limit(short),
        "{name}: {took:?} for {} bytes, {short:?} for {was}: {:?}",
        long.len(),
        &made(1).escape_ascii()
    );
}

/// An input that is [`LONGER`] times as long takes about that many times the time, and not the square of it.
#[test]
fn long_inputs_take_time_in_proportion() {
    for body in BODIES {
        let before = used();
        for input in corpus(body.name).into_iter().filter(|input| !input.is_empty()) {
            is_linear(body, &|times| input.repeat(times));
        }
        println!("{:12} {:?}", body.name, used() - before);
    }
    for (name, start, parts) in LONG_PARTS {
        let body = BODIES.iter().find(|body| body.name == *name).unwrap();
        for part in *parts {
            is_linear(body, &|times| [start, part.repeat(times).as_str()].concat().into_bytes());
        }
    }
}

#[test]
#[should_panic(expected = "quadratic: ")]
fn a_reader_that_takes_the_square_is_found() {
    let run = |bytes: &[u8]| bytes.iter().for_each(|a| assert!(bytes.iter().all(|b| std::hint::black_box(a) == b)));
    is_linear(&Body { name: "quadratic", run, share: 100 }, &|times| vec![b'x'; times]);
}

/// What a long input may be made of: the body, what it begins with, the parts.
const LONG_PARTS: &[(&str, &str, &[&str])] = &[
    (
        "nspawn",
        "[Exec]\n",
        &["Boot=maybe\n", "Environment=A=1\\\n", "Port=1\n", "CPUAffinity=0-63\n", "[Exec]", "\\", "'"],
    ),
    ("options", "-D/t", &["\0--frobnicate", "\0-y", "\0--boot=yes", "\0-EA=b", "\0--bind=/a:/b", "q", "\0--\0x", "\0"]),
];

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// `make fuzz` runs these bodies, whichever there are, as its crate takes the file in; it can be built if it names the
/// crates that they use.
#[test]
fn the_crate_of_make_fuzz_has_what_the_bodies_use() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let target = read("fuzz/src/main.rs");
    assert!(target.contains("#[path = \"../../tests/fuzz/bodies/mod.rs\"]\nmod bodies;"), "{target}");
    assert!(target.contains("BODIES.iter()"), "{target}");
    let dependencies = |file: &str| -> Vec<String> {
        let text = read(file);
        let tables = text.split("\n[").filter(|table| table.starts_with("dependencies]"));
        let lines = tables.flat_map(|table| table.lines().skip(1).filter_map(|line| line.split_once(" = ")));
        lines.map(|(name, _)| name.to_owned()).collect()
    };
    let own = dependencies("fuzz/Cargo.toml");
    assert!(own.iter().any(|name| name == "spawn"), "{own:?}");
    let folder = std::fs::read_dir(root.join("tests/fuzz/bodies")).unwrap();
    let used: String = folder.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let paths: BTreeSet<&str> = used.split("::").filter_map(|text| text.rsplit(|c| !is_of_name(c)).next()).collect();
    for name in dependencies("Cargo.toml") {
        let mentioned = paths.contains(name.replace('-', "_").as_str());
        assert!(!mentioned || own.contains(&name), "fuzz/Cargo.toml lacks {name}");
    }
    assert!(["spawn", "serde_json", "rustix"].iter().all(|name| paths.contains(name)), "{paths:?}");
}
