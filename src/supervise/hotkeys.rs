// SPDX-License-Identifier: LGPL-2.1-or-later
//! The keys that end a session from the terminal: three times `^]`, or `^]^]p`, `^]^]r`, within a second.

use std::time::{Duration, Instant};

/// `^]`, the key that introduces them.
pub const ESCAPE: u8 = 0x1d;

/// A sequence must be complete this long after its first key.
pub const WITHIN: Duration = Duration::from_secs(1);

/// What the keys ask for (systemd-nspawn(1), "Description").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hotkey {
    /// `^]^]^]`: kill the payload now.
    Stop,
    /// `^]^]p`: ask the payload to power off.
    PowerOff,
    /// `^]^]r`: ask the payload to reboot.
    Reboot,
}

/// What became of some input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fed {
    /// So many bytes from the start go to the payload.
    pub pass: usize,
    /// So many bytes are done with; what follows is to be fed again.
    pub done: usize,
    /// The sequence that was completed, when `done` went beyond `pass`.
    pub hotkey: Option<Hotkey>,
}

/// Recognises the sequences.
///
/// A `^]` goes to the payload at once, since it may be a key of an editor; only the key that completes a sequence is
/// withheld.
#[derive(Debug, Default)]
pub struct Hotkeys {
    /// How many `^]` in a row, and when the first one came.
    seen: Option<(u8, Instant)>,
}

impl Hotkeys {
    /// Takes input that arrived at `now`, up to the end of the first complete sequence.
    pub fn feed(&mut self, input: &[u8], now: Instant) -> Fed {
        for (i, &byte) in input.iter().enumerate() {
            let run = match self.seen {
                Some((n, first)) if now.saturating_duration_since(first) <= WITHIN => Some((n, first)),
                _ => None,
            };
            let hotkey = match (run, byte) {
                (Some((2, _)), ESCAPE) => Some(Hotkey::Stop),
                (Some((2, _)), b'p') => Some(Hotkey::PowerOff),
                (Some((2, _)), b'r') => Some(Hotkey::Reboot),
                _ => None,
            };
            self.seen = match (run, byte) {
                _ if hotkey.is_some() => None,
                (Some((n, first)), ESCAPE) => Some((n + 1, first)),
                (None, ESCAPE) => Some((1, now)),
                _ => None,
            };
            if hotkey.is_some() {
                return Fed { pass: i, done: i + 1, hotkey };
            }
        }
        Fed { pass: input.len(), done: input.len(), hotkey: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds chunks at times in milliseconds; returns what passed and what was recognised.
    fn type_in(chunks: &[(u64, &[u8])]) -> (Vec<u8>, Vec<Hotkey>) {
        let start = Instant::now();
        let (mut keys, mut passed, mut found) = (Hotkeys::default(), Vec::new(), Vec::new());
        for &(millis, chunk) in chunks {
            let mut rest = chunk;
            while !rest.is_empty() {
                let fed = keys.feed(rest, start + Duration::from_millis(millis));
                passed.extend_from_slice(&rest[..fed.pass]);
                found.extend(fed.hotkey);
                rest = &rest[fed.done..];
            }
        }
        (passed, found)
    }

    #[test]
    fn sequences() {
        use Hotkey::*;
        type Row = (&'static [(u64, &'static [u8])], &'static [u8], &'static [Hotkey]);
        let rows: &[Row] = &[
            (&[(0, b"hello\x1d")], b"hello\x1d", &[]),
            (&[(0, b"\x1d\x1d\x1d")], b"\x1d\x1d", &[Stop]),
            (&[(0, b"\x1d"), (400, b"\x1d"), (999, b"\x1d")], b"\x1d\x1d", &[Stop]),
            (&[(0, b"\x1d"), (400, b"\x1d"), (1001, b"\x1d")], b"\x1d\x1d\x1d", &[]),
            // After a sequence ran out of time its last key starts a new one.
            (&[(0, b"\x1d"), (1100, b"\x1d"), (1200, b"\x1d"), (1300, b"\x1d")], b"\x1d\x1d\x1d", &[Stop]),
            (&[(0, b"\x1d\x1dp")], b"\x1d\x1d", &[PowerOff]),
            (&[(0, b"a\x1d\x1drb")], b"a\x1d\x1db", &[Reboot]),
            (&[(0, b"\x1dp\x1dr")], b"\x1dp\x1dr", &[]),
            (&[(0, b"\x1d\x1dx\x1d")], b"\x1d\x1dx\x1d", &[]),
            (&[(0, b"\x1d\x1dP")], b"\x1d\x1dP", &[]),
            (&[(0, b"\x1d\x1d"), (1500, b"p")], b"\x1d\x1dp", &[]),
            (&[(0, b"\x1d\x1dp\x1d\x1dr")], b"\x1d\x1d\x1d\x1d", &[PowerOff, Reboot]),
            (&[(0, b"p"), (10, b"")], b"p", &[]),
        ];
        for (input, passed, found) in rows {
            assert_eq!(type_in(input), (passed.to_vec(), found.to_vec()), "{input:?}");
        }
    }
}
