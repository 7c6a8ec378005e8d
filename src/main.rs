// SPDX-License-Identifier: LGPL-2.1-or-later
//! The program: see the library's documentation.
#![no_main]

spawn::entry!(spawn::cli::main);
