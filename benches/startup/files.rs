// SPDX-License-Identifier: LGPL-2.1-or-later
//! What settings files cost: a machine with a `.nspawn` file of 200 lines and three drop-ins, read, merged and planned.

use crate::launchers::Bench;
use crate::measure::{Samples, words};
use crate::report::{Figure, Table};
use spawn::cli::{self, Caller};
use spawn::config::file::{self, search::Directories};
use spawn::plan;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The harness called with this word, a folder of settings files and a tree is the process that reads them.
pub const READ: &str = "--read-files";
const LINES: usize = 200;

/// What an administrator writes: comments, variables, mounts, limits, rights, ports.
fn settings_file() -> String {
    let mut text = String::from(
        "# The web server of the bench.\n[Exec]\nPrivateUsers=pick\nHostname=web\nWorkingDirectory=/srv\nUser=www\n\
         Capability=CAP_NET_ADMIN CAP_SYS_NICE\nDropCapability=CAP_SYS_CHROOT\nSystemCallFilter=@keyring\n\
         SystemCallFilter=~kexec_load @obsolete\nLimitNOFILE=65536\nLimitNPROC=4096:8192\nLimitCORE=0\nOOMScoreAdjust=100\n\
         CPUAffinity=0-1\nProperty=MemoryMax=1G\nProperty=TasksMax=500\nNoNewPrivileges=yes\nResolvConf=copy-host\n\n",
    );
    for n in 0..60 {
        let _ = writeln!(text, "Environment=VARIABLE_{n}=value-{n} \"QUOTED_{n}=with blanks in it\"");
    }
    text += "\n[Files]\n# What the applications share.\n";
    for n in 0..50 {
        let _ = writeln!(text, "Bind=/srv/shared/{n}:/srv/applications/{n}/data:idmap");
        let _ = writeln!(text, "BindReadOnly=/etc/applications/{n}.conf");
    }
    text += "TemporaryFileSystem=/srv/scratch:size=64m,mode=1777\nInaccessible=/srv/private\n\n[Network]\nVirtualEthernet=yes\n";
    for n in 0..LINES - text.lines().count() {
        let _ = writeln!(text, "Port=tcp:{}:{}", 8000 + n, 80 + n);
    }
    text
}

fn write_all(folder: &Path) {
    let drop_ins = folder.join("bench.nspawn.d");
    std::fs::create_dir_all(&drop_ins).expect("the folder of the files cannot be made");
    let mut files = vec![(folder.join("bench.nspawn"), settings_file())];
    for n in 0..3 {
        let text = format!(
            "[Exec]\nHostname=web-{n}\nEnvironment=DROP_IN={n}\nEnvironment=\nEnvironment=A=1\n\n[Files]\nBind=/srv/extra/{n}\n"
        );
        files.push((drop_ins.join(format!("{n}0-more.conf")), text));
    }
    for (path, text) in files {
        std::fs::write(path, text).expect("a settings file cannot be written");
    }
}

/// Reads the files, makes the plan, and prints how many milliseconds each of the two took. What the plan knows of the
/// machine and its tree is gathered in between: it takes what it takes without files.
pub fn read_and_tell(folder: &str, tree: &str) {
    let line = ["spawn", "--machine=bench", "--directory", tree].map(Into::into).to_vec();
    let Ok(cli::Command::Run(said)) = cli::parse(line, &Caller::default()) else { panic!("the line is wrong") };
    let directories = Directories { files: vec![folder.into()], drop_ins: vec![folder.into()] };
    let begin = Instant::now();
    let loaded = file::load(*said, &directories, &plan::whereabouts);
    let read = begin.elapsed();
    assert!(loaded.mistakes.is_empty() && loaded.warnings.is_empty(), "{:?} {:?}", loaded.mistakes, loaded.warnings);
    let (facts, _) = plan::probe(&loaded.settings).expect("there is a tree");
    let begin = Instant::now();
    let made = plan::build(&loaded.settings, &facts);
    let planned = begin.elapsed();
    let made = made.expect("a plan can be made");
    assert!(made.steps.len() > 100, "the plan lacks the mounts of the files");
    println!("{} {}", read.as_secs_f64() * 1e3, planned.as_secs_f64() * 1e3);
}

/// The rows.
pub fn run(bench: &Bench, table: &mut Table) {
    let folder = bench.trees.join("settings");
    write_all(&folder);
    let [mut read, mut planned, mut both] = [const { Vec::new() }; 3].map(|_: Vec<f64>| Samples::default());
    for _ in 0..bench.rounds {
        let mut myself = Command::new(std::env::current_exe().expect("the harness has a path"));
        myself.arg(READ).arg(&folder).arg(bench.tree(0));
        let [r, p] = words(myself)[..] else { panic!("the files were not read") };
        read.push(r);
        planned.push(p);
        both.push(r + p);
    }
    let what = "a .nspawn file of 200 lines, 3 drop-ins";
    table.figure(Figure::new("files", what, "read and merged, in a fresh process", "ms", &read));
    table.figure(Figure::new("files", what, "planned", "ms", &planned));
    table.figure(Figure::new("files", what, "read, merged and planned: at most 1", "ms", &both));
}
