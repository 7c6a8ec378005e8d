// SPDX-License-Identifier: LGPL-2.1-or-later
//! The shipped units, installed in the nested host.

use crate::common::{Case, HostState, Outcome, Program};
use crate::guest::{BOOT, Folder, debian_copy, name_for, need_debian, unit, until, wait_booted};
use crate::machined::wait_for_another_leader;
use std::fs;
use std::path::{Path, PathBuf};

const TEMPLATE: &str = include_str!("../../units/spawn@.service.in");
const DROP_IN: &str = include_str!("../../units/systemd-nspawn@.service.d/50-spawn.conf.in");
const UNITS: &str = "/run/systemd/system";

/// The units are installed as long as this lives.
struct Installed(Vec<PathBuf>);

impl Installed {
    fn make() -> Result<Self, std::io::Error> {
        let program = Case::spawn_path();
        let bindir = program.parent().unwrap_or(Path::new("/usr/bin")).to_string_lossy().into_owned();
        let units = Path::new(UNITS);
        let drop_in = units.join("systemd-nspawn@.service.d/50-spawn.conf");
        fs::create_dir_all(drop_in.parent().unwrap_or(units))?;
        let files = [(units.join("spawn@.service"), TEMPLATE), (drop_in, DROP_IN)];
        for (path, text) in &files {
            fs::write(path, text.replace("@bindir@", &bindir))?;
        }
        let installed = Self(files.map(|(path, _)| path).into());
        Program::new("systemctl").arg("daemon-reload").run().expect_code(0);
        Ok(installed)
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
        let _ = fs::remove_dir(Path::new(UNITS).join("systemd-nspawn@.service.d"));
        Program::new("systemctl").arg("daemon-reload").run();
    }
}

/// A service that is stopped, if need be, when dropped.
struct Service(String);

impl Drop for Service {
    fn drop(&mut self) {
        Program::new("systemctl").args(["stop", &self.0]).limit(BOOT * 3).run();
        Program::new("systemctl").args(["reset-failed", &self.0]).run();
    }
}

fn systemctl(verb: &str, unit: &str) {
    Program::new("systemctl").args([verb, unit]).limit(BOOT * 2).run().expect_code(0);
}

fn show(name: &str, property: &str) -> String {
    let show = Program::new("machinectl").args(["show", "--value", "-p", property, name]).run();
    show.stdout.trim().to_owned()
}

/// What holds for a machine that runs as a unit.
#[track_caller]
fn check_running(name: &str, service: &str) {
    wait_booted(name);
    assert_eq!(unit(service, "ActiveState"), "active");
    assert_eq!(unit(service, "Slice"), "machine.slice");
    assert_eq!(unit(service, "TasksMax"), "16384");
    assert_eq!(show(name, "Unit"), service);
    let main = unit(service, "MainPID");
    let program = fs::read_link(format!("/proc/{main}/exe")).expect("the supervisor runs");
    assert_eq!(program, fs::canonicalize(Case::spawn_path()).expect("the program is there"));
    let group = fs::read_to_string(format!("/proc/{}/cgroup", show(name, "Leader"))).expect("the leader runs");
    assert!(group.contains("machine.slice/") && group.contains("/payload/"), "{group}");
    let status = Program::new("systemctl").args(["show", "--value", "-p", "StatusText", service]).run();
    assert!(status.stdout.contains("Container"), "{status}");
}

pub fn spawn_service_boots_reboots_and_stops(case: &mut Case) -> Outcome {
    let name = name_for(case);
    let _tree = debian_copy(&name)?;
    let before = HostState::take(case.dir());
    let _installed = Installed::make()?;
    let service = Service(format!("spawn@{name}.service"));
    systemctl("start", &service.0);
    check_running(&name, &service.0);
    // `reboot` inside ends with 133, and systemd starts the unit again.
    let (leader, main) = (show(&name, "Leader"), unit(&service.0, "MainPID"));
    Program::new("systemctl").args(["--machine", &name, "reboot"]).run();
    wait_for_another_leader(&name, &leader);
    check_running(&name, &service.0);
    assert_ne!(unit(&service.0, "MainPID"), main);
    assert_eq!(unit(&service.0, "NRestarts"), "1");
    systemctl("stop", &service.0);
    assert_eq!(unit(&service.0, "Result"), "success");
    assert_eq!(unit(&service.0, "ActiveState"), "inactive");
    let journal = Program::new("journalctl").args(["-t", &name, "-o", "cat", "--no-pager"]).run();
    assert!(journal.stdout.contains("Power-Off") || journal.stdout.contains("Shutdown"), "{}", journal.stdout);
    // Poweroff inside ends the unit for good.
    systemctl("start", &service.0);
    wait_booted(&name);
    Program::new("machinectl").args(["poweroff", &name]).run().expect_code(0);
    until("the unit has ended", BOOT, || unit(&service.0, "ActiveState") == "inactive");
    assert_eq!(unit(&service.0, "Result"), "success");
    drop(service);
    drop(_installed);
    before.assert_unchanged();
    Ok(())
}

pub fn machinectl_start_and_enable_use_it(case: &mut Case) -> Outcome {
    let name = name_for(case);
    let _tree = debian_copy(&name)?;
    let _installed = Installed::make()?;
    let service = Service(format!("systemd-nspawn@{name}.service"));
    let machinectl = |verb: &str| {
        Program::new("machinectl").args(["--no-ask-password", verb, &name]).limit(BOOT * 2).run().expect_code(0);
    };
    machinectl("start");
    check_running(&name, &service.0);
    machinectl("poweroff");
    until("the unit has ended", BOOT, || unit(&service.0, "ActiveState") == "inactive");
    assert_eq!(unit(&service.0, "Result"), "success");
    machinectl("enable");
    let state = || Program::new("systemctl").args(["is-enabled", &service.0]).run().stdout.trim().to_owned();
    let enabled = state();
    machinectl("disable");
    assert_eq!((enabled.as_str(), state().as_str()), ("enabled", "disabled"));
    Ok(())
}

pub fn notify_ready_waits_for_the_guest(case: &mut Case) -> Outcome {
    need_debian()?;
    let name = name_for(case);
    let service = Service(format!("{name}.service"));
    Program::new("systemd-run")
        .args(["--quiet", "--unit", &service.0, "--property=Type=notify", "--property=Delegate=yes"])
        .arg(Case::spawn_path())
        .args(["--quiet", "--keep-unit", "--console=read-only", "--ephemeral", "--boot", "--notify-ready=yes"])
        .args(["--directory", crate::guest::DEBIAN, "--machine", &name])
        .limit(BOOT)
        .run()
        .expect_code(0);
    // systemd-run returns when the unit is ready, so the guest's own manager has done its work.
    let state = Program::new("systemctl").args(["--machine", &name, "is-system-running"]).run();
    assert!(matches!(state.stdout.trim(), "running" | "degraded"), "{state}");
    Ok(())
}

pub fn a_folder_of_the_case_is_not_a_machine(case: &mut Case) -> Outcome {
    let _installed = Installed::make()?;
    let name = name_for(case);
    let folder = Folder(Path::new("/var/lib/machines").join(&name));
    fs::create_dir(&folder.0)?;
    let service = Service(format!("spawn@{name}.service"));
    let start = Program::new("systemctl").args(["start", &service.0]).run();
    assert!(!start.status.success(), "{start}");
    assert_eq!(unit(&service.0, "Result"), "exit-code");
    Ok(())
}
