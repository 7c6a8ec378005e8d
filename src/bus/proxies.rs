// SPDX-License-Identifier: LGPL-2.1-or-later
//! The members of other programs' D-Bus interfaces that are used here, as `dbus-interfaces/` lists them.
//!
//! A test compares every signature with those files; a live test compares the files with the services. No property is
//! ever cached: the cache would cost a match rule and a call for each object.

use zbus::{OwnedObjectPath, Result, Variant, proxy};

/// `a(sv)`: properties of a unit or machine.
pub(super) type Properties<'a> = [(&'a str, Variant<'a>)];
/// `(sa(sv))`: an auxiliary unit of a transaction; none is ever sent.
pub(super) type Auxiliary<'a> = (&'a str, &'a [(&'a str, Variant<'a>)]);

/// `(sus)`: a process of a unit: its cgroup, its pid, its command line.
pub(super) type UnitProcess = (String, u32, String);

/// The bus itself. Match rules are added without waiting for a reply: the bus handles the messages of one connection in
/// their order, so a rule holds for whatever a later call causes.
#[proxy(
    interface = "org.freedesktop.DBus",
    default_service = "org.freedesktop.DBus",
    default_path = "/org/freedesktop/DBus"
)]
pub(super) trait Daemon {
    #[zbus(no_reply)]
    fn add_match(&self, rule: &str) -> Result<()>;
    #[zbus(no_reply)]
    fn remove_match(&self, rule: &str) -> Result<()>;
    fn get_name_owner(&self, name: &str) -> Result<String>;
    #[zbus(signal)]
    fn name_owner_changed(&self, name: &str, old_owner: &str, new_owner: &str) -> Result<()>;
}

/// PID 1's manager object (org.freedesktop.systemd1(5)).
#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
pub(super) trait Systemd {
    fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: &Properties<'_>,
        aux: &[Auxiliary<'_>],
    ) -> Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> Result<OwnedObjectPath>;
    #[zbus(no_reply)]
    fn abandon_scope(&self, name: &str) -> Result<()>;
    #[zbus(no_reply)]
    fn kill_unit(&self, name: &str, whom: &str, signal: i32) -> Result<()>;
    fn unref_unit(&self, name: &str) -> Result<()>;
    fn reset_failed_unit(&self, name: &str) -> Result<()>;
    fn get_unit(&self, name: &str) -> Result<OwnedObjectPath>;
    fn get_unit_processes(&self, name: &str) -> Result<Vec<UnitProcess>>;
    #[zbus(no_reply)]
    fn subscribe(&self) -> Result<()>;
    #[zbus(no_reply)]
    fn unsubscribe(&self) -> Result<()>;
    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: zbus::ObjectPath<'_>, unit: &str, result: &str) -> Result<()>;
    #[zbus(signal)]
    fn unit_removed(&self, id: &str, unit: zbus::ObjectPath<'_>) -> Result<()>;
    #[zbus(property(emits_changed_signal = "false"))]
    fn version(&self) -> Result<String>;
}

/// Any unit of PID 1.
#[proxy(interface = "org.freedesktop.systemd1.Unit", default_service = "org.freedesktop.systemd1")]
pub(super) trait Unit {
    #[zbus(property(emits_changed_signal = "false"))]
    fn active_state(&self) -> Result<String>;
}

/// A scope unit of PID 1.
#[proxy(interface = "org.freedesktop.systemd1.Scope", default_service = "org.freedesktop.systemd1")]
pub(super) trait Scope {
    #[zbus(signal)]
    fn request_stop(&self) -> Result<()>;
}

/// systemd-machined (org.freedesktop.machine1(5)).
#[proxy(
    interface = "org.freedesktop.machine1.Manager",
    default_service = "org.freedesktop.machine1",
    default_path = "/org/freedesktop/machine1"
)]
pub(super) trait Machined {
    fn register_machine_ex(&self, name: &str, properties: &Properties<'_>) -> Result<OwnedObjectPath>;
    #[allow(clippy::too_many_arguments)]
    fn register_machine_with_network(
        &self,
        name: &str,
        id: &[u8],
        service: &str,
        class: &str,
        leader: u32,
        root_directory: &str,
        ifindices: &[i32],
    ) -> Result<OwnedObjectPath>;
    #[zbus(no_autostart)]
    fn unregister_machine(&self, name: &str) -> Result<()>;
    #[zbus(no_autostart)]
    fn get_machine(&self, name: &str) -> Result<OwnedObjectPath>;
}

/// One of its machines.
#[proxy(interface = "org.freedesktop.machine1.Machine", default_service = "org.freedesktop.machine1")]
pub(super) trait Machine {
    #[zbus(property(emits_changed_signal = "false"))]
    fn leader(&self) -> Result<u32>;
}

/// systemd-resolved (org.freedesktop.resolve1(5)).
#[proxy(
    interface = "org.freedesktop.resolve1.Manager",
    default_service = "org.freedesktop.resolve1",
    default_path = "/org/freedesktop/resolve1"
)]
pub(super) trait Resolved {
    #[zbus(property(emits_changed_signal = "false"), name = "DNSStubListener")]
    fn dns_stub_listener(&self) -> Result<String>;
}

#[cfg(test)]
mod tests;
