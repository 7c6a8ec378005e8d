// SPDX-License-Identifier: LGPL-2.1-or-later
//! Names of the links that belong to a machine, as systemd-nspawn(1) gives them.

use super::siphash::siphash24;
use crate::model::{InterfaceName, LinkReference, MachineName};

/// Longest interface name in bytes (`IFNAMSIZ` without its NUL, linux/if.h).
pub(super) const NAME_MAX: usize = 15;
/// Longest alternative name in bytes (`ALTIFNAMSIZ` without its NUL, linux/if.h).
pub(super) const ALTERNATIVE_NAME_MAX: usize = 127;
/// Key of the hash in shortened names (systemd `src/shared/netif-util.c`, `SHORTEN_IFNAME_HASH_KEY`).
const SHORTEN_KEY: [u8; 16] = 0xe190a404_a8ef4b51_8cccc33a_9f11fca2_u128.to_be_bytes();
/// Digits of base64url (RFC 4648, section 5).
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The container's side of its veth pair (systemd-nspawn(1), `--network-veth`).
pub const CONTAINER_LINK: &str = "host0";

/// What the host's side of the veth pair is there for; it decides the prefix of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// On its own: `ve-MACHINE`.
    Alone,
    /// A port of a bridge or of a zone's bridge: `vb-MACHINE`.
    BridgePort,
}

/// A link's name, and the full one when that had to be shortened.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LinkName {
    /// At most 15 bytes: the name for the kernel.
    pub name: String,
    /// What `name` was shortened from.
    pub shortened_from: Option<String>,
}

impl LinkName {
    /// The name of the host's side of a machine's veth pair.
    pub fn of_host_side(machine: &MachineName, link: Side) -> Self {
        Self::fit(match link {
            Side::Alone => format!("ve-{machine}"),
            Side::BridgePort => format!("vb-{machine}"),
        })
    }

    /// The name of a link that is made on top of a link of the host, when none was said.
    pub fn above(prefix: &str, parent: &LinkReference) -> Self {
        Self::fit(format!("{prefix}{parent}"))
    }

    /// A name that was said.
    pub fn said(name: &InterfaceName) -> Self {
        Self { name: name.to_string(), shortened_from: None }
    }

    /// The full name as the alternative name to give to the link; `None` when not shortened or longer than the kernel
    /// takes (127 bytes).
    pub fn alternative(&self) -> Option<&str> {
        self.shortened_from.as_deref().filter(|full| full.len() <= ALTERNATIVE_NAME_MAX)
    }

    /// Names of up to 15 bytes stay; of a longer one the first 11 bytes stay and four base64url digits of the low 24
    /// bits of its hash follow (systemd `src/shared/netif-util.c`, naming scheme v245 and later). Names of machines and
    /// links are ASCII, so every cut is at a character.
    fn fit(full: String) -> Self {
        if full.len() <= NAME_MAX {
            return Self { name: full, shortened_from: None };
        }
        let hash = siphash24(full.as_bytes(), &SHORTEN_KEY);
        let mut name = full[..NAME_MAX - 4].to_string();
        name.extend([18, 12, 6, 0].map(|shift| char::from(BASE64URL[(hash >> shift & 63) as usize])));
        Self { name, shortened_from: Some(full) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_stay() {
        assert_eq!(LinkName::fit("ve-abcdefghijkl".into()).name, "ve-abcdefghijkl");
        assert_eq!(LinkName::fit("ve-foo".into()).alternative(), None);
    }

    #[test]
    fn long_names_are_cut_as_systemd_nspawn_257_and_262_did() {
        let link = LinkName::fit("ve-a-very-long-machine-name".into());
        assert_eq!(link.name, "ve-a-very-lm3p6");
        assert_eq!(link.alternative(), Some("ve-a-very-long-machine-name"));
    }

    #[test]
    fn the_alternative_name_has_a_limit_too() {
        let of_len = |n: usize| LinkName::fit("v".repeat(n));
        assert_eq!(of_len(127).alternative().map(str::len), Some(127));
        assert_eq!(of_len(128).alternative(), None);
        assert_eq!(of_len(128).name.len(), 15);
    }
}
