// SPDX-License-Identifier: LGPL-2.1-or-later
//! Forwarding of ports by the tables that systemd-nspawn and systemd-networkd use: `io.systemd.nat`, one for each family,
//! with a map from protocol and port to address and port (systemd `src/shared/firewall-util-nft.c`). Whoever comes first
//! makes a table; they stay, as each of them may be about to use one.

pub mod message;
mod table;

use super::netlink::Message;
use crate::error::{Code, Diagnostic, Result};
use crate::model::{PortForward, Protocol};
use crate::sys::programs::wire;
use message::{Nft, request};
use rustix::io::Errno;
use std::net::IpAddr;

pub(super) const TABLE: &str = "io.systemd.nat";
pub(super) const MAP: &str = "map_port_ipport";

// NFT_MSG_*, NFTA_SET_ELEM_LIST_*, NFTA_SET_ELEM_* and NFTA_DATA_* of linux/netfilter/nf_tables.h.
const NEWSETELEM: u16 = 12;
const GETSETELEM: u16 = 13;
const DELSETELEM: u16 = 14;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_ELEM: u16 = 1;
const ELEM_KEY: u16 = 1;
const ELEM_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// IPv4
    Ipv4,
    /// IPv6
    Ipv6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Ipv4 } else { Self::Ipv6 }
    }

    /// `NFPROTO_*`, which is `AF_*` for these.
    pub fn number(self) -> u8 {
        match self {
            Self::Ipv4 => libc::AF_INET as u8,
            Self::Ipv6 => libc::AF_INET6 as u8,
        }
    }
}

/// What is forwarded: a key of the map. Nobody else has it as long as we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ForwardKey {
    /// Of the addresses.
    pub family: Family,
    /// `IPPROTO_*`
    pub protocol: u8,
    /// The port of the host.
    pub port: u16,
}

impl ForwardKey {
    /// That of a port.
    pub fn of(family: Family, port: &PortForward) -> Self {
        let protocol = match port.protocol {
            Protocol::Tcp => libc::IPPROTO_TCP as u8,
            Protocol::Udp => libc::IPPROTO_UDP as u8,
        };
        Self { family, protocol, port: port.host }
    }

    fn bytes(self) -> [u8; 8] {
        wire::port_key(self.protocol, self.port)
    }
}

/// The host's packet filter, as far as ports are forwarded by it.
pub struct Forwarding(Nft);

impl Forwarding {
    /// Connects to it.
    pub fn open() -> Result<Self> {
        Nft::open().map(Self).map_err(|e| {
            Diagnostic::new(Code::PortForward, "the kernel's packet filter cannot be reached")
                .errno(e)
                .help("load the kernel module nf_tables")
        })
    }

    /// Whether somebody forwards that port already.
    pub fn is_taken(&mut self, key: ForwardKey) -> Result<bool> {
        let taken = self.0.exists(element(GETSETELEM, 0, key, None));
        taken.map_err(|e| Diagnostic::new(Code::PortForward, "cannot look at the ports that are forwarded").errno(e))
    }

    /// Forwards ports to an address of their family, each of which is forwarded by us to `before` if that is given: all of
    /// them or none. A table that is missing is made.
    pub fn forward(&mut self, ports: &[PortForward], to: IpAddr, before: Option<IpAddr>) -> Result<()> {
        let family = Family::of(to);
        let removed = || ports.iter().map(|p| element(DELSETELEM, 0, ForwardKey::of(family, p), None));
        let messages = |before: Option<IpAddr>| {
            let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
            let added =
                ports.iter().map(|p| element(NEWSETELEM, flags, ForwardKey::of(family, p), Some((to, p.container))));
            removed().filter(|_| before.is_some()).chain(added).collect::<Vec<_>>()
        };
        let done = match self.0.transaction(messages(before)) {
            // Somebody has flushed the rules, or nobody has made them yet.
            Err(Errno::NOENT) => {
                table::make(&mut self.0, family).and_then(|()| match self.0.transaction(messages(before)) {
                    Err(Errno::NOENT) => self.0.transaction(messages(None)),
                    other => other,
                })
            }
            other => other,
        };
        if done.is_err() && before.is_none() && !self.0.has_answered() {
            // It may be done all the same. Where it is not, there is nothing to take out.
            let _ = self.0.transaction(removed().collect());
        }
        done.map_err(|e| {
            let list: Vec<String> = ports.iter().map(PortForward::to_string).collect();
            let d = Diagnostic::new(Code::PortForward, format!("cannot forward {} to {to}", list.join(", "))).errno(e);
            match e {
                Errno::EXIST | Errno::BUSY => d.help("somebody forwards one of them already: see nft list ruleset"),
                Errno::OPNOTSUPP | Errno::NOENT => d.help("load the kernel modules nft_nat, nft_masq and nft_fib"),
                _ => d,
            }
        })
    }
}

/// A message about one element of the map.
fn element(kind: u16, flags: i32, key: ForwardKey, to: Option<(IpAddr, u16)>) -> Message {
    let data = to.map(|(address, port)| {
        let mut data = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        data.extend(port.to_be_bytes());
        data.extend([0; 2]);
        data
    });
    request(kind, flags, key.family.number()).text(LIST_TABLE, TABLE).text(LIST_SET, MAP).nest(LIST_ELEMENTS, |m| {
        m.nest(LIST_ELEM, |m| {
            let m = m.nest(ELEM_KEY, |m| m.attribute(DATA_VALUE, &key.bytes()));
            match &data {
                Some(data) => m.nest(ELEM_DATA, |m| m.attribute(DATA_VALUE, data)),
                None => m,
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keeper_takes_out_what_was_put_in() {
        let key = ForwardKey { family: Family::Ipv6, protocol: 17, port: 8080 };
        let bytes = wire::stop_forward_message(key.family.number(), key.protocol, key.port);
        let ours = element(DELSETELEM, libc::NLM_F_ACK, key, None).numbered(0);
        assert_eq!(bytes[20..104], ours[..]);
        assert_eq!(wire::parse_port(b"10 17 8080"), Some((10, 17, 8080)));
        assert_eq!(wire::parse_port(b"10 17 65536"), None);
    }
}
