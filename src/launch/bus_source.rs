// SPDX-License-Identifier: LGPL-2.1-or-later
//! The system bus while the container runs: requests to stop, a registration that machined has not answered yet, and the
//! repair of what a restart of the bus or of machined has lost.

use super::Session;
use super::register::{Entry, registration, words};
use crate::bus::{BusEvent, RegisteredBy, Registering};
use crate::error::{Code, Diagnostic, Result};
use crate::log::{self, MessageId};
use crate::plan::Unit;
use crate::supervise::{Request, Source};
use rustix::event::epoll;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a bus that was restarted may take to be there again.
const BUS_PATIENCE: Duration = Duration::from_secs(30);
/// How long machined may take to answer. Each call to it has a time limit as well.
const MACHINED_PATIENCE: Duration = Duration::from_secs(120);
/// The first pause between two tries, and each one between two connections.
const PACE: Duration = Duration::from_millis(250);
/// The longest pause between two registrations.
const SLOWEST: Duration = Duration::from_secs(8);
/// How long one try to connect may take.
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
    pause: Duration,
    longest: Duration,
}

impl Tries {
    fn of_bus(now: Instant) -> Self {
        Self { next: now, last: now + BUS_PATIENCE, pause: PACE, longest: PACE }
    }
    fn of_machined(now: Instant) -> Self {
        Self { next: now, last: now + MACHINED_PATIENCE, pause: PACE, longest: SLOWEST }
    }
    /// The next try, each after a longer pause, or `None` when it is time to give up.
    fn after(self, now: Instant) -> Option<Self> {
        let pause = (self.pause * 2).min(self.longest);
        (now < self.last).then_some(Self { next: now + self.pause, pause, ..self })
    }
}

/// Serves the bus.
pub struct BusSource<'a> {
    session: &'a Session<'a>,
    /// The container's first process.
    leader: (i32, BorrowedFd<'a>),
    /// `None` when the machine is not to be registered.
    entry: Option<Entry>,
    /// The registration that machined was asked for and has not answered.
    asked: Option<Registering>,
    /// Holds the connection's own epoll set, as the connection may be replaced.
    fd: OwnedFd,
    wanted: Wanted,
}

impl<'a> BusSource<'a> {
    /// `None` when there is no connection.
    pub fn new(session: &'a Session<'a>, leader: (i32, BorrowedFd<'a>), entry: Option<Entry>) -> Result<Option<Self>> {
        if session.bus.borrow().is_none() {
            return Ok(None);
        }
        let fd = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(cannot_watch)?;
        let mut source = Self { session, leader, entry, asked: None, fd, wanted: Wanted::Nothing };
        source.watch()?;
        if source.entry.as_ref().is_some_and(|entry| !entry.confirmed.get()) {
            source.want_registration(Instant::now());
        }
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
        self.asked = None;
        self.wanted = Wanted::Connection(Tries::of_bus(now));
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
                self.want_registration(now);
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

    /// An answer to what was asked before would be of a machined that is gone.
    fn want_registration(&mut self, now: Instant) {
        self.asked = None;
        self.wanted = match self.entry {
            Some(_) => Wanted::Registration(Tries::of_machined(now)),
            None => Wanted::Nothing,
        };
    }

    /// Asks machined, or looks for its answer.
    fn register(&mut self, tries: Tries, now: Instant) {
        let outcome = match &mut self.asked {
            Some(asked) => asked.outcome(),
            None if tries.next > now => None,
            None => match self.ask() {
                Ok(asked) => {
                    self.asked = Some(asked);
                    None
                }
                Err(d) => Some(Err(d)),
            },
        };
        let Some(outcome) = outcome else { return };
        self.asked = None;
        self.wanted = match (&outcome, tries.after(now)) {
            (Err(_), Some(later)) => Wanted::Registration(later),
            _ => Wanted::Nothing,
        };
        match outcome {
            Ok(way) => self.say_registered(way),
            Err(d) if matches!(self.wanted, Wanted::Nothing) => self.say_given_up(&d),
            Err(_) => {}
        }
    }

    fn ask(&self) -> Result<Registering> {
        let mut bus = self.session.bus.borrow_mut();
        let (Some(bus), Some(entry)) = (bus.as_mut(), &self.entry) else {
            return Err(Diagnostic::new(Code::RegisterFailed, "there is no system bus to register the machine over"));
        };
        let (pid, pidfd) = self.leader;
        bus.start_registering(&registration(self.session, pid, pidfd, entry.links.clone())?)
    }

    fn say_registered(&self, way: Option<RegisteredBy>) {
        let (log, name) = (self.session.log, &self.session.plan.machine);
        let first = self.entry.as_ref().is_some_and(|entry| !entry.confirmed.replace(true));
        match (first, way.map(words)) {
            (true, Some(way)) => {
                log::notice!(log, MessageId::Registered, step: "register", "{name} is now registered with machined over {way}");
            }
            (true, None) => {
                log::notice!(log, MessageId::Registered, step: "register", "{name} is now registered with machined, which was slow");
            }
            (false, Some(way)) => {
                log::notice!(
                    log,
                    MessageId::RegistrationRepaired,
                    "machined had lost {name}; it is registered again over {way}"
                );
            }
            (false, None) => {}
        }
    }

    fn say_given_up(&self, d: &Diagnostic) {
        let (log, name, why) = (self.session.log, &self.session.plan.machine, d.headline());
        match self.entry.as_ref().is_some_and(|entry| entry.confirmed.get()) {
            true => log::warning!(
                log,
                MessageId::RegistrationLost,
                "machined may have lost {name}, and it cannot be registered again: {why}"
            ),
            false => {
                log::warning!(log, MessageId::NoManager, step: "register", "{why}: {name} stays without a registration");
            }
        }
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
            // The answer wakes the bus.
            Wanted::Registration(_) if self.asked.is_some() => None,
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
                BusEvent::MachinedRestarted => self.want_registration(now),
                BusEvent::SystemdRestarted => {}
                BusEvent::Disconnected => self.lost(now),
            }
        }
        if let Wanted::Registration(tries) = self.wanted {
            self.register(tries, now);
        }
        Ok(requests)
    }
}

fn cannot_watch(errno: rustix::io::Errno) -> Diagnostic {
    Diagnostic::new(Code::SuperviseFailed, "cannot watch the system bus").errno(errno)
}
