// SPDX-License-Identifier: LGPL-2.1-or-later
//! Settings that exclude or need each other, whatever the machine is. Rules that depend on the image or the kernel are
//! elsewhere in the plan.

use crate::config::{One, Settings};
use crate::error::{Code, Diagnostic, Origin, Sourced};
use crate::model::*;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

/// Every conflict of the settings, all at once.
pub fn check(settings: &Settings) -> Vec<Diagnostic> {
    let mut found = exclusions(settings);
    found.extend(missing(settings));
    found
}

/// Settings that exclude each other: true however incomplete the rest is.
pub fn exclusions(s: &Settings) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    start_mode(s, &mut found);
    image(s, &mut found);
    ownership(s, &mut found);
    user_namespace(s, &mut found);
    network(s, &mut found);
    unit(s, &mut found);
    found
}

fn exclude(found: &mut Vec<Diagnostic>, a: &Origin, b: &Origin, way_out: &str) {
    found
        .push(Diagnostic::new(Code::OptionConflict, format!("{a} and {b} exclude each other")).origin(b).help(way_out));
}

/// The origin of a setting that was made.
fn said<T>(setting: &One<T>) -> Option<&Origin> {
    setting.as_ref().map(|s| &s.origin)
}

/// The origin of a switch that is on.
fn on(setting: &One<bool>) -> Option<&Origin> {
    setting.as_ref().filter(|s| s.value).map(|s| &s.origin)
}

/// The origin of a setting whose value is one of those that matter.
fn of<T>(setting: &One<T>, matters: impl Fn(&T) -> bool) -> Option<&Origin> {
    setting.as_ref().filter(|s| matters(&s.value)).map(|s| &s.origin)
}

fn first<T>(list: &[Sourced<T>]) -> Option<&Origin> {
    list.first().map(|s| &s.origin)
}

fn start_mode(s: &Settings, found: &mut Vec<Diagnostic>) {
    if let Some((a, b)) = &s.start_mode_clash {
        exclude(found, a, b, "leave one of them out: a booted init is always PID 1");
    }
    let boot = of(&s.start_mode, |mode| *mode == StartMode::Boot);
    if let (Some(boot), Some(ambient)) = (boot, first(&s.ambient_capability)) {
        exclude(found, boot, ambient, "leave one of them out: init gives ambient capabilities to its services itself");
    }
    // Init sets the host name, and whoever is PID 1 of others has a name for them.
    let init = of(&s.start_mode, |mode| matches!(mode, StartMode::Boot | StartMode::Pid2));
    if let (Some(init), Some(uts)) = (init, on(&s.share_uts)) {
        exclude(found, init, uts, "leave one of them out: the host's name is not the container's to change");
    }
    for ambient in &s.ambient_capability {
        let dropped = s.drop_capability.iter().find(|drop| overlap(&ambient.value, &drop.value));
        if let Some(drop) = dropped {
            exclude(found, &drop.origin, &ambient.origin, "ambient capabilities must not be dropped as well");
        }
    }
}

fn overlap(a: &CapabilityWords, b: &CapabilityWords) -> bool {
    match (a, b) {
        (CapabilityWords::List(a), CapabilityWords::List(b)) => a.0 & b.0 != 0,
        (CapabilityWords::All, CapabilityWords::List(list)) | (CapabilityWords::List(list), CapabilityWords::All) => {
            list.0 != 0
        }
        (CapabilityWords::All, CapabilityWords::All) => true,
    }
}

fn image(s: &Settings, found: &mut Vec<Diagnostic>) {
    let trees: Vec<_> = [said(&s.directory), said(&s.image), said(&s.mstack)].into_iter().flatten().collect();
    for (at, a) in trees.iter().enumerate() {
        for b in &trees[at + 1..] {
            exclude(found, a, b, "name one tree only");
        }
    }
    if let Some(template) = said(&s.template) {
        for other in [said(&s.image), said(&s.mstack)].into_iter().flatten() {
            exclude(found, template, other, "a template can only be copied to a directory: use --directory=");
        }
        if let (Some(ephemeral), Some(_)) = (on(&s.ephemeral), &s.directory) {
            exclude(found, template, ephemeral, "use -x with --directory= alone, or --template= alone");
        }
    }
    if let Some(ephemeral) = on(&s.ephemeral) {
        if let Some(mstack) = said(&s.mstack) {
            exclude(found, ephemeral, mstack, "leave one of them out");
        }
        if let Some(cleanup) = on(&s.cleanup) {
            exclude(found, ephemeral, cleanup, "leave -x out: nothing is started");
        }
        let journal = of(&s.link_journal, |mode| matches!(mode, LinkJournal::Host | LinkJournal::Guest));
        if let Some(journal) = journal {
            exclude(found, ephemeral, journal, "use --link-journal=try-guest or no");
        }
    }
    let throwaway =
        on(&s.ephemeral).is_some() || of(&s.volatile, |v| matches!(v, Volatile::Yes | Volatile::State)).is_some();
    if let Some(root) = of(&s.directory, |path| path == Path::new("/"))
        && !throwaway
        && on(&s.cleanup).is_none()
    {
        let what = format!("{root} is the root directory of the host");
        found.push(
            Diagnostic::new(Code::OptionConflict, what).origin(root).help("add -x, so that nothing in it is changed"),
        );
    }
}

/// Mounts that take the place of the root directory.
fn root_mounts(s: &Settings) -> impl Iterator<Item = &Origin> {
    s.mounts.iter().filter(|mount| mount.value.target() == Path::new("/")).map(|mount| &mount.origin)
}

fn ownership(s: &Settings, found: &mut Vec<Diagnostic>) {
    let Some(chown) = of(&s.ownership, |mode| *mode == Ownership::Chown) else { return };
    let read_only = on(&s.read_only).into_iter().chain(of(&s.volatile, |v| *v != Volatile::No)).chain(root_mounts(s));
    for other in read_only {
        exclude(found, chown, other, "use --private-users-ownership=map: owners in a read-only tree cannot be changed");
    }
}

fn user_namespace(s: &Settings, found: &mut Vec<Diagnostic>) {
    let Some(mode) = s.private_users.as_ref().filter(|mode| mode.value != PrivateUsers::No) else {
        if let (Some(user), Some(no)) = (on(&s.user_scope), said(&s.private_users)) {
            exclude(found, user, no, "use --private-users=managed, or --system");
        }
        return;
    };
    if mode.value != PrivateUsers::Managed {
        if let Some(user) = on(&s.user_scope) {
            exclude(found, user, &mode.origin, "use --private-users=managed, or --system");
        }
        if let Some(mstack) = said(&s.mstack) {
            exclude(found, mstack, &mode.origin, "use --private-users=no or managed");
        }
    }
    if let Some(api) = opens_api(s) {
        exclude(found, api, &mode.origin, "use --private-users=no: nothing of the host can be written to otherwise");
    }
    let explicit = matches!(mode.value, PrivateUsers::Fixed(_) | PrivateUsers::Identity);
    let moved = of(&s.ownership, |ownership| *ownership != Ownership::Off);
    for root in root_mounts(s) {
        if !explicit {
            exclude(found, &mode.origin, root, "use --private-users=UID:N with --private-users-ownership=off");
        } else if let Some(moved) = moved {
            exclude(found, moved, root, "use --private-users-ownership=off");
        }
    }
}

/// Everything of the network but `--private-network`, `--network-namespace-path=` and ports.
fn links(s: &Settings) -> impl Iterator<Item = &Origin> {
    let lists = [first(&s.network_interface), first(&s.network_macvlan), first(&s.network_ipvlan)];
    let single = [first(&s.network_veth_extra), on(&s.network_veth), said(&s.network_bridge), said(&s.network_zone)];
    lists.into_iter().chain(single).flatten()
}

/// Whether the container gets a network of its own.
fn is_private(s: &Settings) -> bool {
    // A container of a user has one unless something else was said of the network.
    let implied = on(&s.user_scope).is_some() && s.private_network.is_none() && s.network_namespace_path.is_none();
    on(&s.private_network).is_some() || links(s).next().is_some() || implied
}

/// Who asked for parts of the host's `/sys` or `/proc/sys` that can be written to: those of a user namespace cannot be.
pub fn opens_api(s: &Settings) -> Option<&Origin> {
    let private = is_private(s) || s.network_namespace_path.is_some();
    of(&s.api_vfs, |mode| *mode == ApiVfs::Yes || *mode == ApiVfs::Network && !private)
}

fn network(s: &Settings, found: &mut Vec<Diagnostic>) {
    if let Some(path) = said(&s.network_namespace_path) {
        for other in links(s) {
            exclude(found, path, other, "leave one of them out: links belong to whoever made that namespace");
        }
    }
    let mut forwarded = BTreeMap::new();
    for port in &s.ports {
        match forwarded.entry((port.value.protocol, port.value.host)) {
            Entry::Vacant(free) => drop(free.insert(&port.origin)),
            Entry::Occupied(other) => {
                exclude(found, other.get(), &port.origin, "forward each port of the host once");
            }
        }
    }
    if let (Some(bridge), Some(zone)) = (said(&s.network_bridge), said(&s.network_zone)) {
        exclude(found, bridge, zone, "leave one of them out: a link is in one bridge only");
    }
}

fn unit(s: &Settings, found: &mut Vec<Diagnostic>) {
    let scope = of(&s.scope, |mode| *mode == ScopeMode::Require);
    if let (Some(keep), Some(scope)) = (on(&s.keep_unit), scope) {
        exclude(found, keep, scope, "leave one of them out: --keep-unit makes no scope");
    }
    let none = of(&s.scope, |mode| *mode == ScopeMode::No);
    if let (Some(none), Some(property)) = (none, first(&s.properties)) {
        exclude(found, none, property, "leave one of them out: properties are those of a scope");
    }
    if let (Some(forward), Some(credential)) = (said(&s.forward_journal), super::forward::clashing(s)) {
        exclude(found, forward, credential, "leave one of them out: --forward-journal= sets this credential");
    }
}

/// Settings that need another one which was not made.
fn missing(s: &Settings) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut need = |who: &Origin, what: &str, way_out: &str| {
        found.push(Diagnostic::new(Code::OptionConflict, format!("{who} needs {what}")).origin(who).help(way_out));
    };
    if let Some(template) = said(&s.template)
        && s.directory.is_none()
        && s.machine.is_none()
        && on(&s.ephemeral).is_none()
    {
        need(template, "a place to copy the tree to", "add --directory= or --machine=");
    }

    let managed = of(&s.private_users, |mode| *mode == PrivateUsers::Managed);
    let user_scope = on(&s.user_scope).is_some();
    let private = is_private(s);
    if let (Some(managed), false) = (managed, private) {
        need(managed, "a network of its own", "add --private-network or --network-veth");
    }
    if let (Some(port), false) = (first(&s.ports), private) {
        need(port, "a network of its own", "add --network-veth, or leave the port out");
    }
    let is_managed = managed.is_some() || (user_scope && s.private_users.is_none());
    if let (Some(delegate), false) = (of(&s.delegate, |n| *n > 0), is_managed) {
        need(delegate, "--private-users=managed", "add --private-users=managed, or leave it out");
    }

    if let (Some(limit), None) = (super::forward::limit(s), &s.forward_journal) {
        need(limit, "a journal that is forwarded", "add --forward-journal=, or leave the limit out");
    }

    let shell = of(&s.bind_user_shell, |shell| parse_bool(shell).is_err());
    for who in [shell, first(&s.bind_user_group)].into_iter().flatten() {
        if s.bind_user.is_empty() {
            need(who, "a user that it is for", "add --bind-user=");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::settings;
    use super::*;

    /// Each line with the words that its conflicts must begin with.
    #[test]
    fn the_matrix() {
        let rows: &[(&str, &[&str])] = &[
            ("-a -b", &["-a and -b exclude"]),
            ("-b -a", &["-b and -a exclude"]),
            ("-b -b", &[]),
            ("--directory=/x --image=/y", &["--directory=/x and --image=/y exclude"]),
            (
                "--image=/x --mstack=/y --directory=/z",
                &[
                    "--directory=/z and --image=/x exclude",
                    "--directory=/z and --mstack=/y exclude",
                    "--image=/x and --mstack=/y exclude",
                ],
            ),
            ("--template=/t --image=/y --machine=m", &["--template=/t and --image=/y exclude"]),
            ("--template=/t --mstack=/y --machine=m", &["--template=/t and --mstack=/y exclude"]),
            ("--template=/t --directory=/y --ephemeral", &["--template=/t and --ephemeral exclude"]),
            ("--template=/t --ephemeral", &[]),
            ("--template=/t", &["--template=/t needs a place"]),
            ("--template=/t --machine=m", &[]),
            ("-x --mstack=/y", &["-x and --mstack=/y exclude"]),
            ("--scope=no --property=MemoryMax=1G --machine=m", &["--scope=no and --property=MemoryMax=1G exclude"]),
            ("-x --cleanup --machine=m", &["-x and --cleanup exclude"]),
            ("-x --link-journal=host", &["-x and --link-journal=host exclude"]),
            ("-x --link-journal=guest", &["-x and --link-journal=guest exclude"]),
            ("-x --link-journal=try-guest", &[]),
            ("--directory=/", &["--directory=/ is the root"]),
            ("--directory=/ -x", &[]),
            ("--directory=/ --volatile", &[]),
            ("--directory=/ --volatile=overlay", &["--directory=/ is the root"]),
            (
                "--private-users-ownership=chown --read-only",
                &["--private-users-ownership=chown and --read-only exclude"],
            ),
            ("--private-users-chown --volatile", &["--private-users-chown and --volatile exclude"]),
            ("--private-users-ownership=chown --tmpfs=/", &["--private-users-ownership=chown and --tmpfs=/ exclude"]),
            ("--private-users-ownership=chown --volatile=no", &[]),
            ("--user --private-users=pick", &["--user and --private-users=pick exclude"]),
            ("--user --private-users=no", &["--user and --private-users=no exclude"]),
            ("--user --private-users=managed", &[]),
            ("--private-users=managed", &["--private-users=managed needs a network"]),
            ("--private-users=managed -n", &[]),
            ("--private-users-delegate=1 -U", &["--private-users-delegate=1 needs --private-users=managed"]),
            ("--private-users-delegate=0", &[]),
            ("--private-users-delegate=1 --private-users=managed --private-network", &[]),
            ("--network-namespace-path=/n -n", &["--network-namespace-path=/n and -n exclude"]),
            (
                "--network-namespace-path=/n --network-interface=a",
                &["--network-namespace-path=/n and --network-interface=a"],
            ),
            (
                "--network-namespace-path=/n --network-macvlan=a",
                &["--network-namespace-path=/n and --network-macvlan=a"],
            ),
            ("--network-namespace-path=/n --network-ipvlan=a", &["--network-namespace-path=/n and --network-ipvlan=a"]),
            (
                "--network-namespace-path=/n --network-veth-extra=a",
                &["--network-namespace-path=/n and --network-veth-e"],
            ),
            ("--network-namespace-path=/n --network-bridge=a", &["--network-namespace-path=/n and --network-bridge=a"]),
            ("--network-namespace-path=/n --network-zone=a", &["--network-namespace-path=/n and --network-zone=a"]),
            ("--network-namespace-path=/n --private-network", &[]),
            ("--network-bridge=a --network-zone=b", &["--network-bridge=a and --network-zone=b exclude"]),
            ("--port=80", &["--port=80 needs a network"]),
            ("--port=80 -n", &[]),
            ("--port=80:1 --port=tcp:80:2 --port=udp:80 -n", &["--port=80:1 and --port=tcp:80:2 exclude"]),
            ("-b --ambient-capability=CAP_CHOWN", &["-b and --ambient-capability=CAP_CHOWN exclude"]),
            (
                "--ambient-capability=CAP_CHOWN --drop-capability=all",
                &["--drop-capability=all and --ambient-capability"],
            ),
            ("--ambient-capability=CAP_CHOWN --drop-capability=CAP_KILL", &[]),
            ("--bind-user-shell=/bin/sh", &["--bind-user-shell=/bin/sh needs a user"]),
            ("--bind-user-shell=yes", &[]),
            ("--bind-user-group=g", &["--bind-user-group=g needs a user"]),
            ("--bind-user-group=g --bind-user=u", &[]),
            ("--bind=/x:/ -U", &["-U and --bind=/x:/ exclude"]),
            ("--bind=/x:/ --private-users=65536", &[]),
            (
                "--bind=/x:/ --private-users=65536 --private-users-ownership=map",
                &["--private-users-ownership=map and --bind"],
            ),
            ("--bind=/x:/ --private-users=no", &[]),
            ("--mstack=/x --private-users=pick", &["--mstack=/x and --private-users=pick exclude"]),
            ("--mstack=/x --private-users=0", &["--mstack=/x and --private-users=0 exclude"]),
            ("--mstack=/x --private-users=no", &[]),
            ("--keep-unit --scope=require", &["--keep-unit and --scope=require exclude"]),
            ("--keep-unit --scope=auto", &[]),
            (
                "--forward-journal=/j --set-credential=journal.forward_to_socket:x",
                &["--forward-journal=/j and --set-cred"],
            ),
            ("--forward-journal-max-use=1", &["--forward-journal-max-use=1 needs a journal"]),
            ("--forward-journal-max-files=1 --forward-journal=/j", &[]),
            ("-a -b --network-bridge=a --network-zone=b --port=1 -n", &["-a and -b", "--network-bridge=a and"]),
        ];
        for (line, expected) in rows {
            let conflicts = check(&settings(line));
            for conflict in &conflicts {
                assert!(conflict.asked_by().is_some() && conflict.remedy().is_some(), "{line}: {conflict}");
            }
            let found: Vec<_> = conflicts.iter().map(Diagnostic::headline).collect();
            let fits = found.len() == expected.len() && found.iter().zip(*expected).all(|(f, e)| f.starts_with(e));
            assert!(fits, "{line}\n  found    {found:?}\n  expected {expected:?}");
        }
    }

    #[test]
    fn every_conflict_says_who_and_what_to_do() {
        for conflict in check(&settings("-a -b --port=1 --directory=/ --bind-user-group=g")) {
            assert!(conflict.asked_by().is_some() && conflict.remedy().is_some(), "{conflict}");
            assert_eq!(conflict.code(), Code::OptionConflict);
        }
    }
}
