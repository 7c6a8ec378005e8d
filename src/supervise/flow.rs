// SPDX-License-Identifier: LGPL-2.1-or-later
//! One direction of forwarding: a source, a bounded buffer, a sink.

use super::console::{Filter, Flushed};
use super::event::EventLoop;
use super::stream::{Moved, Stream};
use crate::sys::termios::TermState;
use rustix::io::Errno;
use std::time::Instant;

/// What flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The caller's input to the pseudo-terminal.
    Input,
    /// The pseudo-terminal to the caller's output.
    Output,
    /// A terminal of the caller to a pipe.
    RelayIn,
    /// A pipe to a terminal of the caller.
    RelayOut,
}

/// How much one direction holds.
const CAPACITY: usize = 16 * 1024;
/// How many reads one turn of the loop grants, so that no flow starves the others.
const ROUNDS: usize = 8;

/// One direction. The streams are those of the console, by index.
pub(super) struct Flow {
    pub(super) role: Role,
    pub(super) from: usize,
    pub(super) to: Option<usize>,
    buffer: Vec<u8>,
    /// Bytes at the start of the buffer that have been written already.
    written: usize,
    /// The source has ended.
    ended: bool,
    /// The last byte that came.
    pub(super) last: Option<u8>,
    /// The source is a terminal that somebody else has.
    pub(super) waits_for_foreground: bool,
}

impl Flow {
    pub(super) fn new(role: Role, from: usize, to: Option<usize>) -> Self {
        Self { role, from, to, buffer: Vec::new(), written: 0, ended: false, last: None, waits_for_foreground: false }
    }

    /// Begins anew with another pseudo-terminal: what was typed at the old one is forgotten.
    pub(super) fn restart(&mut self) {
        match self.role {
            Role::Output => self.ended = false,
            _ => (self.buffer, self.written) = (Vec::new(), 0),
        }
    }

    fn pending(&self) -> &[u8] {
        &self.buffer[self.written..]
    }

    /// Adds bytes that do not come from the source.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Writes what is in the buffer, waiting for the sink at most until `deadline`.
    pub(super) fn write_out(&mut self, streams: &mut [Option<Stream>], deadline: Instant) -> Flushed {
        loop {
            self.empty(streams);
            if self.pending().is_empty() {
                return Flushed::All;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let takes = |sink: &Stream| !left.is_zero() && sink.wait_writable(left);
            if !self.to.and_then(|to| streams[to].as_ref()).is_some_and(takes) {
                return Flushed::NotYet;
            }
        }
    }

    /// Whether it reads what the caller types or pipes.
    pub(super) fn wants_input(&self) -> bool {
        !self.ended && matches!(self.role, Role::Input | Role::RelayIn)
    }

    fn may_read(&self) -> bool {
        !self.ended && !self.waits_for_foreground && self.pending().len() < CAPACITY
    }

    /// Whether [`Flow::pump`] could move something now.
    pub(super) fn has_work(&self, streams: &[Option<Stream>]) -> bool {
        let is = |i: usize, ready: fn(&Stream) -> bool| streams[i].as_ref().is_some_and(ready);
        (self.may_read() && is(self.from, |s| s.readable))
            || (!self.pending().is_empty() && self.to.is_some_and(|to| is(to, |s| s.writable)))
    }

    /// Moves what can be moved now, a bounded amount.
    pub(super) fn pump(&mut self, streams: &mut [Option<Stream>], filter: &mut Filter<'_, '_>, events: &EventLoop) {
        for _ in 0..ROUNDS {
            if !self.has_work(streams) {
                break;
            }
            if streams[self.from].as_ref().is_some_and(|s| s.readable) {
                self.fill(streams, filter);
            }
            self.empty(streams);
        }
        if self.ended && self.pending().is_empty() && matches!(self.role, Role::RelayIn | Role::RelayOut) {
            // Closing our end of the pipe tells the payload: end of file, or nobody reads any more.
            let pipe = if self.role == Role::RelayIn { self.to.take() } else { Some(self.from) };
            if let Some(stream) = pipe.and_then(|i| streams[i].take()) {
                events.remove(stream.fd());
            }
        }
    }

    /// Moves everything that is left, waiting for the sink at most until `deadline`.
    pub(super) fn drain(
        &mut self,
        streams: &mut [Option<Stream>],
        filter: &mut Filter<'_, '_>,
        deadline: Instant,
    ) -> Flushed {
        loop {
            if self.pending().is_empty() && !self.fill(streams, filter) {
                return Flushed::All;
            }
            self.empty(streams);
            let left = deadline.saturating_duration_since(Instant::now());
            let takes = |sink: &Stream| sink.wait_writable(left);
            let waits = !self.pending().is_empty();
            if left.is_zero() || (waits && !self.to.and_then(|to| streams[to].as_ref()).is_some_and(takes)) {
                return Flushed::NotYet;
            }
        }
    }

    /// Reads once into the buffer; whether bytes came.
    fn fill(&mut self, streams: &mut [Option<Stream>], filter: &mut Filter<'_, '_>) -> bool {
        let (true, Some(source)) = (self.may_read(), &mut streams[self.from]) else { return false };
        if self.role != Role::Output && source.is_in_background() {
            self.waits_for_foreground = true;
            return false;
        }
        let mut chunk = [0; 4096];
        let room = (CAPACITY - self.pending().len()).min(chunk.len());
        match source.read(&mut chunk[..room]) {
            Moved::Bytes(n) => {
                self.buffer.drain(..self.written);
                self.written = 0;
                let (buffer, last) = (&mut self.buffer, &mut self.last);
                filter.pass(self.role, &chunk[..n], |bytes| {
                    buffer.extend_from_slice(bytes);
                    *last = bytes.last().copied().or(*last);
                });
                if self.role == Role::Output {
                    // Not what was added to it.
                    self.last = chunk[..n].last().copied();
                }
                true
            }
            Moved::NotNow => false,
            // Nobody has the container's side open just now (vhangup, before a getty): that is no end.
            Moved::Gone(Some(Errno::IO)) if self.role == Role::Output => {
                source.readable = false;
                false
            }
            // The shell took the terminal between the question and the read.
            Moved::Gone(Some(Errno::IO)) if self.role != Role::RelayOut && source.is_in_background() => {
                self.waits_for_foreground = true;
                false
            }
            Moved::Gone(_) => {
                let was_terminal = source.is_terminal;
                self.end(streams, was_terminal);
                false
            }
        }
    }

    /// The source has ended. A pseudo-terminal has no end of file: the key is pressed instead, once.
    fn end(&mut self, streams: &[Option<Stream>], was_terminal: bool) {
        self.ended = true;
        let Some(master) = self.to.and_then(|to| streams[to].as_ref()) else { return };
        if self.role != Role::Input || was_terminal {
            return;
        }
        let Ok(state) = TermState::read(master.fd()) else { return };
        let key = match state.end_of_file() {
            0 => 4,
            key => key,
        };
        self.buffer.push(key);
        // In the middle of a line the first one only completes the line.
        if state.is_canonical() && self.last.is_some_and(|b| b != b'\n') {
            self.buffer.push(key);
        }
    }

    /// Writes from the buffer until it is empty or the sink says no.
    fn empty(&mut self, streams: &mut [Option<Stream>]) {
        while !self.pending().is_empty() {
            let Some(sink) = self.to.and_then(|to| streams[to].as_mut()) else {
                // Nobody watches: the output is dropped, so that the payload does not block on it.
                (self.buffer, self.written) = (Vec::new(), 0);
                return;
            };
            match sink.write(&self.buffer[self.written..]) {
                Moved::Bytes(n) => self.written += n,
                Moved::NotNow => return,
                // The container's side is closed just now: try again with the next event.
                Moved::Gone(Some(Errno::IO)) if self.role == Role::Input => {
                    sink.writable = false;
                    return;
                }
                Moved::Gone(_) => {
                    self.to = if self.role == Role::RelayIn { self.to } else { None };
                    self.ended |= matches!(self.role, Role::RelayIn | Role::RelayOut | Role::Input);
                    (self.buffer, self.written) = (Vec::new(), 0);
                    return;
                }
            }
        }
        if self.written > 0 {
            self.buffer.clear();
            self.written = 0;
        }
    }
}
