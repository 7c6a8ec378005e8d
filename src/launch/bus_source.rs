// SPDX-License-Identifier: LGPL-2.1-or-later
//! The system bus while the container runs: requests to stop, and the repair of what a restart of the bus or of machined
//! has lost.

use super::Session;
use super::register::{registration, words};
use crate::bus::BusEvent;
use crate::error::{Code, Diagnostic, Result};
use crate::log::{self, MessageId};
use crate::plan::Unit;
use crate::supervise::{Request, Source};
use rustix::event::epoll;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a bus or a machined that was restarted may take to be there again.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is tried meanwhile.
const PACE: Duration = Duration::from_millis(250);
/// How long one try may take.
const TRY: Duration = Duration::from_secs(2);

/// What is to be done again until it works.
#[derive(Clone, Copy)]
enum Wanted {
    Nothing,
    Connection(Tries),
    Registration(Tries),
}

#[derive(Clone, Copy)]
struct Tries {
    next: Instant,
    last: Instant,
}

impl Tries {
    fn from(now: Instant) -> Self {
        Self { next: now, last: now + PATIENCE }
    }
    /// The next try, or `None` when it is time to give up.
    fn after(self, now: Instant) -> Option<Self> {
        (now < self.last).then_some(Self { next: now + PACE, ..self })
    }
}

/// The machine as machined knows it.
pub struct Registered<'a> {
    /// Its first process.
    pub leader: (i32, BorrowedFd<'a>),
    /// Its links on the host; `None` when it is not registered.
    pub links: Option<Vec<i32>>,
}

/// Serves the bus.
pub struct BusSource<'a> {
    session: &'a Session<'a>,
    machine: Registered<'a>,
    /// Holds the connection's own epoll set, as the connection may be replaced.
    fd: OwnedFd,
    wanted: Wanted,
}

impl<'a> BusSource<'a> {
    /// `None` when there is no connection.
    pub fn new(session: &'a Session<'a>, machine: Registered<'a>) -> Result<Option<Self>> {
        if session.bus.borrow().is_none() {
            return Ok(None);
        }
        let fd = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(cannot_watch)?;
        let source = Self { session, machine, fd, wanted: Wanted::Nothing };
        source.watch()?;
        Ok(Some(source))
    }

    fn watch(&self) -> Result<()> {
        let bus = self.session.bus.borrow();
        let Some(bus) = bus.as_ref() else { return Ok(()) };
        epoll::add(&self.fd, bus.fd(), epoll::EventData::new_u64(0), epoll::EventFlags::IN).map_err(cannot_watch)
    }

    /// A broken connection stays readable for ever.
    fn unwatch(&self) {
        if let Some(bus) = self.session.bus.borrow().as_ref() {
            // Not watched any more is what is wanted.
            let _ = epoll::delete(&self.fd, bus.fd());
        }
    }

    fn lost(&mut self, now: Instant) {
        self.unwatch();
        self.wanted = Wanted::Connection(Tries::from(now));
        if matches!(self.session.plan.unit, Unit::Scope { .. }) {
            log::warning!(
                self.session.log,
                MessageId::OrderlyStopLost,
                "the system bus was restarted: systemctl stop of the scope kills the container from now on, \
                 machinectl poweroff stays orderly"
            );
        }
    }

    fn connect(&mut self, tries: Tries, now: Instant) -> Result<()> {
        let connected = match self.session.bus.borrow_mut().as_mut() {
            Some(bus) => bus.reconnect(TRY).map_err(Diagnostic::from),
            None => Ok(()),
        };
        match (connected, tries.after(now)) {
            (Ok(()), _) => {
                self.watch()?;
                self.wanted = Wanted::Registration(Tries::from(now));
                Ok(())
            }
            (Err(_), Some(later)) => {
                self.wanted = Wanted::Connection(later);
                Ok(())
            }
            (Err(d), None) => {
                self.wanted = Wanted::Nothing;
                Err(d)
            }
        }
    }

    fn repair(&mut self, tries: Tries, now: Instant) {
        self.wanted = Wanted::Nothing;
        let Err(d) = self.register_again() else { return };
        if let Some(later) = tries.after(now) {
            self.wanted = Wanted::Registration(later);
            return;
        }
        let (name, why) = (&self.session.plan.machine, d.headline());
        log::warning!(
            self.session.log,
            MessageId::RegistrationLost,
            "machined may have lost {name}, and it cannot be registered again: {why}"
        );
    }

    fn register_again(&self) -> Result<()> {
        let Some(links) = &self.machine.links else { return Ok(()) };
        let mut bus = self.session.bus.borrow_mut();
        let Some(bus) = bus.as_mut() else { return Ok(()) };
        let (pid, pidfd) = self.machine.leader;
        let machine = registration(self.session, pid, pidfd, links.clone())?;
        if let Some(way) = bus.repair_registration(&machine)? {
            let (name, way) = (&self.session.plan.machine, words(way));
            log::notice!(
                self.session.log,
                MessageId::RegistrationRepaired,
                "machined had lost {name}; it is registered again over {way}"
            );
        }
        Ok(())
    }
}

impl Source for BusSource<'_> {
    fn name(&self) -> &'static str {
        "the system bus"
    }
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
    fn deadline(&self) -> Option<Instant> {
        let own = match self.wanted {
            Wanted::Nothing => None,
            Wanted::Connection(tries) => return Some(tries.next),
            Wanted::Registration(tries) => Some(tries.next),
        };
        let bus = self.session.bus.borrow().as_ref().and_then(|b| b.next_deadline());
        own.into_iter().chain(bus).min()
    }
    fn turn(&mut self, now: Instant) -> Result<Vec<Request>> {
        if let Wanted::Connection(tries) = self.wanted {
            if tries.next <= now {
                self.connect(tries, now)?;
            }
            return Ok(Vec::new());
        }
        let events = match self.session.bus.borrow_mut().as_mut() {
            Some(bus) => bus.poll_events()?,
            None => Vec::new(),
        };
        let mut requests = Vec::new();
        for event in events {
            match event {
                BusEvent::RequestStop => requests.push(Request::Stop),
                BusEvent::MachinedRestarted => self.wanted = Wanted::Registration(Tries::from(now)),
                BusEvent::SystemdRestarted => {}
                BusEvent::Disconnected => self.lost(now),
            }
        }
        if let Wanted::Registration(tries) = self.wanted
            && tries.next <= now
        {
            self.repair(tries, now);
        }
        Ok(requests)
    }
}

fn cannot_watch(errno: rustix::io::Errno) -> Diagnostic {
    Diagnostic::new(Code::SuperviseFailed, "cannot watch the system bus").errno(errno)
}
