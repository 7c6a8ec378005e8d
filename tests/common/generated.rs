// SPDX-License-Identifier: LGPL-2.1-or-later
//! Parts of shipped files that are written from a table of the program, between two marks.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Compares what is between the lines `begin` and `end` of a file of the checkout, or writes it (`UPDATE_EXPECT=1`).
#[track_caller]
pub fn check(name: &str, begin: &str, end: &str, generated: &str) {
    // Two tests write parts of one page.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(begin).expect("a line that begins the generated part");
    let (old, tail) = rest.split_once(end).expect("a line that ends the generated part");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        // Others read it meanwhile: they are to see the old page or the new one.
        let new = path.with_extension(format!("new-{}", std::process::id()));
        std::fs::write(&new, format!("{head}{begin}{generated}{end}{tail}")).unwrap();
        std::fs::rename(&new, &path).unwrap();
        return;
    }
    let changed = old.lines().zip(generated.lines()).find(|(a, b)| a != b);
    assert!(old == generated, "{name} is not up to date ({changed:?}): run `make man`");
}
