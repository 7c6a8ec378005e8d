// SPDX-License-Identifier: LGPL-2.1-or-later
//! The hostile payload (`tests/probe/attack.c`), and what it is run with.

use crate::common::{Case, Output, Program, Reason, skip};
use std::path::{Path, PathBuf};

const SOURCE: &str = include_str!("../probe/attack.c");

/// The four ways that a payload is started in: with and without a user namespace, as PID 1 and below the stub.
pub const WAYS: [&[&str]; 4] = [&[], &["--as-pid2"], &["--private-users=no"], &["--private-users=no", "--as-pid2"]];

/// A busybox tree that also has the probe as `/attack` and a mark at its root.
pub fn tree(case: &Case) -> Result<PathBuf, Reason> {
    let tree = case.busybox_tree("tree")?;
    install(case, &tree)?;
    Ok(tree)
}

/// Compiles the probe into a tree.
pub fn install(case: &Case, tree: &Path) -> Result<(), Reason> {
    let source = case.dir().join("attack.c");
    std::fs::write(&source, SOURCE)?;
    let compiled = Program::new("/usr/bin/cc")
        .args(["-static", "-O1", "-o"])
        .arg(tree.join("attack"))
        .arg(&source)
        .limit(std::time::Duration::from_secs(60))
        .run();
    if !compiled.status.success() {
        return skip(format!("the probe cannot be compiled: {}", compiled.stderr));
    }
    std::fs::write(tree.join("marked-tree"), "")?;
    Ok(())
}

/// What the verbs found, line by line; panics when the run as such failed.
#[track_caller]
pub fn findings(spawn: Program, tree: &Path, options: &[&str], verbs: &[&str]) -> Vec<String> {
    let output = run(spawn, tree, options, verbs).expect_code(0);
    output.stdout.lines().map(str::to_owned).collect()
}

/// Runs the probe with these verbs.
pub fn run(spawn: Program, tree: &Path, options: &[&str], verbs: &[&str]) -> Output {
    spawn.arg("-D").arg(tree).args(["--console=pipe", "--settings=no"]).args(options).arg("/attack").args(verbs).run()
}

/// Asserts that each verb found exactly this, in every way of `ways`.
#[track_caller]
pub fn expect(case: &Case, tree: &Path, ways: &[&[&str]], expected: &[(&str, &str)]) -> Result<(), Reason> {
    let verbs: Vec<&str> = expected.iter().map(|(verb, _)| *verb).collect();
    let wanted: Vec<String> = expected.iter().map(|(verb, found)| format!("{verb} {found}")).collect();
    for way in ways {
        assert_eq!(findings(case.spawn(), tree, way, &verbs), wanted, "with {way:?}");
    }
    Ok(())
}
