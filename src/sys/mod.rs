// SPDX-License-Identifier: LGPL-2.1-or-later
//! The only `unsafe` code: thin wrappers of system calls that rustix and nix lack. No policy here.
//!
//! What is marked "child-safe" may be called between `clone` and `execve`: it allocates nothing and takes no lock.
#![allow(unsafe_code)]

pub mod beside;
pub mod bpf;
pub mod btrfs;
pub mod caps;
pub mod child;
pub mod clone;
pub mod disposition;
pub mod entry;
pub mod exec;
pub mod mount_attr;
pub mod mount_setattr;
pub mod net;
pub mod ofd_lock;
pub mod own_arguments;
pub mod proc_pid;
pub mod process;
pub mod programs;
pub mod seccomp;
pub mod small_file;
pub mod spawn_program;
pub mod statmount;
pub mod termios;
pub mod userns;
