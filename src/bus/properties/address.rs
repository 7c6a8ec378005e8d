// SPDX-License-Identifier: LGPL-2.1-or-later
//! IP networks (`IPAddressAllow=`, systemd.resource-control(5)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Address family, address, prefix length.
type Prefix = (i32, Vec<u8>, u32);

/// Words, each a network, an address or one of systemd's names for several networks; `None` when one is neither.
pub(super) fn prefixes(text: &str) -> Option<Vec<Prefix>> {
    let mut list = Vec::new();
    for word in text.split_ascii_whitespace() {
        match word {
            "any" => list.extend([v4([0, 0, 0, 0], 0), v6(Ipv6Addr::UNSPECIFIED, 0)]),
            "localhost" => list.extend([v4([127, 0, 0, 0], 8), v6(Ipv6Addr::LOCALHOST, 128)]),
            "link-local" => list.extend([v4([169, 254, 0, 0], 16), v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 64)]),
            "multicast" => list.extend([v4([224, 0, 0, 0], 4), v6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8)]),
            word => list.push(network(word)?),
        }
    }
    Some(list)
}

fn network(word: &str) -> Option<Prefix> {
    let (address, length) = match word.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (word, None),
    };
    match address.parse().ok()? {
        IpAddr::V4(address) => {
            let length = length.unwrap_or(32);
            (length <= 32).then(|| v4(address.octets(), length))
        }
        IpAddr::V6(address) => {
            let length = length.unwrap_or(128);
            (length <= 128).then(|| v6(address, length))
        }
    }
}

fn v4(octets: [u8; 4], length: u8) -> Prefix {
    (libc::AF_INET, Ipv4Addr::from(octets).octets().to_vec(), length.into())
}

fn v6(address: Ipv6Addr, length: u8) -> Prefix {
    (libc::AF_INET6, address.octets().to_vec(), length.into())
}
