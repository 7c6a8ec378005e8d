// SPDX-License-Identifier: LGPL-2.1-or-later
//! The table itself, the same as systemd makes it, so that it does not matter who comes first.

use super::super::netlink::Message;
use super::message::{Nft, request};
use super::{Family, MAP, TABLE};
use rustix::io::Errno;

const SET: &str = "masq_saddr";

// linux/netfilter/nf_tables.h: NFT_MSG_*, NFTA_*, registers, operators.
const NEWTABLE: u16 = 0;
const NEWCHAIN: u16 = 3;
const NEWRULE: u16 = 6;
const NEWSET: u16 = 9;
const NAME: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const ELEMENT: u16 = 1;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
/// The first register of four bytes, and those behind it.
const REGISTER: u32 = 8 + 1;
const EQUAL: u32 = 0;
const UNEQUAL: u32 = 1;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const SET_INTERVAL: u32 = 4;
const SET_MAP: u32 = 8;
// linux/netfilter.h and linux/netfilter_ipv4.h.
const HOOK_PREROUTING: u32 = 0;
const HOOK_OUTPUT: u32 = 3;
const HOOK_POSTROUTING: u32 = 4;
/// One after the usual rules that change destinations, and sources.
const AFTER_DNAT: i32 = -100 + 1;
const AFTER_SNAT: i32 = 100 + 1;
// Types as nft(8) numbers them: only its listings depend on them.
const TYPE_IPV4: u32 = 7;
const TYPE_IPV6: u32 = 8;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_SERVICE: u32 = 13;
const TYPE_BITS: u32 = 6;

struct Shape {
    family: Family,
    kind: u32,
    /// Bytes of an address.
    size: u32,
    /// Where source and destination are in the network header.
    source: u32,
    destination: u32,
}

/// Makes the table of a family in one transaction; one that is there already is as good.
pub fn make(nft: &mut Nft, family: Family) -> Result<(), Errno> {
    let shape = match family {
        Family::Ipv4 => Shape { family, kind: TYPE_IPV4, size: 4, source: 12, destination: 16 },
        Family::Ipv6 => Shape { family, kind: TYPE_IPV6, size: 16, source: 8, destination: 24 },
    };
    match nft.transaction(shape.messages()) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

impl Shape {
    fn message(&self, kind: u16) -> Message {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let flags = if kind == NEWRULE { libc::NLM_F_CREATE | libc::NLM_F_APPEND } else { flags };
        request(kind, flags, self.family.number()).text(NAME, TABLE)
    }

    fn messages(&self) -> Vec<Message> {
        vec![
            self.message(NEWTABLE),
            self.chain("prerouting", HOOK_PREROUTING, AFTER_DNAT),
            self.chain("output", HOOK_OUTPUT, AFTER_DNAT),
            self.chain("postrouting", HOOK_POSTROUTING, AFTER_SNAT),
            self.set(SET, 1, SET_INTERVAL, self.kind, self.size),
            self.set(MAP, 2, SET_MAP, TYPE_PROTOCOL << TYPE_BITS | TYPE_SERVICE, 8)
                .number(6, self.kind << TYPE_BITS | TYPE_SERVICE)
                .number(7, self.size + 4),
            self.rule("prerouting", |m| self.dnat(for_local_addresses(m))),
            self.rule("output", |m| self.dnat(self.over_loopback(m))),
            self.rule("postrouting", |m| {
                let m = lookup(load(m, NETWORK_HEADER, self.source, self.size, REGISTER), SET, None);
                m.nest(ELEMENT, |m| m.text(EXPR_NAME, "masq"))
            }),
        ]
    }

    fn chain(&self, name: &str, hook: u32, priority: i32) -> Message {
        self.message(NEWCHAIN)
            .text(CHAIN_NAME, name)
            .text(CHAIN_TYPE, "nat")
            .nest(CHAIN_HOOK, |m| m.number(HOOK_NUMBER, hook).number(HOOK_PRIORITY, priority as u32))
    }

    /// `NFTA_SET_NAME`, `_FLAGS`, `_KEY_TYPE`, `_KEY_LEN`, `_ID`.
    fn set(&self, name: &str, id: u32, flags: u32, kind: u32, length: u32) -> Message {
        self.message(NEWSET).text(2, name).number(3, flags).number(4, kind).number(5, length).number(10, id)
    }

    fn rule(&self, chain: &str, expressions: impl FnOnce(Message) -> Message) -> Message {
        self.message(NEWRULE).text(RULE_CHAIN, chain).nest(RULE_EXPRESSIONS, expressions)
    }

    /// Looks protocol and port up in the map and changes the destination to what is found: `NFTA_NAT_TYPE`, `_FAMILY`,
    /// `_REG_ADDR_MIN`, `_REG_PROTO_MIN`.
    fn dnat(&self, m: Message) -> Message {
        let m = expression(m, "meta", |m| m.number(2, META_L4PROTO).number(1, REGISTER));
        let m = load(m, TRANSPORT_HEADER, 2, 2, REGISTER + 1);
        let m = lookup(m, MAP, Some(REGISTER));
        let port = REGISTER + self.size / 4;
        expression(m, "nat", |m| {
            m.number(1, 1).number(2, self.family.number().into()).number(3, REGISTER).number(5, port)
        })
    }

    /// What leaves over the loopback interface for an address of the host, but not for one of 127.0.0.0/8 or ::1.
    fn over_loopback(&self, m: Message) -> Message {
        let m = load(m, NETWORK_HEADER, self.destination, self.size, REGISTER);
        let m = match self.family {
            Family::Ipv4 => {
                // NFTA_BITWISE_SREG, _DREG, _LEN, _MASK, _XOR.
                let m = expression(m, "bitwise", |m| {
                    m.number(1, REGISTER)
                        .number(2, REGISTER)
                        .number(3, 4)
                        .nest(4, |m| m.attribute(DATA_VALUE, &[255, 0, 0, 0]))
                        .nest(5, |m| m.attribute(DATA_VALUE, &[0; 4]))
                });
                compare(m, UNEQUAL, &[127, 0, 0, 0])
            }
            Family::Ipv6 => compare(m, UNEQUAL, &std::net::Ipv6Addr::LOCALHOST.octets()),
        };
        let m = expression(m, "meta", |m| m.number(2, META_OIF).number(1, REGISTER));
        // The loopback interface is the first one of every network namespace.
        compare(m, EQUAL, &1u32.to_ne_bytes())
    }
}

const META_OIF: u32 = 5;
const META_L4PROTO: u32 = 16;

/// What comes for any address of the host: `NFTA_FIB_DREG`, `_RESULT` (the kind of address), `_FLAGS` (of the destination).
fn for_local_addresses(m: Message) -> Message {
    let m = expression(m, "fib", |m| m.number(1, REGISTER).number(2, 3).number(3, 2));
    compare(m, EQUAL, &u32::from(libc::RTN_LOCAL).to_ne_bytes())
}

fn expression(m: Message, name: &str, data: impl FnOnce(Message) -> Message) -> Message {
    m.nest(ELEMENT, |m| m.text(EXPR_NAME, name).nest(EXPR_DATA, data))
}

/// Loads a part of the packet into a register.
fn load(m: Message, base: u32, offset: u32, length: u32, to: u32) -> Message {
    expression(m, "payload", |m| m.number(1, to).number(2, base).number(3, offset).number(4, length))
}

/// Goes on only if the first register holds that, or does not.
fn compare(m: Message, operator: u32, value: &[u8]) -> Message {
    expression(m, "cmp", |m| m.number(1, REGISTER).number(2, operator).nest(3, |m| m.attribute(DATA_VALUE, value)))
}

/// Goes on only if the first registers are in the set; in a map, what belongs to them goes to a register.
fn lookup(m: Message, set: &str, to: Option<u32>) -> Message {
    expression(m, "lookup", |m| {
        let m = m.text(1, set).number(2, REGISTER);
        match to {
            Some(register) => m.number(3, register),
            None => m,
        }
    })
}
