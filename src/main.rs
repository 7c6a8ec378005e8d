// SPDX-License-Identifier: LGPL-2.1-or-later
//! The program: see the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(spawn::cli::main(std::env::args_os().collect()))
}
