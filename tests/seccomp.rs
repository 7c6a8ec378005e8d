// SPDX-License-Identifier: LGPL-2.1-or-later
//! Filters in the real kernel: a probe makes calls with and without one, native, x32 and by int 0x80.

use spawn::model::DEFAULT_BOUNDING;
use spawn::seccomp::{FilterRequest, Keyrings, Log, Machine, Posture, SocketCall, Sync, compile};
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const CHILD: &str = "SECCOMP_TEST_POSTURE";
const PROBE: &str = "SECCOMP_TEST_PROBE";

fn request(posture: Posture, machine: Machine) -> FilterRequest<'static> {
    FilterRequest {
        machine,
        capabilities: DEFAULT_BOUNDING,
        edits: &[],
        address_families: &[],
        posture,
        socketcall: SocketCall::Guarded,
        sync: if posture == Posture::SystemdNspawn { Sync::Suppressed } else { Sync::Honoured },
        log: Log::Nothing,
        keyrings: Keyrings::Own,
    }
}

/// The probe, compiled; the reason when it cannot be.
fn probe(name: &str) -> Result<PathBuf, String> {
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seccomp/probe.c");
    match Command::new("cc").args(["-O1", "-o"]).arg(&binary).arg(source).output() {
        Err(e) => Err(format!("no C compiler: {e}")),
        Ok(out) if !out.status.success() => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
        Ok(_) => Ok(binary),
    }
}

fn answers(output: std::process::Output) -> BTreeMap<String, String> {
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let answer = |line: &str| line.rsplit_once(' ').map(|(call, errno)| (call.to_owned(), errno.to_owned()));
    // The harness of the child prints lines of its own before it is replaced.
    text.lines().filter(|l| l.starts_with("native ") || l.starts_with("x")).filter_map(answer).collect()
}

/// Runs the probe under the filter of a posture: this very test program installs it and becomes the probe.
fn filtered(posture: &str, probe: &Path) -> BTreeMap<String, String> {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--ignored", "--exact", "child", "--nocapture"]).env(CHILD, posture).env(PROBE, probe);
    answers(child.output().unwrap())
}

#[test]
#[ignore = "what the other tests start"]
fn child() {
    let posture = match std::env::var(CHILD).as_deref() {
        Ok("spawn") => Posture::Spawn,
        Ok("systemd-nspawn") => Posture::SystemdNspawn,
        _ => return,
    };
    let filter = compile(&request(posture, Machine::NATIVE.unwrap())).unwrap();
    spawn::sys::seccomp::install(&filter.program, filter.flags).unwrap();
    panic!("exec: {}", Command::new(std::env::var_os(PROBE).unwrap()).exec());
}

/// Checks answers against what the filter must say; `None`: whatever the kernel says without a filter.
fn check(posture: &str, rows: &[(&str, Option<i32>)]) {
    let probe = match probe(&format!("probe-{posture}")) {
        Ok(probe) => probe,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: installing a filter needs root");
    }
    let bare = answers(Command::new(&probe).output().unwrap());
    let with = filtered(posture, &probe);
    for (call, want) in rows {
        match bare.get(*call).map(String::as_str) {
            None => eprintln!("skipped in part: {call} is not a call of this machine"),
            Some("n/a") => eprintln!("skipped in part: {call}: the kernel lacks the ABI"),
            Some(bare) => {
                let want = want.map_or(bare.to_owned(), |errno| errno.to_string());
                assert_eq!(with.get(*call), Some(&want), "{posture}: {call} (without a filter: {bare})");
            }
        }
    }
}

const EPERM: Option<i32> = Some(1);
const EBADF: Option<i32> = Some(9);
const EINVAL: Option<i32> = Some(22);
const ENOSYS: Option<i32> = Some(38);
const EAFNOSUPPORT: Option<i32> = Some(97);

#[test]
fn as_spawn() {
    let rows = [
        ("native getpid", Some(0)),
        ("native swapon", EPERM),
        ("native unknown", ENOSYS),
        ("native socket-unix", Some(0)),
        ("native socket-vsock", EAFNOSUPPORT),
        ("native socket-audit", EAFNOSUPPORT),
        ("native io_uring_setup", ENOSYS),
        ("native userfaultfd", ENOSYS),
        ("native fsync", EBADF),
        ("native openat-sync", Some(0)),
        ("x32 getpid", None),
        ("x32 swapon", EPERM),
        ("x32 ioctl-64", ENOSYS),
        ("x86 getpid", Some(0)),
        ("x86 swapon", EPERM),
        ("x86 unknown", ENOSYS),
        ("x86 socket-unix", Some(0)),
        ("x86 socket-vsock", EAFNOSUPPORT),
        ("x86 socketcall-socket", ENOSYS),
        ("x86 socketcall-listen", None),
    ];
    check("spawn", &rows);
}

#[test]
fn as_systemd_nspawn_with_sync_suppressed() {
    let rows = [
        ("native swapon", EPERM),
        ("native unknown", ENOSYS),
        ("native socket-vsock", None),
        ("native socket-audit", EAFNOSUPPORT),
        ("native io_uring_setup", None),
        ("native userfaultfd", None),
        ("native fsync", Some(0)),
        ("native fsync-negative", EBADF),
        ("native openat-sync", EINVAL),
        ("x32 swapon", EPERM),
        ("x86 swapon", EPERM),
        ("x86 socket-vsock", None),
        ("x86 socketcall-socket", None),
    ];
    check("systemd-nspawn", &rows);
}

/// Figures, not limits.
#[test]
#[ignore = "prints figures"]
fn time_to_install() {
    let times = |posture: Posture| {
        // A thread of its own each time: filters pile up and stay for good.
        let once = move || {
            let filter = compile(&request(posture, Machine::NATIVE.unwrap())).unwrap();
            let start = std::time::Instant::now();
            spawn::sys::seccomp::install(&filter.program, filter.flags).unwrap();
            start.elapsed()
        };
        let mut all: Vec<_> = (0..200).map(|_| std::thread::spawn(once).join().unwrap()).collect();
        all.sort();
        (all[0], all[100], all[199])
    };
    for posture in [Posture::Spawn, Posture::SystemdNspawn] {
        println!("{posture:?}: least, median, most of 200 installs: {:?}", times(posture));
    }
}
