// SPDX-License-Identifier: LGPL-2.1-or-later
//! Parts of shipped files that are written from a table of the program, between two marks.

use std::path::Path;

/// Compares what is between the lines `begin` and `end` of a file of the checkout, or writes it (`UPDATE_EXPECT=1`).
#[track_caller]
pub fn check(name: &str, begin: &str, end: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(begin).expect("a line that begins the generated part");
    let (old, tail) = rest.split_once(end).expect("a line that ends the generated part");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, format!("{head}{begin}{generated}{end}{tail}")).unwrap();
        return;
    }
    let changed = old.lines().zip(generated.lines()).find(|(a, b)| a != b);
    assert!(old == generated, "{name} is not up to date ({changed:?}): run `make man`");
}
