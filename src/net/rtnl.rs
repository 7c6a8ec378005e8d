// SPDX-License-Identifier: LGPL-2.1-or-later
//! rtnetlink(7): requests about links, and the kernel's answers.

use super::netlink::{Attributes, HEADER, Message, NetlinkError, Socket, half, verdict, word};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

/// `struct ifinfomsg`.
const IFINFO: usize = 16;
/// `struct ifaddrmsg`.
const IFADDR: usize = 8;
/// `struct rtgenmsg`, padded.
const RTGEN: usize = 4;
/// `NETNSA_NSID` (linux/net_namespace.h).
const NETNSA_NSID: u16 = 1;

/// A request about one link that is to be acknowledged. `kind` is an `RTM_*`, `flags` more `NLM_F_*` than request and
/// acknowledge; index 0 when a name is given.
pub fn link_request(kind: u16, flags: i32, index: u32) -> Message {
    Message::new(kind, flags, &ifinfo(index, 0)).acknowledged()
}

/// The same with flags of the link (`IFF_*`) that are to be set, and no others.
pub fn link_request_with_flags(kind: u16, index: u32, set: u32) -> Message {
    Message::new(kind, 0, &ifinfo(index, set)).acknowledged()
}

/// Asks for the network namespace that the socket's knows by this id (ip-netns(8), "nsid"); ENOENT when it is not in being
/// any more.
pub fn namespace_request(id: i32) -> Message {
    Message::new(libc::RTM_GETNSID, 0, &[0; RTGEN]).attribute(NETNSA_NSID, &id.to_ne_bytes()).acknowledged()
}

/// What the peer of a veth pair begins with.
pub fn peer_header() -> [u8; IFINFO] {
    ifinfo(0, 0)
}

/// A `struct ifinfomsg`.
fn ifinfo(index: u32, set: u32) -> [u8; IFINFO] {
    let mut bytes = [0; IFINFO];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&set.to_ne_bytes());
    // The mask of what changes.
    bytes[12..16].copy_from_slice(&set.to_ne_bytes());
    bytes
}

/// An `RTM_NEWLINK` of the kernel: what it knows of one link.
pub struct LinkAnswer(Vec<u8>);

impl LinkAnswer {
    /// Reads a message; `None` when it is no whole `RTM_NEWLINK`.
    pub fn read(message: &[u8]) -> Option<Self> {
        let whole = message.len() >= HEADER + IFINFO && half(message, 4) == libc::RTM_NEWLINK;
        whole.then(|| Self(message.to_vec()))
    }

    /// The link's interface index.
    pub fn index(&self) -> u32 {
        word(&self.0, HEADER + 4)
    }

    /// Its flags (`IFF_*`).
    pub fn flags(&self) -> u32 {
        word(&self.0, HEADER + 8)
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'_> {
        Attributes(&self.0[HEADER + IFINFO..])
    }
}

/// An `RTM_NEWADDR` of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressAnswer {
    /// The address.
    pub address: IpAddr,
    /// How far it reaches (`RT_SCOPE_*`): the smaller, the farther.
    pub scope: u8,
    /// `IFA_F_*`
    pub flags: u32,
    /// Whose it is.
    pub link: u32,
}

impl AddressAnswer {
    /// Reads a message; `None` when it is no whole `RTM_NEWADDR` of an IPv4 or IPv6 address.
    pub fn read(message: &[u8]) -> Option<Self> {
        let fixed = message.get(HEADER..HEADER + IFADDR).filter(|_| half(message, 4) == libc::RTM_NEWADDR)?;
        let attributes = Attributes(&message[HEADER + IFADDR..]);
        // With a peer, IFA_ADDRESS is the peer's.
        let bytes = attributes.get(libc::IFA_LOCAL).or_else(|| attributes.get(libc::IFA_ADDRESS))?;
        let address = match i32::from(fixed[0]) {
            libc::AF_INET => <[u8; 4]>::try_from(bytes).ok()?.into(),
            libc::AF_INET6 => <[u8; 16]>::try_from(bytes).ok()?.into(),
            _ => return None,
        };
        let all_flags = attributes.get(libc::IFA_FLAGS).filter(|f| f.len() == 4).map(|f| word(f, 0));
        Some(Self { address, scope: fixed[3], flags: all_flags.unwrap_or(fixed[2].into()), link: word(fixed, 4) })
    }
}

/// A socket to the links of the network namespace that it was opened in.
pub struct Rtnl(Socket);

impl Rtnl {
    /// Opens the socket in the caller's network namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self(Socket::open(None)?))
    }

    /// Opens the socket in that network namespace.
    pub fn open_in(netns: BorrowedFd<'_>) -> Result<Self, NetlinkError> {
        Ok(Self(Socket::on(crate::sys::net::netlink_socket_in(netns, None)?)))
    }

    /// The socket. It keeps its network namespace in being, and asks about that one whoever sends on it.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Sends one request and waits for its acknowledgement. Returns the `struct ifinfomsg` index of the link that the
    /// kernel answered with, when it answered with one.
    pub fn request(&mut self, request: Message) -> Result<Option<u32>, NetlinkError> {
        Ok(self.ask(request)?.map(|answer| answer.index()))
    }

    /// The same, but returns all that the kernel answered with.
    pub fn ask(&mut self, request: Message) -> Result<Option<LinkAnswer>, NetlinkError> {
        let number = self.0.ask(request)?;
        let mut link = None;
        self.0.answers(number..=number, |message| {
            let verdict = verdict(message);
            if verdict.is_none() {
                link = LinkAnswer::read(message).or(link.take());
            }
            verdict
        })??;
        Ok(link)
    }

    /// The addresses of all links. A list that changes meanwhile is as good as the next one: who follows changes asks again.
    pub fn addresses(&mut self) -> Result<Vec<AddressAnswer>, NetlinkError> {
        // Zeros are a `struct ifaddrmsg` of all families.
        let number = self.0.ask(Message::new(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; IFADDR]))?;
        let mut found = Vec::new();
        self.0.answers(number..=number, |message| {
            if i32::from(half(message, 4)) == libc::NLMSG_DONE {
                return Some(Ok(()));
            }
            found.extend(AddressAnswer::read(message));
            verdict(message)
        })??;
        Ok(found)
    }
}
