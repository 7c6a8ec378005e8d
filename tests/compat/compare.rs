// SPDX-License-Identifier: LGPL-2.1-or-later
//! Two pictures of the same command line, field by field.

use super::accepted::{self, Accepted};
use super::facts::Facts;
use std::collections::BTreeSet;

/// A field that is not the same.
#[derive(Debug)]
pub struct Difference {
    pub line: String,
    pub field: String,
    pub nspawn: String,
    pub spawn: String,
}

/// Every field in which the two differ; one that is not there is `-`.
pub fn differences(line: &str, nspawn: &Facts, spawn: &Facts) -> Vec<Difference> {
    let fields: BTreeSet<&String> = nspawn.fields.keys().chain(spawn.fields.keys()).collect();
    let value = |facts: &Facts, field: &str| facts.get(field).unwrap_or("-").to_owned();
    fields
        .into_iter()
        .map(|field| Difference {
            line: line.to_owned(),
            field: field.clone(),
            nspawn: value(nspawn, field),
            spawn: value(spawn, field),
        })
        .filter(|d| d.nspawn != d.spawn)
        .collect()
}

/// Splits off what is accepted; the numbers of the rows that were needed for it.
pub fn judge(differences: Vec<Difference>, suite: &str) -> (Vec<Difference>, BTreeSet<usize>) {
    let mut used = BTreeSet::new();
    let open = differences
        .into_iter()
        .filter(|d| match accepted::rows().position(|row| covers(row, d, suite)) {
            Some(row) => {
                used.insert(row);
                false
            }
            None => true,
        })
        .collect();
    (open, used)
}

fn covers(row: &Accepted, d: &Difference, suite: &str) -> bool {
    row.applies_to(suite)
        && row.lines.split('|').any(|pattern| glob(pattern, &d.line))
        && row.fields.split('|').any(|pattern| glob(pattern, &d.field))
        && glob(row.nspawn, &d.nspawn)
        && glob(row.spawn, &d.spawn)
}

/// `*` stands for anything.
pub fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|head| text.strip_prefix(head)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((tail, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(tail)
}
