// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a start costs, against systemd-nspawn, crun and bubblewrap: run by `make bench` inside a nested host.
//!
//! The launchers of a row take turns within one run, so that what else the machine does hits all of them. Wall time is
//! from before the launcher is spawned until it has been waited for; CPU time is user and system time of the launcher
//! and of every descendant that was waited for on its behalf (getrusage(2), `RUSAGE_CHILDREN`): it leaves out PID 1,
//! machined and the bus.

mod boot;
mod chart;
mod copies;
mod files;
mod launchers;
mod measure;
mod memory;
mod report;
mod rows;
mod seccomp;
mod storm;

use launchers::Bench;
use report::Table;
use std::path::PathBuf;
use std::time::Instant;

/// Measures and adds to the table.
type Row = fn(&Bench, &mut Table);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [seccomp::INSTALL] => return seccomp::install_and_tell(),
        [files::READ, folder, tree] => return files::read_and_tell(folder, tree),
        _ => {}
    }
    let mut bench = Bench {
        spawn: "spawn".into(),
        payload: PathBuf::new(),
        empty: "/bin/true".into(),
        rounds: 30,
        trees: "/var/lib/spawn-bench".into(),
    };
    let (mut json, mut svg, mut only) = (None, None, Vec::new());
    for argument in &words {
        match argument.split_once('=') {
            Some(("--spawn", path)) => bench.spawn = path.into(),
            Some(("--payload", path)) => bench.payload = path.into(),
            Some(("--empty", path)) => bench.empty = path.into(),
            Some(("--rounds", n)) => bench.rounds = n.parse().expect("--rounds= takes a number"),
            Some(("--rows", words)) => only = words.split_whitespace().map(str::to_owned).collect(),
            Some(("--json", path)) => json = Some(PathBuf::from(path)),
            Some(("--svg", path)) => svg = Some(PathBuf::from(path)),
            // cargo passes words of its own.
            _ => eprintln!("bench: {argument:?} is passed over"),
        }
    }
    let wanted = |key: &str| only.is_empty() || only.iter().any(|word| key.contains(word.as_str()));
    bench.prepare();
    let mut table = Table::default();
    let rows: [(&str, Row); 10] = [
        ("version", rows::version),
        ("files", files::run),
        ("spaced", rows::spaced),
        ("repeated", rows::repeated),
        ("plain", rows::plain),
        ("storm", storm::run),
        ("boot", boot::run),
        ("copies", copies::run),
        ("memory", memory::run),
        ("seccomp", seccomp::run),
    ];
    for (key, run) in rows {
        if wanted(key) {
            let begin = Instant::now();
            run(&bench, &mut table);
            eprintln!("bench: {key}: {:.0} s", begin.elapsed().as_secs_f32());
        }
    }
    let markdown = table.markdown(&bench);
    print!("{markdown}");
    if let Some(path) = svg {
        std::fs::write(path, chart::svg(&markdown)).expect("the picture cannot be written");
    }
    if let Some(path) = json {
        std::fs::write(path, table.json(&bench)).expect("the figures cannot be written");
    }
    bench.clean_up();
}
