// SPDX-License-Identifier: LGPL-2.1-or-later
//! Hardware addresses that stay the same for the same machine on the same host.

use super::siphash::siphash24;
use crate::model::{Id128, MachineName};
use std::fmt;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacAddress(pub [u8; 6]);

/// Which link an address is for; each has its own hash key (systemd `src/nspawn/nspawn-network.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacRole {
    /// The host's side of the veth pair.
    VethHost,
    /// The container's side of the veth pair.
    VethContainer,
    /// The host's side of the extra veth pair with this number, counted from 0.
    ExtraHost(u64),
    /// The container's side of the extra veth pair with this number, counted from 0.
    ExtraContainer(u64),
    /// The macvlan with this number, counted from 0.
    Macvlan(u64),
}

impl MacRole {
    fn key(self) -> [u8; 16] {
        match self {
            Self::VethHost => 0x1a376fc7_46ec450b_ada3d531_06605db1_u128,
            Self::VethContainer => 0xc3c4f919_b557b21c_e6cf1427_039ceea2,
            Self::ExtraHost(_) => 0x48c7f6b7_ea9d4c9e_b728d4de_91d5bf66,
            Self::ExtraContainer(_) => 0xaf501761_cef94d35_840d2b20_54bece59,
            Self::Macvlan(_) => 0x00136dbc_66834481_bb0cf951_1f24a66f,
        }
        .to_be_bytes()
    }

    fn index(self) -> u64 {
        match self {
            Self::VethHost | Self::VethContainer => 0,
            Self::ExtraHost(n) | Self::ExtraContainer(n) | Self::Macvlan(n) => n,
        }
    }
}

impl MacAddress {
    /// The address that systemd-nspawn gives to the same link: a hash over the host's machine id, the machine's name
    /// and, from 1 on, the number of the link; as a locally administered unicast address.
    pub fn derive(host: Id128, machine: &MachineName, role: MacRole) -> Self {
        Self::hash(&host.bytes(), machine.as_str().as_bytes(), role)
    }

    fn hash(host: &[u8; 16], machine: &[u8], role: MacRole) -> Self {
        let index = role.index().to_le_bytes();
        let index = if role.index() > 0 { &index[..] } else { &[] };
        let hash = siphash24(&[host, machine, index].concat(), &role.key()).to_le_bytes();
        let mut mac = [0; 6];
        mac.copy_from_slice(&hash[..6]);
        mac[0] = mac[0] & !1 | 2; // unicast, locally administered (IEEE 802)
        Self(mac)
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl serde::Serialize for MacAddress {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_local_unicast_and_differ_by_role_and_number() {
        let roles = [
            MacRole::VethHost,
            MacRole::VethContainer,
            MacRole::ExtraHost(0),
            MacRole::ExtraHost(1),
            MacRole::ExtraContainer(1),
            MacRole::Macvlan(1),
        ];
        let macs: std::collections::HashSet<_> = roles.map(|r| MacAddress::hash(&[7; 16], b"foo", r)).into();
        assert_eq!(macs.len(), roles.len());
        assert!(macs.iter().all(|m| m.0[0] & 3 == 2));
    }

    /// Read off the links that systemd-nspawn 257 and 262 made on hosts with these machine ids.
    #[test]
    fn the_addresses_of_systemd_nspawn() {
        for (host, machine, host_mac, container_mac) in [
            (0xdc18fcb7072d47eab90ca2f0c1583ad7, "netfoo", "f2:c4:7e:b6:50:4b", "da:cd:b4:df:e7:91"),
            (0xdc18fcb7072d47eab90ca2f0c1583ad7, "a-very-long-machine-name", "ea:d4:c2:db:3a:43", "6a:5d:d0:23:4a:2e"),
            (0x47656e2ed6cc40bc93ea1748cd08ca26, "netfoo", "c2:ad:ad:8c:db:25", "a2:3e:6d:cd:ad:a5"),
            (
                0x47656e2ed6cc40bc93ea1748cd08ca26_u128,
                "a-very-long-machine-name",
                "ee:bb:7e:61:cf:fe",
                "da:67:86:22:8c:79",
            ),
        ] {
            let mac = |role| MacAddress::hash(&host.to_be_bytes(), machine.as_bytes(), role).to_string();
            assert_eq!((mac(MacRole::VethHost), mac(MacRole::VethContainer)), (host_mac.into(), container_mac.into()));
        }
    }

    #[test]
    fn shown_as_hexadecimal_pairs() {
        assert_eq!(MacAddress([2, 0, 0xab, 1, 0x10, 255]).to_string(), "02:00:ab:01:10:ff");
    }
}
