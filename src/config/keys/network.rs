// SPDX-License-Identifier: LGPL-2.1-or-later
//! Network.

use crate::config::file::values as grammar;
use crate::config::settings::{Many, One};
use crate::config::{Key, Said, Section::Network as File, Takes::*, Topic::Network};
use crate::model::{InterfaceName, LinkPair, LinkReference};

pub(super) const KEYS: &[Key] = &[
    Key::option("private-network", Network, Flag, "Network namespace with loopback only", |s, v| {
        v.flag(&mut s.private_network)
    })
    .file(File, "Private", |s| s.private_network = None)
    .reads(|s, v| v.tristate(&mut s.private_network))
    .default_is("no")
    .trusted()
    .mask(7),
    Key::option("network-interface", Network, Value("HOST[:CONT]"), "Move a link into the container", |s, v| {
        links(&mut s.network_interface, v)
    })
    .file(File, "Interface", |s| s.network_interface.clear())
    .reads(|s, v| grammar::links(&mut s.network_interface, v))
    .adds_up()
    .bad_value(grammar::bad_link)
    .trusted()
    .mask(7)
    .since("v209"),
    Key::option("network-macvlan", Network, Value("HOST[:CONT]"), "Add a macvlan link", |s, v| {
        links(&mut s.network_macvlan, v)
    })
    .file(File, "MACVLAN", |s| s.network_macvlan.clear())
    .reads(|s, v| grammar::links(&mut s.network_macvlan, v))
    .adds_up()
    .bad_value(grammar::bad_link)
    .trusted()
    .mask(7)
    .since("v211"),
    Key::option("network-ipvlan", Network, Value("HOST[:CONT]"), "Add an ipvlan link", |s, v| {
        links(&mut s.network_ipvlan, v)
    })
    .file(File, "IPVLAN", |s| s.network_ipvlan.clear())
    .reads(|s, v| grammar::links(&mut s.network_ipvlan, v))
    .adds_up()
    .bad_value(grammar::bad_link)
    .trusted()
    .mask(7)
    .since("v219"),
    Key::option("network-veth", Network, Flag, "Add a virtual cable to the host", |s, v| v.flag(&mut s.network_veth))
        .short('n')
        .file(File, "VirtualEthernet", |s| s.network_veth = None)
        .reads(|s, v| v.tristate(&mut s.network_veth))
        .default_is("no")
        .trusted()
        .mask(7)
        .since("v209"),
    Key::option("network-veth-extra", Network, Value("HOST[:CONT]"), "Add a further virtual cable", |s, v| {
        v.many(&mut s.network_veth_extra)
    })
    .file(File, "VirtualEthernetExtra", |s| s.network_veth_extra.clear())
    .reads(|s, v| grammar::veth_extra(&mut s.network_veth_extra, v))
    .adds_up()
    .trusted()
    .mask(7)
    .since("v228"),
    Key::option("network-bridge", Network, Value("BRIDGE"), "Put the cable's host side in a bridge", |s, v| {
        v.one(&mut s.network_bridge)
    })
    .file(File, "Bridge", |s| s.network_bridge = None)
    .reads(|s, v| {
        // A file takes no alternative name (`config_parse_ifname` of systemd's nspawn-settings.c).
        let mut short: One<InterfaceName> = None;
        v.one_or_reset(&mut short)?;
        v.one_or_reset(&mut s.network_bridge)
    })
    .trusted()
    .mask(7)
    .since("v209"),
    Key::option("network-zone", Network, Value("ZONE"), "The same, with a bridge made for it", |s, v| {
        let name = v.text()?;
        match format!("vz-{name}").parse::<InterfaceName>() {
            Ok(_) if !name.is_empty() => v.string(&mut s.network_zone),
            _ => Err("must be 1 to 12 characters that an interface name can hold".into()),
        }
    })
    .file(File, "Zone", |s| s.network_zone = None)
    .bad_value(grammar::bad_zone)
    .trusted()
    .mask(7)
    .since("v230"),
    Key::option("network-namespace-path", Network, Value("PATH"), "Join this network namespace", |s, v| {
        v.path(&mut s.network_namespace_path)
    })
    .file(File, "NamespacePath", |s| s.network_namespace_path = None)
    .reads(|s, v| grammar::clean_path(&mut s.network_namespace_path, v))
    .trusted()
    .mask(7)
    .since("v236"),
    Key::option("port", Network, Value("[PROTO:]HOST[:CONT]"), "Forward a port of the host", |s, v| {
        v.many(&mut s.ports)
    })
    .short('p')
    .file(File, "Port", |s| s.ports.clear())
    .reads(grammar::port)
    .adds_up()
    .trusted()
    .mask(8)
    .since("v219"),
];

fn links(list: &mut Many<LinkPair<LinkReference>>, said: &Said) -> Result<(), String> {
    list.extend(LinkPair::parse_list(said.text()?)?.into_iter().map(|link| said.sourced(link)));
    Ok(())
}
