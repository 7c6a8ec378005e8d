// SPDX-License-Identifier: LGPL-2.1-or-later
//! A Debian tree booted until its systemd says that it is ready.

use crate::launchers::{Bench, Launcher};
use crate::measure::{Samples, milliseconds};
use crate::report::{Figure, Table};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

fn boot(bench: &Bench, launcher: Launcher, tree: &std::path::Path) -> f64 {
    let path = bench.trees.join("notify");
    let _old = std::fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path).expect("the notify socket cannot be made");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let program = if launcher == Launcher::Nspawn { "systemd-nspawn".as_ref() } else { bench.spawn.as_path() };
    let mut command = Command::new(program);
    command.args(["-q", "-b", "--console=read-only", "--settings=no", "--notify-ready=yes", "--link-journal=no"]);
    if launcher == Launcher::SpawnHostIds {
        command.arg("--private-users=no");
    }
    command.args(["-M", "bench", "-D"]).arg(tree).env("NOTIFY_SOCKET", &path);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut message = [0u8; 4096];
    loop {
        let length = socket.recv(&mut message).expect("the container did not become ready");
        if message[..length].split(|b| *b == b'\n').any(|line| line == b"READY=1") {
            break;
        }
    }
    let took = milliseconds(begin.elapsed());
    // An orderly shutdown would take longer than the boot.
    let kill = Command::new("machinectl").args(["kill", "bench", "--kill-whom=leader", "--signal=KILL"]).status();
    assert!(kill.is_ok_and(|s| s.success()), "machinectl kill failed");
    child.wait().expect("wait");
    while Command::new("machinectl")
        .args(["status", "bench"])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|o| o.status.success())
    {
        assert!(begin.elapsed() < PATIENCE, "machined does not forget the machine");
        std::thread::sleep(Duration::from_millis(20));
    }
    took
}

/// The row.
pub fn run(bench: &Bench, table: &mut Table) {
    let tree = bench.trees.join("debian");
    let copied = Command::new("cp").args(["-a", "/var/lib/machines/debian"]).arg(&tree).status();
    assert!(copied.is_ok_and(|s| s.success()), "the Debian tree cannot be copied");
    let launchers = [Launcher::Spawn, Launcher::SpawnHostIds, Launcher::Nspawn];
    let mut samples = vec![Samples::default(); launchers.len()];
    for launcher in launchers {
        boot(bench, launcher, &tree);
    }
    for _ in 0..bench.rounds {
        for (lane, launcher) in launchers.into_iter().enumerate() {
            samples[lane].push(boot(bench, launcher, &tree));
        }
    }
    let what = "-b, until READY=1";
    for (lane, launcher) in launchers.into_iter().enumerate() {
        table.figure(Figure::new("boot", what, launcher.name(), "wall, ms", &samples[lane]));
    }
    table.ratio(what, "spawn / systemd-nspawn", &samples[0], &samples[2], "0.97 (0.92)");
    table.ratio(what, "spawn --private-users=no / systemd-nspawn", &samples[1], &samples[2], "0.97 (0.92)");
}
