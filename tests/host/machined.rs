// SPDX-License-Identifier: LGPL-2.1-or-later
//! machinectl does on a container of ours what it does on systemd-nspawn's.

use crate::common::{Case, HostState, Outcome, Program, Pty, fail, pty};
use crate::guest::{BOOT, BUSYBOX, DEBIAN, Folder, Guest, SOON, name_for, systemd_version, until, wait_booted};
use std::fs;
use std::path::PathBuf;

/// No user namespace: machined refuses some things in one.
const PLAIN: [&str; 2] = ["--private-users=no", "--quiet"];

pub fn machinectl<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Program {
    Program::new("machinectl").args(["--no-pager", "--no-ask-password"]).args(args)
}

/// A path of the guest as the host sees it.
fn inside(guest: &Guest, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{path}", guest.leader()))
}

pub fn is_listed(name: &str) -> bool {
    let list = machinectl(["list", "--no-legend"]).run().expect_code(0).stdout;
    list.lines().any(|line| line.split_whitespace().next() == Some(name))
}

pub fn knows_what_it_was_told(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let args = ["--directory", BUSYBOX, "--quiet", "--uuid=0f0e0d0c-0b0a-4908-8706-050403020100", "sleep", "60"];
    let mut guest = Guest::start(case, args);
    guest.wait_registered();
    for (property, value) in [
        ("Name", guest.name.as_str()),
        ("Id", "0f0e0d0c0b0a49088706050403020100"),
        ("Class", "container"),
        ("Service", "systemd-nspawn"),
        ("Unit", &guest.scope()),
        ("RootDirectory", BUSYBOX),
        ("State", "running"),
    ] {
        assert_eq!(guest.show(property), value, "{property}");
    }
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", guest.supervisor()))?;
    assert!(children.split_whitespace().any(|pid| pid == guest.leader().to_string()), "{children}");
    let list = machinectl(["list", "--no-legend"]).run().expect_code(0).stdout;
    let line = list.lines().find(|line| line.starts_with(&guest.name)).unwrap_or_default();
    assert!(line.contains("container") && line.contains("systemd-nspawn"), "{list}");
    let status = machinectl(["status", &guest.name]).run().expect_code(0).stdout;
    assert!(status.contains("Leader:") && status.contains(&guest.scope()), "{status}");
    machinectl(["terminate", &guest.name]).run().expect_code(0);
    guest.end(SOON);
    assert!(!is_listed(&guest.name), "unregistered at exit");
    before.assert_unchanged();
    Ok(())
}

pub fn shell_and_login(case: &mut Case) -> Outcome {
    let guest = Guest::boot(case, PLAIN)?;
    let mut terminal = Pty::open()?;
    let shell =
        machinectl(["shell", &guest.name, "/bin/sh", "-c", "echo in-$((40+2)); cat /run/host/container-manager"]);
    let mut child = terminal.start(&shell)?;
    terminal.expect("in-42", SOON);
    terminal.expect("spawn", SOON);
    assert_eq!(pty::wait(&mut child, SOON).code(), Some(0));
    let mut terminal = Pty::open()?;
    let mut child = terminal.start(&machinectl(["login", &guest.name]))?;
    terminal.expect("login:", SOON);
    terminal.send("root\n")?;
    terminal.expect("#", SOON);
    terminal.send("exit\n")?;
    terminal.send("\x1d\x1d\x1d")?;
    pty::wait(&mut child, SOON);
    Ok(())
}

pub fn shell_in_a_user_namespace(case: &mut Case) -> Outcome {
    let guest = Guest::boot(case, ["--private-users=pick", "--quiet"])?;
    let mut terminal = Pty::open()?;
    let mut child = terminal.start(&machinectl(["shell", &guest.name, "/bin/sh", "-c", "echo uid-$(id -u)"]))?;
    terminal.expect("uid-0", SOON);
    assert_eq!(pty::wait(&mut child, SOON).code(), Some(0));
    Ok(())
}

pub fn copies_in_and_out(case: &mut Case) -> Outcome {
    let guest = Guest::boot(case, PLAIN)?;
    let source = case.dir().join("source");
    fs::write(&source, "from the host\n")?;
    machinectl(["copy-to", &guest.name, &source.to_string_lossy(), "/root/there"]).run().expect_code(0);
    assert_eq!(fs::read_to_string(inside(&guest, "/root/there"))?, "from the host\n");
    let back = case.dir().join("back");
    machinectl(["copy-from", &guest.name, "/usr/lib/os-release", &back.to_string_lossy()]).run().expect_code(0);
    assert_eq!(fs::read(back)?, fs::read(format!("{DEBIAN}/usr/lib/os-release"))?);
    Ok(())
}

/// Makes what hosts have and nested ones lack: mounts below /run reach peers, as older machined versions need it.
struct SharedRun;

impl SharedRun {
    fn make() -> Self {
        Program::new("mount").args(["--make-shared", "/run"]).run().expect_code(0);
        SharedRun
    }
}

impl Drop for SharedRun {
    fn drop(&mut self) {
        Program::new("mount").args(["--make-private", "/run"]).run();
    }
}

pub fn binds_where_there_is_no_user_namespace(case: &mut Case) -> Outcome {
    let shared = SharedRun::make();
    let guest = Guest::boot(case, PLAIN)?;
    let source = case.dir().join("bound");
    fs::create_dir(&source)?;
    fs::write(source.join("file"), "bound\n")?;
    machinectl(["bind", "--mkdir", &guest.name, &source.to_string_lossy(), "/mnt/bound"]).run().expect_code(0);
    assert_eq!(fs::read_to_string(inside(&guest, "/mnt/bound/file"))?, "bound\n");
    drop(guest);
    drop(shared);
    Ok(())
}

pub fn d34_bind_is_refused_in_a_user_namespace(case: &mut Case) -> Outcome {
    let guest = Guest::boot(case, ["--private-users=pick", "--quiet"])?;
    let run = machinectl(["bind", "--mkdir", &guest.name, "/usr", "/mnt/bound"]).run();
    // machined's own word, for systemd-nspawn's containers as well.
    assert!(!run.status.success() && run.stderr.contains("user namespac"), "{run}");
    Ok(())
}

pub fn poweroff_terminate_and_kill(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    for (verb, status) in [(vec!["poweroff"], 0), (vec!["terminate"], 0), (vec!["kill", "--signal=KILL"], 137)] {
        let mut guest = Guest::boot(case, PLAIN)?;
        machinectl(verb.iter().copied().chain([guest.name.as_str()])).run().expect_code(0);
        assert_eq!(guest.end(BOOT).code(), Some(status), "{verb:?}");
        assert!(!is_listed(&guest.name), "{verb:?}");
    }
    before.assert_unchanged();
    Ok(())
}

pub fn d39_reboot_keeps_name_and_id(case: &mut Case) -> Outcome {
    let mut guest = Guest::boot(case, PLAIN)?;
    let (leader, id) = (guest.leader(), guest.show("Id"));
    machinectl(["reboot", &guest.name]).run().expect_code(0);
    until("there is another leader", BOOT, || {
        let now = guest.show("Leader");
        !now.is_empty() && now != leader.to_string()
    });
    guest.wait_booted();
    assert_eq!(guest.show("Id"), id);
    assert_eq!(guest.show("Unit"), guest.scope());
    machinectl(["poweroff", &guest.name]).run().expect_code(0);
    assert_eq!(guest.end(BOOT).code(), Some(0));
    Ok(())
}

pub fn register_no_and_yes(case: &mut Case) -> Outcome {
    let name = name_for(case);
    let run = |register: &str| {
        let args = ["--directory", BUSYBOX, "--quiet", register, "sleep", "60"];
        Guest::start(case, args)
    };
    let guest = run("--register=no");
    until("its scope is there", SOON, || guest.unit("ActiveState") == "active");
    until("the payload runs", SOON, || {
        let group = format!("/sys/fs/cgroup/machine.slice/{}/payload/cgroup.procs", guest.scope());
        fs::read_to_string(group).is_ok_and(|procs| procs.lines().count() == 1)
    });
    assert!(!is_listed(&name));
    drop(guest);
    let guest = run("--register=yes");
    guest.wait_registered();
    Ok(())
}

/// machined cannot be started as long as this lives.
struct NoMachined;

const MACHINED: [&str; 3] =
    ["systemd-machined.service", "systemd-machined.socket", "dbus-org.freedesktop.machine1.service"];

impl NoMachined {
    fn make() -> Self {
        Program::new("systemctl").args(["mask", "--runtime", "--now"]).args(MACHINED).run();
        NoMachined
    }
}

impl Drop for NoMachined {
    fn drop(&mut self) {
        Program::new("systemctl").args(["unmask", "--runtime"]).args(MACHINED).run();
        Program::new("systemctl").args(["daemon-reload"]).run();
    }
}

pub fn d29_without_machined_auto_goes_on_and_yes_does_not(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let gone = NoMachined::make();
    let run = |options: &[&str]| {
        let name = format!("--machine={}", name_for(case));
        case.spawn().args(options).args([&name, "--console=read-only", "--directory", BUSYBOX, "echo", "runs"]).run()
    };
    let auto = run(&[]).expect_code(0);
    assert!(auto.stdout.contains("runs") && auto.stderr.contains("is not registered"), "{auto}");
    let quiet = run(&["--quiet"]).expect_code(0);
    assert_eq!(quiet.stderr, "");
    let yes = run(&["--register=yes", "--network-veth"]).expect_code(125);
    assert!(!yes.stdout.contains("runs") && yes.stderr.contains("E0604"), "{yes}");
    drop(gone);
    before.assert_unchanged();
    Ok(())
}

fn journal_has(guest: &Guest, id: spawn::log::MessageId) -> bool {
    let (machine, id) = (format!("SPAWN_MACHINE={}", guest.name), format!("MESSAGE_ID={}", id.as_str()));
    let found = Program::new("journalctl").args(["--no-pager", "-o", "cat", &machine, &id]).run();
    !found.stdout.trim().is_empty() && !found.stdout.contains("No entries")
}

pub fn a_registration_that_machined_lost_is_repaired(case: &mut Case) -> Outcome {
    let mut guest = Guest::start(case, ["--directory", BUSYBOX, "--quiet", "sleep", "100"]);
    guest.wait_registered();
    Program::new("systemctl").args(["restart", "systemd-machined.service"]).run().expect_code(0);
    until("machined knows it after its restart", SOON, || is_listed(&guest.name));
    // As after a crash with a lost state: it forgets everybody.
    Program::new("systemctl").args(["stop", "systemd-machined.service"]).run();
    fs::remove_file(format!("/run/systemd/machines/{}", guest.name))?;
    let unit = format!("/run/systemd/machines/unit:{}", guest.scope());
    let _not_every_version_has_it = fs::remove_file(unit);
    Program::new("systemctl").args(["start", "systemd-machined.service"]).run().expect_code(0);
    until("it is registered again", SOON, || is_listed(&guest.name));
    until("the repair was told", SOON, || journal_has(&guest, spawn::log::MessageId::RegistrationRepaired));
    assert!(guest.is_running());
    drop(guest);
    Ok(())
}

pub fn a_restart_of_the_bus_is_survived(case: &mut Case) -> Outcome {
    let mut guest = Guest::boot(case, PLAIN)?;
    let leader = guest.leader();
    Program::new("systemctl").args(["restart", "dbus.service"]).run();
    until("the loss was told", SOON, || journal_has(&guest, spawn::log::MessageId::OrderlyStopLost));
    until("machined knows it on the new bus", BOOT, || guest.show("Leader") == leader.to_string());
    assert!(guest.is_running());
    // Through machined the shutdown stays orderly.
    machinectl(["poweroff", &guest.name]).run().expect_code(0);
    assert_eq!(guest.end(BOOT).code(), Some(0));
    Ok(())
}

pub fn sockets_of_the_guest_reach_the_host(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let mut guest = Guest::boot(case, ["--private-users=pick", "--quiet"])?;
    fs::write(inside(&guest, "/run/host/unix-export/hello"), "x")?;
    let host = format!("/run/systemd/nspawn/{}/unix-export/hello", guest.name);
    assert_eq!(fs::read_to_string(&host)?, "x");
    // The host only looks.
    assert!(fs::write(&host, "y").is_err());
    machinectl(["poweroff", &guest.name]).run().expect_code(0);
    assert_eq!(guest.end(BOOT).code(), Some(0));
    before.assert_unchanged();
    Ok(())
}

pub fn an_image_is_started_by_name(case: &mut Case) -> Outcome {
    let name = name_for(case);
    let folder = Folder(PathBuf::from("/var/lib/machines").join(&name));
    crate::common::tree::make_busybox(&folder.0)?;
    let run = case.spawn().args(["-M", &name, "cat", "/proc/sys/kernel/hostname"]).run().expect_code(0);
    assert_eq!(run.stdout.trim(), name.chars().take(64).collect::<String>());
    let listed = machinectl(["list-images", "--no-legend"]).run().expect_code(0);
    match listed.stdout.contains(&name) || systemd_version() < 252 {
        true => Ok(()),
        false => fail(listed),
    }
}

/// A guest that its manager has started again.
pub fn wait_for_another_leader(name: &str, leader: &str) {
    until("there is another leader", BOOT, || {
        let show = machinectl(["show", "--value", "-p", "Leader", name]).run();
        let now = show.stdout.trim().to_owned();
        !now.is_empty() && now != leader
    });
    wait_booted(name);
}
