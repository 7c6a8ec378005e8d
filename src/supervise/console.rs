// SPDX-License-Identifier: LGPL-2.1-or-later
//! The console forwarder: between the caller's descriptors and the container's pseudo-terminal or pipes.
//!
//! Every direction has one bounded buffer, so a side that does not read holds up the other side and nothing grows. No
//! read or write blocks. Who watches what (systemd-nspawn(1), `--console=`) is decided by what is [attached](Viewer).

use super::dress::{self, Dressed};
use super::event::{EventLoop, Ready, Token};
use super::flow::{Flow, Role};
use super::hotkeys::{Hotkey, Hotkeys};
use super::painter::Painter;
use super::pty::Pty;
use super::stream::{Direction, Moved, Stream};
use super::sudo;
use super::terminal::{Position, SavedState, Terminal};
use crate::error::{Code, Diagnostic, Result};
use rustix::termios::{Winsize, tcsetwinsize};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How often a terminal that somebody else has is looked at again: a shell does not tell when it gives a running
/// background job the foreground.
const RECHECK: Duration = Duration::from_millis(500);
/// How long the last words to the terminal may take.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Who watches the container's pseudo-terminal.
pub enum Viewer<'f> {
    /// Both ways, the terminals among the two in raw mode.
    Interactive {
        /// Where input comes from; one that is no terminal ends with the end-of-file key.
        input: BorrowedFd<'f>,
        /// Where output goes.
        output: BorrowedFd<'f>,
    },
    /// Output only.
    ReadOnly {
        /// Where output goes.
        output: BorrowedFd<'f>,
    },
    /// Nobody: the output is taken off, so that the payload does not block on it, and goes to the [tap](Console::tap).
    Passive,
}

/// Receives a copy of the container's output.
pub type Tap<'a> = Box<dyn FnMut(&[u8]) + 'a>;

/// The forwarder. The caller's terminal is restored when it is dropped.
#[derive(Default)]
pub struct Console<'a> {
    streams: Vec<Option<Stream>>,
    flows: Vec<Flow>,
    /// Index of the master among the streams.
    master: Option<usize>,
    /// Held open, see [`Pty::slave`].
    slave: Option<OwnedFd>,
    terminal: Option<Terminal>,
    keys: Option<Hotkeys>,
    tap: Option<Tap<'a>>,
    fallback_size: Option<Winsize>,
    recheck_at: Option<Instant>,
    asked_sudo: Option<Instant>,
    painter: Option<Painter>,
    /// Written to the viewer at the end.
    closing: Option<Vec<u8>>,
}

impl<'a> Console<'a> {
    /// One that forwards nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `tap` a copy of everything that the container writes to its console.
    pub fn tap(mut self, tap: Tap<'a>) -> Self {
        self.tap = Some(tap);
        self
    }

    /// The window size where no terminal knows one ([`super::terminal::size_from_environment`]).
    pub fn fallback_size(mut self, size: Option<Winsize>) -> Self {
        self.fallback_size = size;
        self
    }

    /// Connects the container's pseudo-terminal. The window size is set; the caller's terminal is not changed before
    /// [`super::run`].
    pub fn attach(&mut self, pty: Pty, viewer: Viewer<'_>) -> Result<()> {
        let master = self.push(Stream::own(pty.master)?);
        self.master = Some(master);
        self.slave = Some(pty.slave);
        let (input, output) = match viewer {
            Viewer::Interactive { input, output } => (Some(input), Some(output)),
            Viewer::ReadOnly { output } => (None, Some(output)),
            Viewer::Passive => (None, None),
        };
        self.terminal = Terminal::open(input, output)?;
        if let Some(fd) = input {
            let stream = Stream::share(fd, Direction::Source)?;
            // In a pipe the bytes of a hotkey are data.
            self.keys = stream.is_terminal.then(Hotkeys::default);
            let from = self.push(stream);
            self.flows.push(Flow::new(Role::Input, from, Some(master)));
        }
        let to = match output {
            Some(fd) => Some(Stream::share(fd, Direction::Sink)?),
            None => None,
        };
        let to = to.map(|stream| self.push(stream));
        self.flows.push(Flow::new(Role::Output, master, to));
        self.resize();
        Ok(())
    }

    /// Replaces the pseudo-terminal by that of the container's next boot: viewers, terminal and what is buffered stay.
    pub fn replace_pty(&mut self, pty: Pty) -> Result<()> {
        let Some(master) = self.master else {
            return Err(Diagnostic::new(Code::ConsoleFailed, "the console has no pseudo-terminal to replace"));
        };
        self.streams[master] = Some(Stream::own(pty.master)?);
        self.slave = Some(pty.slave);
        for flow in &mut self.flows {
            flow.restart();
        }
        self.resize();
        Ok(())
    }

    /// Relays a terminal of the caller into a pipe whose other end is the payload's standard input.
    pub fn relay_in(&mut self, terminal: BorrowedFd<'_>, pipe: OwnedFd) -> Result<()> {
        let from = self.push(Stream::share(terminal, Direction::Source)?);
        let to = self.push(Stream::own(pipe)?);
        self.flows.push(Flow::new(Role::RelayIn, from, Some(to)));
        Ok(())
    }

    /// Relays a pipe whose other end is the payload's standard output or error to a terminal of the caller.
    pub fn relay_out(&mut self, pipe: OwnedFd, terminal: BorrowedFd<'_>) -> Result<()> {
        let from = self.push(Stream::own(pipe)?);
        let to = self.push(Stream::share(terminal, Direction::Sink)?);
        self.flows.push(Flow::new(Role::RelayOut, from, Some(to)));
        Ok(())
    }

    /// Dresses the viewer's terminal until this is dropped.
    pub fn dress(&mut self, dressed: Dressed) {
        if let Some(flow) = self.flows.iter_mut().find(|f| f.role == Role::Output) {
            flow.put(&dressed.opening);
            (self.painter, self.closing) = (dressed.painter, Some(dressed.closing));
        }
    }

    /// Asks the viewer's terminal for the colour of its background (red, green, blue between 0 and 1), within `limit`. What
    /// is typed meanwhile is input of the container. A terminal that somebody else has is not asked.
    pub fn ask_background(&mut self, limit: Duration) -> Option<[f64; 3]> {
        let deadline = Instant::now() + limit;
        let left = || deadline.saturating_duration_since(Instant::now());
        let flow = |role| self.flows.iter().position(|f| f.role == role);
        let (input, output) = (flow(Role::Input)?, flow(Role::Output)?);
        if self.terminal.as_mut()?.enter_raw().ok()? == Position::Background {
            return None;
        }
        let screen = self.flows[output].to.and_then(|i| self.streams[i].as_mut())?;
        if !screen.wait_writable(left()) || screen.write(dress::QUESTION) != Moved::Bytes(dress::QUESTION.len()) {
            return None;
        }
        let keyboard = self.streams[self.flows[input].from].as_mut()?;
        let (mut typed, mut found) = (Vec::new(), None);
        while found.is_none() && keyboard.wait_readable(left()) {
            let mut chunk = [0; 256];
            match keyboard.read(&mut chunk) {
                Moved::Bytes(n) => typed.extend_from_slice(&chunk[..n]),
                Moved::NotNow => {}
                Moved::Gone(_) => break,
            }
            found = dress::answer(&typed);
        }
        let colour = found.map(|(colour, at)| {
            typed.drain(at);
            colour
        });
        self.flows[input].put(&typed);
        colour
    }

    fn undress(&mut self) {
        let Some(mut closing) = self.closing.take() else { return };
        if let Some(flow) = self.flows.iter_mut().find(|f| f.role == Role::Output) {
            if flow.last.is_some_and(|b| b != b'\n') {
                closing.splice(..0, *b"\r\n");
            }
            flow.put(&closing);
            // A viewer that does not read keeps the dress.
            let _undressed = flow.write_out(&mut self.streams, Instant::now() + LAST_WORDS);
        }
    }

    /// What a keeper needs to restore the caller's terminal after a SIGKILL of this process.
    pub fn saved_states(&self) -> Vec<SavedState<'_>> {
        self.terminal.iter().flat_map(Terminal::saved_states).collect()
    }

    /// The last byte that the container wrote: whether the cursor is at the start of a line.
    pub fn last_byte(&self) -> Option<u8> {
        self.flows.iter().find(|f| f.role == Role::Output).and_then(|f| f.last)
    }

    /// Plugs every stream into the loop and takes the terminal.
    pub(super) fn start(&mut self, events: &EventLoop, now: Instant) -> Result<()> {
        for (i, stream) in self.streams.iter_mut().enumerate() {
            if let Some(stream) = stream {
                stream.register(events, Token::Console(i as u32))?;
            }
        }
        for flow in &mut self.flows {
            // Nothing would ever be there to read.
            flow.waits_for_foreground |= flow.wants_input() && kept_by_sudo(&self.streams[flow.from]);
        }
        self.recheck(now)
    }

    /// Notes an event of the stream with that index.
    pub(super) fn note(&mut self, index: u32, ready: Ready) {
        if let Some(Some(stream)) = self.streams.get_mut(index as usize) {
            stream.readable |= ready.readable;
            stream.writable |= ready.writable;
        }
    }

    /// Moves what can be moved now, a bounded amount; returns the keys that were recognised.
    pub(super) fn pump(&mut self, events: &EventLoop, now: Instant) -> Vec<Hotkey> {
        let mut found = Vec::new();
        for flow in &mut self.flows {
            let mut filter =
                Filter { keys: &mut self.keys, tap: &mut self.tap, painter: &mut self.painter, now, found: &mut found };
            flow.pump(&mut self.streams, &mut filter, events);
            if flow.waits_for_foreground && self.recheck_at.is_none() {
                self.recheck_at = Some(now + RECHECK);
            }
        }
        found
    }

    /// Whether [`Console::pump`] could move something without a further event.
    pub(super) fn has_work(&self) -> bool {
        self.flows.iter().any(|flow| flow.has_work(&self.streams))
    }

    /// When [`Console::tick`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.recheck_at
    }

    /// Looks at the terminal again when it is time to.
    pub(super) fn tick(&mut self, now: Instant) -> Result<()> {
        match self.recheck_at {
            Some(at) if now >= at => self.recheck(now),
            _ => Ok(()),
        }
    }

    /// Looks whether the terminal is ours (again): after SIGCONT, or from time to time while it is not.
    pub(super) fn recheck(&mut self, now: Instant) -> Result<()> {
        let background = match &mut self.terminal {
            Some(terminal) => terminal.enter_raw()? == Position::Background,
            None => false,
        };
        for flow in &mut self.flows {
            let still = self.streams[flow.from].as_ref().is_some_and(Stream::is_in_background);
            flow.waits_for_foreground &= still;
        }
        let waiting = background || self.flows.iter().any(|f| f.waits_for_foreground);
        let asked_just_now = self.asked_sudo.is_some_and(|at| now < at + RECHECK);
        let wants = |flow: &Flow| flow.wants_input() && kept_by_sudo(&self.streams[flow.from]);
        if waiting && !asked_just_now && self.flows.iter().any(wants) {
            self.asked_sudo = Some(now);
            // SIGCONT comes with the foreground.
            sudo::ask();
        }
        self.recheck_at = waiting.then(|| now + RECHECK);
        Ok(())
    }

    /// Gives the terminal back for as long as this process is stopped.
    pub(super) fn suspend(&mut self) {
        if let Some(terminal) = &mut self.terminal {
            terminal.restore();
        }
    }

    /// Sets the size of the container's terminal to that of the caller's.
    pub(super) fn resize(&mut self) {
        let size = self.terminal.as_ref().and_then(Terminal::size).or(self.fallback_size);
        if let (Some(size), Some(master)) = (size, self.master.and_then(|m| self.streams[m].as_ref())) {
            // A size that cannot be set leaves the container with the old one, which is all that is lost.
            let _ = tcsetwinsize(master.fd(), size);
        }
    }

    /// Forwards what the container has left behind, when it is gone: until there is no more, or `limit` has passed, after
    /// which it can be called again.
    pub(super) fn finish(&mut self, limit: Duration) -> Flushed {
        // With no slave open the kernel says EIO after the last byte.
        self.slave = None;
        let deadline = Instant::now() + limit;
        let (mut none, mut found) = (None, Vec::new());
        let mut flushed = Flushed::All;
        for flow in &mut self.flows {
            if matches!(flow.role, Role::Output | Role::RelayOut) {
                let mut filter = Filter {
                    keys: &mut none,
                    tap: &mut self.tap,
                    painter: &mut self.painter,
                    now: deadline,
                    found: &mut found,
                };
                if flow.drain(&mut self.streams, &mut filter, deadline) == Flushed::NotYet {
                    flushed = Flushed::NotYet;
                }
            }
        }
        flushed
    }

    fn push(&mut self, stream: Stream) -> usize {
        self.streams.push(Some(stream));
        self.streams.len() - 1
    }
}

impl Drop for Console<'_> {
    fn drop(&mut self) {
        self.undress();
    }
}

fn kept_by_sudo(stream: &Option<Stream>) -> bool {
    stream.as_ref().is_some_and(|s| s.is_in_background() && sudo::keeps(s.fd()))
}

/// How far [`Console::finish`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Everything has been written.
    All,
    /// The viewer has not taken all of it yet.
    NotYet,
}

/// What looks at the bytes on their way.
pub(super) struct Filter<'c, 'a> {
    keys: &'c mut Option<Hotkeys>,
    tap: &'c mut Option<Tap<'a>>,
    painter: &'c mut Option<Painter>,
    now: Instant,
    found: &'c mut Vec<Hotkey>,
}

impl Filter<'_, '_> {
    /// Takes out of `bytes` what goes on, and hands it to `sink` piece by piece.
    pub(super) fn pass(&mut self, role: Role, bytes: &[u8], mut sink: impl FnMut(&[u8])) {
        match (role, &mut self.keys) {
            (Role::Input, Some(keys)) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let fed = keys.feed(rest, self.now);
                    sink(&rest[..fed.pass]);
                    self.found.extend(fed.hotkey);
                    rest = &rest[fed.done..];
                }
            }
            (Role::Output, _) => {
                if let Some(tap) = &mut self.tap {
                    tap(bytes);
                }
                match &mut self.painter {
                    Some(painter) => {
                        let mut painted = Vec::with_capacity(bytes.len());
                        painter.paint(bytes, &mut painted);
                        sink(&painted);
                    }
                    None => sink(bytes),
                }
            }
            _ => sink(bytes),
        }
    }
}
