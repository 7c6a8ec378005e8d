// SPDX-License-Identifier: LGPL-2.1-or-later
//! rtnetlink(7): a request, its acknowledgement, and nothing else.
//!
//! The kernel works a request off while it is being sent, so one socket without threads is enough.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long an answer may take. The kernel answers at once; this only keeps a start from hanging.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Room for one datagram of the kernel: it never sends more than this in one (linux/netlink.h).
const DATAGRAM_MAX: usize = 32 * 1024;
/// `NLMSGERR_ATTR_MSG` (linux/netlink.h).
const NLMSGERR_ATTR_MSG: u16 = 1;
/// `NETNSA_NSID` (linux/net_namespace.h).
const NETNSA_NSID: u16 = 1;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct ifinfomsg`.
const IFINFO: usize = 16;
/// `struct ifaddrmsg`.
const IFADDR: usize = 8;

/// Why a request failed.
#[derive(Debug)]
pub struct RtnlError {
    /// The errno of the kernel.
    pub errno: Errno,
    /// The kernel's own words, when it gave some.
    pub text: Option<String>,
}

impl From<Errno> for RtnlError {
    fn from(errno: Errno) -> Self {
        Self { errno, text: None }
    }
}

/// A request about one link: `struct nlmsghdr`, `struct ifinfomsg`, attributes.
pub struct LinkRequest(Vec<u8>);

impl LinkRequest {
    /// `kind` is an `RTM_*`, `flags` more `NLM_F_*` than request and acknowledge; index 0 when a name is given.
    pub fn new(kind: u16, flags: i32, index: u32) -> Self {
        Self::with_header(kind, flags, &ifinfo(index))
    }

    /// Asks whether the network namespace that the caller's knows by this id is still in being; ENOENT when it is not
    /// (`struct rtgenmsg` of any family; linux/net_namespace.h).
    pub fn namespace_of_id(id: i32) -> Self {
        Self::with_header(libc::RTM_GETNSID, 0, &[0; 4]).attribute(NETNSA_NSID, &id.to_ne_bytes())
    }

    fn with_header(kind: u16, flags: i32, header: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        bytes.extend(0u32.to_ne_bytes()); // the length: see `send`
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]); // the sequence number: see `send`; the port: ours
        bytes.extend(header);
        Self(bytes)
    }

    /// Sets flags of the link (`IFF_*`), all that are given and no others.
    pub fn set_flags(mut self, flags: u32) -> Self {
        self.0[HEADER + 8..HEADER + 12].copy_from_slice(&flags.to_ne_bytes());
        self.0[HEADER + 12..HEADER + 16].copy_from_slice(&flags.to_ne_bytes());
        self
    }

    /// Appends one attribute.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(((4 + value.len()) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.pad()
    }

    /// Appends a text with its NUL.
    pub fn text(self, kind: u16, value: &str) -> Self {
        self.attribute(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Appends an attribute that `inner` fills with attributes.
    pub fn nest(mut self, kind: u16, inner: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend((kind | libc::NLA_F_NESTED as u16).to_ne_bytes());
        let mut whole = inner(self);
        let len = (whole.0.len() - start) as u16;
        whole.0[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        whole
    }

    /// Appends a `struct ifinfomsg`, as the peer of a veth pair starts with one.
    pub fn peer_header(mut self) -> Self {
        self.0.extend(ifinfo(0));
        self
    }

    fn pad(mut self) -> Self {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

fn ifinfo(index: u32) -> [u8; IFINFO] {
    let mut bytes = [0; IFINFO];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
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

/// Attributes of a message: kind without flag bits, value. What is damaged ends them.
#[derive(Clone, Copy)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Attributes<'a> {
    /// The value of the first attribute of that kind.
    pub fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.into_iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The same for a text with a NUL.
    pub fn text(self, kind: u16) -> Option<String> {
        self.get(kind).map(text)
    }
}

/// A text of the kernel without its NUL.
pub fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        let head = self.0.get(..4)?;
        let (len, kind) = (usize::from(half(head, 0)), half(head, 2) & libc::NLA_TYPE_MASK as u16);
        let value = self.0.get(4..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    }
}

/// A socket to the links of the network namespace that it was opened in.
pub struct Rtnl {
    socket: OwnedFd,
    sequence: u32,
}

impl Rtnl {
    /// Opens the socket in the caller's network namespace.
    pub fn open() -> Result<Self, RtnlError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        Ok(Self::on(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?))
    }

    /// Opens the socket in that network namespace.
    pub fn open_in(netns: BorrowedFd<'_>) -> Result<Self, RtnlError> {
        Ok(Self::on(crate::sys::net::netlink_socket_in(netns, None)?))
    }

    /// The socket. It keeps its network namespace in being, and asks about that one whoever sends on it.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn on(socket: OwnedFd) -> Self {
        // Without this the kernel gives an errno only. A kernel that lacks it does just that.
        let _ = crate::sys::net::netlink_ext_ack(socket.as_fd());
        Self { socket, sequence: 0 }
    }

    /// Sends one request and waits for its acknowledgement. Returns the `struct ifinfomsg` index of the link that the
    /// kernel answered with, when it answered with one.
    pub fn request(&mut self, request: LinkRequest) -> Result<Option<u32>, RtnlError> {
        Ok(self.ask(request)?.map(|answer| answer.index()))
    }

    /// The same, but returns all that the kernel answered with.
    pub fn ask(&mut self, request: LinkRequest) -> Result<Option<LinkAnswer>, RtnlError> {
        self.sequence += 1;
        let mut bytes = request.0;
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        rustix::io::retry_on_intr(|| rustix::net::send(&self.socket, &bytes, SendFlags::empty()))?;

        let until = Instant::now() + ANSWER_LIMIT;
        let mut buffer = vec![0; DATAGRAM_MAX];
        let mut link = None;
        loop {
            let len = self.receive(&mut buffer, until)?;
            let mut rest = &buffer[..len];
            while let Some((message, more)) = split_message(rest) {
                rest = more;
                if word(message, 8) != self.sequence {
                    continue;
                }
                if i32::from(half(message, 4)) == libc::NLMSG_ERROR {
                    return acknowledged(message).map(|()| link);
                }
                link = LinkAnswer::read(message).or(link);
            }
        }
    }

    /// The addresses of all links. A list that changes meanwhile is as good as the next one: who follows changes asks again.
    pub fn addresses(&mut self) -> Result<Vec<AddressAnswer>, RtnlError> {
        self.sequence += 1;
        // `struct nlmsghdr`, `struct ifaddrmsg` of all families.
        let mut bytes = [0u8; HEADER + IFADDR];
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
        bytes[..4].copy_from_slice(&((HEADER + IFADDR) as u32).to_ne_bytes());
        bytes[4..6].copy_from_slice(&libc::RTM_GETADDR.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        rustix::io::retry_on_intr(|| rustix::net::send(&self.socket, &bytes, SendFlags::empty()))?;
        let until = Instant::now() + ANSWER_LIMIT;
        let mut buffer = vec![0; DATAGRAM_MAX];
        let mut found = Vec::new();
        loop {
            let len = self.receive(&mut buffer, until)?;
            let mut rest = &buffer[..len];
            while let Some((message, more)) = split_message(rest) {
                rest = more;
                if word(message, 8) != self.sequence {
                    continue;
                }
                match i32::from(half(message, 4)) {
                    libc::NLMSG_DONE => return Ok(found),
                    libc::NLMSG_ERROR => return acknowledged(message).map(|()| found),
                    _ => found.extend(AddressAnswer::read(message)),
                }
            }
        }
    }

    fn receive(&self, buffer: &mut [u8], until: Instant) -> Result<usize, RtnlError> {
        loop {
            match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((len, _)) => return Ok(len),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {}
                Err(e) => return Err(e.into()),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Errno::TIMEDOUT.into());
            }
            let left = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], left.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(super) fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

/// The first message of a datagram and the rest; `None` at the end or when the length is nonsense.
pub fn split_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = word(bytes.get(..HEADER)?, 0) as usize;
    let message = bytes.get(..len).filter(|m| m.len() >= HEADER)?;
    Some((message, bytes.get(len.next_multiple_of(4)..).unwrap_or(&[])))
}

/// Reads an `NLMSG_ERROR`: errno 0 is success; else the kernel's text is in an attribute behind the echoed request
/// (Documentation/userspace-api/netlink/intro.rst, "Ext ACK").
pub fn acknowledged(message: &[u8]) -> Result<(), RtnlError> {
    let Some(code) = message.get(HEADER..HEADER + 4) else { return Err(Errno::BADMSG.into()) };
    match i32::from_ne_bytes(code.try_into().expect("four bytes")) {
        0 => Ok(()),
        code => Err(RtnlError { errno: errno(code), text: kernel_text(message) }),
    }
}

/// The errno of a negative number from the kernel; one that cannot be an errno is a bad message.
pub(super) fn errno(code: i32) -> Errno {
    if (-4095..0).contains(&code) { Errno::from_raw_os_error(-code) } else { Errno::BADMSG }
}

fn kernel_text(message: &[u8]) -> Option<String> {
    let flags = i32::from(half(message, 6));
    if flags & libc::NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let echoed = message.get(HEADER + 4..)?;
    let echoed_len = if flags & libc::NLM_F_CAPPED != 0 { HEADER } else { word(echoed.get(..HEADER)?, 0) as usize };
    Attributes(echoed.get(echoed_len.next_multiple_of(4)..)?).text(NLMSGERR_ATTR_MSG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nests_know_their_length() {
        let request = LinkRequest::new(16, 0, 3).nest(18, |r| r.text(1, "veth").attribute(2, &[9]));
        let attributes = &request.0[HEADER + IFINFO..];
        assert_eq!(half(attributes, 0) as usize, attributes.len());
        assert_eq!(half(attributes, 4), 4 + 5, "with the NUL, without the padding");
        assert_eq!(attributes.len(), 4 + 12 + 8);
    }

    #[test]
    fn damaged_datagrams_end_the_reading() {
        assert!(split_message(&[]).is_none());
        assert!(split_message(&[1; 40]).is_none());
        let mut zero_length = [0; 40];
        zero_length[4] = 2;
        assert!(split_message(&zero_length).is_none());
        assert_eq!(kernel_text(&[255; 24]), None);
    }
}
