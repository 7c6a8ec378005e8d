// SPDX-License-Identifier: LGPL-2.1-or-later
//! Builds the small static programs below `src/sys/programs` so that the library can embed them.
//!
//! They are compiled by a plain `rustc` call and not as cargo binaries: cargo has no way to say "without the start
//! files and C library" for one binary of a package and to hand the result to another target of the same package.

use std::env;
use std::path::Path;
use std::process::Command;

const SOURCES: &str = "src/sys/programs";
const PROGRAMS: [&str; 3] = ["handover", "keeper", "stub"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SOURCES}");
    let arch = variable("CARGO_CFG_TARGET_ARCH");
    if !["x86_64", "aarch64"].contains(&arch.as_str()) {
        println!(
            "cargo::error=spawn runs on x86_64 and aarch64, not on {arch}: {SOURCES}/rt.rs lacks its system calls"
        );
        return;
    }
    for program in PROGRAMS {
        build(program);
    }
}

fn build(program: &str) {
    let out = Path::new(&variable("OUT_DIR")).join(program);
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition=2024", "--crate-type=bin", "--crate-name", program]);
    rustc.args(["--target", &variable("TARGET")]);
    rustc.args(["-Copt-level=s", "-Cpanic=abort", "-Ccodegen-units=1", "-Clto=fat", "-Cstrip=symbols"]);
    rustc.args(["-Crelocation-model=static", "-Ctarget-feature=+crt-static", "-Cforce-unwind-tables=no"]);
    for argument in ["-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-z,noexecstack"] {
        rustc.arg(format!("-Clink-arg={argument}"));
    }
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    rustc.arg("-o").arg(&out).arg(format!("{SOURCES}/{program}.rs"));
    match rustc.output() {
        Ok(done) if done.status.success() => {}
        Ok(done) => {
            println!("cargo::error=the program {program} could not be compiled: rustc ended with {}", done.status);
            String::from_utf8_lossy(&done.stderr).lines().for_each(|line| println!("cargo::error={line}"));
        }
        Err(error) => println!("cargo::error=rustc could not be run for the program {program}: {error}"),
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo did not set {name}"))
}
