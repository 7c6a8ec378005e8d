// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a service manager hears: the environment decides, so a process of its own does the talking.

use rustix::process::Pid;
use spawn::supervise::notify::{Ending, ManagerNotify, PayloadNotice, ReadyWhen};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
#[ignore = "talks to $NOTIFY_SOCKET; the other tests run it with one"]
fn tell() {
    let start = Instant::now();
    let mut manager = ManagerNotify::new(ReadyWhen::PayloadReady, start);
    manager.started(Pid::from_raw(42).unwrap()).unwrap();
    manager.payload(&PayloadNotice { status: Some("Up.".into()), ready: true }).unwrap();
    if let Some(due) = manager.keep_alive_due() {
        assert_eq!(due, start + Duration::from_secs(5));
        manager.keep_alive(due).unwrap();
    }
    manager.status("two\nlines").unwrap();
    manager.ending(Ending::Terminating).unwrap();
}

fn teller() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "tell"]);
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
        command.env_remove(name);
    }
    command
}

#[test]
fn the_manager_hears_every_step() {
    let path = std::env::temp_dir().join(format!("spawn-test-manager-{}", std::process::id()));
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let output = teller().env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "10000000").output().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for expected in [
        "STATUS=Container started.\nX_NSPAWN_LEADER_PID=42\n",
        "STATUS=Container running: Up.\nREADY=1\n",
        "WATCHDOG=1\n",
        "STATUS=two lines\n",
        "STOPPING=1\nSTATUS=Terminating...\n",
    ] {
        let mut buffer = [0; 4096];
        let n = manager.recv(&mut buffer).unwrap();
        assert_eq!(std::str::from_utf8(&buffer[..n]).unwrap(), expected);
    }
}

#[test]
fn without_a_manager_nothing_happens_and_a_dead_one_is_an_error() {
    assert!(teller().output().unwrap().status.success());
    let dead = teller().env("NOTIFY_SOCKET", "/nonexistent/notify").output().unwrap();
    assert!(!dead.status.success());
    assert!(String::from_utf8_lossy(&dead.stdout).contains("cannot notify the service manager"), "{dead:?}");
}
