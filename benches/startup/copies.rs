// SPDX-License-Identifier: LGPL-2.1-or-later
//! `-x` of a small tree and of a large one.

use crate::launchers::{Bench, Launcher};
use crate::measure::{self, Samples, milliseconds};
use crate::report::{Figure, Table};
use std::path::Path;
use std::process::Command;

/// Number of the large tree; the others are small.
const LARGE: usize = 1000;
const FOLDERS: usize = 400;
const FILES: usize = 20;
/// 8000 files of it are 200 MB: about as many as a small Debian has.
const FILE_SIZE: usize = 25_000;

/// systemd-nspawn copies the files, which takes seconds: it has its turn in one round of so many.
const COPIED_EVERY: usize = 5;

/// The small tree with files in it.
fn grow(tree: &Path) {
    for folder in 0..FOLDERS {
        let folder = tree.join(format!("srv/{}/{folder}", folder % 20));
        std::fs::create_dir_all(&folder).expect("a folder of the large tree cannot be made");
        for file in 0..FILES {
            let bytes = vec![b'a' + u8::try_from(file).unwrap_or(0); FILE_SIZE];
            std::fs::write(folder.join(file.to_string()), bytes).expect("a file of the large tree cannot be written");
        }
    }
}

/// What has been written is on the disk: its turn is not the next launcher's.
fn settle() {
    let _done = Command::new("sync").status();
}

fn once(bench: &Bench, launcher: Launcher, tree: usize) -> f64 {
    let command = bench.command_with(launcher, tree, "bench", &["--ephemeral"], &["/bin/true"]);
    milliseconds(measure::run(command).wall)
}

/// The rows.
pub fn run(bench: &Bench, table: &mut Table) {
    bench.make_tree(LARGE);
    grow(&bench.tree(LARGE));
    settle();
    let lanes = [
        (Launcher::Spawn, 0, "-x of 2 MB"),
        (Launcher::Spawn, LARGE, "-x of 200 MB"),
        (Launcher::Nspawn, 0, "-x of 2 MB"),
        (Launcher::Nspawn, LARGE, "-x of 200 MB"),
    ];
    let mut samples = vec![Samples::default(); lanes.len()];
    for (launcher, tree, _) in lanes {
        once(bench, launcher, tree);
    }
    for round in 0..bench.rounds {
        let slow = |launcher| launcher == Launcher::Nspawn && round % COPIED_EVERY != 0;
        for (lane, (launcher, tree, _)) in lanes.into_iter().enumerate().filter(|(_, (launcher, ..))| !slow(*launcher))
        {
            settle();
            samples[lane].push(once(bench, launcher, tree));
        }
    }
    for (lane, (launcher, _, what)) in lanes.into_iter().enumerate() {
        table.figure(Figure::new("copies", what, launcher.name(), "wall, ms", &samples[lane]));
    }
    let whole = format!("-x of 200 MB, on {}", file_system(&bench.trees));
    table.ratio(&whole, "spawn / systemd-nspawn", &samples[1], &samples[3], "0.02");
    table.ratio("-x of 200 MB, to one of 2 MB", "spawn / spawn", &samples[1], &samples[0], "1.5");
}

/// As `stat` calls it: ext4 and its ancestors have one name.
fn file_system(path: &Path) -> String {
    let output = Command::new("findmnt").args(["-n", "-o", "FSTYPE", "--target"]).arg(path).output();
    let name = output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default();
    if name.is_empty() { "an unknown file system".into() } else { name }
}
