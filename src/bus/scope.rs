// SPDX-License-Identifier: LGPL-2.1-or-later
//! The container's scope unit: made by PID 1 around a process that exists already (systemd.scope(5)).

mod request;

use super::inbox::Inbox;
use super::proxies::UnitProxy;
use super::runtime::Watched;
use super::{Bus, WAIT, failure};
use crate::error::{Code, Diagnostic, Result};
pub use request::{DeviceAccess, KillPolicy, ScopeRequest};
use request::{Dialect, unknown_property};
use rustix::fd::BorrowedFd;
use std::time::{Duration, Instant};
use zbus::proxy::CacheProperties;

const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const ONLY_BY_DEPENDENCY: &str = "org.freedesktop.systemd1.OnlyByDependency";
const NOT_REFERENCED: &str = "org.freedesktop.systemd1.NotReferenced";
/// What PID 1 answers to a property that it does not know (bus_unit_set_properties of systemd's dbus-unit.c).
const UNKNOWN_PROPERTY: &[&str] =
    &["org.freedesktop.DBus.Error.PropertyReadOnly", "org.freedesktop.DBus.Error.UnknownProperty"];
/// What the bus answers for PID 1 while that executes itself anew (`systemctl daemon-reexec`).
const AWAY: &[&str] = &["org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.NameHasNoOwner"];

/// How long to wait, in milliseconds, between calls while it does; each pause is of its own, so as not to keep step with
/// somebody who makes it do that again and again.
const PATIENCE: [u64; 7] = [20, 50, 110, 230, 470, 950, 1400];

/// How long to wait for a signal of PID 1 before asking: one that has just come back to the bus may lose it.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How [`Bus::start_scope`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeStart {
    /// The leader is in the scope.
    Started,
    /// The watched descriptor of this index became readable first. The scope may come up yet: kill the leader and call
    /// [`Bus::stop_scope`].
    Interrupted(usize),
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
        let mut patience = PATIENCE.iter();
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
                Refusal::Call(error) if failure::is(&error, AWAY) && self.pause(&mut patience)? => {}
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

    /// Waits for the next of these times; false when there is none left.
    fn pause(&self, patience: &mut std::slice::Iter<'_, u64>) -> Result<bool> {
        let Some(ms) = patience.next() else { return Ok(false) };
        let pause = self.rt.timeout(std::future::pending::<()>(), Duration::from_millis(*ms));
        self.rt.block_on(pause).map(|_| true).map_err(|e| failure::wait(&e))
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
        let mut patience = PATIENCE.iter();
        let looked = loop {
            match self.try_clear(unit)? {
                Err(error) if failure::is(&error, AWAY) && self.pause(&mut patience)? => {}
                looked => break looked,
            }
        };
        match looked {
            Ok(true) => self.wait_unit_gone(unit).map(|()| true),
            Ok(false) => Ok(false),
            Err(error) if failure::is(&error, &[NO_SUCH_UNIT]) => Ok(true),
            Err(error) => Err(failure::call(format!("cannot ask systemd about {unit}"), &error)),
        }
    }

    fn try_clear(&mut self, unit: &str) -> Result<zbus::Result<bool>> {
        let (systemd, conn) = (self.systemd.clone(), self.conn.clone());
        self.call(async {
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
        })
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
        let unfinished = self.unfinished.take().is_some_and(|started| started == unit);
        let mut patience = PATIENCE.iter();
        loop {
            match self.try_stop(unit, unfinished)? {
                Err(error) if failure::is(&error, AWAY) && self.pause(&mut patience)? => {}
                Err(error) if !failure::is(&error, &[NO_SUCH_UNIT, NOT_REFERENCED]) => {
                    let diagnostic = Diagnostic::new(Code::ReleaseFailed, format!("cannot end {unit}"));
                    return Err(diagnostic
                        .cause(failure::reason(&error))
                        .help(format!("run: systemctl kill -s KILL {unit}")));
                }
                _ => return Ok(()),
            }
        }
    }

    fn try_stop(&mut self, unit: &str, unfinished: bool) -> Result<zbus::Result<()>> {
        let systemd = self.systemd.clone();
        self.call(async {
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
        })
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
                    Err(error) if failure::is(&error, AWAY) => {
                        rt.timeout(std::future::pending::<()>(), ASK_AGAIN).await;
                        Ok(None)
                    }
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
