// SPDX-License-Identifier: LGPL-2.1-or-later
//! Capabilities (capabilities(7)).

use serde::Serialize;

/// One capability, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Capability(pub(super) u8);

impl Capability {
    /// The kernel's number.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// A set of capabilities, bit n for capability n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CapabilitySet(pub u64);

/// One value of a capability option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum CapabilityWords {
    /// `all`
    All,
    /// A list of names.
    List(CapabilitySet),
}

impl Serialize for CapabilitySet {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq((0..64).filter(|n| self.0 & (1 << n) != 0))
    }
}
