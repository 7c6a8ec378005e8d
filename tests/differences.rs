// SPDX-License-Identifier: LGPL-2.1-or-later
//! `docs/differences.md` has one line for each trap of systemd-nspawn's, D1 to D58, and each line that says that spawn does
//! something else names tests: functions called `dNN_…` after the traps that they are for. All of these are named.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const LAST: u32 = 58;

/// What may be said of the name under which spawn does something else.
const NAMES: [&str; 4] = ["both", "spawn", "same", "not built"];

struct Row {
    name: String,
    tests: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The lines `| D1 | … | … | name | tests |`.
fn rows() -> BTreeMap<u32, Row> {
    let text = std::fs::read_to_string(root().join("docs/differences.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| D")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [number, theirs, ours, name, tests] = cells[..] else { panic!("not five cells: {line}") };
        assert!(!theirs.is_empty() && !ours.is_empty(), "{line}");
        let number = number.strip_prefix('D').and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{line}"));
        let tests = tests.split('`').skip(1).step_by(2).map(String::from).collect();
        let row = Row { name: name.into(), tests };
        assert!(rows.last_key_value().is_none_or(|(last, _)| *last < number), "D{number} is twice there, or late");
        rows.insert(number, row);
    }
    rows
}

/// Every function of the tree whose name begins with the number of a trap.
fn tests() -> BTreeSet<String> {
    let mut folders: Vec<PathBuf> = ["src", "tests"].map(|folder| root().join(folder)).into();
    let mut found = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(entry).unwrap();
                let functions =
                    text.lines().filter_map(|line| line.trim_start().trim_start_matches("pub ").strip_prefix("fn "));
                let names = functions.filter_map(|rest| rest.split(['(', '<']).next());
                found.extend(names.filter(|name| !numbers(name).is_empty()).map(String::from));
            }
        }
    }
    found
}

/// The numbers that a name begins with: 3 and 53 of `d03_d53_pid_1_…`.
fn numbers(name: &str) -> Vec<u32> {
    let number = |part: &str| part.strip_prefix('d').filter(|digits| digits.len() == 2)?.parse().ok();
    name.split('_').map_while(number).collect()
}

#[test]
fn every_trap_has_a_line() {
    let rows = rows();
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), (1..=LAST).collect::<Vec<_>>());
    for (number, row) in &rows {
        assert!(NAMES.contains(&row.name.as_str()), "D{number}: {:?} is none of {NAMES:?}", row.name);
        let needs = matches!(row.name.as_str(), "both" | "spawn");
        assert!(!needs || !row.tests.is_empty(), "D{number} names no test");
    }
}

#[test]
fn lines_and_tests_name_each_other() {
    let (rows, tests) = (rows(), tests());
    assert!(tests.len() > 50, "{tests:?}");
    for (number, row) in &rows {
        for test in &row.tests {
            assert!(tests.contains(test), "D{number} names {test}, which is no test");
            assert!(numbers(test).contains(number), "D{number} names {test}, which is for {:?}", numbers(test));
        }
    }
    for test in &tests {
        for number in numbers(test) {
            let named = rows.get(&number).is_some_and(|row| row.tests.contains(test));
            assert!(named, "{test} is not in the line of D{number}");
        }
    }
}

#[test]
fn names_of_tests_are_read() {
    assert_eq!(numbers("d03_d53_pid_1_shows"), [3, 53]);
    assert_eq!(numbers("d5_short"), [0; 0]);
    assert_eq!(numbers("delete_link"), [0; 0]);
}
