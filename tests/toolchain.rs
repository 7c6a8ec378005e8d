// SPDX-License-Identifier: LGPL-2.1-or-later
//! A missing or older Rust toolchain is said in one line with what to do (`tests/toolchain`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with the programs the script needs and the given `rustc`, if any.
fn programs(name: &str, version: Option<&str>) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("spawn-toolchain-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for tool in ["dirname", "readlink", "sed", "cut", "sort", "head"] {
        let found =
            ["/usr/bin", "/bin"].map(|place| Path::new(place).join(tool)).into_iter().find(|path| path.exists());
        std::os::unix::fs::symlink(found.unwrap(), folder.join(tool)).unwrap();
    }
    for tool in version.iter().flat_map(|_| ["cargo", "rustc"]) {
        let script = format!("#!/bin/sh\necho 'rustc {} (0123456789 2025-01-01)'\n", version.unwrap_or_default());
        fs::write(folder.join(tool), script).unwrap();
        fs::set_permissions(folder.join(tool), fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn run(path: &Path) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/toolchain");
    let output = Command::new("/bin/sh").arg(script).env("PATH", path).output().unwrap();
    fs::remove_dir_all(path).unwrap();
    output
}

#[test]
fn a_missing_or_older_one_is_one_line() {
    for (name, version, says) in [
        ("missing", None, "there is no cargo in PATH"),
        ("old", Some("1.88.0"), "rustc says '1.88.0'"),
        ("nightly", Some("1.88.1-nightly"), "rustc says '1.88.1-nightly'"),
    ] {
        let output = run(&programs(name, version));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{name}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("needs Rust 1.89") && said.contains(says) && said.contains("rustup toolchain"), "{said}");
    }
}

#[test]
fn a_new_enough_one_says_nothing() {
    for version in ["1.89.0", "1.95.0", "1.100.0-beta.1", "2.0.0"] {
        let output = run(&programs(version, Some(version)));
        assert!(output.status.success() && output.stderr.is_empty(), "{version}: {output:?}");
    }
}
