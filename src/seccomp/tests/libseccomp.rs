// SPDX-License-Identifier: LGPL-2.1-or-later
//! The same allow-list through libseccomp: both programs must say the same for every number that libseccomp knows.

use super::*;
use crate::seccomp::{abi::Abi, policy};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The oracle, compiled once; the reason when it cannot be.
fn oracle() -> Result<&'static PathBuf, &'static str> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seccomp/oracle.c");
        let binary = std::env::current_exe().unwrap().with_file_name("seccomp-oracle");
        let cc = Command::new("cc").args(["-O1", "-o"]).arg(&binary).args([source, "-lseccomp"]).output();
        match cc {
            Err(e) => Err(format!("no C compiler: {e}")),
            Ok(out) if !out.status.success() => Err(format!("no libseccomp: {}", String::from_utf8_lossy(&out.stderr))),
            Ok(_) => Ok(binary),
        }
    };
    BUILT.get_or_init(build).as_ref().map_err(String::as_str)
}

/// What libseccomp makes of the list: the calls it knows of, and its program.
fn ask(oracle: &PathBuf, arch: &str, list: &str) -> (Vec<(u32, String)>, Vec<Instruction>) {
    let mut child =
        Command::new(oracle).arg(arch).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle starts");
    child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "the oracle failed for {arch}");
    let (mut calls, mut program) = (Vec::new(), Vec::new());
    for line in String::from_utf8(out.stdout).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let n = |at: usize| words[at].parse::<u32>().unwrap();
        match words[0] {
            "call" => calls.push((n(1), words[2].to_owned())),
            _ => program.push(Instruction { code: n(1) as u16, jt: n(2) as u8, jf: n(3) as u8, k: n(4) }),
        }
    }
    (calls, program)
}

/// Says so past the harness, which keeps what passing tests print to itself.
fn skipped(what: &str) {
    std::io::stderr().write_all(format!("SKIPPED {what}\n").as_bytes()).unwrap();
}

fn compare(machine: Machine, abi: &Abi, arch: &str, oracle: &PathBuf, edits: &[Sourced<FilterWords>]) -> usize {
    let request = FilterRequest { machine, edits, ..request(Posture::SystemdNspawn) };
    let ours = compile(&request).unwrap().program;
    let allowed = policy::resolve(&request).unwrap().allowed;
    let kind = |allowed| if allowed { 'A' } else { 'K' };
    let line = |(_, id): (u32, names::NameId)| format!("{} {}\n", kind(allowed.contains(id)), id.name());
    let (calls, theirs) = ask(oracle, arch, &abi.iter().map(line).collect::<String>());
    for (number, name) in &calls {
        assert_eq!(super::number(machine, abi.name, name).1, *number, "number of {name} on {arch}");
        let call = Call::new(machine, abi.arch, *number, &[]);
        assert_eq!(run(&ours, &call), run(&theirs, &call), "{name} ({number}) on {arch}");
    }
    // Gaps of both tables, and what is past them.
    for number in (0..2048).map(|n| abi.base + n).filter(|n| abi.iter().all(|(known, _)| known != *n)) {
        let call = Call::new(machine, abi.arch, number, &[]);
        assert_eq!(run(&ours, &call), run(&theirs, &call), "{number} on {arch}");
    }
    calls.len()
}

#[test]
fn verdicts_equal_libseccomps() {
    let oracle = match oracle() {
        Ok(oracle) => oracle,
        Err(reason) => return skipped(&format!("verdicts_equal_libseccomps: {reason}")),
    };
    let edits = [lists(&[]), lists(&["@swap @pkey @clock", "~@keyring", "~mount umount2 bind listen"])];
    // Not s390x: made on a little-endian machine, its programs mix byte orders.
    for (machine, abi, arch, at_least) in [
        (Machine::X86_64, "x86-64", "x86_64", 360),
        (Machine::X86_64, "x32", "x32", 340),
        (Machine::X86_64, "x86", "x86", 410),
        (Machine::Aarch64, "arm64", "aarch64", 300),
        (Machine::Aarch64, "arm", "arm", 390),
        (Machine::Riscv64, "riscv64", "riscv64", 300),
        (Machine::Powerpc64le, "ppc64-le", "ppc64le", 370),
    ] {
        let abi = machine.abis().iter().find(|a| a.name == abi).unwrap();
        for edits in &edits {
            let known = compare(machine, abi, arch, oracle, edits);
            println!("{arch}: {known} calls compared");
            assert!(known >= at_least, "{arch}: only {known} calls compared");
        }
    }
}
