// SPDX-License-Identifier: LGPL-2.1-or-later
//! The supervisor's undo list.

use super::keeper::Keeper;
use super::perform::{PATIENCE, perform};
use super::release::{PathRelease, Release};
use crate::error::{Code, Diagnostic, Result};
use std::borrow::Cow;

/// Names one entry of the list it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(u32);

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    release: Release,
    words: Cow<'static, str>,
}

/// What has been acquired and how it is released, in the order of acquisition. Every entry that the keeper can run too
/// is known to it. Dropping the list runs it; who wants to hear of failures calls [`run`](Self::run).
///
/// A clone of this process must leave by `_exit` or `execve`, as a list that is dropped there would be run twice.
#[derive(Debug, Default)]
pub struct Undo {
    entries: Vec<Entry>,
    last: u32,
    keeper: Option<Keeper>,
}

impl Undo {
    /// A list that nobody runs when this process is killed.
    pub fn unkept() -> Self {
        Self::default()
    }

    /// A list that the keeper runs when this process is killed.
    pub fn kept_by(keeper: Keeper) -> Self {
        Self { entries: Vec::new(), last: 0, keeper: Some(keeper) }
    }

    /// The keeper, while there is one.
    pub fn keeper(&self) -> Option<&Keeper> {
        self.keeper.as_ref()
    }

    /// Puts another keeper in the place of one that is gone and tells it everything.
    ///
    /// # Errors
    /// [`Code::Prepare`] when it cannot be told; it is dropped then.
    pub fn replace_keeper(&mut self, mut keeper: Keeper) -> Result<()> {
        self.keeper = None;
        for entry in &self.entries {
            keeper.push(entry.ticket.0, &entry.release)?;
        }
        self.keeper = Some(keeper);
        Ok(())
    }

    /// Adds a release; `words` say what was acquired ("the mount on /run/spawn/x/root"). Push before acquiring where the
    /// release does no harm when there is nothing to release.
    ///
    /// # Errors
    /// [`Code::Prepare`] when the keeper cannot take it. It has been run then: nothing acquired is left over.
    pub fn push(&mut self, release: impl Into<Release>, words: impl Into<Cow<'static, str>>) -> Result<Ticket> {
        let (release, words) = (release.into(), words.into());
        self.last += 1;
        let ticket = Ticket(self.last);
        if let Some(keeper) = &mut self.keeper
            && let Err(error) = keeper.push(ticket.0, &release)
        {
            return Err(match perform(release, PATIENCE) {
                Ok(()) => error.note(format!("released again: {words}")),
                Err(second) => error.note(format!("left over: {words}: {}", second.headline())),
            });
        }
        self.entries.push(Entry { ticket, release, words });
        Ok(ticket)
    }

    /// Runs one release now and takes it off the list. A ticket that is not on the list any more is none to run.
    ///
    /// # Errors
    /// [`Code::ReleaseFailed`], or what a [`Release::Call`] returns. It is off the list all the same.
    pub fn release(&mut self, ticket: Ticket) -> Result<()> {
        let Some(entry) = self.take(ticket) else { return Ok(()) };
        let outcome = perform(entry.release, PATIENCE).map_err(|error| left_over(error, &entry.words));
        self.tell_released(ticket);
        outcome
    }

    /// Takes a release off the list without running it.
    pub fn forget(&mut self, ticket: Ticket) {
        if self.take(ticket).is_some() {
            self.tell_released(ticket);
        }
    }

    /// Runs every release, the youngest first, and ends the keeper. A failure keeps none of the others from running;
    /// all failures are returned. The keeper is not told of each: killed now, this process leaves it to run some twice.
    pub fn run(&mut self) -> Vec<Diagnostic> {
        let mut failures = Vec::new();
        // Behind the locks that came first somebody else may already be: nothing is run twice from there on.
        let guards = self.entries.iter().take_while(|entry| matches!(entry.release, Release::Unlock(_))).count();
        self.run_down_to(guards, &mut failures);
        failures.extend(self.keeper.take().and_then(|keeper| keeper.finish().err()));
        self.run_down_to(0, &mut failures);
        failures
    }

    fn run_down_to(&mut self, left: usize, failures: &mut Vec<Diagnostic>) {
        for Entry { release, words, .. } in self.entries.split_off(left).into_iter().rev() {
            if let Err(error) = perform(release, PATIENCE) {
                failures.push(left_over(error, &words));
            }
        }
    }

    /// The entries that a later process can run, in order of acquisition, for the record.
    pub fn recordable(&self) -> Vec<PathRelease> {
        let of_path = |entry: &Entry| match &entry.release {
            Release::Path(path) => Some(path.clone()),
            _ => None,
        };
        self.entries.iter().filter_map(of_path).collect()
    }

    fn take(&mut self, ticket: Ticket) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.ticket == ticket)?;
        Some(self.entries.remove(at))
    }

    fn tell_released(&mut self, ticket: Ticket) {
        if let Some(keeper) = &mut self.keeper {
            // A keeper that cannot be reached is gone and runs nothing; the next push says so.
            let _told = keeper.released(ticket.0);
        }
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _failures = self.run();
    }
}

fn left_over(error: Diagnostic, words: &str) -> Diagnostic {
    if error.code() == Code::ReleaseFailed { error.note(format!("{words} may be left over")) } else { error }
}
