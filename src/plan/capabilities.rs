// SPDX-License-Identifier: LGPL-2.1-or-later
//! The capability sets of the payload, from what was asked for (systemd-nspawn(1), `--capability=` and its kin).

use crate::config::Invocation;
use crate::error::{Code, Diagnostic, Sourced};
use crate::model::{Capability, CapabilitySet, CapabilityWords, DEFAULT_BOUNDING};
use serde::Serialize;

/// The network the payload sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkView {
    /// That of the caller.
    Shared,
    /// A new one of its own (not one given by path): CAP_NET_ADMIN is added.
    Private,
    /// Another one that is not the payload's to change: made by somebody else (`--network-namespace-path=`), or without
    /// the capability.
    Given,
}

/// Where the payload's user ids count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserView {
    /// In the caller's user namespace.
    Shared,
    /// In a user namespace of the container.
    Namespaced,
}

/// Whom the payload runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadUser {
    /// User id 0 of the container.
    Root,
    /// Any other: only the ambient set is left to it.
    Other,
}

/// What starts as the first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstProcess {
    /// The init found in the tree (`-b`): it sets capabilities of its own.
    Init,
    /// A program that was named.
    Program,
}

/// Everything that decides.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Whose rules hold.
    pub invocation: Invocation,
    /// `--capability=`
    pub add: &'a [Sourced<CapabilityWords>],
    /// `--drop-capability=`
    pub drop: &'a [Sourced<CapabilityWords>],
    /// `--ambient-capability=`
    pub ambient: &'a [Sourced<CapabilityWords>],
    /// Network namespace.
    pub network: NetworkView,
    /// User namespace.
    pub users: UserView,
    /// `--user=`
    pub user: PayloadUser,
    /// `-b` or not.
    pub first: FirstProcess,
    /// Our own bounding set: more cannot be given.
    pub available: CapabilitySet,
}

/// The five sets that the payload starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CapabilityPlan {
    /// Limits what execve(2) can give.
    pub bounding: CapabilitySet,
    /// May be put in force.
    pub permitted: CapabilitySet,
    /// In force.
    pub effective: CapabilitySet,
    /// Kept by files that have them.
    pub inheritable: CapabilitySet,
    /// Kept across execve(2) without root.
    pub ambient: CapabilitySet,
    /// Asked for and missing, since our own bounding set lacks them: worth a warning.
    pub unavailable: CapabilitySet,
}

/// Additions first, then removals; CAP_NET_BIND_SERVICE goes where it would mean the host's ports; what the caller
/// lacks goes last. A root payload gets the set as it is, another user the ambient set only.
///
/// Fails with one diagnostic for each ambient set that cannot be.
pub fn capabilities(asked: &Asked<'_>) -> Result<CapabilityPlan, Vec<Diagnostic>> {
    let bounding = bounding(asked);
    let errors: Vec<Diagnostic> =
        asked.ambient.iter().filter_map(|words| refuse(words, asked.first, bounding)).collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let given = |set: CapabilitySet| set.intersection(asked.available);
    // "all" asks for whatever there is: nothing of that is missed.
    let unavailable = bounding.intersection(DEFAULT_BOUNDING.union(listed(asked.add))).minus(asked.available);
    let (bounding, ambient) = (given(bounding), given(sum(asked.ambient)));
    let (permitted, effective) = match asked.user {
        PayloadUser::Root => (bounding, bounding),
        PayloadUser::Other => (ambient, CapabilitySet::EMPTY),
    };
    Ok(CapabilityPlan { bounding, permitted, effective, inheritable: permitted, ambient, unavailable })
}

fn bounding(asked: &Asked<'_>) -> CapabilitySet {
    let added = sum(asked.add);
    let mut set = DEFAULT_BOUNDING.union(added);
    if asked.network == NetworkView::Private {
        set.insert(Capability::NET_ADMIN);
    }
    set = set.minus(sum(asked.drop));
    let host_ports = asked.network == NetworkView::Shared && asked.users == UserView::Namespaced;
    let insists = asked.invocation == Invocation::Spawn && added.contains(Capability::NET_BIND_SERVICE);
    if host_ports && !insists {
        set.remove(Capability::NET_BIND_SERVICE);
    }
    set
}

fn sum(lists: &[Sourced<CapabilityWords>]) -> CapabilitySet {
    lists.iter().fold(CapabilitySet::EMPTY, |set, words| set.union(words.value.set()))
}

/// Those that were asked for by name.
fn listed(lists: &[Sourced<CapabilityWords>]) -> CapabilitySet {
    lists.iter().fold(CapabilitySet::EMPTY, |set, words| match words.value {
        CapabilityWords::List(listed) => set.union(listed),
        CapabilityWords::All => set,
    })
}

fn refuse(words: &Sourced<CapabilityWords>, first: FirstProcess, bounding: CapabilitySet) -> Option<Diagnostic> {
    let CapabilityWords::List(set) = words.value else {
        return Some(
            Diagnostic::new(Code::OptionValue, "the ambient capabilities cannot be `all`")
                .origin(&words.origin)
                .help("name the capabilities that the payload needs"),
        );
    };
    if first == FirstProcess::Init && !set.is_empty() {
        return Some(
            Diagnostic::new(Code::OptionConflict, "ambient capabilities cannot be given to an init")
                .origin(&words.origin)
                .help("drop --boot, or set AmbientCapabilities= in the units of the container"),
        );
    }
    let missing = set.minus(bounding);
    (!missing.is_empty()).then(|| {
        let names: Vec<String> = missing.iter().map(|c| c.to_string()).collect();
        Diagnostic::new(Code::OptionConflict, format!("{missing} is ambient but not in the bounding set"))
            .origin(&words.origin)
            .help(format!("add --capability={}", names.join(",")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Origin;
    use Capability as C;

    fn words(texts: &[&str]) -> Vec<Sourced<CapabilityWords>> {
        let one = |text: &&str| Sourced::new(text.parse().unwrap(), Origin::Option(format!("--x={text}")));
        texts.iter().map(one).collect()
    }

    fn nothing() -> Asked<'static> {
        Asked {
            invocation: Invocation::Spawn,
            add: &[],
            drop: &[],
            ambient: &[],
            network: NetworkView::Shared,
            users: UserView::Shared,
            user: PayloadUser::Root,
            first: FirstProcess::Program,
            available: CapabilitySet((1 << 41) - 1),
        }
    }

    fn bounding_of(asked: Asked<'_>) -> CapabilitySet {
        capabilities(&asked).unwrap().bounding
    }

    #[test]
    fn additions_and_removals() {
        let one = |c| CapabilitySet::of(&[c]);
        let everything = nothing().available;
        for (add, drop, want) in [
            (&[][..], &[][..], DEFAULT_BOUNDING),
            (&["SYS_TIME"], &[], DEFAULT_BOUNDING.union(one(C::SYS_TIME))),
            (&["SYS_TIME"], &["SYS_TIME"], DEFAULT_BOUNDING),
            (&[], &["MKNOD,KILL"], DEFAULT_BOUNDING.minus(CapabilitySet::of(&[C::MKNOD, C::KILL]))),
            (&["all"], &["MKNOD"], everything.minus(one(C::MKNOD))),
            (&["all"], &[], everything),
            (&[], &["all"], CapabilitySet::EMPTY),
            (&["SYS_TIME", "BPF"], &[], DEFAULT_BOUNDING.union(CapabilitySet::of(&[C::SYS_TIME, C::BPF]))),
        ] {
            let (add, drop) = (words(add), words(drop));
            assert_eq!(bounding_of(Asked { add: &add, drop: &drop, ..nothing() }), want, "+{add:?} -{drop:?}");
        }
    }

    #[test]
    fn a_network_of_its_own_adds_net_admin_unless_dropped() {
        let drop = words(&["NET_ADMIN"]);
        for (network, drop, want) in [
            (NetworkView::Shared, &[][..], false),
            (NetworkView::Given, &[], false),
            (NetworkView::Private, &[], true),
            (NetworkView::Private, &drop, false),
        ] {
            let set = bounding_of(Asked { network, drop, ..nothing() });
            assert_eq!(set.contains(C::NET_ADMIN), want, "{network:?} {drop:?}");
        }
    }

    #[test]
    fn d10_ports_of_the_host_are_not_for_a_user_namespace() {
        let add = words(&["CAP_NET_BIND_SERVICE"]);
        use {Invocation::*, UserView::*};
        for (invocation, users, network, add, want) in [
            (Spawn, Namespaced, NetworkView::Shared, &[][..], false),
            (Spawn, Namespaced, NetworkView::Shared, &add, true),
            (SystemdNspawn, Namespaced, NetworkView::Shared, &add, false),
            (Spawn, Namespaced, NetworkView::Private, &[], true),
            (Spawn, Namespaced, NetworkView::Given, &[], true),
            (SystemdNspawn, Shared, NetworkView::Shared, &[], true),
        ] {
            let set = bounding_of(Asked { invocation, users, network, add, ..nothing() });
            assert_eq!(set.contains(C::NET_BIND_SERVICE), want, "{invocation:?} {users:?} {network:?} {add:?}");
        }
    }

    #[test]
    fn root_gets_the_set_and_others_the_ambient_part() {
        let ambient = words(&["KILL", "NET_RAW"]);
        let both = CapabilitySet::of(&[C::KILL, C::NET_RAW]);
        let root = capabilities(&Asked { ambient: &ambient, ..nothing() }).unwrap();
        assert_eq!(
            (root.permitted, root.effective, root.inheritable),
            (DEFAULT_BOUNDING, DEFAULT_BOUNDING, DEFAULT_BOUNDING)
        );
        assert_eq!(root.ambient, both);
        let other = capabilities(&Asked { ambient: &ambient, user: PayloadUser::Other, ..nothing() }).unwrap();
        assert_eq!(other.bounding, DEFAULT_BOUNDING);
        assert_eq!((other.permitted, other.inheritable, other.ambient), (both, both, both));
        assert_eq!(other.effective, CapabilitySet::EMPTY);
    }

    #[test]
    fn impossible_ambient_sets_are_each_refused() {
        for (ambient, first, codes) in [
            (&["all"][..], FirstProcess::Program, &[Code::OptionValue][..]),
            (&["SYS_TIME", "KILL", "BPF"], FirstProcess::Program, &[Code::OptionConflict, Code::OptionConflict]),
            (&["KILL"], FirstProcess::Init, &[Code::OptionConflict]),
            (&["all", "KILL"], FirstProcess::Init, &[Code::OptionValue, Code::OptionConflict]),
        ] {
            let ambient = words(ambient);
            let errors = capabilities(&Asked { ambient: &ambient, first, ..nothing() }).unwrap_err();
            assert_eq!(errors.iter().map(Diagnostic::code).collect::<Vec<_>>(), codes, "{ambient:?}");
        }
        let ambient = words(&["SYS_TIME"]);
        let error = &capabilities(&Asked { ambient: &ambient, ..nothing() }).unwrap_err()[0];
        assert_eq!(error.remedy(), Some("add --capability=CAP_SYS_TIME"));
        let add = words(&["SYS_TIME"]);
        assert!(capabilities(&Asked { ambient: &ambient, add: &add, ..nothing() }).is_ok());
    }

    #[test]
    fn what_the_caller_lacks_is_left_out_and_named() {
        let available = nothing().available.minus(CapabilitySet::of(&[C::MKNOD, C::BPF]));
        let plan = capabilities(&Asked { available, ..nothing() }).unwrap();
        assert_eq!(plan.unavailable, CapabilitySet::of(&[C::MKNOD]));
        assert!(plan.bounding.is_subset(available) && plan.effective == plan.bounding);
        let (all, bpf) = (words(&["all"]), words(&["BPF"]));
        let plan = capabilities(&Asked { available, add: &all, ..nothing() }).unwrap();
        assert_eq!((plan.bounding, plan.unavailable), (available, CapabilitySet::of(&[C::MKNOD])));
        let plan = capabilities(&Asked { available, add: &bpf, ..nothing() }).unwrap();
        assert_eq!(plan.unavailable, CapabilitySet::of(&[C::MKNOD, C::BPF]));
    }
}
