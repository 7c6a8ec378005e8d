// SPDX-License-Identifier: LGPL-2.1-or-later
//! Where in a command line there are values that nobody else is to see: ps(1) shows it, and journald stores it with
//! every message.

use crate::config::{Key, Repeat, keys};
use std::ops::Range;

/// For each word of the command line the range of bytes that is secret; empty where nothing is.
///
/// Words are not told from values of other options here: where that is in doubt more is hidden rather than less. The
/// words of the program to run are left alone when `--` says where they begin.
pub fn secrets(words: &[&[u8]]) -> Vec<Range<usize>> {
    let mut found = Vec::with_capacity(words.len());
    let mut next: Option<u8> = None;
    let mut options = true;
    for (n, word) in words.iter().enumerate() {
        let value = next.take();
        let part = match value {
            Some(byte) => after(word, 0, byte),
            None if n == 0 || !options => 0..0,
            None if *word == b"--" => {
                options = false;
                0..0
            }
            None => {
                let (part, follows) = option(word);
                next = follows;
                part
            }
        };
        found.push(part);
    }
    found
}

/// The secret part of a word that may be an option, and the byte that the secret begins after in the next word.
fn option(word: &[u8]) -> (Range<usize>, Option<u8>) {
    for key in keys::all() {
        let Repeat::UpTo(byte) = key.repeat else { continue };
        match value_at(key, word) {
            Some(at) if at < word.len() => return (after(word, at, byte), None),
            Some(_) => return (0..0, Some(byte)),
            None => {}
        }
    }
    (0..0, None)
}

/// Where the value begins when the word is this option; the word's end when the value is the next word.
fn value_at(key: &Key, word: &[u8]) -> Option<usize> {
    if let Some(long) = word.strip_prefix(b"--") {
        let end = long.iter().position(|b| *b == b'=').unwrap_or(long.len());
        // Long options may be abbreviated.
        let named = end > 0 && key.long.is_some_and(|name| name.as_bytes().starts_with(&long[..end]));
        return named.then_some((2 + end + 1).min(word.len()));
    }
    let letters = word.strip_prefix(b"-")?;
    let letter = u8::try_from(key.short?).ok()?;
    letters.iter().position(|b| *b == letter).map(|at| 1 + at + 1)
}

/// What comes after the first `byte` from `start` on.
fn after(word: &[u8], start: usize, byte: u8) -> Range<usize> {
    match word[start..].iter().position(|b| *b == byte) {
        Some(at) => start + at + 1..word.len(),
        None => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The line as others see it, hidden bytes as `*`.
    fn shown(line: &str) -> String {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let masked = words.iter().zip(secrets(&words)).map(|(word, part)| {
            let mut word = word.to_vec();
            word[part].fill(b'*');
            String::from_utf8(word).unwrap()
        });
        masked.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn values_are_hidden_however_they_are_written() {
        for (line, expected) in [
            ("spawn -E A=b -D /x sh", "spawn -E A=* -D /x sh"),
            ("spawn -EA=b=c", "spawn -EA=***"),
            ("spawn -bE A=b", "spawn -bE A=*"),
            ("spawn --setenv=A=b", "spawn --setenv=A=*"),
            ("spawn --setenv A=b", "spawn --setenv A=*"),
            ("spawn --sete=A=b", "spawn --sete=A=*"),
            ("spawn --set-credential=id:secret", "spawn --set-credential=id:******"),
            ("spawn --set-credential id:a:b", "spawn --set-credential id:***"),
            ("spawn -E A", "spawn -E A"),
            ("spawn --load-credential=a:/path", "spawn --load-credential=a:*****"),
            ("spawn -- -E A=b", "spawn -- -E A=b"),
            ("-EA=b", "-EA=b"),
        ] {
            assert_eq!(shown(line), expected);
        }
    }
}
