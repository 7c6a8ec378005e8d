// SPDX-License-Identifier: LGPL-2.1-or-later
//! The only `unsafe` code: thin wrappers of system calls that rustix and nix lack. No policy here.
#![allow(unsafe_code)]
pub mod bpf;

pub mod mount_setattr;
pub mod net;
pub mod userns;

pub mod ofd_lock;
pub mod programs;
pub mod spawn_program;
pub mod terminal_attributes;

pub mod caps;
pub mod seccomp;

pub mod child;
pub mod disposition;
pub mod termios;
