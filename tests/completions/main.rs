// SPDX-License-Identifier: LGPL-2.1-or-later
//! The completions of bash, zsh and fish have every option and its values, and do what they are for in a real shell.
//! `UPDATE_EXPECT=1` (which `make man` sets) writes the parts between the marks anew.

#[path = "../common/mod.rs"]
mod common;
mod render;
mod rows;
mod shells;

use common::generated;

const BEGIN: &str = "# begin generated part\n";
const END: &str = "# end generated part\n";
/// The marks in `_spawn` are indented.
const ZSH_END: &str = "    # end generated part\n";

#[test]
fn bash_knows_the_table() {
    generated::check("completions/spawn.bash", BEGIN, END, &render::bash());
}

#[test]
fn zsh_knows_the_table() {
    generated::check("completions/_spawn", BEGIN, ZSH_END, &render::zsh());
}

#[test]
fn fish_knows_the_table() {
    generated::check("completions/spawn.fish", BEGIN, END, &render::fish());
}

#[test]
fn options_that_are_refused_are_not_offered() {
    let names: Vec<String> = rows::all().iter().flat_map(rows::Row::names).collect();
    assert!(names.contains(&"--directory".into()) && names.contains(&"-D".into()), "{names:?}");
    assert!(!names.contains(&"--image-policy".into()) && !names.contains(&"--introspect-cli".into()), "{names:?}");
}
