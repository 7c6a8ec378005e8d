// SPDX-License-Identifier: LGPL-2.1-or-later
//! `/bin/true` in a busybox tree, start to exit.

use crate::launchers::{Bench, Launcher};
use crate::measure::{Run, Samples, milliseconds, run};
use crate::report::{Figure, Table};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// How long nothing is started before a spaced start.
const QUIET: Duration = Duration::from_millis(500);
/// How many starts follow each other when repeated; the first is not counted, as it follows another launcher.
const BURST: usize = 5;

const WITH_SCOPE: [Launcher; 4] = [Launcher::Spawn, Launcher::SpawnHostIds, Launcher::Nspawn, Launcher::Crun];
const PLAIN: [Launcher; 3] = [Launcher::SpawnPlain, Launcher::SpawnPlainRange, Launcher::Bubblewrap];

/// Wall and CPU time of each launcher.
struct Lanes {
    launchers: Vec<Launcher>,
    wall: Vec<Samples>,
    cpu: Vec<Samples>,
}

impl Lanes {
    fn new(launchers: &[Launcher]) -> Self {
        let empty = || vec![Samples::default(); launchers.len()];
        Self { launchers: launchers.to_vec(), wall: empty(), cpu: empty() }
    }

    fn add(&mut self, lane: usize, run: Run) {
        self.wall[lane].push(milliseconds(run.wall));
        self.cpu[lane].push(milliseconds(run.cpu));
    }

    fn of(&self, launcher: Launcher) -> usize {
        self.launchers.iter().position(|l| *l == launcher).expect("the launcher runs in this row")
    }

    /// One line per launcher, and one per comparison.
    fn tell(&self, table: &mut Table, key: &str, what: &str, comparisons: &[(Launcher, Launcher, &str, &str)]) {
        for (lane, launcher) in self.launchers.iter().enumerate() {
            table.figure(Figure::new(key, what, launcher.name(), "wall, ms", &self.wall[lane]));
            table.figure(Figure::new(key, what, launcher.name(), "CPU, ms", &self.cpu[lane]));
        }
        for (ours, theirs, must, must_cpu) in comparisons {
            let (a, b) = (self.of(*ours), self.of(*theirs));
            let pair = format!("{} / {}", ours.name(), theirs.name());
            table.ratio(&format!("{what}, wall"), &pair, &self.wall[a], &self.wall[b], must);
            table.ratio(&format!("{what}, CPU"), &pair, &self.cpu[a], &self.cpu[b], must_cpu);
        }
    }
}

/// The launchers in an order that differs from round to round: forwards and backwards, and each begins in turn. What one
/// leaves behind in caches and in systemd is then not always the same one's to bear.
fn turns(launchers: &[Launcher], round: usize) -> Vec<(usize, Launcher)> {
    let mut order: Vec<_> = launchers.iter().copied().enumerate().collect();
    order.rotate_left(round / 2 % launchers.len());
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

fn once(bench: &Bench, launcher: Launcher) -> Run {
    run(bench.command(launcher, 0, "bench", &["/bin/true"]))
}

fn warm_up(bench: &Bench, launchers: &[Launcher]) {
    for launcher in launchers {
        once(bench, *launcher);
        once(bench, *launcher);
    }
}

/// Each start after half a second of quiet.
pub fn spaced(bench: &Bench, table: &mut Table) {
    warm_up(bench, &WITH_SCOPE);
    let mut lanes = Lanes::new(&WITH_SCOPE);
    for round in 0..bench.rounds {
        for (lane, launcher) in turns(&WITH_SCOPE, round) {
            sleep(QUIET);
            lanes.add(lane, once(bench, launcher));
        }
    }
    let compare = [
        (Launcher::Spawn, Launcher::Nspawn, "0.33 (0.20)", ""),
        (Launcher::SpawnHostIds, Launcher::Nspawn, "0.33 (0.20)", ""),
        (Launcher::Spawn, Launcher::Crun, "1.2 (1.0)", "1.0 (0.6)"),
        (Launcher::SpawnHostIds, Launcher::Crun, "1.2 (1.0)", "1.0 (0.6)"),
        (Launcher::Spawn, Launcher::SpawnHostIds, "1.3 (1.1)", ""),
    ];
    lanes.tell(table, "spaced", "scope, registered, 0.5 s apart", &compare);
}

/// One start after the other.
pub fn repeated(bench: &Bench, table: &mut Table) {
    warm_up(bench, &WITH_SCOPE);
    let mut lanes = Lanes::new(&WITH_SCOPE);
    for round in 0..bench.rounds {
        for (lane, launcher) in turns(&WITH_SCOPE, round) {
            for n in 0..BURST {
                let run = once(bench, launcher);
                if n > 0 {
                    lanes.add(lane, run);
                }
            }
        }
    }
    let compare = [
        (Launcher::Spawn, Launcher::Nspawn, "0.25 (0.15)", ""),
        (Launcher::SpawnHostIds, Launcher::Nspawn, "0.25 (0.15)", ""),
        (Launcher::Spawn, Launcher::Crun, "1.2 (1.0)", "1.0 (0.6)"),
        (Launcher::SpawnHostIds, Launcher::Crun, "1.2 (1.0)", "1.0 (0.6)"),
        (Launcher::Spawn, Launcher::SpawnHostIds, "1.3 (1.1)", ""),
    ];
    lanes.tell(table, "repeated", "scope, registered, back to back", &compare);
}

/// Without a bus.
pub fn plain(bench: &Bench, table: &mut Table) {
    warm_up(bench, &PLAIN);
    let mut lanes = Lanes::new(&PLAIN);
    for round in 0..bench.rounds {
        for (lane, launcher) in turns(&PLAIN, round) {
            for n in 0..BURST {
                let run = once(bench, launcher);
                if n > 0 {
                    lanes.add(lane, run);
                }
            }
        }
    }
    let compare = [
        (Launcher::SpawnPlain, Launcher::Bubblewrap, "1.5 (1.2)", ""),
        (Launcher::SpawnPlainRange, Launcher::SpawnPlain, "1.5 (1.3)", ""),
    ];
    lanes.tell(table, "plain", "no bus, back to back", &compare);
}

/// What it costs to start the program at all, against a program of the same linking that does nothing.
pub fn version(bench: &Bench, table: &mut Table) {
    let [mut ours, mut empty, mut host, mut more] = [const { Vec::new() }; 4].map(|_: Vec<f64>| Samples::default());
    for _ in 0..bench.rounds * 4 {
        let mut command = Command::new(&bench.spawn);
        command.arg("--version");
        let took = [command, Command::new(&bench.empty), Command::new("/bin/true")].map(|c| milliseconds(run(c).wall));
        ours.push(took[0]);
        empty.push(took[1]);
        host.push(took[2]);
        more.push(took[0] - took[1]);
    }
    let what = "the program itself";
    table.figure(Figure::new("version", what, "spawn --version", "wall, ms", &ours));
    table.figure(Figure::new("version", what, "an empty program", "wall, ms", &empty));
    table.figure(Figure::new("version", what, "what the first takes longer: at most 0.3", "wall, ms", &more));
    table.figure(Figure::new("version", what, "/bin/true of the host", "wall, ms", &host));
}
