// SPDX-License-Identifier: LGPL-2.1-or-later
//! machined over D-Bus: what is asked can go on while the caller does something else.

use super::{CLASS, MACHINE_EXISTS, MachineRegistration, NO_SUCH_MACHINE, RegisterError, RegisteredBy};
use crate::bus::proxies::{MachineProxy, MachinedProxy};
use crate::bus::runtime::{Handle, Runtime};
use crate::bus::{Bus, NO_OWNER, SERVICE_UNKNOWN, UNKNOWN_METHOD, WAIT, failure, inbox};
use crate::error::{Code, Diagnostic, Result};
use crate::model::Id128;
use rustix::fd::OwnedFd;
use rustix::process::Pid;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use zbus::proxy::CacheProperties;
use zbus::runtime::traits::Runtime as _;
use zbus::{Connection, Fd, Variant};

/// What the bus or we ourselves say when machined has not answered, or could not for now.
const MAY_PASS: &[&str] = &[
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.Timeout",
    "org.freedesktop.DBus.Error.TimedOut",
    "org.freedesktop.DBus.Error.Disconnected",
    "org.freedesktop.DBus.Error.LimitsExceeded",
    "org.freedesktop.DBus.Error.NoMemory",
];

/// Both sides of machined's interface.
pub(super) struct Machined {
    manager: MachinedProxy<'static>,
    conn: Connection,
    rt: Runtime,
}

/// A [`MachineRegistration`] of its own.
struct Told {
    name: String,
    id: Vec<u8>,
    service: String,
    root: Option<String>,
    links: Vec<i32>,
    leader: u32,
    pidfd: OwnedFd,
}

impl Told {
    fn new(machine: &MachineRegistration<'_>) -> Result<Self> {
        let pidfd = machine.leader_pidfd.try_clone_to_owned().map_err(|e| machine.failed("").io(&e))?;
        Ok(Self {
            name: machine.name.to_owned(),
            id: machine.id.map_or_else(Vec::new, |id: Id128| id.bytes().to_vec()),
            service: machine.service.to_owned(),
            root: machine.root().map(str::to_owned),
            links: machine.ifindices.clone(),
            leader: number(machine.leader_pid),
            pidfd,
        })
    }
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().cast_unsigned()
}

impl Machined {
    /// zbus puts no time limit on calls that do not start a service.
    async fn bounded<T>(&self, call: impl Future<Output = zbus::Result<T>>) -> zbus::Result<T> {
        let silence = || Err(io::Error::from(io::ErrorKind::TimedOut).into());
        self.rt.timeout(call, WAIT).await.unwrap_or_else(silence)
    }

    /// Takes a registration back. machined is not started for it.
    pub(super) async fn unregister(&self, name: &str) -> zbus::Result<()> {
        self.bounded(self.manager.unregister_machine(name)).await
    }

    /// The first process of the machine of that name; `None` without one. machined is not started for it.
    async fn leader_of(&self, name: &str) -> zbus::Result<Option<u32>> {
        let path = match self.bounded(self.manager.get_machine(name)).await {
            Ok(path) => path,
            Err(error) if failure::is(&error, NO_SUCH_MACHINE) => return Ok(None),
            Err(error) if failure::is(&error, &[NO_OWNER, SERVICE_UNKNOWN]) => return Ok(None),
            Err(error) => return Err(error),
        };
        let machine =
            MachineProxy::builder(&self.conn).path(path).cache_properties(CacheProperties::No).build().await?;
        machine.leader().await.map(Some)
    }

    /// `None` when machined has it already: an earlier call may have come through although its answer did not.
    async fn register(&self, told: &Told) -> zbus::Result<Option<RegisteredBy>> {
        match self.add(told).await {
            Err(error) if failure::is(&error, MACHINE_EXISTS) => match self.leader_of(&told.name).await? {
                Some(leader) if leader == told.leader => Ok(None),
                _ => Err(error),
            },
            added => added.map(Some),
        }
    }

    async fn add(&self, told: &Told) -> zbus::Result<RegisteredBy> {
        let mut properties: Vec<(&str, Variant<'_>)> = vec![
            ("Id", told.id.clone().into()),
            ("Service", told.service.as_str().into()),
            ("Class", CLASS.into()),
            ("LeaderPIDFD", Fd::from(&told.pidfd).into()),
        ];
        if let Some(root) = &told.root {
            properties.push(("RootDirectory", root.as_str().into()));
        }
        if !told.links.is_empty() {
            properties.push(("NetworkInterfaces", told.links.clone().into()));
        }
        match self.manager.register_machine_ex(&told.name, &properties).await {
            Ok(_) => Ok(RegisteredBy::DBusProperties),
            Err(error) if failure::is(&error, &[UNKNOWN_METHOD]) => {
                let (root, leader) = (told.root.as_deref().unwrap_or_default(), told.leader);
                let (name, service, links) = (&told.name, &told.service, &told.links);
                let call =
                    self.manager.register_machine_with_network(name, &told.id, service, CLASS, leader, root, links);
                call.await.map(|_| RegisteredBy::DBusPositional)
            }
            Err(error) => Err(error),
        }
    }
}

/// A registration that is under way; dropping it gives it up.
pub struct Registering {
    answer: Handle<zbus::Result<Option<RegisteredBy>>>,
    name: String,
}

impl Registering {
    /// What has come of it: how it was registered, `None` when machined had it already. To be asked after [`Bus::turn`],
    /// until it says something.
    pub fn outcome(&mut self) -> Option<Result<Option<RegisteredBy>>> {
        let failed = || super::failed(&self.name);
        match Pin::new(&mut self.answer).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => None,
            Poll::Ready(Ok(Ok(way))) => Some(Ok(way)),
            Poll::Ready(Ok(Err(error))) => Some(Err(failed().cause(failure::reason(&error)))),
            Poll::Ready(Err(error)) => Some(Err(failed().io(&error))),
        }
    }
}

impl Bus {
    pub(super) fn ask_machined(&self) -> Machined {
        Machined { manager: self.machined.clone(), conn: self.conn.clone(), rt: self.rt.clone() }
    }

    /// Registers the machine over the bus and waits for it.
    pub(super) fn register_now(
        &mut self,
        machine: &MachineRegistration<'_>,
    ) -> std::result::Result<Option<RegisteredBy>, RegisterError> {
        let (machined, told) = (self.ask_machined(), Told::new(machine).map_err(RegisterError::Unanswered)?);
        let answer = self.call(machined.register(&told)).map_err(RegisterError::Unanswered)?;
        answer.map_err(|error| {
            let diagnostic = machine.failed(failure::reason(&error));
            match failure::remote(&error) {
                Some(_) if failure::is(&error, MACHINE_EXISTS) => RegisterError::Refused(machine.name_busy()),
                Some(_) if failure::is(&error, MAY_PASS) => RegisterError::Unanswered(diagnostic),
                Some(_) if failure::is(&error, &[SERVICE_UNKNOWN, NO_OWNER, "org.freedesktop.systemd1.NoSuchUnit"]) => {
                    let help = "install systemd-machined (systemd-container), or use --register=no";
                    RegisterError::Refused(diagnostic.help(help))
                }
                Some(_) => RegisterError::Refused(diagnostic),
                None => RegisterError::Unanswered(diagnostic),
            }
        })
    }

    /// Begins to register the machine, after machined or the bus has come back or when machined has not answered before.
    /// It goes on in [`Bus::turn`]; one that machined knows already is fine.
    ///
    /// # Errors
    /// The leader's descriptor cannot be held, or the bus is gone.
    pub fn start_registering(&mut self, machine: &MachineRegistration<'_>) -> Result<Registering> {
        self.follow_machined(machine)?;
        let (machined, told) = (self.ask_machined(), Told::new(machine)?);
        let answer = self.rt.spawn("registration", async move { machined.register(&told).await });
        Ok(Registering { answer, name: machine.name.to_owned() })
    }

    /// From now on [`crate::bus::BusEvent::MachinedRestarted`] is given. For a first registration not before its end, as it
    /// may itself start machined.
    pub(super) fn follow_machined(&mut self, machine: &MachineRegistration<'_>) -> Result<()> {
        self.watch_owner(inbox::MACHINED).map_err(|error| machine.failed(failure::reason(&error)))
    }

    /// Takes back a registration of which machined has not said that it was made: another machine of that name stays.
    pub fn unregister_unsure(&mut self, name: &str, leader: Pid) -> Result<()> {
        let machined = self.ask_machined();
        let known = self.call(machined.leader_of(name))?.map_err(|error| {
            let diagnostic =
                Diagnostic::new(Code::ReleaseFailed, format!("cannot ask machined about the machine {name}"));
            diagnostic
                .cause(failure::reason(&error))
                .help(format!("see whether it is listed: machinectl status {name}"))
        })?;
        match known {
            Some(known) if known == number(leader) => super::unregister(Some(self), name),
            _ => Ok(()),
        }
    }
}
