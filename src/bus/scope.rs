// SPDX-License-Identifier: LGPL-2.1-or-later
//! The container's scope unit: made by PID 1 around a process that exists already (systemd.scope(5)).

use super::inbox::Inbox;
use super::properties::TypedProperty;
use super::proxies::UnitProxy;
use super::runtime::Watched;
use super::{Bus, WAIT, failure};
use crate::error::{Code, Diagnostic, Result};
use rustix::fd::BorrowedFd;
use rustix::process::Pid;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use zbus::proxy::CacheProperties;
use zbus::{Fd, Variant};

const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const ONLY_BY_DEPENDENCY: &str = "org.freedesktop.systemd1.OnlyByDependency";
const NOT_REFERENCED: &str = "org.freedesktop.systemd1.NotReferenced";
/// What PID 1 answers to a property that it does not know (bus_unit_set_properties of systemd's dbus-unit.c).
const UNKNOWN_PROPERTY: &[&str] =
    &["org.freedesktop.DBus.Error.PropertyReadOnly", "org.freedesktop.DBus.Error.UnknownProperty"];

/// How long to wait for a signal of PID 1 before asking: one that has just come back to the bus may lose it.
const ASK_AGAIN: Duration = Duration::from_millis(200);

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

/// How [`Bus::start_scope`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeStart {
    /// The leader is in the scope.
    Started,
    /// The watched descriptor of this index became readable first. The scope may come up yet: kill the leader and call
    /// [`Bus::stop_scope`].
    Interrupted(usize),
}

/// Which optional properties are sent; each is given up when this systemd does not know it.
#[derive(Clone, Copy, PartialEq)]
struct Dialect {
    pidfds: bool,
    coredump_receive: bool,
}

impl<'a> ScopeRequest<'a> {
    /// The properties in the order that systemd-nspawn sends them.
    fn properties(&'a self, controller: &'a str, dialect: Dialect) -> Vec<(&'a str, Variant<'a>)> {
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

/// Why one try did not make the scope.
enum Refusal {
    Call(zbus::Error),
    Job(String),
    Silence,
}

impl Bus {
    /// Makes the scope and waits until its leader is in it. Ends early when one of `watched` becomes readable: the leader's
    /// report pipe, so that a dead leader is not waited for.
    ///
    /// One exchange when all is well: the match rule leaves without waiting, then the call; the reply and the end of the
    /// job are waited for together.
    pub fn start_scope(&mut self, request: &ScopeRequest<'_>, watched: &[BorrowedFd<'_>]) -> Result<ScopeStart> {
        let unit = request.unit;
        let failed = || {
            Diagnostic::new(Code::ScopeFailed, format!("systemd did not start {unit}"))
                .help(format!("see systemctl status {unit} and journalctl --unit={unit}, or start with --scope=no"))
        };
        self.add_match(format!(
            "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',\
             path='/org/freedesktop/systemd1',member='JobRemoved',arg2='{unit}'"
        ))
        .map_err(|e| failed().cause(failure::reason(&e)))?;
        let mut dialect = Dialect { pidfds: true, coredump_receive: request.coredump_receive };
        let mut leftovers_cleared = false;
        loop {
            let refusal = match self.try_scope(request, dialect, watched)? {
                Watched::Ready(index) => {
                    self.unfinished = Some(unit.to_owned());
                    return Ok(ScopeStart::Interrupted(index));
                }
                Watched::Done(Ok(())) => {
                    // The leader may have died on its way in: then PID 1 has a scope that never held a living process, and no
                    // event tells it that it is empty.
                    self.unfinished = Some(unit.to_owned());
                    return Ok(ScopeStart::Started);
                }
                Watched::Done(Err(refusal)) => refusal,
            };
            match refusal {
                Refusal::Call(error) if failure::is(&error, UNKNOWN_PROPERTY) => {
                    dialect = dialect.without(request, &error).ok_or_else(|| unknown_property(request, &error))?;
                }
                Refusal::Call(error) if failure::is(&error, &[UNIT_EXISTS]) => {
                    if leftovers_cleared || !self.clear_leftover(unit)? {
                        return Err(name_busy(unit, &error));
                    }
                    leftovers_cleared = true;
                }
                Refusal::Call(error) => return Err(failed().cause(failure::reason(&error))),
                Refusal::Silence => {
                    let help = "see whether PID 1 is busy: systemctl is-system-running; systemctl list-jobs";
                    return Err(failed().cause(failure::no_answer()).help(help));
                }
                Refusal::Job(result) => {
                    let cause = format!("its start job ended as \"{result}\": {}", job_result(&result));
                    return Err(failed().cause(cause).help(format!("see what systemd says: journalctl -u {unit}")));
                }
            }
        }
    }

    fn try_scope(
        &mut self,
        request: &ScopeRequest<'_>,
        dialect: Dialect,
        watched: &[BorrowedFd<'_>],
    ) -> Result<Watched<std::result::Result<(), Refusal>>> {
        let controller = self.unique_name().to_owned();
        let properties = request.properties(&controller, dialect);
        let (systemd, inbox, rt) = (&self.systemd, &mut self.inbox, &self.rt);
        inbox.jobs.clear();
        let exchange = async {
            let call = systemd.start_transient_unit(request.unit, "fail", &properties, &[]);
            let job = inbox.drive(call).await.map_err(Refusal::Call)?;
            let ended = inbox
                .until(|inbox| inbox.jobs.iter().find(|end| end.job == job.as_str()).map(|end| end.result.clone()));
            match ended.await.map_err(Refusal::Call)?.as_str() {
                "done" => Ok(()),
                result => Err(Refusal::Job(result.to_owned())),
            }
        };
        let bounded = async { rt.timeout(exchange, WAIT).await.unwrap_or(Err(Refusal::Silence)) };
        rt.block_on_watching(bounded, watched).map_err(|e| failure::wait(&e))
    }

    /// Whether a unit that has our name was only what an earlier run left behind, and is gone now: a failed or inactive
    /// unit, or one whose processes are all dead and which PID 1 has not taken down yet.
    fn clear_leftover(&mut self, unit: &str) -> Result<bool> {
        let (systemd, conn) = (self.systemd.clone(), self.conn.clone());
        let looked = self.call(async {
            let path = systemd.get_unit(unit).await?;
            let found = UnitProxy::builder(&conn).path(path).cache_properties(CacheProperties::No).build().await?;
            match found.active_state().await?.as_str() {
                "failed" | "inactive" => systemd.reset_failed_unit(unit).await.map(|()| true),
                _ if systemd.get_unit_processes(unit).await?.is_empty() => {
                    // One that never had a process stays until it is told to go, and nobody may be left to be asked.
                    systemd.abandon_scope(unit).await?;
                    match systemd.stop_unit(unit, "replace").await {
                        // RefuseManualStop=: it goes as an empty one, some time later.
                        Err(error) if failure::is(&error, &[ONLY_BY_DEPENDENCY]) => Ok(true),
                        stopped => stopped.map(|_| true),
                    }
                }
                _ => Ok(false),
            }
        })?;
        match looked {
            Ok(true) => self.wait_unit_gone(unit).map(|()| true),
            Ok(false) => Ok(false),
            Err(error) if failure::is(&error, &[NO_SUCH_UNIT]) => Ok(true),
            Err(error) => Err(failure::call(format!("cannot ask systemd about {unit}"), &error)),
        }
    }

    /// Whether PID 1 may have this scope without ever having seen a living process in it.
    pub fn scope_may_be_barren(&self, unit: &str) -> bool {
        self.unfinished.as_deref() == Some(unit)
    }

    /// A living process is in the scope that was started last: when it has ended PID 1 gets to know of it.
    pub fn scope_is_inhabited(&mut self) {
        self.unfinished = None;
    }

    /// Ends the scope: nothing waits for its processes any more, all of them are killed, the reference to the unit is given
    /// up. A unit that is not there is fine. Does not wait until the unit is gone, see [`Bus::wait_unit_gone`].
    pub fn stop_scope(&mut self, unit: &str) -> Result<()> {
        let systemd = self.systemd.clone();
        let unfinished = self.unfinished.take().is_some_and(|started| started == unit);
        let ended = self.call(async {
            if unfinished {
                // A stop asks the controller first and waits for it; a scope that was abandoned has none.
                systemd.abandon_scope(unit).await?;
                // PID 1 runs jobs when it has nothing else to do: a job that is still waiting would start the scope after
                // the calls below. This one takes its place. Without a job it fails, which is as good.
                let _ = systemd.stop_unit(unit, "replace").await;
            }
            systemd.abandon_scope(unit).await?;
            systemd.kill_unit(unit, "all", libc::SIGKILL).await?;
            // The only one whose answer is waited for: PID 1 handles them in this order.
            systemd.unref_unit(unit).await
        })?;
        match ended {
            Ok(()) => Ok(()),
            Err(error) if failure::is(&error, &[NO_SUCH_UNIT, NOT_REFERENCED]) => Ok(()),
            Err(error) => {
                let diagnostic = Diagnostic::new(Code::ReleaseFailed, format!("cannot end {unit}"));
                Err(diagnostic.cause(failure::reason(&error)).help(format!("run: systemctl kill -s KILL {unit}")))
            }
        }
    }

    /// Ends a scope that a killed supervisor has left, whether something lives in it or it never had a process, and waits
    /// until it is gone.
    pub fn forget_scope(&mut self, unit: &str) -> Result<()> {
        self.unfinished = Some(unit.to_owned());
        self.stop_scope(unit)?;
        self.wait_unit_gone(unit)
    }

    /// Waits until PID 1 has forgotten the unit, so that its name can be used again. A unit that is not there is fine.
    pub fn wait_unit_gone(&mut self, unit: &str) -> Result<()> {
        let rule = format!(
            "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',\
             path='/org/freedesktop/systemd1',member='UnitRemoved',arg0='{unit}'"
        );
        let failed = |cause: String| {
            let diagnostic = Diagnostic::new(Code::ScopeFailed, format!("{unit} does not go away")).cause(cause);
            diagnostic.help(format!("see what holds it: systemctl status {unit}"))
        };
        self.add_match(rule.clone()).map_err(|e| failed(failure::reason(&e)))?;
        self.inbox.units_gone.clear();
        let (systemd, inbox, rt) = (&self.systemd, &mut self.inbox, &self.rt);
        let deadline = Instant::now() + WAIT;
        let gone = loop {
            let exchange = async {
                // Without a subscriber PID 1 sends no UnitRemoved.
                systemd.subscribe().await?;
                let gone = match inbox.drive(systemd.get_unit(unit)).await {
                    Err(error) if failure::is(&error, &[NO_SUCH_UNIT]) => Ok(Some(())),
                    Err(error) => Err(error),
                    Ok(_) => {
                        let heard = |inbox: &Inbox| inbox.units_gone.iter().any(|gone| gone == unit).then_some(());
                        rt.timeout(inbox.until(heard), ASK_AGAIN).await.transpose()
                    }
                };
                systemd.unsubscribe().await?;
                gone
            };
            match rt.block_on(rt.timeout(exchange, WAIT)).map_err(|e| failure::wait(&e))? {
                Some(Ok(None)) if Instant::now() < deadline => {}
                ended => break ended.and_then(zbus::Result::transpose),
            }
        };
        let removed = self.remove_match(&rule);
        match gone {
            Some(Ok(())) => removed.map_err(|e| failed(failure::reason(&e))),
            Some(Err(error)) => Err(failed(failure::reason(&error))),
            None => Err(failed(format!("it is still there after {} s", WAIT.as_secs()))),
        }
    }
}

impl Dialect {
    /// What to send instead, or `None` when nothing optional is to blame. PID 1 names the property in its text; where it
    /// names none that was sent, everything optional goes.
    fn without(self, request: &ScopeRequest<'_>, error: &zbus::Error) -> Option<Self> {
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

fn unknown_property(request: &ScopeRequest<'_>, error: &zbus::Error) -> Diagnostic {
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

fn name_busy(unit: &str, error: &zbus::Error) -> Diagnostic {
    let name = unit.strip_suffix(".scope").unwrap_or(unit);
    Diagnostic::new(Code::NameBusy, format!("the unit {unit} exists already")).cause(failure::reason(error)).help(
        format!("choose another name with --machine=, or end it: systemctl stop {unit} (see systemctl status {name}*)"),
    )
}

/// What a job's result means (org.freedesktop.systemd1(5), JobRemoved).
fn job_result(result: &str) -> &'static str {
    match result {
        "canceled" => "another request for the unit came in between",
        "timeout" => "it took too long",
        "failed" => "the leader was gone, or its control group could not be made",
        "dependency" => "a unit that it depends on failed",
        "skipped" => "there was nothing to do",
        "invalid" => "the unit cannot be started",
        "assert" => "a condition of the unit does not hold",
        "unsupported" => "this kernel cannot do it",
        "collected" => "the unit went away before the job ran",
        "once" => "the unit may start only once",
        _ => "not a result that systemd documents",
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
