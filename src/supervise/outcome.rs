// SPDX-License-Identifier: LGPL-2.1-or-later
//! How a container ended and which exit status that gives. Pure.

use crate::config::Invocation;
use crate::sys::child::Ending;

/// How the container's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It exited with this status.
    Exited(u8),
    /// A signal of this number killed it.
    Signaled(u8),
    /// It powered off: reboot(2) in a PID namespace ends its first process with SIGINT.
    PowerOff,
    /// It rebooted: the same with SIGHUP.
    Reboot,
}

impl From<Ending> for Outcome {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Exited(status) => Self::Exited(status),
            Ending::Signaled(n) if i32::from(n) == libc::SIGINT => Self::PowerOff,
            Ending::Signaled(n) if i32::from(n) == libc::SIGHUP => Self::Reboot,
            Ending::Signaled(n) => Self::Signaled(n),
        }
    }
}

/// Whose unit the container runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitMode {
    /// A scope of its own.
    Own,
    /// The caller's (`--keep-unit`).
    Keep,
}

/// What follows from an [`Outcome`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The supervisor ends with this status.
    Exit(u8),
    /// The container is started again.
    Restart,
}

/// The status that makes `systemd-nspawn@.service` start the container again (`RestartForceExitStatus=133`).
pub const RESTART_ME: u8 = 133;

/// What the supervisor does about `outcome`: the payload's status is its own, death by signal is 128+n (nspawn: 1), a
/// reboot restarts the container, with `--keep-unit` through the unit. A payload cannot ask for that by its status.
pub fn verdict(outcome: Outcome, invocation: Invocation, unit: UnitMode) -> Verdict {
    let restarts_by_status = invocation == Invocation::SystemdNspawn || unit == UnitMode::Keep;
    match (outcome, invocation, unit) {
        (Outcome::Exited(RESTART_ME), ..) if restarts_by_status => Verdict::Exit(1),
        (Outcome::Exited(status), ..) => Verdict::Exit(status),
        (Outcome::PowerOff, ..) => Verdict::Exit(0),
        (Outcome::Reboot, _, UnitMode::Keep) => Verdict::Exit(RESTART_ME),
        (Outcome::Reboot, _, UnitMode::Own) => Verdict::Restart,
        (Outcome::Signaled(n), Invocation::Spawn, _) => Verdict::Exit(128 + n.min(127)),
        (Outcome::Signaled(_), Invocation::SystemdNspawn, _) => Verdict::Exit(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Invocation::{Spawn, SystemdNspawn};
    use UnitMode::{Keep, Own};
    use Verdict::{Exit, Restart};

    #[test]
    fn endings() {
        let rows = [
            (Ending::Exited(0), Outcome::Exited(0)),
            (Ending::Exited(255), Outcome::Exited(255)),
            (Ending::Signaled(2), Outcome::PowerOff),
            (Ending::Signaled(1), Outcome::Reboot),
            (Ending::Signaled(9), Outcome::Signaled(9)),
            (Ending::Signaled(64), Outcome::Signaled(64)),
        ];
        for (ending, outcome) in rows {
            assert_eq!(Outcome::from(ending), outcome);
        }
    }

    #[test]
    fn statuses() {
        let rows = [
            (Outcome::Exited(0), Spawn, Own, Exit(0)),
            (Outcome::Exited(7), SystemdNspawn, Keep, Exit(7)),
            (Outcome::Exited(255), Spawn, Own, Exit(255)),
            (Outcome::Exited(133), Spawn, Own, Exit(133)),
            (Outcome::Exited(133), Spawn, Keep, Exit(1)),
            (Outcome::Exited(133), SystemdNspawn, Own, Exit(1)),
            (Outcome::Exited(133), SystemdNspawn, Keep, Exit(1)),
            (Outcome::Signaled(9), Spawn, Own, Exit(137)),
            (Outcome::Signaled(15), Spawn, Keep, Exit(143)),
            (Outcome::Signaled(64), Spawn, Own, Exit(192)),
            (Outcome::Signaled(9), SystemdNspawn, Own, Exit(1)),
            (Outcome::PowerOff, Spawn, Own, Exit(0)),
            (Outcome::PowerOff, SystemdNspawn, Keep, Exit(0)),
            (Outcome::Reboot, Spawn, Own, Restart),
            (Outcome::Reboot, SystemdNspawn, Own, Restart),
            (Outcome::Reboot, Spawn, Keep, Exit(133)),
            (Outcome::Reboot, SystemdNspawn, Keep, Exit(133)),
        ];
        for (outcome, invocation, unit, expected) in rows {
            assert_eq!(verdict(outcome, invocation, unit), expected, "{outcome:?} {invocation:?} {unit:?}");
        }
    }
}
