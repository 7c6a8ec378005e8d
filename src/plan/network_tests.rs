// SPDX-License-Identifier: LGPL-2.1-or-later

use super::super::testing::{facts, settings};
use super::*;

/// A host with links of several kinds; `eth1` is also called `uplink`.
fn on_host() -> Facts {
    let mut facts = facts();
    let link = |index, name: &str, kind: &str| HostLink {
        index,
        name: name.into(),
        alternatives: if name == "eth1" { vec!["uplink".into()] } else { Vec::new() },
        kind: kind.into(),
        loopback: name == "lo",
    };
    for (n, (said, name, kind)) in (1..).zip([
        ("lo", "lo", ""),
        ("eth0", "eth0", ""),
        ("eth1", "eth1", ""),
        ("uplink", "eth1", ""),
        ("br0", "br0", "bridge"),
        ("vz-a", "vz-a", "bridge"),
        ("vz-b", "vz-b", "veth"),
    ]) {
        facts.network.links.insert(said.into(), link(n, name, kind));
    }
    facts.host.machine_id = Some("dc18fcb7072d47eab90ca2f0c1583ad7".parse().unwrap());
    facts
}

fn planned(line: &str) -> (Vec<String>, Vec<String>, Network) {
    let (network, wrong) = network(&settings(line), &on_host(), Some(&"netfoo".parse().unwrap()));
    let links = network.links.iter().map(|l| l.value.to_string()).collect();
    (links, wrong.iter().map(Diagnostic::headline).collect(), network)
}

#[test]
fn links_are_made_in_the_order_of_systemd_nspawn() {
    let line = "--network-ipvlan=eth0:i --network-veth-extra=x --network-zone=a --network-interface=uplink:in";
    assert_eq!(
        planned(line).0,
        [
            "the host's eth1, as in",
            "a veth pair, host0 here and vb-netfoo on the host, there in the zone's bridge vz-a",
            "a veth pair, x here and x on the host",
            "the ipvlan i on eth0",
        ]
    );
    let (links, wrong, network) = planned("--network-macvlan=eth0 --network-macvlan=uplink");
    assert_eq!(
        (links, wrong),
        (vec!["the macvlan mv-eth0 on eth0".into(), "the macvlan mv-uplink on eth1".into()], vec![])
    );
    assert!(network.private && network.is_new());
}

#[test]
fn a_link_is_not_renamed_to_an_alternative_name_of_its_own() {
    assert_eq!(planned("--network-interface=uplink").0, ["the host's eth1, as eth1"]);
    assert_eq!(planned("--network-interface=eth1:uplink").0, ["the host's eth1, as eth1"]);
}

#[test]
fn a_link_that_a_killed_start_has_left_comes_back_to_its_machine_only() {
    let mut facts = on_host();
    facts.network.lent.insert("eth7".into(), "netfoo".into());
    let settings = settings("--network-interface=eth7:in");
    let (network, wrong) = super::network(&settings, &facts, Some(&"netfoo".parse().unwrap()));
    assert_eq!((network.links[0].value.to_string(), wrong.len()), ("the host's eth7, as in".into(), 0));
    let (_, wrong) = super::network(&settings, &facts, Some(&"other".parse().unwrap()));
    assert!(wrong[0].headline().contains("the host's link eth7 is lent to the machine netfoo"), "{}", wrong[0]);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (line, expected) in [
        ("--network-interface=nope", "the host has no network link nope"),
        ("--network-macvlan=nope:x", "the host has no network link nope"),
        ("--network-interface=lo", "lo is the host's loopback interface"),
        ("--network-interface=eth1 --network-interface=uplink:x", "the link eth1 cannot be moved twice"),
        ("--network-interface=eth0 --network-macvlan=eth0", "--network-macvlan=eth0 needs eth0 on the host"),
        (
            "--network-macvlan=eth0 --network-ipvlan=eth0",
            "--network-macvlan=eth0 and --network-ipvlan=eth0 cannot share",
        ),
        ("--network-bridge=nope", "the host has no bridge nope"),
        ("--network-bridge=eth0", "the host's link eth0 is no bridge"),
        ("--network-zone=b", "the host's link vz-b is no bridge"),
        ("--network-veth-extra=x:y --network-veth-extra=x:z", "two veth pairs cannot both be x on the host"),
        ("-n --network-interface=eth0:host0", "two links of the container would be called host0"),
        ("--network-veth-extra=x:lo", "two links of the container would be called lo"),
    ] {
        let (_, wrong, network) = planned(line);
        assert_eq!(wrong.len(), 1, "{line}: {wrong:?}");
        assert!(wrong[0].contains(expected), "{line}: {wrong:?}");
        assert!(network.private, "{line}");
    }
}

#[test]
fn a_joined_namespace_is_neither_the_hosts_nor_a_new_one() {
    let (links, wrong, network) = planned("--network-namespace-path=/run/netns/x");
    assert_eq!((links, wrong), (vec![], vec![]));
    assert!(!network.private && !network.is_new() && network.is_own());
    assert!(!network.resolves_as_host(Invocation::Spawn) && network.resolves_as_host(Invocation::SystemdNspawn));
    let (_, _, network) = planned("--network-namespace-path=/run/netns/x --private-network");
    assert!(network.private && !network.is_new() && !network.resolves_as_host(Invocation::SystemdNspawn));

    let mut facts = on_host();
    facts.network.not_a_namespace = Some("/x is no network namespace".into());
    let (_, wrong) = super::network(&settings("--network-namespace-path=/x"), &facts, None);
    assert_eq!(wrong[0].code(), Code::NetworkNamespace);
    assert!(wrong[0].headline().contains("/x is no network namespace"), "{}", wrong[0]);
}

#[test]
fn each_link_has_the_address_that_systemd_nspawn_gives_it() {
    let (_, _, network) = planned("--network-veth-extra=a --network-veth-extra=b --network-macvlan=eth0");
    let macs: Vec<_> = network
        .links
        .iter()
        .map(|l| match &l.value {
            Link::Veth { host_mac, container_mac, .. } => vec![host_mac.unwrap(), container_mac.unwrap()],
            Link::Macvlan { mac, .. } => vec![mac.unwrap()],
            _ => vec![],
        })
        .collect();
    let role = |role| MacAddress::derive(on_host().host.machine_id.unwrap(), &"netfoo".parse().unwrap(), role);
    assert_eq!(macs[1], [role(MacRole::ExtraHost(1)), role(MacRole::ExtraContainer(1))]);
    assert_eq!(macs[2], [role(MacRole::Macvlan(0))]);
}
