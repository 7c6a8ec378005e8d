// SPDX-License-Identifier: LGPL-2.1-or-later
//! 128-bit ids and ranges of user ids.

use super::words::{number, plain_number};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A 128-bit id (machine-id(5)), never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id128(pub(super) [u8; 16]);

impl Id128 {
    /// From bytes; `None` when all are zero.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }
    /// The bytes.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
    /// 32 hexadecimal digits, no dashes.
    pub fn plain(self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }
    /// UUID form, lower case with dashes.
    pub fn dashed(self) -> String {
        let p = self.plain();
        format!("{}-{}-{}-{}-{}", &p[..8], &p[8..12], &p[12..16], &p[16..20], &p[20..])
    }
}

impl fmt::Display for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plain())
    }
}

impl Serialize for Id128 {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.plain())
    }
}

/// `size` ids of the host from `base` on, seen as 0.. in the container. Never empty, never past 2^32 - 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct UidRange {
    /// First id on the host.
    pub base: u32,
    /// Number of ids.
    pub size: u32,
}

impl UidRange {
    /// The usual size of a container's range.
    pub const USUAL_SIZE: u32 = 0x10000;

    /// `None` when empty or past the last valid id.
    pub fn new(base: u32, size: u32) -> Option<Self> {
        (size > 0 && base.checked_add(size).is_some_and(|end| end < u32::MAX)).then_some(Self { base, size })
    }
}

impl FromStr for Id128 {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "must be 32 hexadecimal digits or a UUID".to_string();
        let digits = match text.len() {
            32 => text.to_string(),
            36 if [8, 13, 18, 23].iter().all(|&at| text.as_bytes()[at] == b'-') => text.replace('-', ""),
            _ => return Err(bad()),
        };
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let number = u128::from_str_radix(&digits, 16).map_err(|_| bad())?;
        Self::from_bytes(number.to_be_bytes()).ok_or_else(|| "must not be all zero".into())
    }
}

impl FromStr for UidRange {
    type Err = String;
    /// `UID[:N]`; 65535 and 4294967295 are no user ids (`uid_is_valid` of systemd).
    fn from_str(text: &str) -> Result<Self, String> {
        let (base, size) = match text.split_once(':') {
            Some((base, size)) => (base, number(size).and_then(|n| u32::try_from(n).ok())),
            None => (text, Some(Self::USUAL_SIZE)),
        };
        let bad = || "must be UID[:N] with a user id and a number of ids".to_string();
        let base = plain_number(base).filter(|&b| b != 0xffff).ok_or_else(bad)?;
        Self::new(base, size.ok_or_else(bad)?)
            .ok_or_else(|| "must be a range of at least one id that ends before 4294967295".into())
    }
}

impl fmt::Display for UidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.base, self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let plain = "0123456789abcdef0123456789ABCDEF";
        let id: Id128 = plain.parse().unwrap();
        assert_eq!(id.dashed().parse(), Ok(id));
        for bad in [
            "",
            "0",
            &"0".repeat(32),
            &plain[1..],
            "0123456789abcdef-0123-456789ABCDEF-01",
            "é123456789abcdef0123456789abcde",
        ] {
            assert!(bad.parse::<Id128>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges() {
        assert_eq!("0".parse(), Ok(UidRange { base: 0, size: 65536 }));
        assert_eq!("65536:1".parse(), Ok(UidRange { base: 65536, size: 1 }));
        for bad in ["", ":", "1:", ":1", "1:0", "-1", "+1", "01", " 1", "65535", "4294967295", "4294967000:65536"] {
            assert!(bad.parse::<UidRange>().is_err(), "{bad}");
        }
    }
}
