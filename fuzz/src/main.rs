// SPDX-License-Identifier: LGPL-2.1-or-later
//! The bodies of `tests/fuzz` below libFuzzer. `$SPAWN_FUZZ_BODY` says which one; without it the names are listed, and the
//! dictionary is written to `$SPAWN_FUZZ_DICTIONARY`.

#![no_main]

#[path = "../../tests/fuzz/bodies/mod.rs"]
mod bodies;

use bodies::{BODIES, Body};
use std::sync::OnceLock;

static CHOSEN: OnceLock<&Body> = OnceLock::new();

fn choose() {
    let chosen = std::env::var("SPAWN_FUZZ_BODY").ok().and_then(|name| BODIES.iter().find(|body| body.name == name));
    if let Some(body) = chosen {
        CHOSEN.get_or_init(|| body);
        return;
    }
    if let Some(path) = std::env::var_os("SPAWN_FUZZ_DICTIONARY") {
        std::fs::write(path, dictionary()).expect("the dictionary can be written");
    }
    BODIES.iter().for_each(|body| println!("{}", body.name));
    std::process::exit(0);
}

/// One word a line, in quotes, odd bytes in hexadecimal.
fn dictionary() -> String {
    let quoted = |word: Vec<u8>| {
        let byte = |b: &u8| match b {
            b'"' | b'\\' => format!("\\{}", char::from(*b)),
            32..127 => char::from(*b).to_string(),
            _ => format!("\\x{b:02X}"),
        };
        format!("\"{}\"\n", word.iter().map(byte).collect::<String>())
    };
    bodies::dictionary().into_iter().map(quoted).collect()
}

libfuzzer_sys::fuzz_target!(init: choose(), |input: &[u8]| {
    if let Some(body) = CHOSEN.get() {
        (body.run)(input);
    }
});
