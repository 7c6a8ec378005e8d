// SPDX-License-Identifier: LGPL-2.1-or-later
//! Everything that arrives without having been asked for by a call.

use super::proxies::{JobRemoved, NameOwnerChanged, UnitRemoved};
use super::runtime::Handle;
use futures_core::Stream;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use zbus::{Message, MessageStream, message::Type};

pub(super) const SYSTEMD: &str = "org.freedesktop.systemd1";
pub(super) const MACHINED: &str = "org.freedesktop.machine1";
const BUS: &str = "org.freedesktop.DBus";

/// Something that happened on the bus and concerns a running container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusEvent {
    /// systemd asks the scope's controller to stop it (`systemctl stop`, or the host goes down).
    RequestStop,
    /// The connection is gone; [`super::Bus::reconnect`] makes a new one.
    Disconnected,
    /// systemd-machined has (re)appeared; the registration may be lost, see [`super::Bus::start_registering`].
    MachinedRestarted,
    /// PID 1 was re-executed (`systemctl daemon-reexec`).
    SystemdRestarted,
}

/// A job that ended.
pub(super) struct JobEnd {
    /// Its object path.
    pub(super) job: String,
    /// "done", or why not (org.freedesktop.systemd1(5), JobRemoved).
    pub(super) result: String,
}

/// Who owns PID 1's name: asked for when connecting, the answer is taken in like everything else.
enum Owner {
    Asked(Handle<zbus::Result<String>>),
    Known(Option<String>),
}

/// Signals kept while PID 1's unique name is not known yet; more than this within one exchange is a flood.
const MOST_HELD: usize = 64;

/// Sorts what arrives into what is waited for and what the supervisor should hear of.
pub(super) struct Inbox {
    stream: MessageStream,
    /// The unique name of PID 1.
    systemd: Owner,
    /// Signals that arrived before that name was known.
    held: Vec<Message>,
    /// Jobs that ended since this was cleared.
    pub(super) jobs: Vec<JobEnd>,
    /// Units that went away since this was cleared.
    pub(super) units_gone: Vec<String>,
    events: VecDeque<BusEvent>,
    closed: bool,
}

impl Inbox {
    /// `owner` gives PID 1's unique name.
    pub(super) fn new(stream: MessageStream, owner: Handle<zbus::Result<String>>) -> Self {
        Self {
            stream,
            systemd: Owner::Asked(owner),
            held: Vec::new(),
            jobs: Vec::new(),
            units_gone: Vec::new(),
            events: VecDeque::new(),
            closed: false,
        }
    }

    pub(super) fn next_event(&mut self) -> Option<BusEvent> {
        self.events.pop_front()
    }

    /// Takes in everything that has arrived.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if let Owner::Asked(answer) = &mut self.systemd
            && let Poll::Ready(answer) = Pin::new(answer).poll(cx)
        {
            // Nobody owns it on a bus without systemd: then nothing counts as sent by it.
            self.systemd = Owner::Known(answer.ok().and_then(std::result::Result::ok));
            std::mem::take(&mut self.held).into_iter().for_each(|message| self.sort(message));
        }
        while !self.closed {
            match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(message))) => self.sort(message),
                Poll::Ready(Some(Err(_)) | None) => {
                    self.closed = true;
                    self.events.push_back(BusEvent::Disconnected);
                }
            }
        }
    }

    /// `future`, with the inbox emptied meanwhile: the connection stops reading while its queue is full.
    pub(super) async fn drive<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            self.poll(cx);
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Waits until `found` finds what it looks for, or the connection is gone.
    pub(super) async fn until<T>(&mut self, mut found: impl FnMut(&Self) -> Option<T>) -> zbus::Result<T> {
        std::future::poll_fn(|cx| {
            self.poll(cx);
            match found(self) {
                Some(value) => Poll::Ready(Ok(value)),
                None if self.closed => Poll::Ready(Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into())),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Anybody may send a signal straight to us, so only what PID 1 or the bus itself sent counts.
    fn sort(&mut self, message: Message) {
        if message.message_type() != Type::Signal {
            return;
        }
        let header = message.header();
        let sender = header.sender().map(|name| name.as_str());
        if sender == Some(BUS) {
            drop(header);
            self.bus_said(message);
            return;
        }
        let Owner::Known(systemd) = &self.systemd else {
            drop(header);
            if self.held.len() < MOST_HELD {
                self.held.push(message);
            }
            return;
        };
        if sender.is_some() && sender == systemd.as_deref() {
            let stop = header.interface().is_some_and(|name| name.as_str() == "org.freedesktop.systemd1.Scope")
                && header.member().is_some_and(|name| name.as_str() == "RequestStop");
            drop(header);
            if stop {
                self.events.push_back(BusEvent::RequestStop);
            } else {
                self.systemd_said(message);
            }
        }
    }

    fn bus_said(&mut self, message: Message) {
        let Some(signal) = NameOwnerChanged::from_message(message) else { return };
        let Ok(args) = signal.args() else { return };
        match *args.name() {
            SYSTEMD if !args.new_owner().is_empty() => {
                self.systemd = Owner::Known(Some((*args.new_owner()).to_owned()));
                self.events.push_back(BusEvent::SystemdRestarted);
            }
            MACHINED if !args.new_owner().is_empty() => self.events.push_back(BusEvent::MachinedRestarted),
            _ => {}
        }
    }

    fn systemd_said(&mut self, message: Message) {
        if let Some(signal) = JobRemoved::from_message(message.clone()) {
            if let Ok(args) = signal.args() {
                self.jobs.push(JobEnd { job: args.job().to_string(), result: (*args.result()).to_owned() });
            }
        } else if let Some(signal) = UnitRemoved::from_message(message)
            && let Ok(args) = signal.args()
        {
            self.units_gone.push((*args.id()).to_owned());
        }
    }
}
