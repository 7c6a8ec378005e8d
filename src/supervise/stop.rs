// SPDX-License-Identifier: LGPL-2.1-or-later
//! How a container is stopped: what is sent to its first process, and when patience ends. Pure: time is handed in.

use crate::config::Invocation;
use crate::model;
use std::time::{Duration, Instant};

/// A signal by the kernel's number, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalNumber(u8);

impl SignalNumber {
    /// SIGKILL.
    pub const KILL: Self = Self(9);
    /// SIGTERM.
    pub const TERM: Self = Self(15);
    /// SIGRTMIN+4: systemd as init powers off (systemd(1), "SIGNALS").
    pub const POWER_OFF: Self = Self(38);
    /// SIGRTMIN+5: systemd as init reboots.
    pub const REBOOT: Self = Self(39);

    /// `None` for a number that no signal has.
    pub fn new(number: u8) -> Option<Self> {
        (1..=64).contains(&number).then_some(Self(number))
    }
    /// The kernel's number.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl From<model::Signal> for SignalNumber {
    fn from(signal: model::Signal) -> Self {
        Self(signal.number() as u8)
    }
}

/// Whether the leader would notice the signal that asks it to end: the first process of a PID namespace never gets one
/// that it neither handles nor blocks (pid_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listens {
    /// It handles or blocks it.
    Yes,
    /// It would be dropped.
    No,
}

/// What to do to the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send it this signal and wait.
    Ask(SignalNumber),
    /// SIGKILL.
    Kill,
    /// Nothing more: it has been killed already.
    Wait,
}

/// How long a payload without a kill signal has after SIGTERM, under the name `spawn`.
pub const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Asked { kill_at: Option<Instant> },
    Killed { at: Instant },
}

/// The policy and how far a stop has come.
///
/// | | kill signal (`--kill-signal=`, default with `-b`) | none, `spawn` | none, `systemd-nspawn` |
/// |---|---|---|---|
/// | first request | it is sent | SIGTERM is sent; SIGKILL if nobody listens, and after [`PATIENCE`] | SIGKILL |
/// | second request | SIGKILL | SIGKILL | |
#[derive(Debug, Clone)]
pub struct StopPolicy {
    kill_signal: Option<SignalNumber>,
    invocation: Invocation,
    stage: Stage,
}

impl StopPolicy {
    /// For a container that has just started.
    pub fn new(kill_signal: Option<SignalNumber>, invocation: Invocation) -> Self {
        Self { kill_signal, invocation, stage: Stage::Running }
    }

    /// The signal whose handling [`StopPolicy::request`] wants to know.
    pub fn asks_with(&self) -> SignalNumber {
        self.kill_signal.unwrap_or(SignalNumber::TERM)
    }

    /// Somebody wants an orderly stop: a signal to the supervisor, or systemd.
    pub fn request(&mut self, listens: Listens, now: Instant) -> Action {
        match (self.stage, self.kill_signal, self.invocation) {
            (Stage::Running, Some(signal), _) => {
                self.stage = Stage::Asked { kill_at: None };
                Action::Ask(signal)
            }
            (Stage::Running, None, Invocation::Spawn) if listens == Listens::Yes => {
                self.stage = Stage::Asked { kill_at: Some(now + PATIENCE) };
                Action::Ask(SignalNumber::TERM)
            }
            _ => self.kill(now),
        }
    }

    /// The leader is to be killed now.
    pub fn kill(&mut self, now: Instant) -> Action {
        match self.stage {
            Stage::Killed { .. } => Action::Wait,
            _ => {
                self.stage = Stage::Killed { at: now };
                Action::Kill
            }
        }
    }

    /// When [`StopPolicy::tick`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Asked { kill_at } => kill_at,
            _ => None,
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) -> Action {
        match self.deadline() {
            Some(at) if now >= at => self.kill(now),
            _ => Action::Wait,
        }
    }

    /// Whether a stop has begun.
    pub fn is_stopping(&self) -> bool {
        self.stage != Stage::Running
    }

    /// When it was killed.
    pub fn killed_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Killed { at } => Some(at),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Invocation::{Spawn, SystemdNspawn};

    const RTMIN_3: SignalNumber = SignalNumber(37);

    #[test]
    fn requests() {
        let t = Instant::now();
        let rows = [
            (Some(RTMIN_3), Spawn, Listens::No, [Action::Ask(RTMIN_3), Action::Kill, Action::Wait]),
            (Some(RTMIN_3), SystemdNspawn, Listens::Yes, [Action::Ask(RTMIN_3), Action::Kill, Action::Wait]),
            (None, Spawn, Listens::Yes, [Action::Ask(SignalNumber::TERM), Action::Kill, Action::Wait]),
            (None, Spawn, Listens::No, [Action::Kill, Action::Wait, Action::Wait]),
            (None, SystemdNspawn, Listens::Yes, [Action::Kill, Action::Wait, Action::Wait]),
        ];
        for (signal, invocation, listens, actions) in rows {
            let mut policy = StopPolicy::new(signal, invocation);
            let got = [(); 3].map(|()| policy.request(listens, t));
            assert_eq!(got, actions, "{signal:?} {invocation:?} {listens:?}");
            assert_eq!(policy.killed_at(), Some(t));
        }
    }

    #[test]
    fn patience_ends_only_without_a_kill_signal() {
        let t = Instant::now();
        let mut policy = StopPolicy::new(None, Spawn);
        assert_eq!(policy.tick(t + PATIENCE), Action::Wait);
        policy.request(Listens::Yes, t);
        assert_eq!(policy.deadline(), Some(t + PATIENCE));
        assert_eq!(policy.tick(t + PATIENCE - Duration::from_millis(1)), Action::Wait);
        assert_eq!(policy.tick(t + PATIENCE), Action::Kill);
        assert_eq!((policy.deadline(), policy.killed_at()), (None, Some(t + PATIENCE)));

        let mut booted = StopPolicy::new(Some(RTMIN_3), Spawn);
        booted.request(Listens::Yes, t);
        assert_eq!((booted.deadline(), booted.tick(t + PATIENCE * 100)), (None, Action::Wait));
    }

    #[test]
    fn numbers() {
        assert_eq!(SignalNumber::new(0), None);
        assert_eq!(SignalNumber::new(65), None);
        assert_eq!(SignalNumber::new(64).map(SignalNumber::number), Some(64));
    }
}
