// SPDX-License-Identifier: LGPL-2.1-or-later
//! Starts Linux namespace containers as systemd scopes, with the command line of systemd-nspawn(1).
//!
//! Read the modules in this order; data only ever flows downwards:
//!
//! 1. [`config`] and [`cli`]: what was said (options, files), with its origin → [`config::Settings`]
//! 2. [`plan`]: what that means on this machine ([`plan::Facts`]) → [`plan::Plan`] or [`error::Diagnostic`]s; no I/O
//! 3. [`prepare`]: opens everything that can fail; each acquired thing pushes its release on [`undo`]
//! 4. [`exec`]: everything between `clone` and `execve`
//! 5. [`bus`], [`net`], [`cgroup`]: the scope, the registration, the links, while the children work
//! 6. [`supervise`]: one event loop until the payload is gone
//!
//! [`launch`] is the sequence that reads as a table of contents of 3 to 6.
//!
//! [`sys`] holds the only `unsafe` code, [`model`] the value types, [`error`] what a person gets to read.

// Tests that are part of the library share files with those that only use it.
#[cfg(test)]
extern crate self as spawn;

pub mod bus;
pub mod cgroup;
pub mod cli;
pub mod config;
pub mod error;
pub mod exec;
pub mod image;
pub mod launch;
pub mod log;
pub mod model;
pub mod net;
pub mod plan;
pub mod prepare;
pub mod seccomp;
pub mod supervise;
pub mod sys;
pub mod undo;
pub mod userdb;
