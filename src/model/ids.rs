// SPDX-License-Identifier: LGPL-2.1-or-later
//! 128-bit ids and ranges of user ids.

use serde::Serialize;
use std::fmt;

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
