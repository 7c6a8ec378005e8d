// SPDX-License-Identifier: LGPL-2.1-or-later
//! The only `unsafe` code: thin wrappers of system calls that rustix and nix lack. No policy here.
#![allow(unsafe_code)]

pub mod child;
pub mod disposition;
pub mod termios;
