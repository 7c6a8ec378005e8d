// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every difference between systemd-nspawn and spawn under its name that is wanted, with the reason. A row that no line
//! needs any more makes the run fail.

use spawn::cgroup::Hierarchy;

mod every_line;
mod older;
mod options;
mod streams;
mod users;

/// An accepted difference. Patterns have `*` for anything and `|` between alternatives (fields and lines).
pub struct Accepted {
    /// Suites, separated by blanks; empty for all, [`COUNTED`] for hosts with controllers.
    pub suites: &'static str,
    pub lines: &'static str,
    pub fields: &'static str,
    pub nspawn: &'static str,
    pub spawn: &'static str,
    pub reason: &'static str,
}

/// Stands for every suite on a host where cgroup2 counts memory, tasks or IO.
pub const COUNTED: &str = "counted";

impl Accepted {
    pub fn applies_to(&self, suite: &str) -> bool {
        if self.suites == COUNTED {
            return Hierarchy::find().is_ok_and(|found| found.is_some_and(|hierarchy| hierarchy.counts()));
        }
        self.suites.is_empty() || self.suites.split(' ').any(|name| name == suite)
    }
}

const TABLES: &[&[Accepted]] = &[every_line::ROWS, options::ROWS, users::ROWS, streams::ROWS, older::ROWS];

/// Every row; the first that covers a difference is the one that is needed for it.
pub fn rows() -> impl Iterator<Item = &'static Accepted> {
    TABLES.iter().copied().flatten()
}
