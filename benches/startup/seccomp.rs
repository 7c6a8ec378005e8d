// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the system call filter costs: to make it, and on a call whose verdict the kernel cannot cache.

use crate::launchers::{Bench, Launcher};
use crate::measure::{Samples, words};
use crate::report::{Figure, Table};
use spawn::model::CapabilitySet;
use spawn::seccomp::{FilterRequest, Log, Machine, Posture, SocketCall, Sync, compile};
use std::process::Command;
use std::time::Instant;

/// The harness called with this word is the process that installs a filter.
pub const INSTALL: &str = "--install-filter";
const CALLS: &str = "4000";

/// Compiles and installs one filter and prints how long that took, in milliseconds.
pub fn install_and_tell() {
    let request = FilterRequest {
        machine: Machine::NATIVE.expect("this machine has a filter"),
        capabilities: CapabilitySet(u64::MAX >> 23),
        edits: &[],
        address_families: &[],
        posture: Posture::Spawn,
        socketcall: SocketCall::Guarded,
        sync: Sync::Honoured,
        keyrings: spawn::seccomp::Keyrings::Own,
        log: Log::Nothing,
    };
    let begin = Instant::now();
    let filter = compile(&request).expect("the filter compiles");
    let compiled = begin.elapsed();
    spawn::sys::seccomp::install(&filter.program, filter.flags).expect("the filter can be installed");
    let installed = begin.elapsed();
    println!("{} {}", compiled.as_secs_f64() * 1e3, installed.as_secs_f64() * 1e3);
}

/// The rows.
pub fn run(bench: &Bench, table: &mut Table) {
    let [mut compiled, mut installed, mut free, mut ours, mut theirs] =
        [const { Vec::new() }; 5].map(|_: Vec<f64>| Samples::default());
    let (mut our_cost, mut their_cost) = (Samples::default(), Samples::default());
    for _ in 0..bench.rounds {
        let mut myself = Command::new(std::env::current_exe().expect("the harness has a path"));
        myself.arg(INSTALL);
        if let [c, i] = words(myself)[..] {
            compiled.push(c);
            installed.push(i);
        }
        let mut bare = Command::new(&bench.payload);
        bare.arg(CALLS);
        let each = |command| words(command).first().copied().expect("the payload prints a number");
        let inside = |launcher| each(bench.command(launcher, 0, "bench", &["/bin/payload", CALLS]));
        let (f, o, t) = (each(bare), inside(Launcher::SpawnHostIds), inside(Launcher::Nspawn));
        free.push(f);
        ours.push(o);
        theirs.push(t);
        our_cost.push(o - f);
        their_cost.push(t - f);
    }
    table.figure(Figure::new("seccomp", "filter", "compiled, in a fresh process", "ms", &compiled));
    table.figure(Figure::new("seccomp", "filter", "compiled and installed: at most 0.5 (0.2)", "ms", &installed));
    let what = "socket(2) and close(2)";
    table.figure(Figure::new("seccomp", what, "no filter", "ns", &free));
    table.figure(Figure::new("seccomp", what, "spawn --private-users=no", "ns", &ours));
    table.figure(Figure::new("seccomp", what, "systemd-nspawn", "ns", &theirs));
    table.ratio("what the filter adds to socket(2)", "spawn / systemd-nspawn", &our_cost, &their_cost, "0.7 (0.5)");
    table.ratio("socket(2) and close(2) as a whole", "spawn / systemd-nspawn", &ours, &theirs, "");
}
