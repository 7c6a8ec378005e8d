// SPDX-License-Identifier: LGPL-2.1-or-later
//! The command line as a person meets it. Needs no privileges.

#[path = "../common/mod.rs"]
mod common;

use common::{Case, Program};

#[test]
fn the_program_starts() {
    let output = Program::new(Case::spawn_path()).arg("--version").run();
    assert_eq!(output.stderr, "", "{output}");
}
