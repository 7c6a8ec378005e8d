// SPDX-License-Identifier: LGPL-2.1-or-later
//! Which address families socket(2) may use (`--restrict-address-families=`, systemd.exec(5)).

use super::{Posture, bpf::Runs};
use crate::error::{Code, Diagnostic, Sourced};
use crate::model::FilterWords;
use serde::Serialize;

/// Families by number, from `linux/socket.h`.
pub(super) const FAMILIES: [&str; 46] = [
    "AF_UNSPEC",
    "AF_UNIX",
    "AF_INET",
    "AF_AX25",
    "AF_IPX",
    "AF_APPLETALK",
    "AF_NETROM",
    "AF_BRIDGE",
    "AF_ATMPVC",
    "AF_X25",
    "AF_INET6",
    "AF_ROSE",
    "AF_DECnet",
    "AF_NETBEUI",
    "AF_SECURITY",
    "AF_KEY",
    "AF_NETLINK",
    "AF_PACKET",
    "AF_ASH",
    "AF_ECONET",
    "AF_ATMSVC",
    "AF_RDS",
    "AF_SNA",
    "AF_IRDA",
    "AF_PPPOX",
    "AF_WANPIPE",
    "AF_LLC",
    "AF_IB",
    "AF_MPLS",
    "AF_CAN",
    "AF_TIPC",
    "AF_BLUETOOTH",
    "AF_IUCV",
    "AF_RXRPC",
    "AF_ISDN",
    "AF_PHONET",
    "AF_IEEE802154",
    "AF_CAIF",
    "AF_ALG",
    "AF_NFC",
    "AF_VSOCK",
    "AF_KCM",
    "AF_QIPCRTR",
    "AF_SMC",
    "AF_XDP",
    "AF_MCTP",
];

/// Other names of the same numbers.
const ALIASES: [(&str, u8); 3] = [("AF_LOCAL", 1), ("AF_FILE", 1), ("AF_ROUTE", 16)];

const AF_NETLINK: u32 = 16;
const AF_VSOCK: u8 = 40;

/// A set of families, bit n for family n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FamilySet(u64);

impl Serialize for FamilySet {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(FAMILIES.iter().enumerate().filter(|(n, _)| self.0 & (1 << n) != 0).map(|(_, name)| name))
    }
}

/// What socket(2) may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FamilyRule {
    /// Any family.
    All,
    /// These only.
    Only(FamilySet),
    /// Any but these.
    Except(FamilySet),
}

/// What becomes of one family in socket(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SocketDecision {
    Allow,
    Refuse,
    /// Allowed but for the audit protocol.
    Netlink,
}

/// The rule and whether a person asked for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Families {
    pub(super) rule: FamilyRule,
    pub(super) asked: bool,
}

/// Whether a name is that of an address family, in our table or on this machine.
pub fn is_address_family(name: &str) -> bool {
    number(name).is_some()
}

/// The first list decides whether the named families are the allowed or the refused ones; lists of the other kind
/// take away from it. `none` allows nothing, an empty list starts anew.
pub(super) fn resolve(lists: &[Sourced<FilterWords>], posture: Posture) -> Result<Families, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut state: Option<(bool, u64)> = None;
    let mut vsock_asked = false;
    for list in lists {
        let FilterWords { deny, words } = &list.value;
        match words.as_slice() {
            [] if !deny => (state, vsock_asked) = (None, false),
            [word] if !deny && word == "none" => (state, vsock_asked) = (Some((false, 0)), false),
            words => {
                let (refuses, set) = state.get_or_insert((*deny, 0));
                for word in words {
                    let Some(family) = number(word) else {
                        errors.push(unknown(word, list));
                        continue;
                    };
                    if deny == refuses {
                        *set |= 1 << family
                    } else {
                        *set &= !(1 << family)
                    }
                    if family == AF_VSOCK {
                        vsock_asked = !deny;
                    }
                }
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let refused = if posture == Posture::Spawn && !vsock_asked { 1 << AF_VSOCK } else { 0 };
    let rule = match state {
        Some((false, set)) => FamilyRule::Only(FamilySet(set)),
        Some((true, set)) if set | refused != 0 => FamilyRule::Except(FamilySet(set | refused)),
        None if refused != 0 => FamilyRule::Except(FamilySet(refused)),
        _ => FamilyRule::All,
    };
    Ok(Families { rule, asked: state.is_some() })
}

impl FamilyRule {
    /// The decision for each value of socket(2)'s first argument.
    pub(super) fn runs(self) -> Runs<SocketDecision> {
        let decide = |family: u32| {
            let named = |set: FamilySet| family < 64 && set.0 & (1 << family) != 0;
            let allowed = match self {
                Self::All => true,
                Self::Only(set) => named(set),
                Self::Except(set) => !named(set),
            };
            match (allowed, family) {
                (false, _) => SocketDecision::Refuse,
                (true, AF_NETLINK) => SocketDecision::Netlink,
                (true, _) => SocketDecision::Allow,
            }
        };
        let mut runs = Runs::new(decide(0));
        (1..=64).for_each(|family| runs.push(family, decide(family)));
        runs
    }
}

fn number(name: &str) -> Option<u8> {
    let listed = FAMILIES.iter().position(|f| f.eq_ignore_ascii_case(name)).map(|n| n as u8);
    listed.or_else(|| ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name)).map(|(_, n)| *n))
}

fn unknown(word: &str, list: &Sourced<FilterWords>) -> Diagnostic {
    let error = Diagnostic::new(Code::OptionValue, format!("unknown address family {word}")).origin(&list.origin);
    match word {
        "none" => error.help("write `none` alone"),
        _ => error.help(format!("use some of {}, or `none` alone", FAMILIES.join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Origin;

    fn rule(lists: &[&str], posture: Posture) -> FamilyRule {
        resolve(&words(lists), posture).unwrap().rule
    }

    fn words(lists: &[&str]) -> Vec<Sourced<FilterWords>> {
        let list = |text: &&str| {
            let (deny, rest) = text.strip_prefix('~').map_or((false, *text), |rest| (true, rest));
            let words = rest.split_whitespace().map(str::to_owned).collect();
            Sourced::new(FilterWords { deny, words }, Origin::Option((*text).to_owned()))
        };
        lists.iter().map(list).collect()
    }

    #[test]
    fn lists_combine() {
        use FamilyRule::*;
        let (unix, inet, vsock) = (1u64 << 1, 1u64 << 2, 1u64 << 40);
        for (lists, spawn, nspawn) in [
            (&[][..], Except(FamilySet(vsock)), All),
            (&["AF_UNIX AF_INET"], Only(FamilySet(unix | inet)), Only(FamilySet(unix | inet))),
            (&["AF_LOCAL AF_INET", "~AF_INET"], Only(FamilySet(unix)), Only(FamilySet(unix))),
            (&["~AF_INET"], Except(FamilySet(inet | vsock)), Except(FamilySet(inet))),
            (&["~AF_INET AF_VSOCK", "AF_VSOCK"], Except(FamilySet(inet)), Except(FamilySet(inet))),
            (&["none"], Only(FamilySet(0)), Only(FamilySet(0))),
            (&["none", "AF_UNIX"], Only(FamilySet(unix)), Only(FamilySet(unix))),
            (&["AF_UNIX", ""], Except(FamilySet(vsock)), All),
            (&["AF_VSOCK"], Only(FamilySet(vsock)), Only(FamilySet(vsock))),
            (&["~"], Except(FamilySet(vsock)), All),
        ] {
            assert_eq!(rule(lists, Posture::Spawn), spawn, "{lists:?}");
            assert_eq!(rule(lists, Posture::SystemdNspawn), nspawn, "{lists:?}");
        }
    }

    #[test]
    fn every_unknown_family_is_reported() {
        let errors = resolve(&words(&["AF_UNIX AF_NONSENSE", "none AF_INET"]), Posture::Spawn).unwrap_err();
        assert_eq!(errors.len(), 2);
        assert!(errors[0].to_string().contains("AF_NONSENSE") && errors[0].to_string().contains("AF_INET6"));
        assert_eq!(errors[1].remedy(), Some("write `none` alone"));
    }
}
