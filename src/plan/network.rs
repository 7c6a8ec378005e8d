// SPDX-License-Identifier: LGPL-2.1-or-later
//! The network of a container: which namespace, which links, which ports.

use super::{Facts, NetworkFacts};
use crate::config::{Invocation, Settings};
use crate::error::{Code, Diagnostic, Origin, Result, Sourced};
use crate::model::*;
use crate::net::{self, CONTAINER_LINK, HostLink, LinkName, Links, MacAddress, MacRole, Side};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Kinds of links that can have ports (`ndo_add_slave` of the kernel).
const WITH_PORTS: [&str; 5] = ["bridge", "bond", "team", "vrf", "openvswitch"];

/// The network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Network {
    /// The container administers its network.
    pub private: bool,
    /// A network namespace that exists already, instead of a new one or the host's.
    #[serde(serialize_with = "crate::model::shown::sourced_path")]
    pub join: Option<Sourced<PathBuf>>,
    /// Its links beyond the loopback interface, in the order in which they are made.
    pub links: Vec<Sourced<Link>>,
    /// Ports of the host that lead to it.
    pub ports: Vec<Sourced<PortForward>>,
    /// Who asked for a network of its own.
    pub origin: Origin,
}

/// A link between the container and the host.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// A link of the host, lent for the container's life.
    Move {
        /// Its name on the host.
        host: String,
        /// Its name in the container.
        container: String,
    },
    /// A pair of links, one on each side.
    Veth {
        /// The name on the host.
        host: LinkName,
        /// Its hardware address; without an id of the host the kernel's random one has to do.
        host_mac: Option<MacAddress>,
        /// The name in the container.
        container: String,
        /// Its hardware address.
        container_mac: Option<MacAddress>,
        /// The bridge that the host's side is put into.
        bridge: Option<Bridge>,
    },
    /// A link on top of one of the host's, with a hardware address of its own.
    Macvlan {
        /// The host's.
        parent: String,
        /// The name in the container.
        container: LinkName,
        /// Its hardware address.
        mac: Option<MacAddress>,
    },
    /// A link on top of one of the host's, with the same hardware address.
    Ipvlan {
        /// The host's.
        parent: String,
        /// The name in the container.
        container: LinkName,
    },
}

/// A bridge of the host.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bridge {
    /// One that exists.
    Existing(String),
    /// That of a zone: made for its first member, removed with its last.
    Zone(String),
}

impl Bridge {
    /// Its name.
    pub fn name(&self) -> &str {
        let (Self::Existing(name) | Self::Zone(name)) = self;
        name
    }
}

impl Network {
    /// A network namespace is made.
    pub fn is_new(&self) -> bool {
        self.private && self.join.is_none()
    }

    /// The network namespace is not that of the host.
    pub fn is_own(&self) -> bool {
        self.private || self.join.is_some()
    }

    /// The host's resolv.conf is taken for what resolves names in the container, too. systemd-nspawn does so in a network
    /// namespace that it joins.
    pub fn resolves_as_host(&self, invocation: Invocation) -> bool {
        !self.is_own() || (!self.private && invocation == Invocation::SystemdNspawn)
    }
}

impl Link {
    /// The link's name in the container.
    pub fn inside(&self) -> &str {
        match self {
            Self::Move { container, .. } | Self::Veth { container, .. } => container,
            Self::Macvlan { container, .. } | Self::Ipvlan { container, .. } => &container.name,
        }
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Move { host, container } => write!(f, "the host's {host}, as {container}"),
            Self::Veth { host, container, bridge, .. } => {
                write!(f, "a veth pair, {container} here and {} on the host", host.name)?;
                match bridge {
                    None => Ok(()),
                    Some(Bridge::Existing(name)) => write!(f, ", there in the bridge {name}"),
                    Some(Bridge::Zone(name)) => write!(f, ", there in the zone's bridge {name}"),
                }
            }
            Self::Macvlan { parent, container, .. } => write!(f, "the macvlan {} on {parent}", container.name),
            Self::Ipvlan { parent, container } => write!(f, "the ipvlan {} on {parent}", container.name),
        }
    }
}

/// Looks at what the settings name of the host's network; asks nobody where they name nothing.
pub(super) fn probe(s: &Settings) -> Result<NetworkFacts> {
    let mut names: Vec<String> = [&s.network_interface, &s.network_macvlan, &s.network_ipvlan]
        .into_iter()
        .flatten()
        .map(|link| link.value.host.to_string())
        .collect();
    names.extend(s.network_bridge.as_ref().map(|b| b.value.to_string()));
    names.extend(s.network_zone.as_ref().map(zone_bridge));
    let mut links = BTreeMap::new();
    let mut lent = BTreeMap::new();
    if !names.is_empty() {
        let mut host = Links::here()?;
        for name in &names {
            if let Some(link) = host.find(name)? {
                links.insert(name.clone(), link);
            }
        }
        if links.len() < names.len() {
            lent.extend(crate::undo::lent_links(Path::new(crate::undo::BASE)));
        }
    }
    let path = s.network_namespace_path.as_ref();
    let not_a_namespace = path.and_then(|p| net::open_namespace(&p.value).err()).map(|d| d.headline());
    Ok(NetworkFacts { links, lent, not_a_namespace })
}

fn zone_bridge(zone: &Sourced<String>) -> String {
    format!("vz-{}", zone.value)
}

/// The network, and what of it cannot be. Links need the machine's name.
pub(super) fn network(s: &Settings, f: &Facts, machine: Option<&MachineName>) -> (Network, Vec<Diagnostic>) {
    let mut made = Maker { facts: f, machine, links: Vec::new(), wrong: Vec::new() };
    made.moved(s);
    made.veth(s);
    made.extra(s);
    made.macvlan(s);
    made.ipvlan(s);
    made.clashes();
    if let (Some(path), Some(why)) = (&s.network_namespace_path, &f.network.not_a_namespace) {
        let help = "name one of ip-netns(8) as /run/netns/NAME, or that of a process as /proc/PID/ns/net";
        made.wrong.push(Diagnostic::new(Code::NetworkNamespace, why.as_str()).origin(&path.origin).help(help));
    }
    let said = s.private_network.as_ref().filter(|p| p.value).map(|p| &p.origin);
    let asked = made.links.first().map(|l| &l.origin).or(said);
    let path = s.network_namespace_path.clone();
    let origin = asked.or(path.as_ref().map(|p| &p.origin)).cloned().unwrap_or(Origin::Default);
    let network = Network {
        private: asked.is_some() || wants_links(s),
        join: path,
        links: made.links,
        ports: s.ports.clone(),
        origin,
    };
    (network, made.wrong)
}

/// Whether there are to be links, also where none could be planned.
fn wants_links(s: &Settings) -> bool {
    let lists = [&s.network_interface, &s.network_macvlan, &s.network_ipvlan];
    let extra = !s.network_veth_extra.is_empty();
    veth_origin(s).is_some() || extra || lists.into_iter().any(|list| !list.is_empty())
}

/// Who asked for the pair of `host0`: bridges and zones do, too.
fn veth_origin(s: &Settings) -> Option<&Origin> {
    let said = s.network_bridge.as_ref().map(|b| &b.origin).or(s.network_zone.as_ref().map(|z| &z.origin));
    said.or_else(|| s.network_veth.as_ref().filter(|v| v.value).map(|v| &v.origin))
}

struct Maker<'a> {
    facts: &'a Facts,
    machine: Option<&'a MachineName>,
    links: Vec<Sourced<Link>>,
    wrong: Vec<Diagnostic>,
}

impl Maker<'_> {
    fn refuse(&mut self, origin: &Origin, what: String, help: &str) {
        self.wrong.push(Diagnostic::new(Code::LinkUnusable, what).origin(origin).help(help));
    }

    fn mac(&self, role: MacRole) -> Option<MacAddress> {
        Some(MacAddress::derive(self.facts.host.machine_id?, self.machine?, role))
    }

    /// A link of the host that is to be given away or built upon.
    fn of_host(&mut self, said: &Sourced<LinkPair<LinkReference>>) -> Option<HostLink> {
        let name = said.value.host.as_str();
        let Some(link) = self.facts.network.links.get(name) else {
            return self.lent_or_missing(said);
        };
        if link.loopback {
            let what = format!("{name} is the host's loopback interface, which stays where it is");
            self.refuse(&said.origin, what, "every network of its own has one");
            return None;
        }
        Some(link.clone())
    }

    /// A link that is not there. One that an earlier start of this machine has left in a container comes back before it is
    /// needed.
    fn lent_or_missing(&mut self, said: &Sourced<LinkPair<LinkReference>>) -> Option<HostLink> {
        let name = said.value.host.as_str();
        match self.facts.network.lent.get(name) {
            Some(machine) if self.machine.is_some_and(|m| m.as_str() == machine) => {
                return Some(HostLink { name: name.into(), ..HostLink::default() });
            }
            Some(machine) => {
                let what = format!("the host's link {name} is lent to the machine {machine}");
                let help = format!("stop that machine; if spawn was killed: spawn --cleanup --machine={machine}");
                self.refuse(&said.origin, what, &help);
            }
            None => {
                let what = format!("the host has no network link {name}");
                self.refuse(&said.origin, what, "ip link(8) lists those there are");
            }
        }
        None
    }

    fn push(&mut self, origin: &Origin, link: Link) {
        self.links.push(Sourced { value: link, origin: origin.clone() });
    }

    fn moved(&mut self, s: &Settings) {
        for said in &s.network_interface {
            let Some(link) = self.of_host(said) else { continue };
            let wanted = said.value.container.as_ref().map_or(said.value.host.as_str(), InterfaceName::as_str);
            // A link cannot be renamed to an alternative name that it has.
            let container = if link.alternatives.iter().any(|a| a == wanted) { &link.name } else { wanted };
            let twice = |l: &Sourced<Link>| matches!(&l.value, Link::Move { host, .. } if *host == link.name);
            if self.links.iter().any(twice) {
                let what = format!("the link {} cannot be moved twice", link.name);
                self.refuse(&said.origin, what, "name each link once");
                continue;
            }
            self.push(&said.origin, Link::Move { host: link.name.clone(), container: container.into() });
        }
    }

    fn veth(&mut self, s: &Settings) {
        let (Some(origin), Some(machine)) = (veth_origin(s), self.machine) else { return };
        let bridge = self.bridge(s);
        let side = if bridge.is_some() { Side::BridgePort } else { Side::Alone };
        let given = s.network_mac.as_ref().map(|m| MacAddress(m.value));
        let link = Link::Veth {
            host: LinkName::of_host_side(machine, side),
            host_mac: self.mac(MacRole::VethHost),
            container: CONTAINER_LINK.into(),
            container_mac: given.or_else(|| self.mac(MacRole::VethContainer)),
            bridge,
        };
        self.push(origin, link);
    }

    fn bridge(&mut self, s: &Settings) -> Option<Bridge> {
        if let Some(said) = &s.network_bridge {
            let name = said.value.as_str();
            match self.facts.network.links.get(name).map(|link| link.kind.as_str()) {
                None => {
                    let help = "make it first, or use --network-zone=, which makes one";
                    self.refuse(&said.origin, format!("the host has no bridge {name}"), help);
                }
                Some(kind) if !WITH_PORTS.contains(&kind) => {
                    self.refuse(&said.origin, format!("the host's link {name} is no bridge"), "name a bridge");
                }
                Some(_) => {}
            }
            return Some(Bridge::Existing(name.into()));
        }
        let said = s.network_zone.as_ref()?;
        let name = zone_bridge(said);
        if self.facts.network.links.get(&name).is_some_and(|link| link.kind != "bridge") {
            let what = format!("the host's link {name} is no bridge, so it cannot be that of the zone");
            self.refuse(&said.origin, what, "choose another zone");
        }
        Some(Bridge::Zone(name))
    }

    fn extra(&mut self, s: &Settings) {
        for (n, said) in (0..).zip(&s.network_veth_extra) {
            let LinkPair { host, container } = &said.value;
            let taken = |l: &Sourced<Link>| matches!(&l.value, Link::Veth { host: h, .. } if h.name == host.as_str());
            if self.links.iter().any(taken) {
                let what = format!("two veth pairs cannot both be {host} on the host");
                self.refuse(&said.origin, what, "give each a name of its own");
                continue;
            }
            let link = Link::Veth {
                host: LinkName::said(host),
                host_mac: self.mac(MacRole::ExtraHost(n)),
                container: container.as_ref().unwrap_or(host).to_string(),
                container_mac: self.mac(MacRole::ExtraContainer(n)),
                bridge: None,
            };
            self.push(&said.origin, link);
        }
    }

    /// The link of the host to build upon, which must still be there, and the name for what is built.
    fn upper(&mut self, said: &Sourced<LinkPair<LinkReference>>, prefix: &str) -> Option<(String, LinkName)> {
        let parent = self.of_host(said)?.name;
        let moved = |l: &Sourced<Link>| matches!(&l.value, Link::Move { host, .. } if *host == parent);
        if let Some(moved) = self.links.iter().find(|l| moved(l)).map(|l| l.origin.clone()) {
            let what = format!("{} needs {parent} on the host, and {moved} moves it away", said.origin);
            self.refuse(&said.origin, what, "leave one of them out");
            return None;
        }
        let name = said.value.container.as_ref().map(LinkName::said);
        Some((parent, name.unwrap_or_else(|| LinkName::above(prefix, &said.value.host))))
    }

    fn macvlan(&mut self, s: &Settings) {
        for (n, said) in (0..).zip(&s.network_macvlan) {
            let Some((parent, container)) = self.upper(said, "mv-") else { continue };
            let mac = self.mac(MacRole::Macvlan(n));
            self.push(&said.origin, Link::Macvlan { parent, container, mac });
        }
    }

    fn ipvlan(&mut self, s: &Settings) {
        for said in &s.network_ipvlan {
            let Some((parent, container)) = self.upper(said, "iv-") else { continue };
            let clash = |l: &Sourced<Link>| matches!(&l.value, Link::Macvlan { parent: p, .. } if *p == parent);
            if let Some(other) = self.links.iter().find(|l| clash(l)).map(|l| l.origin.clone()) {
                let what = format!("{other} and {} cannot share the link {parent}", said.origin);
                self.refuse(&said.origin, what, "leave one of them out: a link carries macvlans or ipvlans, not both");
                continue;
            }
            self.push(&said.origin, Link::Ipvlan { parent, container });
        }
    }

    /// Two links of one name cannot be in the container, which has its loopback interface already.
    fn clashes(&mut self) {
        for n in 0..self.links.len() {
            let (name, origin) = (self.links[n].value.inside().to_string(), self.links[n].origin.clone());
            let other = self.links[..n].iter().find(|l| l.value.inside() == name).map(|l| l.origin.to_string());
            let other = other.or_else(|| (name == "lo").then(|| "the loopback interface".into()));
            if let Some(other) = other {
                let what = format!("two links of the container would be called {name}: {other} and {origin}");
                self.refuse(&origin, what, "give one of them another name behind a colon");
            }
        }
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
