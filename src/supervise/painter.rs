// SPDX-License-Identifier: LGPL-2.1-or-later
//! Keeps the container's colour under what it writes, and its mark in the window titles that it sets.
//!
//! The sequences are those of ECMA-48 and of xterm's control sequences (`ctlseqs`).

/// The longest parameters or title that are looked at.
const LONGEST: usize = 256;

/// Where in the container's output we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    /// Behind a carriage return or line feed: terminals erase with the colour that is set when the line is written.
    LineMoved,
    /// Behind ESC.
    Escape,
    /// In a control sequence (CSI).
    Control,
    /// In an operating system command (OSC).
    Command,
    /// In another string (DCS, SOS, PM, APC), such as a picture.
    Opaque,
    /// Behind an ESC in a command, which ends it.
    CommandEscape,
    /// Behind an ESC in another string.
    OpaqueEscape,
}

/// What it adds. The container's own bytes all go through, in their order.
pub struct Painter {
    /// Parameters of SGR that set the background.
    background: Option<String>,
    /// Put in front of window titles.
    mark: Option<&'static str>,
    state: State,
    /// Parameters of the control sequence, or the command so far; `None` when it is too long to be of interest.
    sequence: Option<Vec<u8>>,
}

impl Painter {
    /// One that has seen nothing yet.
    pub fn new(background: Option<String>, mark: Option<&'static str>) -> Self {
        Self { background, mark, state: State::Text, sequence: None }
    }

    /// Appends `bytes` to `out`, with what has to be added.
    pub fn paint(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for byte in bytes {
            self.state = self.step(*byte, out);
        }
    }

    fn step(&mut self, byte: u8, out: &mut Vec<u8>) -> State {
        if self.state == State::LineMoved {
            self.colour(out);
        }
        if self.state == State::Control && byte == b'm' && self.sequence.as_deref().is_some_and(resets_background) {
            out.extend(self.background.iter().flat_map(|colour| [b";", colour.as_bytes()].concat()));
        }
        out.push(byte);
        match (self.state, byte) {
            // CAN and SUB break off whatever goes on.
            (_, 0x18 | 0x1a) => State::Text,
            (State::CommandEscape, b'\\') => {
                self.mark_title(out);
                State::Text
            }
            (State::OpaqueEscape, b'\\') => State::Text,
            (State::Text | State::LineMoved, _) => after_text(byte),
            (State::Escape | State::CommandEscape | State::OpaqueEscape, _) => self.after_escape(byte, out),
            (State::Control, 0x40..=0x7e) => {
                // A soft reset (DECSTR).
                if byte == b'p' && self.sequence.as_deref() == Some(b"!") {
                    self.colour(out);
                }
                State::Text
            }
            (State::Command, 0x07) => {
                self.mark_title(out);
                State::Text
            }
            (State::Control, 0x1b) => State::Escape,
            (State::Command, 0x1b) => State::CommandEscape,
            (State::Opaque, 0x1b) => State::OpaqueEscape,
            (State::Opaque, 0x07) => State::Text,
            (State::Control | State::Command, 0x20..) => {
                self.sequence = self.sequence.take().filter(|s| s.len() < LONGEST);
                self.sequence.iter_mut().for_each(|s| s.push(byte));
                self.state
            }
            (State::Control | State::Command | State::Opaque, _) => self.state,
        }
    }

    fn after_escape(&mut self, byte: u8, out: &mut Vec<u8>) -> State {
        match byte {
            b'[' | b']' => {
                self.sequence = Some(Vec::new());
                if byte == b'[' { State::Control } else { State::Command }
            }
            b'P' | b'X' | b'^' | b'_' => State::Opaque,
            // A full reset (RIS).
            b'c' => {
                self.colour(out);
                State::Text
            }
            _ => after_text(byte),
        }
    }

    fn colour(&self, out: &mut Vec<u8>) {
        out.extend(self.background.iter().flat_map(|colour| format!("\x1b[{colour}m").into_bytes()));
    }

    /// Says the title once more, with the mark.
    fn mark_title(&self, out: &mut Vec<u8>) {
        let title = self.sequence.as_deref().and_then(|s| s.strip_prefix(b"0;"));
        if let (Some(mark), Some(title)) = (self.mark, title) {
            out.extend([b"\x1b]0;", mark.as_bytes(), title, b"\x1b\\"].concat());
        }
    }
}

fn after_text(byte: u8) -> State {
    match byte {
        b'\n' | b'\r' => State::LineMoved,
        0x1b => State::Escape,
        _ => State::Text,
    }
}

/// Whether these parameters of SGR leave the terminal's own background.
fn resets_background(parameters: &[u8]) -> bool {
    // With another character in it, it is no SGR (xterm's `ESC [ > m`).
    if !parameters.iter().all(|b| b.is_ascii_digit() || matches!(b, b';' | b':')) {
        return false;
    }
    let mut resets = false;
    let mut rest = parameters.split(|b| *b == b';');
    while let Some(one) = rest.next() {
        let (number, more) = match one.iter().position(|b| *b == b':') {
            Some(at) => (&one[..at], true),
            None => (one, false),
        };
        // Digits only, so this fails for what is empty or too large.
        let number = std::str::from_utf8(number).unwrap_or_default().parse().unwrap_or(0u32);
        match number {
            0 | 49 => resets = true,
            40..=48 | 100..=107 => resets = false,
            _ => {}
        }
        // A colour out of a palette or of three parts follows, apart by semicolons as well.
        if matches!(number, 38 | 48 | 58) && !more {
            let skipped = match rest.next() {
                Some(b"5" | b"05") => 1,
                Some(b"2" | b"02") => 3,
                _ => 0,
            };
            rest.by_ref().take(skipped).for_each(drop);
        }
    }
    resets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn painted(text: &str) -> String {
        let mut out = Vec::new();
        Painter::new(Some("44".into()), Some("# ")).paint(text.as_bytes(), &mut out);
        let whole = String::from_utf8(out).unwrap();
        let mut piecewise = Vec::new();
        let mut painter = Painter::new(Some("44".into()), Some("# "));
        text.bytes().for_each(|b| painter.paint(&[b], &mut piecewise));
        assert_eq!(piecewise, whole.as_bytes(), "the same whatever the pieces");
        whole
    }

    #[test]
    fn the_colour_comes_back() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a\nb", "a\n\x1b[44mb"),
            ("a\r\nb\n", "a\r\x1b[44m\n\x1b[44mb\n"),
            ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0;44m"),
            ("\x1b[m\x1b[49m\x1b[00m\x1b[1;0m", "\x1b[;44m\x1b[49;44m\x1b[00;44m\x1b[1;0;44m"),
            (
                "\x1b[0;41m\x1b[0;103m\x1b[48;5;3m\x1b[0;48:2::1:2:3m",
                "\x1b[0;41m\x1b[0;103m\x1b[48;5;3m\x1b[0;48:2::1:2:3m",
            ),
            ("\x1b[38;5;0m\x1b[38;2;0;49;0m", "\x1b[38;5;0m\x1b[38;2;0;49;0m"),
            ("\x1b[41;38;2;0;0;0;0m", "\x1b[41;38;2;0;0;0;0;44m"),
            ("\x1b[>4;0m\x1b[?0m\x1b[2J\x1b[0K", "\x1b[>4;0m\x1b[?0m\x1b[2J\x1b[0K"),
            ("\x1bc\x1b[!p.", "\x1bc\x1b[44m\x1b[!p\x1b[44m."),
            ("\x1bP0\n\x1b[0m\x1b\\x", "\x1bP0\n\x1b[0;44m\x1b\\x"),
            ("\x1b_\n\x07\x1b^a\rb\x18", "\x1b_\n\x07\x1b^a\rb\x18"),
        ] {
            assert_eq!(painted(text), expected, "{text:?}");
        }
    }

    #[test]
    fn titles_are_marked() {
        for (text, expected) in [
            ("\x1b]0;t\x07.", "\x1b]0;t\x07\x1b]0;# t\x1b\\."),
            ("\x1b]0;t\x1b\\.", "\x1b]0;t\x1b\\\x1b]0;# t\x1b\\."),
            ("\x1b]2;t\x07\x1b]11;?\x07\x1b]0;t\x18", "\x1b]2;t\x07\x1b]11;?\x07\x1b]0;t\x18"),
            ("\x1b]0;t\x1b[0m", "\x1b]0;t\x1b[0;44m"),
        ] {
            assert_eq!(painted(text), expected, "{text:?}");
        }
        let long = format!("\x1b]0;{}\x07", "x".repeat(LONGEST));
        assert_eq!(painted(&long), long);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(bytes in proptest::collection::vec(prop_oneof![Just(0x1b), Just(b'['), Just(b']'), Just(b'm'), Just(b'0'), Just(b'\n'), any::<u8>()], 0..200)) {
            let mut out = Vec::new();
            Painter::new(None, None).paint(&bytes, &mut out);
            prop_assert_eq!(&out, &bytes);
            out.clear();
            Painter::new(Some("48;5;1".into()), Some("# ")).paint(&bytes, &mut out);
            let mut rest = out.iter();
            prop_assert!(bytes.iter().all(|b| rest.any(|o| o == b)));
        }
    }
}
