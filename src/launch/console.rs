// SPDX-License-Identifier: LGPL-2.1-or-later
//! The console across the boots of one container: the caller's terminal stays as it is while the guest reboots.

use super::Session;
use crate::error::{Code, Diagnostic, Result};
use crate::log::console_sink::ConsoleSink;
use crate::log::{self, MessageId, StderrIs};
use crate::model::ConsoleMode;
use crate::supervise::{self, Background, Console, Own, Viewer, pty::Pty};
use crate::sys::small_file;
use crate::sys::termios::TermState;
use crate::undo::{Release, Ticket, Undo};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::termios::{Winsize, tcgetwinsize};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// The size of the terminal that we are on, else what `$COLUMNS` and `$LINES` say, else the usual one.
pub fn window_size() -> Winsize {
    let (output, input) = (std::io::stdout(), std::io::stdin());
    let known = [output.as_fd(), input.as_fd()].into_iter().filter_map(|fd| tcgetwinsize(fd).ok());
    known.into_iter().find(|size| size.ws_col != 0 && size.ws_row != 0).unwrap_or_else(fallback_size)
}

fn fallback_size() -> Winsize {
    let (columns, lines) = (std::env::var_os("COLUMNS"), std::env::var_os("LINES"));
    supervise::size_from_environment(columns.as_deref(), lines.as_deref()).unwrap_or(supervise::USUAL_SIZE)
}

/// How long a terminal may take to say its colour (a third of a second, as long as systemd waits).
const ANSWER: Duration = Duration::from_millis(333);

/// The forwarder, and what it has taken.
#[derive(Default)]
pub struct HeldConsole {
    console: Option<Console<'static>>,
    has_pty: bool,
    sink: Option<Rc<RefCell<ConsoleSink>>>,
    terminals: Vec<Ticket>,
}

impl HeldConsole {
    /// Connects this boot's pseudo-terminal and pipes; returns the forwarder.
    pub fn connect(
        &mut self,
        session: &Session<'_>,
        pty: Option<Pty>,
        relays: [Option<OwnedFd>; 3],
        undo: &mut Undo,
    ) -> Result<&mut Console<'static>> {
        let relayed = relays.iter().any(Option::is_some);
        let kept = self.console.take().filter(|_| self.has_pty && !relayed);
        let console = match (kept, pty) {
            (Some(mut console), Some(pty)) => {
                console.replace_pty(pty)?;
                console
            }
            (_, pty) => {
                self.close(undo);
                self.has_pty = pty.is_some();
                self.open(session, pty, relays, undo)?
            }
        };
        Ok(self.console.insert(console))
    }

    fn open(
        &mut self,
        session: &Session<'_>,
        pty: Option<Pty>,
        relays: [Option<OwnedFd>; 3],
        undo: &mut Undo,
    ) -> Result<Console<'static>> {
        let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let mut console = Console::new().fallback_size(Some(fallback_size()));
        if let Some(sink) = unwatched(session) {
            let tap = Rc::clone(self.sink.insert(Rc::new(RefCell::new(sink))));
            console = console.tap(Box::new(move |bytes| tap.borrow_mut().write(bytes)));
        }
        if let Some(pty) = pty {
            let viewer = match session.plan.stdio.mode {
                ConsoleMode::Interactive => Viewer::Interactive { input: input.as_fd(), output: output.as_fd() },
                // The journal gets it line by line and escaped, not as a stream.
                ConsoleMode::ReadOnly if is_journal(output.as_fd()) => Viewer::Passive,
                ConsoleMode::ReadOnly => Viewer::ReadOnly { output: output.as_fd() },
                _ => Viewer::Passive,
            };
            console.attach(pty, viewer)?;
        }
        for (n, relay) in relays.into_iter().enumerate() {
            match (n, relay) {
                (_, None) => {}
                (0, Some(pipe)) => console.relay_in(input.as_fd(), pipe)?,
                (1, Some(pipe)) => console.relay_out(pipe, output.as_fd())?,
                (_, Some(pipe)) => console.relay_out(pipe, error.as_fd())?,
            }
        }
        for state in console.saved_states() {
            let terminal = state.fd.try_clone_to_owned().map_err(|e| {
                Diagnostic::new(Code::ConsoleFailed, "cannot hold on to the descriptor of the terminal").io(&e)
            })?;
            let attributes = TermState::from_bytes(state.saved);
            let release = Release::RestoreTerminal { terminal, attributes };
            self.terminals.push(undo.push(release, "the settings of the terminal")?);
        }
        if let Some(dress) = &session.plan.dress {
            let background = match dress.look.as_ref().map(|l| &l.background) {
                Some(Background::Colour(colour)) => Some(colour.clone()),
                Some(Background::Tint) => console.ask_background(ANSWER).map(supervise::tint),
                Some(Background::None) | None => None,
            };
            console.dress(dress.make(&own()?, background));
        }
        Ok(console)
    }

    /// The boot is over: an unfinished line of the console is written, and lost ones are told.
    pub fn flush(&mut self, session: &Session<'_>) {
        let Some(sink) = &self.sink else { return };
        let mut sink = sink.borrow_mut();
        sink.flush();
        match sink.take_lost() {
            0 => {}
            n => log::warning!(
                session.log,
                MessageId::ConsoleLinesLost,
                "the journal did not take {n} lines of the console"
            ),
        }
    }

    /// Gives the terminal back.
    pub fn close(&mut self, undo: &mut Undo) {
        self.console = None;
        self.sink = None;
        for ticket in self.terminals.drain(..) {
            undo.forget(ticket);
        }
    }
}

/// How this process and this session are told apart from others.
fn own() -> Result<Own> {
    let boot_id = small_file::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
    Ok(Own {
        session: crate::prepare::random_id()?.plain(),
        boot_id: boot_id.map(|id| id.trim().replace('-', "")),
        pid: std::process::id(),
        pidfd_id: own.ok().and_then(|own| crate::bus::pidfd_id(own.as_fd())),
    })
}

/// Console output that nobody can answer goes to the journal, under the machine's name.
fn unwatched(session: &Session<'_>) -> Option<ConsoleSink> {
    match session.plan.stdio.mode {
        ConsoleMode::Passive | ConsoleMode::ReadOnly => ConsoleSink::open(session.plan.machine.as_str()).ok(),
        _ => None,
    }
}

fn is_journal(fd: BorrowedFd<'_>) -> bool {
    StderrIs::detect(std::env::var_os("JOURNAL_STREAM").as_deref(), fd) == StderrIs::Journal
}
