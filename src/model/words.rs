// SPDX-License-Identifier: LGPL-2.1-or-later
//! Small grammars that several values share: booleans, escapes, numbers with units, absolute paths.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// The boolean words of systemd (`parse_boolean`), in any case.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Ok(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Ok(false),
        _ => Err("must be yes or no".into()),
    }
}

/// Text of an option's value; an error where the bytes are not UTF-8.
pub fn as_text(value: &OsStr) -> Result<&str, String> {
    value.to_str().ok_or_else(|| "must be UTF-8 text".into())
}

/// A decimal number without sign, blanks or leading zeros.
pub(super) fn plain_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (digits && (text.len() == 1 || !text.starts_with('0'))).then(|| text.parse().ok())?
}

/// A whole number as systemd reads most of them (`safe_atou64` and its kin): blanks before it, a sign, and the prefixes
/// 0x, 0o, 0b and 0 for other bases.
pub fn number(text: &str) -> Option<u64> {
    signed_number(text).and_then(|n| u64::try_from(n).ok())
}

/// The same where negative ones are allowed.
pub fn signed_number(text: &str) -> Option<i128> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r']);
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    // Only without a sign are 0b and 0o known, which strtol(3) does not know.
    let bare = digits.len() == text.len();
    let prefixed = |prefix: &str| {
        let (head, tail) = (digits.get(..2)?, digits.get(2..)?);
        head.eq_ignore_ascii_case(prefix).then_some(tail)
    };
    let (digits, radix) = if let Some(hex) = prefixed("0x") {
        (hex, 16)
    } else if let Some(binary) = prefixed("0b").filter(|_| bare) {
        (binary, 2)
    } else if let Some(octal) = prefixed("0o").filter(|_| bare) {
        (octal, 8)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (digits, 8)
    } else {
        (digits, 10)
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok().map(|n| sign * i128::from(n))
}

/// Splits at unescaped colons; a backslash makes the next byte literal and is dropped (`extract_first_word`).
/// At most `limit` parts: the last one is the rest, as it stands.
pub fn split_colons(value: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, String> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut bytes = value.iter().copied().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => part.push(bytes.next().ok_or("ends in a backslash that escapes nothing")?.1),
            b':' => {
                parts.push(std::mem::take(&mut part));
                if parts.len() + 1 == limit {
                    parts.push(value[at + 1..].to_vec());
                    return Ok(parts);
                }
            }
            other => part.push(other),
        }
    }
    parts.push(part);
    Ok(parts)
}

/// A path with its colons and backslashes escaped, the inverse of [`split_colons`].
pub(super) fn escape_colons(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "\\\\").replace(':', "\\:")
}

/// Drops repeated and trailing slashes and `.` components; leaves `..` alone.
pub(super) fn simplified(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Makes a path absolute against `base` and simplifies it. Without a base only absolute paths are allowed.
pub fn absolute(path: &Path, base: Option<&Path>) -> Result<PathBuf, String> {
    match base {
        _ if path.is_absolute() => Ok(simplified(path)),
        Some(base) => Ok(simplified(&base.join(path))),
        None => Err(format!("{} must be an absolute path", path.display())),
    }
}

/// An absolute path without `..`, as wanted of everything that is looked up in a container.
pub fn container_path(bytes: &[u8]) -> Result<PathBuf, String> {
    let path = Path::new(OsStr::from_bytes(bytes));
    if !path.is_absolute() {
        return Err(format!("'{}' must be an absolute path", path.display()));
    }
    if path.components().any(|c| c == Component::ParentDir) {
        return Err(format!("{} must not contain '..'", path.display()));
    }
    Ok(simplified(path))
}

pub(super) fn path_of(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

/// Words with blanks between them, as lists in files hold them: quotes of both kinds keep blanks together, a backslash
/// is a byte like others (`EXTRACT_UNQUOTE|EXTRACT_RETAIN_ESCAPE` of systemd, as `config_parse_strv` uses it).
pub fn split_quoted(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match c {
            '"' | '\'' if quote.is_none() => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            _ if quote == Some(c) => quote = None,
            ' ' | '\t' | '\n' | '\r' if quote.is_none() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("has a quote that is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

/// Words with blanks between them; a backslash makes the next character literal and is dropped, quotes mean nothing
/// (`extract_first_word` of systemd without flags).
pub fn split_blanks(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let next = chars.next().ok_or("ends in a backslash that escapes nothing")?;
                word.get_or_insert_default().push(next);
            }
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Undoes the C escapes of systemd (`cunescape`), NUL allowed. The error does not repeat the value.
pub(super) fn unescape_c(text: &[u8]) -> Result<Vec<u8>, String> {
    fn digits(text: &[u8], radix: u32, len: usize) -> Option<u32> {
        let digits = std::str::from_utf8(text.get(..len)?).ok()?;
        digits.bytes().all(|b| char::from(b).is_digit(radix)).then(|| u32::from_str_radix(digits, radix).ok())?
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let bad = || "contains a backslash escape that C does not know".to_string();
        let (&kind, tail) = rest.split_first().ok_or_else(bad)?;
        // An octal escape has no letter of its own: its first digit is already one of the number.
        let (numeric, radix, len) = match kind {
            b'x' => (tail, 16, 2),
            b'u' => (tail, 16, 4),
            b'U' => (tail, 16, 8),
            _ => (rest, 8, 3),
        };
        let simple = match kind {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b's' => b' ',
            b'\\' | b'"' | b'\'' => kind,
            b'x' | b'u' | b'U' | b'0'..=b'7' => {
                let code = digits(numeric, radix, len).ok_or_else(bad)?;
                match kind {
                    b'u' | b'U' => {
                        let c = char::from_u32(code).ok_or_else(bad)?;
                        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    _ => out.push(u8::try_from(code).map_err(|_| bad())?),
                }
                rest = &numeric[len..];
                continue;
            }
            _ => return Err(bad()),
        };
        out.push(simple);
        rest = tail;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_bases() {
        let rows =
            [("0", 0), ("10", 10), (" +010", 8), ("0x1F", 31), ("0b11", 3), ("0o17", 15), ("-0", 0), ("-0x10", -16)];
        for (text, value) in rows {
            assert_eq!(signed_number(text), Some(value), "{text}");
        }
        for bad in ["", "+", "1 ", "08", "0x", "+0b1", "0b2", "1e3", "--1", "18446744073709551616", "0x-1"] {
            assert_eq!(signed_number(bad), None, "{bad}");
        }
        assert_eq!((number("-1"), number("18446744073709551615")), (None, Some(u64::MAX)));
    }

    #[test]
    fn c_escapes() {
        assert_eq!(unescape_c(br"a\x00\101\n\u00e4\s\\"), Ok("a\0A\nä \\".as_bytes().to_vec()));
        for bad in [r"\", r"\q", r"\x1", r"\400", r"\9", r"\ud800"] {
            assert!(unescape_c(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn colons_split_unless_escaped() {
        let parts = |text: &str, limit| {
            split_colons(text.as_bytes(), limit).map(|p| p.into_iter().map(|b| String::from_utf8(b).unwrap()).collect())
        };
        assert_eq!(parts(r"a\:b:c::d:e", 4), Ok(vec!["a:b".into(), "c".into(), "".into(), "d:e".into()]));
        assert_eq!(parts("", 3), Ok(vec![String::new()]));
        let bad: Result<Vec<String>, _> = parts(r"a\", 3);
        assert!(bad.is_err());
    }

    #[test]
    fn quoted_words() {
        assert_eq!(split_quoted(r#" a "b c"'d' \e '' x\"y""#).unwrap(), ["a", "b cd", "\\e", "", "x\\y"]);
        assert!(split_quoted("'a").is_err());
        assert_eq!(split_blanks(r#" a\ b "c d\\ "#).unwrap(), ["a b", "\"c", "d\\"]);
        assert!(split_blanks("a\\").is_err());
    }

    #[test]
    fn paths() {
        assert_eq!(absolute(Path::new("a//b/./c/"), Some(Path::new("/x"))), Ok("/x/a/b/c".into()));
        assert!(absolute(Path::new("a"), None).is_err());
        assert!(container_path(b"/a/../b").is_err());
        assert!(container_path(b"").is_err());
        assert_eq!(container_path(b"//a///b/"), Ok("/a/b".into()));
    }
}
