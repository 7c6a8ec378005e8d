// SPDX-License-Identifier: LGPL-2.1-or-later
//! Links of a network namespace: finding them, moving them, making those that hang on another one.

use super::mac::MacAddress;
use super::names::{ALTERNATIVE_NAME_MAX, LinkName, NAME_MAX};
use super::netlink::{Attributes, Message, NetlinkError, text};
use super::rtnl::{LinkAnswer, Rtnl, link_request, link_request_with_flags};
use super::veth::failed;
use crate::error::{Code, Diagnostic, Result};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// `IFLA_NEW_IFINDEX` (linux/if_link.h, Linux 5.13).
const IFLA_NEW_IFINDEX: u16 = 49;
/// `IFLA_MACVLAN_MODE` and `MACVLAN_MODE_BRIDGE` (linux/if_link.h).
const MACVLAN_MODE: (u16, u32) = (1, 4);
/// `IFLA_IPVLAN_MODE` and `IPVLAN_MODE_L2` (linux/if_link.h).
const IPVLAN_MODE: (u16, u16) = (1, 0);
/// How many indexes beyond the wanted one are tried in a namespace that has just been made.
const INDEX_TRIES: u32 = 4096;

/// A link of the host, as far as somebody may want to give it to a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostLink {
    /// Its interface index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its alternative names.
    pub alternatives: Vec<String>,
    /// Its kind ("veth", "bridge"); empty for hardware.
    pub kind: String,
    /// It is the loopback interface.
    pub loopback: bool,
}

impl HostLink {
    /// What the kernel says of a link that was asked for by this name.
    pub fn of_answer(answer: &LinkAnswer, name: &str) -> Self {
        let attributes = answer.attributes();
        let nested = |kind| Attributes(attributes.get(kind).unwrap_or(&[]));
        let alternatives = nested(libc::IFLA_PROP_LIST).filter(|(kind, _)| *kind == libc::IFLA_ALT_IFNAME);
        Self {
            index: answer.index(),
            name: attributes.text(libc::IFLA_IFNAME).unwrap_or_else(|| name.into()),
            alternatives: alternatives.map(|(_, value)| text(value)).collect(),
            kind: nested(libc::IFLA_LINKINFO).text(libc::IFLA_INFO_KIND).unwrap_or_default(),
            loopback: answer.flags() & libc::IFF_LOOPBACK as u32 != 0,
        }
    }
}

/// The links of one network namespace.
pub struct Links(Rtnl);

impl Links {
    /// Those of the caller's.
    pub fn here() -> Result<Self> {
        Rtnl::open().map(Self).map_err(unopened)
    }

    /// Those of that namespace. The process must have one thread only.
    pub fn of(netns: BorrowedFd<'_>) -> Result<Self> {
        Rtnl::open_in(netns).map(Self).map_err(unopened)
    }

    /// A copy of the socket, which keeps the namespace in being and asks about it whoever sends on it.
    pub fn socket(&self) -> Result<OwnedFd> {
        self.0
            .socket()
            .try_clone_to_owned()
            .map_err(|e| Diagnostic::new(Code::NetworkFailed, "cannot hold on to a network namespace").io(&e))
    }

    /// The link with that name or alternative name.
    pub fn find(&mut self, name: &str) -> Result<Option<HostLink>> {
        for (kind, longest) in [(libc::IFLA_IFNAME, NAME_MAX), (libc::IFLA_ALT_IFNAME, ALTERNATIVE_NAME_MAX)] {
            if name.len() > longest {
                continue;
            }
            let request = link_request(libc::RTM_GETLINK, 0, 0).text(kind, name);
            match self.0.ask(request) {
                Ok(None) => {}
                Err(e) if e.errno == Errno::NODEV => {}
                Ok(Some(answer)) => return Ok(Some(HostLink::of_answer(&answer, name))),
                Err(e) => return Err(failed(format!("cannot look up the link {name}"), e)),
            }
        }
        Ok(None)
    }

    /// The index of a link that is known to be there.
    pub fn index(&mut self, name: &str) -> Result<u32> {
        let found = self.find(name)?.map(|link| link.index);
        found.ok_or_else(|| Diagnostic::new(Code::NetworkFailed, format!("there is no link {name} any more")))
    }

    /// An index that no link here has: the wanted one, or one above it.
    pub fn free_index(&mut self, wanted: u32) -> Result<u32> {
        for index in wanted..wanted.saturating_add(INDEX_TRIES) {
            match self.0.request(link_request(libc::RTM_GETLINK, 0, index)) {
                Ok(_) => {}
                Err(e) if e.errno == Errno::NODEV => return Ok(index),
                Err(e) => return Err(failed(format!("cannot look up the link with index {index}"), e)),
            }
        }
        Err(Diagnostic::new(Code::NetworkFailed, "the container's network has no free interface index"))
    }

    /// Moves a link from here to another namespace, where it gets that name and index.
    pub fn give_away(&mut self, link: &HostLink, netns: BorrowedFd<'_>, name: &str, index: u32) -> Result<()> {
        let mut request = link_request(libc::RTM_SETLINK, 0, link.index)
            .attribute(libc::IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes())
            .text(libc::IFLA_IFNAME, name);
        if index != link.index {
            request = request.attribute(IFLA_NEW_IFINDEX, &index.to_ne_bytes());
        }
        self.0.request(request).map(drop).map_err(|e| {
            let stays = e.errno == Errno::INVAL;
            let shown = failed(format!("cannot move the link {} into the container", link.name), e);
            match stays {
                true => shown.help("some links belong to their namespace, such as wireless ones: use another"),
                false => shown,
            }
        })
    }

    /// Makes a link a port of a bridge and brings it up.
    pub fn join(&mut self, port: u32, bridge: u32, words: (&str, &str)) -> Result<()> {
        let request = link_request_with_flags(libc::RTM_SETLINK, port, libc::IFF_UP as u32)
            .attribute(libc::IFLA_MASTER, &bridge.to_ne_bytes());
        let (port, bridge) = words;
        self.0.request(request).map(drop).map_err(|e| failed(format!("cannot put {port} into the bridge {bridge}"), e))
    }

    /// Makes a bridge, which is down; one that is there already is as good. Its index.
    pub fn make_bridge(&mut self, name: &str) -> Result<u32> {
        let request = link_request(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, 0)
            .text(libc::IFLA_IFNAME, name)
            .nest(libc::IFLA_LINKINFO, |r| r.text(libc::IFLA_INFO_KIND, "bridge"));
        match self.0.request(request) {
            Ok(_) => {}
            Err(e) if e.errno == Errno::EXIST => {}
            Err(e) => {
                let errno = e.errno;
                return Err(hint(failed(format!("cannot make the bridge {name}"), e), errno, "bridge"));
            }
        }
        self.index(name)
    }

    /// Makes a link with a hardware address of its own on top of one from here (bridge mode), in another namespace.
    pub fn make_macvlan(
        &mut self,
        parent: &HostLink,
        name: &LinkName,
        mac: Option<MacAddress>,
        netns: BorrowedFd<'_>,
    ) -> Result<()> {
        let request = upper(parent, name, netns);
        let request = match mac {
            Some(mac) => request.attribute(libc::IFLA_ADDRESS, &mac.0),
            None => request,
        };
        let (kind, mode) = MACVLAN_MODE;
        let request = request.nest(libc::IFLA_LINKINFO, |r| {
            r.text(libc::IFLA_INFO_KIND, "macvlan")
                .nest(libc::IFLA_INFO_DATA, |r| r.attribute(kind, &mode.to_ne_bytes()))
        });
        self.make_upper(request, parent, name, "macvlan")
    }

    /// Makes a link that shares the hardware address of one from here (L2 mode), in another namespace.
    pub fn make_ipvlan(&mut self, parent: &HostLink, name: &LinkName, netns: BorrowedFd<'_>) -> Result<()> {
        let (kind, mode) = IPVLAN_MODE;
        let request = upper(parent, name, netns).nest(libc::IFLA_LINKINFO, |r| {
            r.text(libc::IFLA_INFO_KIND, "ipvlan")
                .nest(libc::IFLA_INFO_DATA, |r| r.attribute(kind, &mode.to_ne_bytes()))
        });
        self.make_upper(request, parent, name, "ipvlan")
    }

    fn make_upper(&mut self, request: Message, parent: &HostLink, name: &LinkName, kind: &str) -> Result<()> {
        self.0.request(request).map(drop).map_err(|e| {
            let errno = e.errno;
            let shown = failed(format!("cannot make the {kind} {} on top of {}", name.name, parent.name), e);
            hint(shown, errno, kind)
        })
    }
}

fn upper(parent: &HostLink, name: &LinkName, netns: BorrowedFd<'_>) -> Message {
    link_request(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, 0)
        .text(libc::IFLA_IFNAME, &name.name)
        .attribute(libc::IFLA_LINK, &parent.index.to_ne_bytes())
        .attribute(libc::IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes())
}

fn hint(shown: Diagnostic, errno: Errno, kind: &str) -> Diagnostic {
    match errno {
        Errno::OPNOTSUPP => shown.help(format!("load the kernel module {kind}")),
        Errno::BUSY => shown.help("macvlan, ipvlan and bridges each want a link for themselves"),
        _ => shown,
    }
}

fn unopened(error: NetlinkError) -> Diagnostic {
    failed("cannot open an rtnetlink socket".into(), error)
}
