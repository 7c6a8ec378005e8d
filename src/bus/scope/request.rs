// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a scope is to be: its properties, and which of them are given up for an older systemd.

use super::super::failure;
use super::super::properties::TypedProperty;
use crate::error::{Code, Diagnostic};
use rustix::fd::BorrowedFd;
use rustix::process::Pid;
use std::os::fd::AsFd;
use zbus::{Fd, Variant};

/// How PID 1 stops the scope (systemd.kill(5)): `KillSignal=` goes to the leader, SIGKILL to the rest (`KillMode=mixed`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KillPolicy {
    /// The signal that asks the leader to end.
    pub signal: i32,
}

/// `DeviceAllow=`: a device node or a group ("char-pts"), and some of "rwm" (systemd.resource-control(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceAccess {
    /// Path of the node, or "char-NAME" / "block-NAME".
    pub device: String,
    /// Read, write, mknod.
    pub access: String,
}

/// What the scope is to be.
#[derive(Debug, Clone, Copy)]
pub struct ScopeRequest<'a> {
    /// "foo.scope"
    pub unit: &'a str,
    /// `Description=`
    pub description: &'a str,
    /// `Slice=`
    pub slice: &'a str,
    /// `None` leaves systemd's defaults.
    pub kill: Option<KillPolicy>,
    /// What the device policy `closed` lets through beside the standard pseudo devices.
    pub devices: &'a [DeviceAccess],
    /// `CoredumpReceive=`, left out where this systemd does not know it.
    pub coredump_receive: bool,
    /// `--property=`, sent last, so that it wins.
    pub extra: &'a [TypedProperty],
    /// The first process of the scope.
    pub leader_pidfd: BorrowedFd<'a>,
    /// The same process as a number, for a systemd that takes no pidfd.
    pub leader_pid: Pid,
}

/// Which optional properties are sent; each is given up when this systemd does not know it.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Dialect {
    pub(super) pidfds: bool,
    pub(super) coredump_receive: bool,
}

impl<'a> ScopeRequest<'a> {
    /// The properties in the order that systemd-nspawn sends them.
    pub(super) fn properties(&'a self, controller: &'a str, dialect: Dialect) -> Vec<(&'a str, Variant<'a>)> {
        let leader = if dialect.pidfds {
            ("PIDFDs", Variant::from(vec![Fd::from(self.leader_pidfd.as_fd())]))
        } else {
            ("PIDs", Variant::from(vec![self.leader_pid.as_raw_nonzero().get().cast_unsigned()]))
        };
        let devices: Vec<(&str, &str)> = self.devices.iter().map(|d| (d.device.as_str(), d.access.as_str())).collect();
        let mut list = vec![
            leader,
            ("Description", self.description.into()),
            ("Delegate", true.into()),
            ("CollectMode", "inactive-or-failed".into()),
            ("AddRef", true.into()),
            ("Slice", self.slice.into()),
            ("Controller", controller.into()),
            ("DevicePolicy", "closed".into()),
            ("DeviceAllow", Variant::from(devices)),
        ];
        if let Some(kill) = self.kill {
            list.push(("KillSignal", kill.signal.into()));
            list.push(("KillMode", "mixed".into()));
        }
        if dialect.coredump_receive {
            list.push(("CoredumpReceive", true.into()));
        }
        list.extend(self.extra.iter().map(|property| (property.name(), property.variant())));
        list
    }
}

impl Dialect {
    /// What to send instead, or `None` when nothing optional is to blame. PID 1 names the property in its text; where it
    /// names none that was sent, everything optional goes.
    pub(super) fn without(self, request: &ScopeRequest<'_>, error: &zbus::Error) -> Option<Self> {
        let plainest = Self { pidfds: false, coredump_receive: false };
        if self.pidfds && names(error, "PIDFDs") {
            Some(Self { pidfds: false, ..self })
        } else if self.coredump_receive && names(error, "CoredumpReceive") {
            Some(Self { coredump_receive: false, ..self })
        } else if request.extra.iter().any(|property| names(error, property.name())) {
            None
        } else {
            (self != plainest).then_some(plainest)
        }
    }
}

/// Whether the other side's text has `property` as a word.
fn names(error: &zbus::Error, property: &str) -> bool {
    failure::remote(error)
        .is_some_and(|sent| sent.text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == property))
}

pub(super) fn unknown_property(request: &ScopeRequest<'_>, error: &zbus::Error) -> Diagnostic {
    let named = request.extra.iter().find(|property| names(error, property.name()));
    let what = match named {
        Some(property) => format!("systemd does not take the unit property {}", property.name()),
        None => format!("systemd does not take a property of {}", request.unit),
    };
    let diagnostic = Diagnostic::new(Code::PropertyUnknown, what).cause(failure::reason(error));
    match named {
        Some(_) => diagnostic.help("leave it out: this systemd is older than the property, or scopes do not have it"),
        None => diagnostic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::properties::PropertyValue;

    fn request<'a>(extra: &'a [TypedProperty], devices: &'a [DeviceAccess], fd: BorrowedFd<'a>) -> ScopeRequest<'a> {
        ScopeRequest {
            unit: "foo.scope",
            description: "Container foo",
            slice: "machine.slice",
            kill: Some(KillPolicy { signal: 37 }),
            devices,
            coredump_receive: true,
            extra,
            leader_pidfd: fd,
            leader_pid: rustix::process::getpid(),
        }
    }

    #[test]
    fn properties_go_in_the_order_of_nspawn_and_extra_ones_last() {
        let devices = [DeviceAccess { device: "char-pts".into(), access: "rw".into() }];
        let extra = [TypedProperty::new("TasksMax", PropertyValue::U64(7))];
        let null = std::fs::File::open("/dev/null").unwrap();
        let request = request(&extra, &devices, null.as_fd());
        let sent = |pidfds| -> Vec<(String, String)> {
            let list = request.properties(":1.9", Dialect { pidfds, coredump_receive: pidfds });
            list.iter().map(|(n, v)| ((*n).to_owned(), v.value_signature().to_string())).collect()
        };
        let pair = |n: &str, s: &str| (n.to_owned(), s.to_owned());
        let newest = [
            pair("PIDFDs", "ah"),
            pair("Description", "s"),
            pair("Delegate", "b"),
            pair("CollectMode", "s"),
            pair("AddRef", "b"),
            pair("Slice", "s"),
            pair("Controller", "s"),
            pair("DevicePolicy", "s"),
            pair("DeviceAllow", "a(ss)"),
            pair("KillSignal", "i"),
            pair("KillMode", "s"),
            pair("CoredumpReceive", "b"),
            pair("TasksMax", "t"),
        ];
        assert_eq!(sent(true), newest);
        let mut oldest = newest.to_vec();
        oldest[0] = pair("PIDs", "au");
        oldest.remove(11);
        assert_eq!(sent(false), oldest);
    }
}
