// SPDX-License-Identifier: LGPL-2.1-or-later
//! The capabilities that a start needs (capabilities(7)): told before anything is touched, all at once.

use super::{Network, UserNamespace};
use crate::error::{Code, Diagnostic};
use crate::model::{Capability as C, CapabilitySet};

/// Mounts and namespaces; device nodes; what belongs to the container's root, and is made where others own.
const ALWAYS: [C; 5] = [C::SYS_ADMIN, C::MKNOD, C::CHOWN, C::DAC_OVERRIDE, C::SYS_PTRACE];
/// Writing id maps (user_namespaces(7)); mapping user 0 needs CAP_SETFCAP since Linux 5.12.
const WITH_USERS: [C; 3] = [C::SETUID, C::SETGID, C::SETFCAP];

/// One diagnostic that names everything missing.
pub fn missing(powers: CapabilitySet, users: &UserNamespace, network: &Network) -> Option<Diagnostic> {
    let mut needed = CapabilitySet::EMPTY;
    ALWAYS.into_iter().for_each(|c| needed.insert(c));
    if users.is_some() {
        WITH_USERS.into_iter().for_each(|c| needed.insert(c));
    }
    if !network.links.is_empty() || !network.ports.is_empty() {
        needed.insert(C::NET_ADMIN);
    }
    let missing = needed.minus(powers);
    let names: Vec<String> = missing.iter().map(|c| c.to_string()).collect();
    (!missing.is_empty()).then(|| {
        Diagnostic::new(Code::NeedRoot, format!("this process lacks what a start needs: {}", names.join(", ")))
            .help("grant these capabilities where it runs; inside another container that is done from outside")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::{facts, settings};

    fn told(powers: CapabilitySet, users: UserNamespace, veth: bool) -> Option<String> {
        let settings = settings(if veth { "--network-veth" } else { "" });
        let (network, _) = super::super::network::network(&settings, &facts(), Some(&"m".parse().unwrap()));
        missing(powers, &users, &network).map(|d| d.headline())
    }

    #[test]
    fn what_is_missing_is_named_at_once() {
        let all = CapabilitySet::ALL;
        let pick = UserNamespace::Pick { owner: (0, 0), idmap: true };
        assert_eq!(told(all, pick.clone(), true), None);
        let mut few = all;
        [C::MKNOD, C::SETUID, C::NET_ADMIN].into_iter().for_each(|c| few.remove(c));
        let headline = told(few, pick, true).expect("refused");
        for name in ["CAP_MKNOD", "CAP_SETUID", "CAP_NET_ADMIN"] {
            assert!(headline.contains(name), "{headline}");
        }
        assert!(!told(few, UserNamespace::None, false).expect("refused").contains("CAP_SETUID"));
    }
}
