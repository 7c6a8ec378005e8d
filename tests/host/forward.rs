// SPDX-License-Identifier: LGPL-2.1-or-later
//! `--forward-journal=`: what is written in the guest is stored on the host, to the last entry.

use crate::common::{Case, HostState, Outcome, Program, Reason, skip};
use crate::guest::{BOOT, BUSYBOX, DEBIAN, Guest, SOON, name_for, need_debian, systemd_version, until};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Speaks as journald does: what it is given is printed into the socket that the credential names.
const SENDER: &str = r#"
use strict; use Socket;
open(my $c, '<', "$ENV{CREDENTIALS_DIRECTORY}/journal.forward_to_socket") or die "credential: $!";
my $path = <$c>;
sub connected {
    socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
    connect($s, pack_sockaddr_un($path)) or die "connect: $!";
    my $old = select($s); $| = 1; select($old);
    return $s;
}
sub entry {
    my ($s, $n, $text) = @_;
    printf $s "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n", 1700000000000000 + $n, 1000 + $n;
    print $s "_BOOT_ID=0102030405060708090a0b0c0d0e0f10\nMESSAGE=$text-$n\n\n";
}
"#;

fn need_receiver() -> Outcome {
    match Path::new("/usr/lib/systemd/systemd-journal-remote").exists() {
        true => need_debian(),
        false => skip("there is no systemd-journal-remote"),
    }
}

/// `spawn` with a program in Perl on a throw-away copy of the Debian tree.
fn sender(case: &Case, name: &str, options: &[&str], script: &str) -> Program {
    let script = format!("{SENDER}{script}");
    let words = ["-q", "-x", "-D", DEBIAN, "-M", name];
    case.spawn().args(words).args(options).args(["perl", "-e", &script]).limit(BOOT)
}

/// The messages of a journal file.
fn messages(file: &Path) -> Vec<String> {
    let shown = Program::new("journalctl").args(["--no-pager", "-o", "cat", "--file"]).arg(file).run();
    shown.stdout.lines().map(str::to_owned).collect()
}

/// Processes that store the journal in this folder.
fn receivers(folder: &Path) -> Result<Vec<u32>, Reason> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse().ok()) else { continue };
        // It may be gone by now.
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        if words.contains("systemd-journal-remote\0") && words.contains(&*folder.to_string_lossy()) {
            found.push(pid);
        }
    }
    Ok(found)
}

pub fn what_the_guest_writes_is_stored_meanwhile(case: &mut Case) -> Outcome {
    need_receiver()?;
    if systemd_version() < 256 {
        return skip("journald of this suite's guest is too old to send its journal");
    }
    let before = HostState::take(case.dir());
    let folder = case.dir().join("journals");
    let mut guest = Guest::boot(case, [format!("--forward-journal={}", folder.display())])?;
    let file = folder.join(format!("remote-{}.journal", guest.name));
    let run = ["--machine", &guest.name, "--wait", "-q", "echo", "mark-of-a-running-guest"];
    Program::new("systemd-run").args(run).limit(BOOT).run().expect_code(0);
    until("the guest's entry is stored", SOON, || messages(&file).iter().any(|m| m == "mark-of-a-running-guest"));
    assert_eq!(receivers(&folder)?.len(), 1);
    guest.signal(Signal::TERM)?;
    assert!(guest.end(BOOT).success());
    let last = messages(&file);
    assert!(last.iter().any(|m| m.contains("Journal stopped")), "of the shutdown there is only {:?}", last.last());
    assert_eq!(receivers(&folder)?, Vec::<u32>::new());
    before.assert_unchanged();
    Ok(())
}

/// Each boot and each journald makes a connection of its own; all of it is in one file.
pub fn reboots_and_restarts_of_journald_lose_nothing(case: &mut Case) -> Outcome {
    need_receiver()?;
    if systemd_version() < 256 {
        return skip("journald of this suite's guest is too old to send its journal");
    }
    let folder = case.dir().join("journals");
    let mut guest = Guest::boot(case, [format!("--forward-journal={}", folder.display())])?;
    let write = |guest: &Guest, mark: &str| {
        let run = ["--machine", &guest.name, "--wait", "-q", "echo", mark];
        Program::new("systemd-run").args(run).limit(BOOT).run().expect_code(0);
    };
    write(&guest, "mark-1");
    let first = guest.leader();
    // The guest may be gone before it has answered.
    Program::new("systemctl").args(["--machine", &guest.name, "reboot"]).run();
    until("another boot", BOOT, || guest.show("Leader").parse().is_ok_and(|leader: u32| leader != first));
    guest.wait_booted();
    write(&guest, "mark-2");
    let restart = ["--machine", &guest.name, "restart", "systemd-journald"];
    Program::new("systemctl").args(restart).limit(BOOT).run().expect_code(0);
    write(&guest, "mark-3");
    guest.signal(Signal::TERM)?;
    assert!(guest.end(BOOT).success());
    let stored = messages(&folder.join(format!("remote-{}.journal", guest.name)));
    let seen: Vec<_> = stored.iter().filter(|m| m.starts_with("mark-") || *m == "Journal stopped").collect();
    assert_eq!(seen, ["mark-1", "Journal stopped", "mark-2", "Journal stopped", "mark-3", "Journal stopped"]);
    assert_eq!(fs::read_dir(&folder)?.count(), 1);
    Ok(())
}

pub fn the_last_entries_are_stored(case: &mut Case) -> Outcome {
    need_receiver()?;
    let name = name_for(case);
    let count = 3000;
    // The second connection waits until the first is read to its end, as after a restart of journald.
    let script = format!(
        "my $a = connected(); entry($a, $_, 'first') for 1..{count}; my $b = connected(); close($a); \
         entry($b, $_, 'second') for 1..{count}; exit 7;"
    );
    for (users, file) in [("--private-users=pick", "a/b/x.journal"), ("--private-users=no", "y.journal")] {
        let file = case.dir().join(file);
        let forward = format!("--forward-journal={}", file.display());
        let run = sender(case, &name, &[users, &forward], &script).run().expect_code(7);
        assert!(!run.stderr.contains("journal"), "{run}");
        let stored = messages(&file);
        assert_eq!(stored.len(), 2 * count, "with {users}, the last is {:?}", stored.last());
        for mark in ["first-1", "first-3000", "second-1", "second-3000"] {
            assert_eq!(stored.iter().filter(|m| *m == mark).count(), 1, "{mark} with {users}");
        }
    }
    Ok(())
}

pub fn only_root_of_the_container_can_send(case: &mut Case) -> Outcome {
    need_receiver()?;
    let name = name_for(case);
    let file = case.dir().join("x.journal");
    let forward = format!("--forward-journal={}", file.display());
    let script = "$> = 65534; eval { connected() }; print \"$@\"; $> = 0; entry(connected(), 1, 'mark'); \
        print((stat $path)[2] & 07777);";
    let run = sender(case, &name, &[&forward], script).run().expect_code(0);
    assert!(run.stdout.contains("connect: Permission denied"), "{run}");
    assert!(run.stdout.ends_with(&0o600.to_string()), "{run}");
    assert_eq!(messages(&file), ["mark-1"]);
    Ok(())
}

/// The receiver of a connection that stays open.
fn held_open(case: &Case, name: &str, folder: &Path) -> Result<Guest, Reason> {
    let forward = format!("--forward-journal={}", folder.display());
    let script = "my $s = connected(); entry($s, 1, 'mark'); sleep 600;";
    let guest = Guest::of(sender(case, name, &[&forward], script).start(), name);
    guest.wait_registered();
    let file = folder.join(format!("remote-{name}.journal"));
    until("the entry is stored", SOON, || messages(&file) == ["mark-1"]);
    assert_eq!(receivers(folder)?.len(), 1);
    Ok(guest)
}

pub fn passed_descriptors_are_for_the_payload_alone(case: &mut Case) -> Outcome {
    need_receiver()?;
    let name = name_for(case);
    let folder = case.dir().join("journals");
    let passed = case.dir().join("passed");
    fs::write(&passed, "what is passed")?;
    let script = "open(my $f, '<&=', 3) or die; my $s = connected(); entry($s, 1, <$f>); sleep 600;";
    let spawn = sender(case, &name, &[&format!("--forward-journal={}", folder.display())], script).command();
    let around = "exec 3<\"$0\"; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
    let program = Program::new("sh").args(["-c", around]).arg(&passed).arg(spawn.get_program()).args(spawn.get_args());
    let guest = Guest::of(program.start(), &name);
    guest.wait_registered();
    let file = folder.join(format!("remote-{name}.journal"));
    until("the payload's entry is stored", SOON, || messages(&file) == ["what is passed-1"]);
    for fd in fs::read_dir(format!("/proc/{}/fd", receivers(&folder)?[0]))? {
        assert_ne!(fs::read_link(fd?.path())?, passed);
    }
    Ok(())
}

pub fn a_killed_supervisor_leaves_no_receiver(case: &mut Case) -> Outcome {
    need_receiver()?;
    let name = name_for(case);
    let folder = case.dir().join("journals");
    let before = HostState::take(case.dir());
    let mut guest = held_open(case, &name, &folder)?;
    guest.signal(Signal::KILL)?;
    guest.end(SOON);
    let soon = Duration::from_secs(2);
    until("the receiver is gone", soon, || receivers(&folder).is_ok_and(|found| found.is_empty()));
    // Its state, of the header: what was not closed has 1 there (STATE_ONLINE).
    let header = fs::read(folder.join(format!("remote-{name}.journal")))?;
    assert_eq!((&header[..8], header[16]), (&b"LPKSHHRH"[..], 0), "the journal was closed");
    before.assert_unchanged();
    // One that does not end when it is asked to holds nothing up.
    let folder = case.dir().join("others");
    let guest = held_open(case, &name, &folder)?;
    let receiver = receivers(&folder)?[0].to_string();
    Program::new("kill").args(["-STOP", &receiver]).run().expect_code(0);
    guest.signal(Signal::KILL)?;
    until("the stopped receiver is gone", soon, || receivers(&folder).is_ok_and(|found| found.is_empty()));
    drop(guest);
    until("its processes are gone", soon, || before.difference().is_empty());
    Ok(())
}

pub fn a_killed_receiver_is_told_and_another_one_comes(case: &mut Case) -> Outcome {
    need_receiver()?;
    let name = name_for(case);
    let folder = case.dir().join("journals");
    let guest = held_open(case, &name, &folder)?;
    let receiver = receivers(&folder)?[0];
    Program::new("kill").args(["-KILL", &receiver.to_string()]).run().expect_code(0);
    let told = || {
        let by = format!("SPAWN_MACHINE={name}");
        let shown = Program::new("journalctl").args(["--no-pager", "-o", "cat", "-p", "warning", &by]).run().stdout;
        shown.contains("has failed to store the guest's journal") && shown.contains("remote-")
    };
    until("the journal tells of it", SOON, told);
    // Whoever connects after a moment is served again.
    let root = PathBuf::from(format!("/proc/{}/root/run/host/journal/socket", guest.leader()));
    let mut stream = std::os::unix::net::UnixStream::connect(root)?;
    let entry = "__REALTIME_TIMESTAMP=1700000000000009\n__MONOTONIC_TIMESTAMP=1009\n\
        _BOOT_ID=0102030405060708090a0b0c0d0e0f10\nMESSAGE=mark-again\n\n";
    std::io::Write::write_all(&mut stream, entry.as_bytes())?;
    let stored = || {
        let shown = Program::new("journalctl").args(["--no-pager", "-o", "cat", "--directory"]).arg(&folder).run();
        shown.stdout.contains("mark-again")
    };
    until("the entry after it is stored", SOON, stored);
    Ok(())
}

pub fn limits_hold_or_are_refused(case: &mut Case) -> Outcome {
    need_receiver()?;
    let name = name_for(case);
    let forward = format!("--forward-journal={}", case.dir().join("journals").display());
    let limits =
        ["--forward-journal-max-file-size=1M", "--forward-journal-max-files=2", "--forward-journal-max-use=4M"];
    let script = "my $s = connected(); entry($s, $_, join '', map { chr(33 + rand 94) } 1..1000) for 1..20000;";
    let run = sender(case, &name, &[&[forward.as_str()][..], &limits].concat(), script).run();
    if systemd_version() < 261 {
        let run = run.expect_code(125);
        assert!(run.stderr.contains("takes no limits") && run.stderr.contains("--forward-journal-max-"), "{run}");
        assert!(!case.dir().join("journals").exists());
        return Ok(());
    }
    run.expect_code(0);
    let mut sizes = Vec::new();
    for file in fs::read_dir(case.dir().join("journals"))? {
        sizes.push(file?.metadata()?.len());
    }
    let size: u64 = sizes.iter().sum();
    assert!(sizes.len() <= 3 && size < 24 << 20, "20 MB of text are stored in files of {sizes:?} bytes");
    Ok(())
}

pub fn what_cannot_be_stored_is_told_in_time(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let options = ["-q", "-D", BUSYBOX, "-M", &name_for(case), "--register=no"];
    let refused = |forward: &str, words: &[&str]| {
        let run = case.spawn().args(options).arg(format!("--forward-journal={forward}")).arg("true").run();
        let run = run.expect_code(125);
        for word in words.iter().chain(&["E1103", "--forward-journal="]) {
            assert!(run.stderr.contains(word), "{word} is not in {run}");
        }
    };
    need_receiver()?;
    refused("/proc/nowhere", &["cannot store a journal in /proc/nowhere", "help: name a directory"]);
    // A program that cannot do it is found before the usual one.
    let own = case.dir().join("systemd-journal-remote");
    fs::write(&own, "#!/bin/sh\nexit 3\n")?;
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:/usr/bin:/bin", case.dir().display());
    let forward = format!("--forward-journal={}", case.dir().join("x.journal").display());
    let script = "my $s = connected(); sysread($s, my $b, 1); exit 0;";
    let run = sender(case, options[4], &[&forward], script).env("PATH", path).run().expect_code(0);
    assert_eq!(run.stderr.matches("has failed to store the guest's journal").count(), 1, "{run}");
    assert!(run.stderr.contains("x.journal") && run.stderr.contains("--forward-journal="), "{run}");
    before.assert_unchanged();
    Ok(())
}
