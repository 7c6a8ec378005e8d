// SPDX-License-Identifier: LGPL-2.1-or-later
//! Makes foreign bytes harmless to show: no control character of the input reaches a terminal or the journal.

use std::fmt::Write as _;

/// Appends one line of foreign output to `out`.
///
/// Colours (`ESC [ … m`, ECMA-48 SGR) are dropped, since they carry no text. Every other control character (C0 but the
/// tab, DEL, C1) and every byte that is not UTF-8 appears as `\xHH`.
pub fn line(bytes: &[u8], out: &mut String) {
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(c) = rest.chars().next() {
            if let Some(length) = colour(rest.as_bytes()) {
                rest = &rest[length..];
                continue;
            }
            let (this, tail) = rest.split_at(c.len_utf8());
            if c.is_control() && c != '\t' {
                hex(this.as_bytes(), out)
            } else {
                out.push(c)
            }
            rest = tail;
        }
        hex(chunk.invalid(), out);
    }
}

/// A text of several lines for a terminal: line feeds stay, all else is as in [`line()`].
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (n, part) in text.split('\n').enumerate() {
        if n > 0 {
            out.push('\n');
        }
        line(part.as_bytes(), &mut out);
    }
    out
}

fn hex(bytes: &[u8], out: &mut String) {
    for b in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "\\x{b:02x}");
    }
}

/// Length of the colour sequence that `bytes` starts with.
fn colour(bytes: &[u8]) -> Option<usize> {
    let parameters = bytes.strip_prefix(b"\x1b[")?;
    let n = parameters.iter().take_while(|b| matches!(b, b'0'..=b'9' | b';' | b':')).count();
    (parameters.get(n) == Some(&b'm')).then_some(n + 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(bytes: &[u8]) -> String {
        let mut out = String::new();
        line(bytes, &mut out);
        out
    }

    #[test]
    fn colours_go_and_other_controls_show() {
        for (input, output) in [
            (&b"[\x1b[0;1;32m  OK  \x1b[0m] up"[..], "[  OK  ] up"),
            (b"\x1b]0;title\x07", r"\x1b]0;title\x07"),
            (b"\x1b[2J", r"\x1b[2J"),
            (b"\x1b[3", r"\x1b[3"),
            (b"a\tb", "a\tb"),
            (b"a\xffb", r"a\xffb"),
            (b"\xc3\xa4\xc2\x9b", r"ä\xc2\x9b"),
            (b"\x7f\x00", r"\x7f\x00"),
        ] {
            assert_eq!(escaped(input), output);
        }
    }

    #[test]
    fn a_text_keeps_its_lines() {
        assert_eq!(text("a\n  b\x1b[31mc\r"), "a\n  bc\\x0d");
    }

    proptest! {
        #[test]
        fn no_control_character_is_left(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!escaped(&bytes).chars().any(|c| c.is_control() && c != '\t'));
        }

        #[test]
        fn printable_text_is_untouched(text in "[ -~äöü漢字]{0,80}") {
            prop_assert_eq!(escaped(text.as_bytes()), text);
        }
    }
}
