// SPDX-License-Identifier: LGPL-2.1-or-later
//! The keeper's list: in order of arrival, texts packed behind each other, nothing allocated.

use crate::wire::{MAX_ENTRIES, MAX_TEXT, Op};

/// One release.
#[derive(Clone, Copy)]
pub struct Entry {
    id: u32,
    /// An `Op` as its number, so that zeroes are a valid value of the whole list.
    op: u32,
    /// The descriptor that goes with it, plus one; 0 is none.
    fd: i32,
    text_at: u32,
    text_length: u32,
}

/// The list. All zero is the empty list, so it costs only the pages that are in use.
pub struct List {
    entries: [Entry; MAX_ENTRIES],
    used: usize,
    text: [u8; MAX_TEXT],
    text_used: usize,
}

impl List {
    pub const EMPTY: List = List {
        entries: [Entry { id: 0, op: 0, fd: 0, text_at: 0, text_length: 0 }; MAX_ENTRIES],
        used: 0,
        text: [0; MAX_TEXT],
        text_used: 0,
    };

    /// Keeps a release. The sender counts as this list does, so `false`, for a full list, does not happen.
    pub fn push(&mut self, id: u32, op: Op, fd: Option<i32>, text: &[u8]) -> bool {
        let Some(place) = self.text.get_mut(self.text_used..self.text_used + text.len() + 1) else { return false };
        let Some(entry) = self.entries.get_mut(self.used) else { return false };
        place[..text.len()].copy_from_slice(text);
        place[text.len()] = 0;
        *entry = Entry {
            id,
            op: op as u32,
            fd: fd.map_or(0, |fd| fd + 1),
            text_at: self.text_used as u32,
            text_length: text.len() as u32,
        };
        self.used += 1;
        self.text_used += text.len() + 1;
        true
    }

    /// Takes a release out without running it; its descriptor is the caller's.
    pub fn remove(&mut self, id: u32) -> Option<Option<i32>> {
        let at = self.entries[..self.used].iter().position(|entry| entry.id == id)?;
        let gone = self.entries[at];
        let (start, length) = (gone.text_at as usize, gone.text_length as usize + 1);
        self.text.copy_within(start + length..self.text_used, start);
        self.text_used -= length;
        self.entries.copy_within(at + 1..self.used, at);
        self.used -= 1;
        for later in &mut self.entries[at..self.used] {
            later.text_at -= length as u32;
        }
        Some((gone.fd > 0).then_some(gone.fd - 1))
    }

    /// Hands every release to `run`, the youngest first: operation, descriptor or -1, text with a NUL behind it.
    pub fn each_backwards(&self, run: impl Fn(Op, i32, &[u8])) {
        for entry in self.entries[..self.used].iter().rev() {
            let start = entry.text_at as usize;
            let text = self.text.get(start..start + entry.text_length as usize + 1);
            if let (Some(op), Some(text)) = (Op::from_number(entry.op), text) {
                run(op, entry.fd - 1, text);
            }
        }
    }
}
