// SPDX-License-Identifier: LGPL-2.1-or-later
//! The supervisor from the moment the payload runs: one epoll loop over leader, signals, console and whatever else is
//! plugged in as a [`Source`]. One thread.

mod console;
pub mod dress;
mod event;
pub mod fd_store;
mod flow;
pub mod hotkeys;
mod job;
pub mod notify;
mod outcome;
pub mod painter;
pub mod pty;
mod signals;
mod stdio;
mod stop;
mod stream;
mod sudo;
mod terminal;
#[cfg(test)]
mod tests;

pub use console::{Console, Tap, Viewer};
pub use dress::{Background, Dress, Dressed, Look, Own, Title, tint};
pub use event::{EventLoop, Pollable, Ready, Request, Source, Token, Watch};
pub use hotkeys::Hotkey;
pub use outcome::{Outcome, RESTART_ME, UnitMode, Verdict, verdict};
pub use signals::{CHILD_RESET, ChildReset, Signals};
pub use stdio::{FdKind, Stdio, StdioFacts, StdioPlan, TerminalId, plan_stdio, refuse_passed, resolve_mode};
pub use stop::{Action, Listens, PATIENCE, SignalNumber, StopPolicy};
pub use terminal::{Position, SavedState, Terminal, USUAL_SIZE, position, size_from_environment};

use crate::error::{Code, Diagnostic, Result};
use crate::sys::child::{self, Ending, Which, Zombie};
use crate::sys::proc_pid::signals;
use console::Flushed;
use rustix::io::Errno;
use signals::Notice;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How long a killed leader may take to go before the supervisor gives up on it: it hangs in the kernel.
const KILL_LIMIT: Duration = Duration::from_secs(30);
/// How long the output that the container left behind may take to be written once a stop was asked for.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);
/// How often signals are looked at meanwhile.
const FLUSH_STEP: Duration = Duration::from_millis(200);

/// The container's first process.
#[derive(Debug, Clone, Copy)]
pub struct Leader<'a> {
    /// Its pid, as this process sees it.
    pub pid: i32,
    /// Its pidfd. It must be a child of this process, by `CLONE_PARENT` or not.
    pub pidfd: BorrowedFd<'a>,
}

/// Something that happened and that others are to be told: service manager, journal, person.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The leader has been asked to stop (`STOPPING=1`, sd_notify(3)).
    Stopping,
    /// The leader has been killed.
    Killed,
    /// The leader is gone; its output is not flushed yet.
    Gone,
    /// A hotkey was pressed.
    Hotkey(Hotkey),
    /// A child that is not the leader has ended and was reaped.
    ChildEnded {
        /// Its pid.
        pid: i32,
        /// How.
        ending: Ending,
    },
    /// Something went wrong, and the container goes on.
    Warning(Diagnostic),
}

/// What the loop serves. Everything is borrowed: it stays usable when the loop is done.
pub struct Running<'a, 'c, 's> {
    /// The container's first process.
    pub leader: Leader<'a>,
    /// The forwarder.
    pub console: &'a mut Console<'c>,
    /// Blocked since before the first clone.
    pub signals: &'a Signals,
    /// How to stop it.
    pub stop: StopPolicy,
    /// Bus, notify socket, port proxies, …
    pub sources: Vec<&'s mut dyn Source>,
    /// Is told what happens.
    pub observer: &'a mut dyn FnMut(Event),
}

/// Serves the container until its first process is gone, flushes the console and reaps it.
///
/// # Errors
/// When the loop itself fails, or a killed leader does not go away within 30 s. The leader may still run then.
pub fn run(running: Running<'_, '_, '_>) -> Result<Outcome> {
    let mut events = EventLoop::new()?;
    events.add(running.leader.pidfd, Token::Leader, Watch::Readable)?;
    events.add(running.signals.fd(), Token::Signals, Watch::Readable)?;
    let mut sources = Vec::new();
    for (i, source) in running.sources.into_iter().enumerate() {
        events.add(source.fd(), Token::Source(i as u32), Watch::Readable)?;
        sources.push(Some(source));
    }
    let mut supervisor = Supervisor {
        leader: running.leader,
        console: running.console,
        signals: running.signals,
        stop: running.stop,
        sources,
        observer: running.observer,
        gone: false,
    };
    let started = supervisor.console.start(&events, Instant::now());
    supervisor.warn(started);
    let served = supervisor.serve(&mut events);
    supervisor.flush();
    served?;
    match child::wait(Which::PidFd(supervisor.leader.pidfd), Zombie::Reap) {
        Ok(Some((_, ending))) => Ok(ending.into()),
        Ok(None) => Err(lost("it still runs", None)),
        Err(e) => Err(lost("it cannot be waited for", Some(e))),
    }
}

struct Supervisor<'a, 'c, 's> {
    leader: Leader<'a>,
    console: &'a mut Console<'c>,
    signals: &'a Signals,
    stop: StopPolicy,
    /// `None`: no longer served.
    sources: Vec<Option<&'s mut dyn Source>>,
    observer: &'a mut dyn FnMut(Event),
    gone: bool,
}

impl Supervisor<'_, '_, '_> {
    fn serve(&mut self, events: &mut EventLoop) -> Result<()> {
        while !self.gone {
            for ready in events.wait(self.deadline())? {
                match ready.token {
                    Token::Leader => {
                        self.gone = self.leader_is_gone()?;
                        if self.gone {
                            (self.observer)(Event::Gone);
                        }
                    }
                    Token::Signals => self.take_signals(),
                    Token::Console(i) => self.console.note(i, ready),
                    Token::Source(i) => self.turn(i as usize, events),
                }
            }
            let now = Instant::now();
            for i in 0..self.sources.len() {
                // Looked at after the deadline: a source that has something to do at once says "now".
                if self.sources[i].as_ref().and_then(|s| s.deadline()).is_some_and(|at| at <= Instant::now()) {
                    self.turn(i, events);
                }
            }
            for hotkey in self.console.pump(events, now) {
                self.press(hotkey, now);
            }
            let ticked = self.console.tick(now);
            self.warn(ticked);
            let action = self.stop.tick(now);
            self.act(action);
            if self.stop.killed_at().is_some_and(|at| now >= at + KILL_LIMIT) {
                return Err(lost("it was killed and does not go away", None)
                    .help(format!("look at /proc/{}/stack and at the kernel's log", self.leader.pid)));
            }
        }
        Ok(())
    }

    /// Writes what the container left behind. A viewer that does not read (a pager) holds this up as it would hold up any
    /// program, but not beyond a stop signal.
    fn flush(&mut self) {
        let stopping = self.stop.is_stopping() || !self.gone;
        let mut give_up = stopping.then(|| Instant::now() + FLUSH_LIMIT);
        while self.console.finish(FLUSH_STEP) == Flushed::NotYet {
            while let Some(notice) = self.signals.next() {
                if notice == Notice::Stop {
                    give_up = Some(Instant::now());
                }
            }
            if give_up.is_some_and(|at| Instant::now() >= at) {
                let lost =
                    Diagnostic::new(Code::ConsoleFailed, "the last output of the container could not be written")
                        .cause("nobody reads it");
                return self.warn(Err(lost));
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        if self.console.has_work() {
            return Some(Instant::now());
        }
        let killed = self.stop.killed_at().map(|at| at + KILL_LIMIT);
        let sources = self.sources.iter().flatten().filter_map(|s| s.deadline());
        sources.chain(self.console.deadline()).chain(self.stop.deadline()).chain(killed).min()
    }

    /// The pidfd is readable as soon as the process is a zombie; the zombie stays until the output is flushed, so that
    /// its pid keeps meaning the container.
    fn leader_is_gone(&self) -> Result<bool> {
        match child::wait(Which::PidFd(self.leader.pidfd), Zombie::Keep) {
            Ok(ended) => Ok(ended.is_some()),
            Err(Errno::INTR) => Ok(false),
            Err(e) => Err(lost("it cannot be waited for", Some(e))),
        }
    }

    fn take_signals(&mut self) {
        while let Some(notice) = self.signals.next() {
            let now = Instant::now();
            match notice {
                Notice::Stop => self.request_stop(now),
                Notice::Child => self.reap_others(),
                Notice::Resized => self.console.resize(),
                Notice::Background => {}
                Notice::Suspend => {
                    self.console.suspend();
                    signals::stop_here();
                    self.go_on();
                }
                Notice::Continued => self.go_on(),
            }
        }
    }

    /// The shell may have given us the terminal, reset it, or changed its size meanwhile.
    fn go_on(&mut self) {
        let rechecked = self.console.recheck(Instant::now());
        self.warn(rechecked);
        self.console.resize();
    }

    fn request_stop(&mut self, now: Instant) {
        let listens = listens(self.leader.pid, self.stop.asks_with());
        let action = self.stop.request(listens, now);
        self.act(action);
    }

    fn press(&mut self, hotkey: Hotkey, now: Instant) {
        (self.observer)(Event::Hotkey(hotkey));
        let action = match hotkey {
            Hotkey::Stop => self.stop.kill(now),
            Hotkey::PowerOff => Action::Ask(SignalNumber::POWER_OFF),
            Hotkey::Reboot => Action::Ask(SignalNumber::REBOOT),
        };
        self.act(action);
    }

    fn act(&mut self, action: Action) {
        let (signal, event) = match action {
            Action::Wait => return,
            Action::Ask(signal) if signal == SignalNumber::REBOOT => (signal, None),
            Action::Ask(signal) => (signal, Some(Event::Stopping)),
            Action::Kill => (SignalNumber::KILL, Some(Event::Killed)),
        };
        // machined of systemd 258 and later sends SIGTERM to the supervisor of a machine whose leader is gone.
        if self.leader_is_gone().unwrap_or(false) {
            return;
        }
        if let Some(event) = event {
            (self.observer)(event);
        }
        match child::signal(self.leader.pidfd, signal.number()) {
            // Gone already: the pidfd says so next.
            Ok(()) | Err(Errno::SRCH) => {}
            Err(e) => self.warn(Err(Diagnostic::new(
                Code::SuperviseFailed,
                format!("cannot send signal {} to the container's first process {}", signal.number(), self.leader.pid),
            )
            .errno(e))),
        }
    }

    fn turn(&mut self, index: usize, events: &EventLoop) {
        let Some(source) = &mut self.sources[index] else { return };
        let mut drop_it = false;
        let requests = source.turn(Instant::now()).unwrap_or_else(|diagnostic| {
            drop_it = true;
            vec![Request::Warn(diagnostic.note(format!("{} is no longer served", source.name())))]
        });
        drop_it |= requests.contains(&Request::Finished);
        if drop_it {
            events.remove(source.fd());
            self.sources[index] = None;
        }
        for request in requests {
            let now = Instant::now();
            match request {
                Request::Stop => self.request_stop(now),
                Request::Kill => {
                    let action = self.stop.kill(now);
                    self.act(action);
                }
                Request::Warn(diagnostic) => (self.observer)(Event::Warning(diagnostic)),
                Request::Finished => {}
            }
        }
    }

    /// Reaps children that are not the leader: helpers, and orphans that a subreaper inherits.
    fn reap_others(&mut self) {
        while let Ok(Some((pid, ending))) = child::wait(Which::Any, Zombie::Keep) {
            // The leader stays a zombie; what ended with it is reaped when this process ends.
            if pid == self.leader.pid {
                return;
            }
            let Some(process) = rustix::process::Pid::from_raw(pid) else { return };
            let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOHANG;
            let all = rustix::process::WaitIdOptions::from_bits_retain(libc::__WALL as u32);
            if rustix::process::waitid(rustix::process::WaitId::Pid(process), options | all).is_err() {
                return;
            }
            (self.observer)(Event::ChildEnded { pid, ending });
        }
    }

    fn warn(&mut self, outcome: Result<()>) {
        if let Err(diagnostic) = outcome {
            (self.observer)(Event::Warning(diagnostic));
        }
    }
}

/// Whether the process handles or blocks the signal (`SigCgt`, `SigBlk` of proc_pid_status(5)). If that cannot be seen,
/// it is taken to listen: then it is asked first.
fn listens(pid: i32, signal: SignalNumber) -> Listens {
    let Ok(status) = std::fs::read(format!("/proc/{pid}/status")) else { return Listens::Yes };
    match (signals(&status, "SigCgt:"), signals(&status, "SigBlk:")) {
        (Some(caught), Some(blocked)) if (caught | blocked) & (1 << (signal.number() - 1)) == 0 => Listens::No,
        _ => Listens::Yes,
    }
}

fn lost(why: &str, errno: Option<Errno>) -> Diagnostic {
    let diagnostic =
        Diagnostic::new(Code::SuperviseFailed, format!("cannot see the container's first process end: {why}"));
    match errno {
        Some(e) => diagnostic.errno(e),
        None => diagnostic,
    }
}
