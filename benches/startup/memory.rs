// SPDX-License-Identifier: LGPL-2.1-or-later
//! Private memory of an idle container: every process that runs on the host for it. Twenty of them idle at a time, as
//! the pages of a program that runs once are private to it, and of one that runs twice are not.

use crate::launchers::{Bench, Launcher};
use crate::measure::Samples;
use crate::report::{Figure, Table};
use crate::storm::{WAIT, end, wait_up};
use std::process::{Child, Stdio};
use std::time::Duration;

const MANY: usize = 20;

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|n| n.parse().ok()).collect()
}

fn pid_namespace(pid: u32) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// Private pages of one process, in kB (proc(5), smaps_rollup).
fn private(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("smaps_rollup can be read");
    let value = |line: &str| line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok());
    text.lines().filter(|l| l.starts_with("Private_")).filter_map(value).sum()
}

fn of_launcher(pid: u32) -> f64 {
    let outside = pid_namespace(pid);
    let helpers = children(pid).into_iter().filter(|child| pid_namespace(*child) == outside);
    private(pid) + helpers.map(private).sum::<f64>()
}

/// The row.
pub fn run(bench: &Bench, table: &mut Table) {
    bench.make_trees(MANY);
    let launchers = [Launcher::Spawn, Launcher::Nspawn, Launcher::Crun];
    let mut samples = vec![Samples::default(); launchers.len()];
    for _ in 0..bench.rounds.div_ceil(MANY).max(2) {
        for (lane, launcher) in launchers.into_iter().enumerate() {
            let start = |n| {
                let mut command = bench.command(launcher, n, &format!("bench-{n}"), &WAIT);
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
                let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
                wait_up(&mut child);
                child
            };
            let idle: Vec<Child> = (0..MANY).map(start).collect();
            std::thread::sleep(Duration::from_millis(200));
            idle.iter().for_each(|child| samples[lane].push(of_launcher(child.id())));
            idle.into_iter().for_each(end);
        }
    }
    let what = "private memory of each of 20 that idle";
    for (lane, launcher) in launchers.into_iter().enumerate() {
        table.figure(Figure::new("memory", what, launcher.name(), "kB", &samples[lane]));
    }
    table.ratio(what, "spawn and its keeper / systemd-nspawn", &samples[0], &samples[1], "1.0 (0.4)");
}
