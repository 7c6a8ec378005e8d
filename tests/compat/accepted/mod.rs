// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every difference between systemd-nspawn and spawn under its name that is wanted, with the reason. A row that no line
//! needs any more makes the run fail.

mod every_line;
mod older;
mod options;
mod streams;
mod users;

/// An accepted difference. Patterns have `*` for anything and `|` between alternatives (fields and lines).
pub struct Accepted {
    /// Suites, separated by blanks; empty for all.
    pub suites: &'static str,
    pub lines: &'static str,
    pub fields: &'static str,
    pub nspawn: &'static str,
    pub spawn: &'static str,
    pub reason: &'static str,
}

impl Accepted {
    pub fn applies_to(&self, suite: &str) -> bool {
        self.suites.is_empty() || self.suites.split(' ').any(|name| name == suite)
    }
}

const TABLES: &[&[Accepted]] = &[every_line::ROWS, options::ROWS, users::ROWS, streams::ROWS, older::ROWS];

/// Every row; the first that covers a difference is the one that is needed for it.
pub fn rows() -> impl Iterator<Item = &'static Accepted> {
    TABLES.iter().copied().flatten()
}
