// SPDX-License-Identifier: LGPL-2.1-or-later
//! Bytes as text for JSON: serde refuses a path that is not UTF-8, and with it all that it is in.

use crate::error::Sourced;
use serde::{Serialize, Serializer};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Text as it is, bytes that are not UTF-8 as `\xNN`.
pub fn escape(bytes: &OsStr) -> String {
    let mut out = String::new();
    for chunk in bytes.as_bytes().utf8_chunks() {
        out.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|b| out.push_str(&format!("\\x{b:02x}")));
    }
    out
}

/// A value as indented JSON that a terminal can show: serde leaves DEL and the C1 control characters as they are.
pub fn json(value: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // They can only be inside of strings.
        match c {
            '\u{7f}'..='\u{9f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out
}

/// A path, for `serialize_with` as all below.
pub fn path<S: Serializer>(path: &Path, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&escape(path.as_os_str()))
}

/// A path or none.
pub fn some_path<S: Serializer>(path: &Option<PathBuf>, s: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| escape(path.as_os_str())).serialize(s)
}

/// A path, and who asked for it.
pub fn sourced_path<S: Serializer>(path: &Option<Sourced<PathBuf>>, s: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| Sourced::new(escape(path.value.as_os_str()), path.origin.clone())).serialize(s)
}

/// Paths with a word each.
pub fn paths<S: Serializer>(paths: &[(PathBuf, &'static str)], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(paths.iter().map(|(path, word)| (escape(path.as_os_str()), word)))
}

/// Words of a command line.
pub fn words<S: Serializer>(words: &[OsString], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(words.iter().map(|word| escape(word)))
}

/// Variables and their values.
pub fn pairs<S: Serializer>(pairs: &[(String, OsString)], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(pairs.iter().map(|(name, value)| (name, escape(value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_no_control_characters() {
        let text: String = (0..0x100u32).filter_map(char::from_u32).collect();
        let shown = json(&text);
        assert!(!shown.trim_end().chars().any(char::is_control), "{shown:?}");
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
        assert!(shown.contains("~\\u007f\\u0080") && shown.contains("\\u009f\u{a0}"), "{shown}");
    }
}
