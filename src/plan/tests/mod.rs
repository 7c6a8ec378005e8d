// SPDX-License-Identifier: LGPL-2.1-or-later
//! The plan's rules, one by one and over arbitrary command lines.

mod keys;
mod machine;
mod modes;
mod mounts;
mod process;
mod random;

use super::testing::{facts, settings};
use super::*;
use crate::error::Sourced;

/// The plan of a command line on a machine.
fn plan(line: &str, f: &Facts) -> Plan {
    build(&settings(line), f).unwrap_or_else(|wrong| panic!("{line}: {}", wrong[0]))
}

/// What a variable of the environment says.
fn from_environment<T>(name: &str, value: T) -> Option<Sourced<T>> {
    Some(Sourced::new(value, Origin::Environment(name.into())))
}

/// The headlines of everything that is wrong.
fn wrong(settings: &Settings, f: &Facts) -> Vec<String> {
    build(settings, f).err().unwrap_or_default().iter().map(Diagnostic::headline).collect()
}
