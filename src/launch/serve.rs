// SPDX-License-Identifier: LGPL-2.1-or-later
//! One boot from the payload's first instruction to its end, and the release of everything that belongs to it.

use super::Session;
use super::boot::Boot;
use super::bus_source::BusSource;
use super::console::HeldConsole;
use super::forward::{Forward, ForwardSource};
use super::keeper_source::KeeperSource;
use super::ports::PortSource;
use super::sources::{ControlSource, NotifySource};
use super::usage::{Consumed, OomSource};
use crate::error::Result;
use crate::log::{self, MessageId};
use crate::supervise::notify::{Ending, ManagerNotify};
use crate::supervise::{self, Event, Leader, Outcome, Running, SignalNumber, StopPolicy};
use crate::undo::{self, Control, Undo};
use rustix::fd::AsFd;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How long a payload that is killed may take to be gone before what belongs to it is released all the same.
const KILLED: Duration = Duration::from_secs(2);

/// What the caller and other programs hold on to while the guest reboots.
pub struct Held {
    /// The console.
    pub console: HeldConsole,
    /// The control socket.
    pub control: Control,
    /// The socket for the guest's journal.
    pub forward: Option<Forward>,
}

impl Boot {
    /// Serves the container until its first process is gone, then releases what belongs to this boot, the youngest
    /// first: the registration, the links, the processes, the scope or group.
    pub fn serve(mut self, session: &Session<'_>, held: &mut Held, undo: &mut Undo) -> Result<Outcome> {
        let was_registered = self.registered.is_some();
        let mut consumed = Consumed::new(self.place.occupied.take());
        let served = self.supervise(session, held, &mut consumed, undo);
        held.console.flush(session);
        if let Ok(outcome) = &served {
            let ending = if *outcome == Outcome::Reboot { Ending::Restarting } else { Ending::Terminating };
            degraded(session, self.manager.borrow().ending(ending));
            say_ended(session, *outcome);
        }
        consumed.tell(session);
        session.log.set_leader(None);
        if served.is_err() {
            // It must not go on without what is released before it. Whether it is gone is told by its release.
            let _told_below = undo::kill_process(self.released.pidfd.as_fd(), KILLED);
        }
        consumed.leave();
        for ticket in self.releases.drain(..).rev() {
            if let Err(d) = undo.release(ticket) {
                log::warning!(session.log, MessageId::ReleaseFailed, "{d}");
            }
        }
        if was_registered && matches!(served, Ok(Outcome::Reboot)) {
            // machined of systemd 258 and later asks whoever has registered a machine that has ended to stop (machine_stop
            // of its machine.c). The registration is gone by now, so no further request of it can come.
            session.signals.drop_stop_from(is_machined);
        }
        if let (Some(scope), Ok(Outcome::Reboot)) = (&self.place.scope, &served) {
            // The name must be free before it is taken again.
            if let Some(bus) = session.bus.borrow_mut().as_mut() {
                bus.wait_unit_gone(scope)?;
            }
        }
        served
    }

    fn supervise(
        &mut self,
        session: &Session<'_>,
        held: &mut Held,
        consumed: &mut Consumed,
        undo: &mut Undo,
    ) -> Result<Outcome> {
        let plan = session.plan;
        let console = held.console.connect(session, self.pty.take(), std::mem::take(&mut self.relays), undo)?;
        let (leader, pidfd, place) = (self.leader, self.released.pidfd.as_fd(), &self.place);
        degraded(session, self.manager.borrow().started(leader));
        let mut notify = NotifySource::new(&self.notify, leader, &self.manager);
        let mut control = ControlSource::new(&mut held.control, plan, self.released.pid);
        let mut bus = BusSource::new(session, (self.released.pid, pidfd), self.registered.take())?;
        let mut oom = OomSource::new(session, place);
        let mut sources: Vec<&mut dyn supervise::Source> = vec![&mut notify, &mut control];
        sources.extend(bus.as_mut().map(|bus| bus as &mut dyn supervise::Source));
        sources.extend(oom.as_mut().map(|oom| oom as &mut dyn supervise::Source));
        let undo = RefCell::new(undo);
        let mut keeper = KeeperSource::new(session, place, self.released.pid, &undo)?;
        sources.push(&mut keeper);
        let addresses = self.addresses.take();
        let mut ports = addresses.map(|a| PortSource::new(session, (place, self.released.pid), &undo, a));
        sources.extend(ports.as_mut().map(|ports| ports as &mut dyn supervise::Source));
        let forward = held.forward.as_ref();
        let mut forwarding = forward.map(|forward| ForwardSource::new(forward, &undo));
        sources.extend(forwarding.as_mut().map(|forwarding| forwarding as &mut dyn supervise::Source));
        let manager = Rc::clone(&self.manager);
        let outcome = supervise::run(Running {
            leader: Leader { pid: self.released.pid, pidfd },
            console,
            signals: session.signals,
            stop: StopPolicy::new(plan.process.kill_signal.map(SignalNumber::from), plan.invocation),
            sources,
            observer: &mut |event| {
                match event {
                    Event::Gone => consumed.last_sample(place, pidfd),
                    Event::Stopping => consumed.sample(place),
                    Event::ChildEnded { pid, ending } => {
                        forward.iter().for_each(|forward| forward.child_ended(pid, ending));
                    }
                    _ => {}
                }
                observe(session, &manager, event);
            },
        });
        if let Some(oom) = &mut oom {
            oom.tell(consumed.oom_kills());
        }
        self.releases.extend(ports.into_iter().flat_map(PortSource::tickets));
        outcome
    }
}

fn is_machined(pid: u32) -> bool {
    // The kernel keeps 15 characters.
    std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_ascii_end() == b"systemd-machine")
}

fn observe(session: &Session<'_>, manager: &RefCell<ManagerNotify>, event: Event) {
    let name = &session.plan.machine;
    match event {
        Event::Stopping => {
            degraded(session, manager.borrow().ending(Ending::Terminating));
            log::info!(session.log, MessageId::Stopping, "{name} is asked to stop");
        }
        Event::Killed => log::info!(session.log, MessageId::Stopping, "{name} is killed"),
        Event::Warning(d) => log::warning!(session.log, MessageId::Degraded, "{d}"),
        Event::Gone | Event::Hotkey(_) | Event::ChildEnded { .. } => {}
    }
}

fn degraded(session: &Session<'_>, outcome: Result<()>) {
    if let Err(d) = outcome {
        log::warning!(session.log, MessageId::Degraded, "{d}");
    }
}

fn say_ended(session: &Session<'_>, outcome: Outcome) {
    let (log, name) = (session.log, &session.plan.machine);
    match outcome {
        Outcome::PowerOff => log::info!(log, MessageId::Exited, "{name} has powered off"),
        Outcome::Reboot => log::info!(log, MessageId::Rebooting, "{name} reboots"),
        Outcome::Exited(status) => log::info!(log, MessageId::Exited, "{name} has ended with status {status}"),
        Outcome::Signaled(n) => log::info!(log, MessageId::Exited, "{name} was ended by signal {n}"),
    }
}
