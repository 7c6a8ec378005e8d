// SPDX-License-Identifier: LGPL-2.1-or-later
//! The caller's terminal: job control position, raw mode, window size, and the way back.

use super::job;
use crate::error::{Code, Diagnostic, Result};
use crate::sys::termios::{TERM_STATE_SIZE, TermState};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::termios::{Winsize, tcgetpgrp, tcgetwinsize};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Where this process stands towards a terminal (tty_ioctl(4), "job control").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Its foreground process group is ours: it may be read and set.
    Foreground,
    /// It is our controlling terminal, but somebody else has it: hands off until the shell gives it to us.
    Background,
    /// It is not our controlling terminal, nor that of an ancestor that does not have it just now: there is no job control,
    /// it may be read and set.
    NotControlling,
}

/// Our position towards the terminal `tty`.
pub fn position(tty: BorrowedFd<'_>) -> Position {
    match tcgetpgrp(tty) {
        // Our own is 0 where it is outside of our PID namespace, which rustix takes for impossible.
        Ok(group) if group.as_raw_nonzero().get() == nix::unistd::getpgrp().as_raw() => Position::Foreground,
        // rustix says so for group 0: the foreground group is outside of our PID namespace.
        Ok(_) | Err(Errno::OPNOTSUPP) => Position::Background,
        // The kernel would let us, but it is used by leave of who started us: sudo(8) from 1.9.17 on runs a background job
        // in a session of its own and leaves it the caller's terminal.
        Err(_) => match rustix::fs::fstat(tty).ok().and_then(|stat| job::holder(stat.st_rdev)) {
            Some(holder) if !holder.is_in_foreground() => Position::Background,
            _ => Position::NotControlling,
        },
    }
}

/// What another process needs to restore a terminal when this one cannot any more.
pub struct SavedState<'a> {
    /// The terminal.
    pub fd: BorrowedFd<'a>,
    /// Its settings before we touched it: a `struct termios2` for `TCSETS2`.
    pub saved: [u8; TERM_STATE_SIZE],
    /// The settings that we give it: restore only when it still has these modes
    /// ([`TermState::same_modes`]), or a shell that has taken it back is disturbed.
    pub raw: [u8; TERM_STATE_SIZE],
}

/// One terminal in use.
struct Side {
    fd: OwnedFd,
    saved: TermState,
    raw: TermState,
    use_as: UseAs,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum UseAs {
    Input,
    Output,
    Both,
}

impl UseAs {
    fn make_raw(self, state: &mut TermState) {
        if self != UseAs::Output {
            state.make_input_raw();
        }
        if self != UseAs::Input {
            state.make_output_raw();
        }
    }
}

/// The caller's terminal or, when input and output are different ones, both. Restored on drop.
pub struct Terminal {
    sides: Vec<Side>,
    raw: bool,
}

impl Terminal {
    /// Reads the settings of those of `input` and `output` that are terminals; `None` when none is. Nothing is changed.
    pub fn open(input: Option<BorrowedFd<'_>>, output: Option<BorrowedFd<'_>>) -> Result<Option<Self>> {
        let mut sides = Vec::new();
        let same = matches!((input, output), (Some(i), Some(o)) if same_device(i, o));
        let wanted = match (input, output) {
            (Some(i), _) if same => vec![(i, UseAs::Both)],
            _ => input.map(|i| (i, UseAs::Input)).into_iter().chain(output.map(|o| (o, UseAs::Output))).collect(),
        };
        for (fd, use_as) in wanted {
            // A file without terminal settings is not a terminal.
            let Ok(saved) = TermState::read(fd) else { continue };
            let mut raw = saved;
            use_as.make_raw(&mut raw);
            let fd = fcntl_dupfd_cloexec(fd, 3).map_err(|e| {
                Diagnostic::new(Code::ConsoleFailed, "cannot duplicate the descriptor of the terminal").errno(e)
            })?;
            sides.push(Side { fd, saved, raw, use_as });
        }
        Ok((!sides.is_empty()).then_some(Self { sides, raw: false }))
    }

    /// Goes raw where we may: a terminal that somebody else has in the foreground is left alone. Safe to repeat, as after
    /// SIGCONT, when the shell may have reset the terminal.
    ///
    /// Returns the position, of which `Background` means: try again later.
    pub fn enter_raw(&mut self) -> Result<Position> {
        let position = self.position();
        if position == Position::Background {
            return Ok(position);
        }
        let mut outcome = Ok(position);
        without_stopping(|| {
            for side in &self.sides {
                // On top of what is there now: /dev/tty and /dev/pts/N may be two names of one terminal.
                let applied = TermState::read(&side.fd).and_then(|mut state| {
                    side.use_as.make_raw(&mut state);
                    state.apply(&side.fd)
                });
                // After a hang-up there is nothing left to set.
                if let Err(e) = applied
                    && e != Errno::IO
                {
                    outcome = Err(Diagnostic::new(Code::ConsoleFailed, "cannot set the terminal to raw mode").errno(e));
                }
            }
        });
        self.raw = true;
        outcome
    }

    /// Gives the terminal its settings back, if they are still ours to give.
    pub fn restore(&mut self) {
        if !std::mem::take(&mut self.raw) {
            return;
        }
        without_stopping(|| {
            for side in self.sides.iter().rev() {
                let ours = TermState::read(&side.fd).is_ok_and(|now| now.same_modes(&side.raw));
                if ours || position(side.fd.as_fd()) != Position::Background {
                    // A terminal that has gone away has nothing to restore.
                    let _ = side.saved.apply(&side.fd);
                }
            }
        });
    }

    /// Whether raw mode is on.
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// Our position towards it; `Background` if that holds for one of two.
    pub fn position(&self) -> Position {
        let all = || self.sides.iter().map(|s| position(s.fd.as_fd()));
        all().find(|p| *p == Position::Background).or_else(|| all().next()).unwrap_or(Position::NotControlling)
    }

    /// Its size, that of the output side first; `None` when it does not know.
    pub fn size(&self) -> Option<Winsize> {
        self.sides
            .iter()
            .rev()
            .filter_map(|s| tcgetwinsize(&s.fd).ok())
            .find(|size| size.ws_row != 0 && size.ws_col != 0)
    }

    /// For a keeper that outlives a SIGKILL of this process: one per terminal, at most two.
    pub fn saved_states(&self) -> Vec<SavedState<'_>> {
        self.sides
            .iter()
            .map(|s| SavedState { fd: s.fd.as_fd(), saved: s.saved.to_bytes(), raw: s.raw.to_bytes() })
            .collect()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.restore();
    }
}

/// What programs take a terminal for that does not say its size (terminfo's `lines` and `cols` of the VT100).
pub const USUAL_SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// A window size from the values of `$COLUMNS` and `$LINES`; one that is missing or not a number becomes 0, which
/// programs take for "unknown". `None` when neither is there.
pub fn size_from_environment(columns: Option<&OsStr>, lines: Option<&OsStr>) -> Option<Winsize> {
    let number = |v: Option<&OsStr>| v.and_then(OsStr::to_str).and_then(|s| s.parse::<u16>().ok()).unwrap_or(0);
    let (ws_col, ws_row) = (number(columns), number(lines));
    (ws_col != 0 || ws_row != 0).then_some(Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })
}

fn same_device(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> bool {
    match (rustix::fs::fstat(a), rustix::fs::fstat(b)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}

/// Runs `f` with SIGTTOU blocked: then the kernel lets a background process set the terminal instead of stopping it.
fn without_stopping(f: impl FnOnce()) {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTTOU);
    let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    f();
    if let Ok(before) = before {
        // Cannot fail: the mask was in force a moment ago.
        let _ = before.thread_set_mask();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::pty::tests::host_pty;

    #[test]
    fn raw_and_back() {
        let pty = host_pty();
        let slave = pty.slave.as_fd();
        let before = TermState::read(slave).unwrap().to_bytes();
        {
            let mut terminal = Terminal::open(Some(slave), Some(slave)).unwrap().unwrap();
            assert_eq!(terminal.saved_states().len(), 1, "one terminal, twice the same");
            assert_eq!(terminal.enter_raw().unwrap(), Position::NotControlling);
            let raw = TermState::read(slave).unwrap();
            assert!(!raw.is_canonical() && raw.to_bytes() != before);
            let kept = &terminal.saved_states()[0];
            assert!(TermState::from_bytes(kept.raw).same_modes(&raw));
            assert_eq!(kept.saved, before);
        }
        assert_eq!(TermState::read(slave).unwrap().to_bytes(), before);
    }

    #[test]
    fn input_and_output_on_different_terminals() {
        let (a, b) = (host_pty(), host_pty());
        let mut terminal = Terminal::open(Some(a.slave.as_fd()), Some(b.slave.as_fd())).unwrap().unwrap();
        terminal.enter_raw().unwrap();
        let (i, o) = (TermState::read(&a.slave).unwrap(), TermState::read(&b.slave).unwrap());
        assert!(!i.is_canonical() && o.is_canonical());
        terminal.restore();
        assert!(TermState::read(&a.slave).unwrap().is_canonical());
    }

    #[test]
    fn no_terminal_and_sizes() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(Terminal::open(Some(file.as_fd()), None).unwrap().is_none());
        let pty = host_pty();
        let terminal = Terminal::open(None, Some(pty.slave.as_fd())).unwrap().unwrap();
        assert!(terminal.size().is_none());
        let size = Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&pty.master, size).unwrap();
        assert_eq!(terminal.size().map(|s| (s.ws_row, s.ws_col)), Some((33, 77)));
    }

    #[test]
    fn sizes_from_the_environment() {
        let size = |c: Option<&str>, l: Option<&str>| {
            size_from_environment(c.map(OsStr::new), l.map(OsStr::new)).map(|s| (s.ws_col, s.ws_row))
        };
        assert_eq!(size(Some("80"), Some("24")), Some((80, 24)));
        assert_eq!(size(Some("80"), None), Some((80, 0)));
        assert_eq!(size(Some("eighty"), Some("70000")), None);
        assert_eq!(size(None, None), None);
    }
}
