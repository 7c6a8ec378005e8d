// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fifty starts at once, until every payload runs.

use crate::launchers::{Bench, Launcher};
use crate::measure::{Samples, milliseconds};
use crate::report::{Figure, Table};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Instant;

const MANY: usize = 50;
/// Says that it runs, then waits for the end of its input.
pub const WAIT: [&str; 3] = ["/bin/sh", "-c", "echo up; read x; true"];

fn start(bench: &Bench, launcher: Launcher, n: usize) -> Child {
    let mut command = bench.command(launcher, n, &format!("bench-{n}"), &WAIT);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

/// Waits for the payload's word.
pub fn wait_up(child: &mut Child) {
    let mut line = String::new();
    let out = child.stdout.as_mut().expect("its output is a pipe");
    BufReader::new(out).read_line(&mut line).expect("its output can be read");
    assert_eq!(line.trim_end(), "up", "the payload did not run");
}

/// Lets the payload end.
pub fn end(mut child: Child) {
    drop(child.stdin.take());
    let status = child.wait().expect("wait");
    assert!(status.success(), "a launcher ended with {status}");
}

/// The row.
pub fn run(bench: &Bench, table: &mut Table) {
    bench.make_trees(MANY);
    let launchers = [Launcher::Spawn, Launcher::SpawnHostIds, Launcher::Nspawn, Launcher::Crun];
    let mut samples = vec![Samples::default(); launchers.len()];
    for _ in 0..bench.rounds {
        for (lane, launcher) in launchers.into_iter().enumerate() {
            let begin = Instant::now();
            let mut children: Vec<Child> = (0..MANY).map(|n| start(bench, launcher, n)).collect();
            children.iter_mut().for_each(wait_up);
            samples[lane].push(milliseconds(begin.elapsed()));
            children.into_iter().for_each(end);
        }
    }
    let what = "50 at once, until all payloads run";
    for (lane, launcher) in launchers.into_iter().enumerate() {
        table.figure(Figure::new("storm", what, launcher.name(), "wall, ms", &samples[lane]));
    }
    for (lane, must) in [(0, "0.28 (0.20)"), (1, "0.28 (0.20)")] {
        let pair = format!("{} / systemd-nspawn", launchers[lane].name());
        table.ratio(what, &pair, &samples[lane], &samples[2], must);
    }
}
