// SPDX-License-Identifier: LGPL-2.1-or-later
//! A container that runs while a case looks at it.

use crate::common::{Case, Program, Reason, pty};
use rustix::process::{Pid, Signal};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// The booting tree of the nested hosts.
pub const DEBIAN: &str = "/var/lib/machines/debian";
/// The small one.
pub const BUSYBOX: &str = "/var/lib/machines/busybox";
/// How long a boot or a shutdown of the Debian tree may take while the machine is busy.
pub const BOOT: Duration = Duration::from_secs(60);
/// How long anything else may take.
pub const SOON: Duration = Duration::from_secs(15);

/// A spawn of ours in the background. Ended when dropped.
pub struct Guest {
    child: Child,
    pub name: String,
}

impl Guest {
    /// Starts `spawn --machine=NAME ARGS…`; NAME is the case's own.
    pub fn start<A: AsRef<std::ffi::OsStr>>(case: &Case, args: impl IntoIterator<Item = A>) -> Self {
        let name = name_for(case);
        let program = case.spawn().arg(format!("--machine={name}")).args(args);
        Guest { child: program.start(), name }
    }

    /// Follows a program that was started by other means.
    pub fn of(child: Child, name: &str) -> Self {
        Guest { child, name: name.to_owned() }
    }

    /// Boots a throw-away copy of the Debian tree and waits until it is up.
    pub fn boot<A: AsRef<std::ffi::OsStr>>(case: &Case, args: impl IntoIterator<Item = A>) -> Result<Self, Reason> {
        need_debian()?;
        let mut all: Vec<std::ffi::OsString> =
            ["--ephemeral", "--directory", DEBIAN, "--boot", "--console=passive"].map(Into::into).into();
        all.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        let guest = Guest::start(case, all);
        guest.wait_booted();
        Ok(guest)
    }

    pub fn scope(&self) -> String {
        format!("{}.scope", self.name)
    }

    /// Waits until its scope is there and machined knows it.
    #[track_caller]
    pub fn wait_registered(&self) {
        until("the machine is registered", SOON, || !self.show("Leader").is_empty());
    }

    /// Waits until its system is up.
    #[track_caller]
    pub fn wait_booted(&self) {
        wait_booted(&self.name);
    }

    /// A property of `machinectl show`; empty when there is no such machine.
    pub fn show(&self, property: &str) -> String {
        let show = Program::new("machinectl").args(["show", "--value", "-p", property, &self.name]).run();
        show.stdout.trim().to_owned()
    }

    /// A property of the scope.
    pub fn unit(&self, property: &str) -> String {
        unit(&self.scope(), property)
    }

    /// Its first process as the host sees it.
    pub fn leader(&self) -> u32 {
        self.show("Leader").parse().unwrap_or_else(|e| panic!("leader of {}: {e}", self.name))
    }

    /// The process of the supervisor.
    pub fn supervisor(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) -> Result<(), Reason> {
        Ok(rustix::process::kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Waits for the supervisor's end.
    #[track_caller]
    pub fn end(&mut self, limit: Duration) -> ExitStatus {
        pty::wait(&mut self.child, limit)
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // An orderly stop first; the keeper ends what a kill leaves.
        let _gone = self.signal(Signal::TERM);
        let deadline = Instant::now() + SOON;
        while self.is_running() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        if self.is_running() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A machine name of the case's own.
pub fn name_for(case: &Case) -> String {
    let short: String = case.name.rsplit("::").next().unwrap_or("case").replace('_', "-").chars().take(40).collect();
    format!("{}-{}", short.trim_end_matches('-'), std::process::id())
}

/// Ends the case as skipped when there is no Debian tree.
pub fn need_debian() -> Result<(), Reason> {
    match Path::new(DEBIAN).join("usr").is_dir() {
        true => Ok(()),
        false => crate::common::skip(format!("there is no {DEBIAN}")),
    }
}

/// Waits until the machine's system is up.
#[track_caller]
pub fn wait_booted(name: &str) {
    until("the guest is up", BOOT, || {
        let state = Program::new("systemctl").args(["--machine", name, "is-system-running"]).run();
        matches!(state.stdout.trim(), "running" | "degraded")
    });
}

/// Waits until `done`; panics after `limit`.
#[track_caller]
pub fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(30));
    }
}

/// The cgroup2 group of a process.
pub fn group_of(pid: u32) -> Result<String, Reason> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    match text.lines().find_map(|line| line.strip_prefix("0::")) {
        Some(group) => Ok(group.to_owned()),
        None => crate::common::fail(format!("no cgroup2 line in {text}")),
    }
}

/// A folder that is removed when dropped.
pub struct Folder(pub std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        Program::new("rm").args(["-rf", "--one-file-system", "--"]).arg(&self.0).run();
    }
}

/// A copy of the Debian tree that can be kept between boots, in the machine directory.
pub fn debian_copy(name: &str) -> Result<Folder, Reason> {
    need_debian()?;
    let folder = Folder(Path::new("/var/lib/machines").join(name));
    Program::new("cp").args(["-a", "--reflink=auto", "--", DEBIAN]).arg(&folder.0).limit(BOOT).run().expect_code(0);
    Ok(folder)
}

/// A property of a unit.
pub fn unit(unit: &str, property: &str) -> String {
    let show = Program::new("systemctl").args(["show", "--value", "-p", property, unit]).run();
    show.expect_code(0).stdout.trim().to_owned()
}

/// PID 1's version on this host.
pub fn systemd_version() -> u32 {
    let said = Program::new("systemctl").arg("--version").run().expect_code(0).stdout;
    let version = said.split_whitespace().nth(1).unwrap_or_default();
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|e| panic!("{said}: {e}"))
}

/// A number from the environment that scales a case up or down.
pub fn rounds(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}
