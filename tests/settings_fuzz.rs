// SPDX-License-Identifier: LGPL-2.1-or-later
//! Mutated `.nspawn` files: no panic, no hang, whatever the bytes. The corpus is `tests/corpus/nspawn`; what once broke
//! something belongs there. `SPAWN_FUZZ_RUNS` is the number of files (3000), `SPAWN_FUZZ_SEED` the seed, which is printed.

use spawn::cli::{Caller, Command, parse};
use spawn::config::file::combine;
use spawn::config::file::layer::Layer;
use spawn::config::{Invocation, Settings, Trust};
use std::path::Path;
use std::time::{Duration, Instant};

/// One file may take this long, even on a busy machine: what is superlinear takes longer.
const PATIENCE: Duration = Duration::from_secs(2);

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn next(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 1) as usize
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/nspawn");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn said(name: &str) -> Settings {
    match parse(vec![name.into(), "--settings=override".into(), "--bind=/x".into()], &Caller::default()) {
        Ok(Command::Run(settings)) => *settings,
        other => panic!("{other:?}"),
    }
}

/// Everything that is done with a file before anything is opened.
fn body(bytes: &[u8], lines: &[Settings; 2]) {
    for said in lines {
        for trust in [Trust::Trusted, Trust::Anyone] {
            let layer = |path: &str| Layer::parse(Path::new(path), bytes, trust, said.invocation);
            let loaded = combine(said.clone(), vec![layer("/a.nspawn"), layer("/b.conf")]);
            loaded.warnings.iter().for_each(|w| assert!(!w.to_string().is_empty()));
            loaded.mistakes.iter().for_each(|m| assert!(!m.to_string().is_empty()));
            if trust == Trust::Anyone && said.invocation == Invocation::Spawn {
                let s = &loaded.settings;
                assert!(s.capability.is_empty() && s.properties.is_empty() && s.mounts.len() == 1, "{bytes:?}");
            }
        }
    }
}

fn mutate(state: &mut u64, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[next(state) % corpus.len()].clone();
    for _ in 0..1 + next(state) % 6 {
        let at = next(state) % (bytes.len() + 1);
        match next(state) % 6 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, b"\n\r\0\\=[]#;:\"'~+-0 \xff"[next(state) % 18]),
            2 if at < bytes.len() => bytes[at] = next(state) as u8,
            3 if at < bytes.len() => drop(bytes.remove(at)),
            4 => {
                let other = &corpus[next(state) % corpus.len()];
                let from = next(state) % (other.len() + 1);
                let piece = other[from..(from + next(state) % 40).min(other.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let end = (at + next(state) % 30).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece.repeat(1 + next(state) % 4));
            }
        }
    }
    bytes
}

#[test]
fn mutated_files_neither_panic_nor_hang() {
    let (runs, seed) = (number("SPAWN_FUZZ_RUNS", 3_000), number("SPAWN_FUZZ_SEED", u64::from(std::process::id())));
    println!("{runs} files from seed {seed}");
    let corpus = corpus();
    let lines = ["spawn", "systemd-nspawn"].map(said);
    corpus.iter().for_each(|bytes| body(bytes, &lines));
    let mut state = seed;
    for run in 0..runs {
        let before = state;
        let bytes = mutate(&mut state, &corpus);
        let start = Instant::now();
        body(&bytes, &lines);
        assert!(start.elapsed() < PATIENCE, "run {run}, SPAWN_FUZZ_SEED={before}: {:?}", start.elapsed());
    }
}

#[test]
fn long_files_take_time_in_proportion() {
    let lines = ["spawn", "systemd-nspawn"].map(said);
    let texts = ["Boot=maybe\n", "Environment=A=1\\\n", "Port=1\n", "CPUAffinity=0-63\n", "[Exec]", "\\", "'"];
    for text in texts {
        let bytes = [b"[Exec]\n".to_vec(), text.as_bytes().repeat(2000)].concat();
        let start = Instant::now();
        body(&bytes, &lines);
        assert!(start.elapsed() < PATIENCE * 5, "{text:?}: {:?}", start.elapsed());
    }
}
