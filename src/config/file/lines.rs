// SPDX-License-Identifier: LGPL-2.1-or-later
//! The lines of a `.nspawn` file: sections, comments, continued lines, assignments (`config_parse` of systemd). What a
//! value means is for [`super::values`].

use std::cell::Cell;

/// The longest line, in bytes (`LONG_LINE_MAX` of systemd).
pub const LINE_MAX: usize = 1 << 20;

/// How many lines may say something. A file may come with an image: what is made of it must have an end.
const ITEMS_MAX: usize = 10_000;

/// What `strstrip` of systemd drops at both ends.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Where the line begins, from 1.
    pub line: u32,
    /// Where it ends: another one only where it is continued. systemd-nspawn names this one.
    pub last_line: u32,
    /// In the first line, in characters, from 1.
    pub column: u32,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<'a> {
    /// `[Name]`
    Section {
        /// The name, which holds neither quotes nor brackets nor control characters.
        name: &'a str,
    },
    /// `Key=Value`
    Assignment {
        /// Not empty, no blanks around it.
        key: &'a str,
        /// No blanks around it.
        value: &'a str,
        /// Of the value.
        value_column: u32,
    },
    /// It says nothing that can be understood and is left out.
    Nonsense {
        /// Why.
        why: &'static str,
    },
    /// The file cannot be read any further.
    Broken {
        /// Why.
        why: &'static str,
    },
}

/// Calls `each` for all lines that are neither empty nor comments. Nothing follows [`Item::Broken`].
pub fn read(bytes: &[u8], each: &mut dyn FnMut(At, Item<'_>)) {
    let mut rest = bytes;
    let mut number = 0u32;
    let mut bom_seen = false;
    let mut joined: Option<(u32, Vec<u8>)> = None;
    let said = Cell::new(0);
    let each: &mut dyn FnMut(At, Item<'_>) = &mut |at, item| {
        said.set(said.get() + 1);
        each(at, item);
    };
    while let Some((line, tail)) = next_line(rest) {
        rest = tail;
        if line.len() >= LINE_MAX {
            return each(at(number + 1, number, 1), Item::Broken { why: "the line is longer than a megabyte" });
        }
        number += 1;
        if is_comment(line) {
            continue;
        }
        let mut line = line;
        if !bom_seen && let Some(after) = line.strip_prefix("\u{feff}".as_bytes()) {
            (line, bom_seen) = (after, true);
        }
        let first = joined.as_ref().map_or(number, |(first, _)| *first);
        if let Some((_, before)) = &joined
            && before.len() + line.len() > LINE_MAX
        {
            return each(at(first, number, 1), Item::Broken { why: "the continued line is longer than a megabyte" });
        }
        if is_continued(line) {
            let (_, text) = joined.get_or_insert_with(|| (number, Vec::new()));
            text.extend_from_slice(&line[..line.len() - 1]);
            text.push(b' ');
            continue;
        }
        let go_on = match joined.take() {
            None => one(first, number, line, each),
            Some((_, mut text)) => {
                text.extend_from_slice(line);
                one(first, number, &text, each)
            }
        };
        if !go_on {
            return;
        }
        if said.get() > ITEMS_MAX {
            return each(at(first, number, 1), Item::Broken { why: "more than ten thousand lines say something" });
        }
    }
    if let Some((first, text)) = joined {
        one(first, number + 1, &text, each);
    }
}

fn at(line: u32, last_line: u32, column: usize) -> At {
    At { line, last_line, column: u32::try_from(column).unwrap_or(u32::MAX) }
}

/// A line without its end, and what follows. `\n`, `\r` and NUL end a line; up to one of each in a row count as one
/// end, and nothing joins a NUL (`read_line_full` of systemd).
fn next_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let is_end = |b: u8| matches!(b, b'\n' | b'\r' | 0);
    let end = bytes.iter().position(|b| is_end(*b)).unwrap_or(bytes.len());
    let mut after = end;
    while after < bytes.len() && is_end(bytes[after]) {
        let seen = &bytes[end..after];
        if seen.contains(&0) || seen.contains(&bytes[after]) {
            break;
        }
        after += 1;
    }
    Some((&bytes[..end], &bytes[after..]))
}

fn is_comment(line: &[u8]) -> bool {
    let text = line.iter().find(|b| !matches!(b, b' ' | b'\t'));
    matches!(text, Some(b'#' | b';'))
}

/// Whether the line ends in a backslash that no other one escapes.
fn is_continued(line: &[u8]) -> bool {
    let mut escaped = false;
    for byte in line {
        escaped = !escaped && *byte == b'\\';
    }
    escaped
}

/// Whether systemd takes the text for UTF-8: it has none of the code points that are no characters.
fn text_of(line: &[u8]) -> Option<&str> {
    let no_character = |c: char| matches!(u32::from(c), 0xfdd0..=0xfdef) || u32::from(c) & 0xfffe == 0xfffe;
    std::str::from_utf8(line).ok().filter(|text| !text.contains(no_character))
}

/// Understands one whole line; false when nothing may follow.
fn one(first: u32, last: u32, line: &[u8], each: &mut dyn FnMut(At, Item<'_>)) -> bool {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    let Some(start) = line.iter().position(|b| !blank(b)) else { return true };
    let Some(text) = text_of(&line[start..]) else {
        each(at(first, last, start + 1), Item::Broken { why: "the line is not UTF-8 text" });
        return false;
    };
    let text = text.trim_end_matches(BLANKS);
    let column = start + 1;
    if let Some(rest) = text.strip_prefix('[') {
        let unsafe_in_name = |c: char| c.is_ascii_control() || matches!(c, '"' | '\'' | '\\' | '[');
        let why = match rest.strip_suffix(']') {
            // Before 258 an empty one and one with a bracket were just unknown.
            Some("") => "the section header is empty",
            Some(name) if !name.contains(unsafe_in_name) => {
                each(at(first, last, column), Item::Section { name });
                return true;
            }
            Some(_) => "the section header holds brackets, quotes, backslashes or control characters",
            None => "the section header has no ']' at its end",
        };
        each(at(first, last, column), Item::Broken { why });
        return false;
    }
    let item = match text.split_once('=') {
        None => Item::Nonsense { why: "there is no '=' in the line" },
        Some(("", _)) => Item::Nonsense { why: "there is no key before the '='" },
        Some((key, value)) => {
            let trimmed = value.trim_start_matches(BLANKS);
            let before = text.len() - trimmed.len();
            let value_column = u32::try_from(column + text[..before].chars().count()).unwrap_or(u32::MAX);
            Item::Assignment { key: key.trim_end_matches(BLANKS), value: trimmed, value_column }
        }
    };
    each(at(first, last, column), item);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(bytes: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        read(bytes, &mut |at, item| {
            let what = match item {
                Item::Section { name } => format!("[{name}]"),
                Item::Assignment { key, value, value_column } => format!("{key}={value}@{value_column}"),
                Item::Nonsense { why } => why.into(),
                Item::Broken { why } => format!("broken: {why}"),
            };
            out.push(format!("{}-{}:{} {what}", at.line, at.last_line, at.column));
        });
        out
    }

    #[test]
    fn sections_and_assignments() {
        let text = b"\xef\xbb\xbf[Exec]\n# c\n ; c\n\n  Boot = yes \t\nA=\nB==x\n=x\nfoo\n[a b]";
        let expected = [
            "1-1:1 [Exec]",
            "5-5:3 Boot=yes@10",
            "6-6:1 A=@3",
            "7-7:1 B==x@3",
            "8-8:1 there is no key before the '='",
            "9-9:1 there is no '=' in the line",
            "10-10:1 [a b]",
        ];
        assert_eq!(shown(text), expected);
    }

    #[test]
    fn continued_lines_skip_comments_and_end_with_the_file() {
        assert_eq!(shown(b"A=a\\\n# c\n  b\\\\\nB=x\\"), ["1-3:1 A=a   b\\\\@3", "4-5:1 B=x@3"]);
        assert_eq!(shown(b"A=a\\\n\nB=1"), ["1-2:1 A=a@3", "3-3:1 B=1@3"]);
        assert_eq!(shown(b"\\\n[Exec]"), ["1-2:2 [Exec]"]);
    }

    #[test]
    fn ends_of_lines() {
        assert_eq!(
            shown(b"A=1\r\nB=2\rC=3\0\0D=4\n\r\0E=5\n\nF=6"),
            ["1-1:1 A=1@3", "2-2:1 B=2@3", "3-3:1 C=3@3", "5-5:1 D=4@3", "6-6:1 E=5@3", "8-8:1 F=6@3"]
        );
    }

    #[test]
    fn what_cannot_be_read_ends_the_file() {
        assert_eq!(shown(b"[a\nB=1"), ["1-1:1 broken: the section header has no ']' at its end"]);
        assert_eq!(shown(b"[a\"]\nB=1").len(), 1);
        assert_eq!(shown(b"[]\nB=1"), ["1-1:1 broken: the section header is empty"]);
        assert_eq!(shown(b"A=\xff\nB=1"), ["1-1:1 broken: the line is not UTF-8 text"]);
        assert_eq!(shown("A=\u{fdd0}\nB=1".as_bytes()).len(), 1);
        let long = [b"A=1\nB=".to_vec(), vec![b'x'; LINE_MAX], b"\nC=1".to_vec()].concat();
        assert_eq!(shown(&long)[1], "2-1:1 broken: the line is longer than a megabyte");
        let long = [b"B=".to_vec(), vec![b'x'; LINE_MAX - 4], b"\\\nC=1\n".to_vec()].concat();
        assert_eq!(shown(&long), ["1-2:1 broken: the continued line is longer than a megabyte"]);
        let many = shown("# c\nA=1\n\n".repeat(ITEMS_MAX + 5).as_bytes());
        assert_eq!((many.len(), many[ITEMS_MAX].as_str()), (ITEMS_MAX + 2, "30002-30002:1 A=1@3"));
        assert_eq!(many[ITEMS_MAX + 1], "30002-30002:1 broken: more than ten thousand lines say something");
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_lines_rise(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut last = 0;
            read(&bytes, &mut |at, _| {
                assert!(at.line > last && at.last_line >= at.line, "{at:?} after {last}");
                last = at.last_line.max(at.line);
            });
        }
    }
}
