// SPDX-License-Identifier: LGPL-2.1-or-later
//! The shipped units agree with each other and with systemd's own checker, the catalog with its compiler.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TEMPLATE: &str = include_str!("../units/spawn@.service.in");
const DROP_IN: &str = include_str!("../units/systemd-nspawn@.service.d/50-spawn.conf.in");

/// A directory that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("spawn-test-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Runs a tool, at most 30 s; `None`, said, when it is not installed.
fn tool(name: &str, args: &[&str]) -> Option<Output> {
    if Command::new(name).arg("--version").output().is_err() {
        eprintln!("skipped: {name} is not installed");
        return None;
    }
    Some(Command::new("timeout").arg("30").arg(name).args(args).env("LC_ALL", "C").output().unwrap())
}

fn exec_starts(unit: &str) -> Vec<&str> {
    unit.lines().filter_map(|l| l.strip_prefix("ExecStart=")).collect()
}

#[test]
fn template_and_drop_in_run_the_same_command() {
    let [command] = exec_starts(TEMPLATE)[..] else { panic!("one ExecStart= expected") };
    assert_eq!(exec_starts(DROP_IN), ["", command]);
    assert!(command.starts_with("@bindir@/spawn "));
    for line in ["Type=notify", "KillMode=mixed", "RestartForceExitStatus=133", "SuccessExitStatus=133"] {
        assert!(TEMPLATE.lines().any(|l| l == line), "{line}");
    }
}

#[test]
fn systemd_takes_the_units() {
    let scratch = Scratch::new("units");
    let bin = Path::new(env!("CARGO_BIN_EXE_spawn")).parent().unwrap().to_str().unwrap();
    let unit = scratch.0.join("spawn@x.service");
    std::fs::write(&unit, TEMPLATE.replace("@bindir@", bin)).unwrap();
    let nspawn = scratch.0.join("systemd-nspawn@x.service");
    std::fs::write(&nspawn, TEMPLATE.replace("@bindir@/spawn", "/bin/true")).unwrap();
    let drop_ins = scratch.0.join("systemd-nspawn@x.service.d");
    std::fs::create_dir(&drop_ins).unwrap();
    std::fs::write(drop_ins.join("50-spawn.conf"), DROP_IN.replace("@bindir@", bin)).unwrap();
    for unit in [&unit, &nspawn] {
        let Some(output) = tool("systemd-analyze", &["verify", "--man=no", unit.to_str().unwrap()]) else { return };
        let said = String::from_utf8(output.stderr).unwrap();
        // Of other units, and of a key that is newer than the systemd here, nothing is said about ours.
        let about_ours: Vec<&str> = said
            .lines()
            .filter(|l| l.contains(scratch.0.to_str().unwrap()) || l.contains("spawn@x"))
            .filter(|l| !l.contains("'DelegateSubgroup' in section"))
            .collect();
        assert!(about_ours.is_empty(), "{about_ours:#?}\n{said}");
    }
}

#[test]
fn the_catalog_compiles() {
    let scratch = Scratch::new("catalog");
    let dir = scratch.0.join("usr/lib/systemd/catalog");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/units/spawn.catalog"), dir.join("spawn.catalog")).unwrap();
    let root = format!("--root={}", scratch.0.display());
    let Some(update) = tool("journalctl", &[&root, "--update-catalog"]) else { return };
    assert!(update.status.success(), "{update:?}");
    let id = spawn::log::MessageId::Started;
    let shown = tool("journalctl", &[&root, "--dump-catalog", id.as_str()]).unwrap();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains(id.subject()) && text.contains(id.body()), "{text}\n{:?}", shown.stderr);
}
