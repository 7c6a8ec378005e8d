// SPDX-License-Identifier: LGPL-2.1-or-later
//! Signals to the supervisor: which ones arrive as events, and what a child has to undo.

use crate::error::{Code, Diagnostic, Result};
use crate::sys::disposition::{self, Disposition};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};

/// What a signal means to the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// SIGTERM, SIGINT, SIGHUP, SIGQUIT: an orderly stop.
    Stop,
    /// SIGCHLD: some child has changed.
    Child,
    /// SIGWINCH: the terminal has another size.
    Resized,
    /// SIGCONT: we go on, perhaps in the foreground now.
    Continued,
    /// SIGTSTP: the shell or the user wants us stopped.
    Suspend,
    /// SIGTTIN, SIGTTOU: about a terminal in the background; never a reason to stop.
    Background,
}

/// The signals that end the container orderly.
const STOPPING: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
/// The other ones that arrive as events.
const WATCHED: [Signal; 6] =
    [Signal::SIGCHLD, Signal::SIGWINCH, Signal::SIGCONT, Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];

/// The signalfd and the mask that was in force before.
pub struct Signals {
    fd: SignalFd,
    before: SigSet,
}

impl Signals {
    /// Blocks the signals and takes them as events. To be called before the first clone, so that none is lost.
    ///
    /// - SIGCHLD gets its default disposition: a caller that ignores it would let the kernel reap our children.
    /// - SIGPIPE is ignored: a reader that goes away is an error of one write.
    /// - SIGHUP, SIGINT and SIGQUIT stay ignored where the caller ignores them (nohup(1), `&` of a shell without job
    ///   control): as blocked signals they would arrive nevertheless.
    pub fn block() -> Result<Self> {
        let sys = |what: &str, e| Diagnostic::new(Code::SuperviseFailed, format!("cannot {what}")).errno(e);
        disposition::set(Signal::SIGCHLD, Disposition::Default).map_err(|e| sys("reset SIGCHLD", e))?;
        disposition::set(Signal::SIGPIPE, Disposition::Ignore).map_err(|e| sys("ignore SIGPIPE", e))?;
        let mut set: SigSet = WATCHED.into_iter().collect();
        for signal in STOPPING {
            let ignored = disposition::is_ignored(signal).map_err(|e| sys("ask for a signal's disposition", e))?;
            if signal == Signal::SIGTERM || !ignored {
                set.add(signal);
            }
        }
        let errno = |e: nix::errno::Errno| rustix::io::Errno::from_raw_os_error(e as i32);
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(|e| sys("block signals", errno(e)))?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        match SignalFd::with_flags(&set, flags) {
            Ok(fd) => Ok(Self { fd, before }),
            Err(e) => {
                // Cannot fail: the mask was in force a moment ago.
                let _ = before.thread_set_mask();
                Err(sys("make a signalfd", errno(e)))
            }
        }
    }

    /// Leaves the signals blocked for the rest of the process, which is about to end: none that arrives now, or has
    /// arrived and was not taken, ends it in the middle of its last work.
    pub fn keep_blocked(self) {
        std::mem::forget(self);
    }

    /// Readable when a signal has arrived.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Drops a stop that has arrived from a process of this kind; everything else arrives again.
    pub fn drop_stop_from(&self, sender: impl Fn(u32) -> bool) {
        let mut again = Vec::new();
        while let Ok(Some(info)) = self.fd.read_signal() {
            let Ok(signal) = Signal::try_from(info.ssi_signo as i32) else { continue };
            if !(signal == Signal::SIGTERM && sender(info.ssi_pid)) {
                again.push(signal);
            }
        }
        for signal in again {
            // Blocked, so it waits as before. Only fails for what is no signal.
            let _ = raise(signal);
        }
    }

    /// The next signal, without blocking.
    pub(super) fn next(&self) -> Option<Notice> {
        loop {
            let number = self.fd.read_signal().ok().flatten()?.ssi_signo;
            let Ok(signal) = Signal::try_from(number as i32) else { continue };
            return Some(match signal {
                Signal::SIGCHLD => Notice::Child,
                Signal::SIGWINCH => Notice::Resized,
                Signal::SIGCONT => Notice::Continued,
                Signal::SIGTSTP => Notice::Suspend,
                Signal::SIGTTIN | Signal::SIGTTOU => Notice::Background,
                _ => Notice::Stop,
            });
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // machined ends the supervisor of a machine whose leader is gone (`machine_stop()`, src/machine/machine.c): what
        // has come for a container that has ended anyway must not decide how this process ends.
        while self.next().is_some() {}
        // Cannot fail: the mask was in force before.
        let _ = self.before.thread_set_mask();
    }
}

/// What a child must do before it executes the payload: neither the mask nor ignored signals may be inherited (signal(7):
/// both survive execve).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildReset {
    /// The kernel's signal mask to set, as one bit for each signal.
    pub mask: u64,
    /// The first signal whose disposition becomes `SIG_DFL`.
    pub first: i32,
    /// The last one; SIGKILL and SIGSTOP among them refuse with `EINVAL`.
    pub last: i32,
}

/// See [`ChildReset`]: an empty mask and every disposition, since the caller's ignored signals count as well.
pub const CHILD_RESET: ChildReset = ChildReset { mask: 0, first: 1, last: 64 };

/// Stops this process as SIGTSTP does by default, which the kernel leaves out when nobody could continue it (orphaned
/// process group). Returns when it goes on.
pub(super) fn stop_here() {
    stop_by(Signal::SIGTSTP, || {
        // Only fails for what is no signal.
        let _ = raise(Signal::SIGTSTP);
    });
}

/// Sends a blocked signal to this process and lets it do what it does by default. Returns when the process goes on.
pub(super) fn stop_by(signal: Signal, send: impl FnOnce()) {
    let set: SigSet = [signal].into_iter().collect();
    send();
    // Only fails for invalid arguments; then the process just does not stop.
    if let Ok(before) = set.thread_swap_mask(SigmaskHow::SIG_UNBLOCK) {
        let _ = before.thread_set_mask();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_arrive_as_events_and_the_mask_comes_back() {
        // Directed at this thread: other tests run beside it.
        let mask = || SigSet::thread_get_mask().unwrap();
        let before = mask();
        for signal in STOPPING {
            // The harness may have been started by nohup(1).
            disposition::set(signal, Disposition::Default).unwrap();
        }
        let signals = Signals::block().unwrap();
        assert!(mask().contains(Signal::SIGTTOU) && mask().contains(Signal::SIGTERM));
        assert_eq!(signals.next(), None);
        for (signal, notice) in [
            (Signal::SIGWINCH, Notice::Resized),
            (Signal::SIGHUP, Notice::Stop),
            (Signal::SIGQUIT, Notice::Stop),
            (Signal::SIGTTIN, Notice::Background),
            (Signal::SIGTSTP, Notice::Suspend),
        ] {
            raise(signal).unwrap();
            assert_eq!(signals.next(), Some(notice), "{signal}");
        }
        let me = std::process::id();
        raise(Signal::SIGTERM).unwrap();
        signals.drop_stop_from(|pid| pid != me);
        assert_eq!(signals.next(), Some(Notice::Stop), "of another sender");
        raise(Signal::SIGTERM).unwrap();
        raise(Signal::SIGWINCH).unwrap();
        signals.drop_stop_from(|pid| pid == me);
        assert_eq!((signals.next(), signals.next()), (Some(Notice::Resized), None));
        raise(Signal::SIGTERM).unwrap();
        drop(signals);
        // Still here: the late signal is gone with its container.
        assert_eq!(mask(), before);
    }
}
