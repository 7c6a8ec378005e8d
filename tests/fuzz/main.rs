// SPDX-License-Identifier: LGPL-2.1-or-later
//! Mutated inputs for every reader of foreign bytes ([`bodies`]): no panic, no hang, bounded memory, whatever the bytes. The
//! corpus is `tests/corpus/NAME`; what once broke something belongs there.
//!
//! `SPAWN_FUZZ_RUNS` is the number of inputs that a cheap body gets (1000), `SPAWN_FUZZ_SECONDS` the time for each body
//! instead, `SPAWN_FUZZ_BODY` names one body, `SPAWN_FUZZ_SEED` is the seed (1).

mod bodies;
mod mutate;

use bodies::{BODIES, Body};
use mutate::Mutator;
use rustix::thread::ClockId;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One input may take this long, even on a busy machine: what is superlinear takes longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// An input that takes this long is told of and ends the tests.
const HANGS: Duration = Duration::from_secs(20);
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

/// What is being tried, since when.
static NOW: Mutex<Option<(&str, Instant, Vec<u8>)>> = Mutex::new(None);

/// Ends the process when an input hangs: nothing else can.
fn watch() {
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            if let Ok(now) = NOW.lock()
                && let Some((name, since, input)) = &*now
                && since.elapsed() > HANGS
            {
                eprintln!("{name} hangs with b\"{}\"", input.escape_ascii());
                std::process::exit(101);
            }
        }
    });
}

/// Tries one input; panics with it.
fn attempt(body: &Body, input: &[u8], seed: u64) {
    let start = Instant::now();
    *NOW.lock().unwrap() = Some((body.name, start, input.to_vec()));
    let result = catch_unwind(AssertUnwindSafe(|| (body.run)(input)));
    let took = start.elapsed();
    *NOW.lock().unwrap() = None;
    let verdict = match result {
        Err(_) => "panics",
        Ok(()) if took > PATIENCE => "is slow",
        Ok(()) if peak() > MEMORY => "takes too much memory",
        Ok(()) => return,
    };
    let shown = input[..input.len().min(2000)].escape_ascii();
    let size = input.len();
    panic!("{} {verdict} ({took:?}, {} KiB), SPAWN_FUZZ_SEED={seed}, {size} bytes: b\"{shown}\"", body.name, peak());
}

/// The time that this process has used, which others on the machine do not lengthen.
fn used() -> Duration {
    let now = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[test]
fn mutated_inputs_neither_panic_nor_hang() {
    let seed = number("SPAWN_FUZZ_SEED").unwrap_or(1);
    let runs = number("SPAWN_FUZZ_RUNS").unwrap_or(1000);
    let seconds = number("SPAWN_FUZZ_SECONDS").map(Duration::from_secs);
    let only = std::env::var("SPAWN_FUZZ_BODY").ok();
    assert!(only.as_ref().is_none_or(|only| BODIES.iter().any(|body| body.name == only)), "no such body: {only:?}");
    let dictionary = bodies::dictionary();
    watch();
    let mut total = 0;
    for body in BODIES.iter().filter(|body| only.as_ref().is_none_or(|only| body.name == only)) {
        let corpus = corpus(body.name);
        corpus.iter().for_each(|input| attempt(body, input, seed));
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

/// Ten times the input may take ten times as long, not a hundred.
#[test]
fn long_inputs_take_time_in_proportion() {
    for body in BODIES {
        for input in corpus(body.name) {
            let times = 400 * body.share.max(10) as usize / (input.len() + 1);
            attempt(body, &input.repeat(times), 0);
        }
    }
    let file = BODIES.iter().find(|body| body.name == "nspawn").unwrap();
    for text in ["Boot=maybe\n", "Environment=A=1\\\n", "Port=1\n", "CPUAffinity=0-63\n", "[Exec]", "\\", "'"] {
        attempt(file, &[b"[Exec]\n".to_vec(), text.as_bytes().repeat(2000)].concat(), 0);
    }
}
