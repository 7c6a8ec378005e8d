// SPDX-License-Identifier: LGPL-2.1-or-later
//! Registration with systemd-machined (systemd-machined.service(8)).
//!
//! Three ways, newest first: Varlink (`io.systemd.Machine`), `RegisterMachineEx` and `RegisterMachineWithNetwork` over
//! D-Bus. The Varlink socket exists only once machined has run, and stays as a dead file when it has ended; D-Bus starts it.

mod over_bus;

use super::varlink::{CallError, Client};
use super::{Bus, NO_OWNER, SERVICE_UNKNOWN, WAIT, failure};
use crate::error::{Code, Diagnostic, Result};
use crate::model::Id128;
use crate::undo::boot_id;
pub use over_bus::Registering;
use rustix::fd::BorrowedFd;
use rustix::process::Pid;
use serde::Serialize;
use std::path::{Path, PathBuf};

const SOCKET: &str = "/run/systemd/machine/io.systemd.Machine";
const CLASS: &str = "container";
const MACHINE_EXISTS: &[&str] = &["io.systemd.Machine.MachineExists", "org.freedesktop.machine1.MachineExists"];
const NO_SUCH_MACHINE: &[&str] = &["io.systemd.Machine.NoSuchMachine", "org.freedesktop.machine1.NoSuchMachine"];
/// Says that a machined lacks a method or parameter of a later one.
const TOO_NEW: &[&str] = &[
    "org.varlink.service.MethodNotFound",
    "org.varlink.service.InterfaceNotFound",
    "org.varlink.service.InvalidParameter",
];

/// Whether machined may ask a person for a password (polkit).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// It may. Only the Varlink interface can be told so.
    Interactive,
    /// It may not.
    Silent,
}

/// What machined is told.
#[derive(Debug)]
pub struct MachineRegistration<'a> {
    /// The machine's name.
    pub name: &'a str,
    /// Its id.
    pub id: Option<Id128>,
    /// Who manages it ("systemd-nspawn").
    pub service: &'a str,
    /// PID 1 of the container, which must be in its unit's cgroup already: machined derives the unit from it.
    pub leader_pid: Pid,
    /// The same process.
    pub leader_pidfd: BorrowedFd<'a>,
    /// The tree, for a container made from a directory. Left out when it is not UTF-8, which neither protocol can carry.
    pub root_directory: Option<PathBuf>,
    /// The host's network interfaces that lead to it.
    pub ifindices: Vec<i32>,
    /// Whether a password may be asked for.
    pub authentication: Authentication,
}

/// The way in which a machine was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisteredBy {
    /// `io.systemd.Machine.Register`
    Varlink,
    /// `org.freedesktop.machine1.Manager.RegisterMachineEx`
    DBusProperties,
    /// `org.freedesktop.machine1.Manager.RegisterMachineWithNetwork`
    DBusPositional,
}

/// Why a machine is not registered.
#[derive(Debug)]
pub enum RegisterError {
    /// machined did not answer: it may register the machine yet, and another try may help.
    Unanswered(Diagnostic),
    /// It says no, or is not there.
    Refused(Diagnostic),
}

impl From<RegisterError> for Diagnostic {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Unanswered(diagnostic) | RegisterError::Refused(diagnostic) => diagnostic,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Register<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    service: &'a str,
    class: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader_process_id: Option<ProcessId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_directory: Option<&'a str>,
    #[serde(skip_serializing_if = "<[i32]>::is_empty")]
    if_indices: &'a [i32],
    allow_interactive_authentication: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessId {
    pid: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pidfd_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_id: Option<String>,
}

#[derive(Serialize)]
struct ByName<'a> {
    name: &'a str,
}

/// A number of a process that never changes meaning: the inode of its pidfd, on kernels that give each process one (6.9).
pub fn pidfd_id(pidfd: BorrowedFd<'_>) -> Option<u64> {
    const PID_FS_MAGIC: i64 = 0x5049_4446;
    let on_pidfs = rustix::fs::fstatfs(pidfd).is_ok_and(|stat| stat.f_type == PID_FS_MAGIC);
    on_pidfs.then(|| rustix::fs::fstat(pidfd).ok().map(|stat| stat.st_ino)).flatten()
}

impl MachineRegistration<'_> {
    fn root(&self) -> Option<&str> {
        self.root_directory.as_deref().and_then(Path::to_str)
    }

    fn pidfd_id(&self) -> Option<u64> {
        pidfd_id(self.leader_pidfd)
    }

    fn failed(&self, cause: impl Into<String>) -> Diagnostic {
        failed(self.name).cause(cause)
    }

    fn name_busy(&self) -> Diagnostic {
        Diagnostic::new(Code::NameBusy, format!("a machine named {} is registered already", self.name))
            .help(format!("choose another name with --machine=, or end it: machinectl terminate {}", self.name))
    }
}

fn failed(name: &str) -> Diagnostic {
    Diagnostic::new(Code::RegisterFailed, format!("cannot register the machine {name}"))
        .help("see systemctl status systemd-machined.service, or use --register=no")
}

/// Registers the machine, within [`WAIT`] for each way tried. Without `bus` only Varlink is tried.
///
/// # Errors
/// Also when it is registered and machined cannot be followed from then on.
pub fn register(
    bus: Option<&mut Bus>,
    machine: &MachineRegistration<'_>,
) -> std::result::Result<RegisteredBy, RegisterError> {
    let unreached = match register_varlink(machine) {
        Ok(()) => {
            if let Some(bus) = bus {
                bus.follow_machined(machine).map_err(RegisterError::Unanswered)?;
            }
            return Ok(RegisteredBy::Varlink);
        }
        Err(error) if is_any(&error, MACHINE_EXISTS) => return Err(RegisterError::Refused(machine.name_busy())),
        Err(error) if error.unreached() || is_any(&error, TOO_NEW) => error,
        Err(error @ (CallError::TimedOut(_) | CallError::Io(_))) => {
            return Err(RegisterError::Unanswered(machine.failed(error.to_string())));
        }
        Err(error) => return Err(RegisterError::Refused(machine.failed(error.to_string()))),
    };
    match bus {
        Some(bus) => {
            let way = bus.register_now(machine)?;
            bus.follow_machined(machine).map_err(RegisterError::Unanswered)?;
            // A call by Varlink came through although its answer did not.
            Ok(way.unwrap_or(RegisteredBy::Varlink))
        }
        None => {
            let diagnostic = machine.failed(format!("{SOCKET}: {unreached}"));
            Err(RegisterError::Refused(diagnostic.help("install and start systemd-machined")))
        }
    }
}

fn register_varlink(machine: &MachineRegistration<'_>) -> std::result::Result<(), CallError> {
    let mut client = Client::connect(Path::new(SOCKET), WAIT)?;
    let pid = machine.leader_pid.as_raw_nonzero().get();
    let pidfd_id = machine.pidfd_id();
    // An inode number means something together with the boot that it belongs to.
    let boot_id = pidfd_id.and_then(|_| boot_id().ok()).map(|id| id.replace('-', ""));
    let process = ProcessId { pid, pidfd_id: pidfd_id.filter(|_| boot_id.is_some()), boot_id };
    let mut parameters = Register {
        name: machine.name,
        id: machine.id.map(Id128::plain),
        service: machine.service,
        class: CLASS,
        leader: None,
        leader_process_id: Some(process),
        root_directory: machine.root(),
        if_indices: &machine.ifindices,
        allow_interactive_authentication: machine.authentication == Authentication::Interactive,
    };
    match client.call::<serde_json::Value>("io.systemd.Machine.Register", &parameters, &[]) {
        // Before systemd 257 the leader is a number.
        Err(error) if error.service_error() == Some("org.varlink.service.InvalidParameter") => {
            parameters.leader_process_id = None;
            parameters.leader = Some(pid);
            client.call::<serde_json::Value>("io.systemd.Machine.Register", &parameters, &[])
        }
        other => other,
    }
    .map(drop)
}

fn is_any(error: &CallError, names: &[&str]) -> bool {
    error.service_error().is_some_and(|name| names.contains(&name))
}

/// Takes the registration back. A machine that is not there, or no machined at all, is fine; machined is never started for
/// it. Without `bus` only Varlink is tried.
pub fn unregister(bus: Option<&mut Bus>, name: &str) -> Result<()> {
    let failed = |cause: String| {
        Diagnostic::new(Code::ReleaseFailed, format!("cannot unregister the machine {name}"))
            .cause(cause)
            .help(format!("see whether it is still listed: machinectl status {name}"))
    };
    let called = Client::connect(Path::new(SOCKET), WAIT).and_then(|mut client| {
        client.call::<serde_json::Value>("io.systemd.Machine.Unregister", &ByName { name }, &[])
    });
    match called {
        Ok(_) => return Ok(()),
        Err(error) if is_any(&error, NO_SUCH_MACHINE) => return Ok(()),
        Err(error) if error.unreached() || is_any(&error, TOO_NEW) => {}
        Err(error) => return Err(failed(error.to_string())),
    }
    let Some(bus) = bus else { return Ok(()) };
    let machined = bus.ask_machined();
    match bus.call(machined.unregister(name))? {
        Ok(()) => Ok(()),
        Err(error) if failure::is(&error, NO_SUCH_MACHINE) => Ok(()),
        Err(error) if failure::is(&error, &[NO_OWNER, SERVICE_UNKNOWN]) => Ok(()),
        Err(error) => Err(failed(failure::reason(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_registration_leaves_out_what_is_not_known() {
        let register = Register {
            name: "foo",
            id: None,
            service: "systemd-nspawn",
            class: CLASS,
            leader: None,
            leader_process_id: Some(ProcessId { pid: 7, pidfd_id: Some(9), boot_id: Some("ab".into()) }),
            root_directory: None,
            if_indices: &[],
            allow_interactive_authentication: false,
        };
        assert_eq!(
            serde_json::to_value(&register).unwrap(),
            serde_json::json!({"name": "foo", "service": "systemd-nspawn", "class": "container",
                "leaderProcessId": {"pid": 7, "pidfdId": 9, "bootId": "ab"}, "allowInteractiveAuthentication": false})
        );
    }

    #[test]
    fn only_a_pidfd_of_pidfs_has_an_identity() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let pid = rustix::process::getpid();
        let machine = |fd| MachineRegistration {
            name: "foo",
            id: None,
            service: "test",
            leader_pid: pid,
            leader_pidfd: fd,
            root_directory: None,
            ifindices: Vec::new(),
            authentication: Authentication::Silent,
        };
        assert_eq!(machine(null.as_fd()).pidfd_id(), None);
        let own = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        let again = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        assert_eq!(machine(own.as_fd()).pidfd_id(), machine(again.as_fd()).pidfd_id());
    }
}
