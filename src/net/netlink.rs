// SPDX-License-Identifier: LGPL-2.1-or-later
//! netlink(7): messages, their attributes, and a socket that asks and waits for the answer.
//!
//! The kernel works a request off while it is being sent, so one socket without threads is enough.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long an answer may take. The kernel answers at once; this only keeps a start from hanging.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Room for one datagram of the kernel: it never sends more than this in one (linux/netlink.h).
const DATAGRAM_MAX: usize = 32 * 1024;
/// `NLMSGERR_ATTR_MSG` (linux/netlink.h).
const NLMSGERR_ATTR_MSG: u16 = 1;
/// `struct nlmsghdr`.
pub const HEADER: usize = 16;

/// Why a request failed.
#[derive(Debug)]
pub struct NetlinkError {
    /// The errno of the kernel.
    pub errno: Errno,
    /// The kernel's own words, when it gave some.
    pub text: Option<String>,
}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> Self {
        Self { errno, text: None }
    }
}

/// One message under construction: `struct nlmsghdr`, what its family begins with, attributes.
pub struct Message(Vec<u8>);

impl Message {
    /// `flags` are more `NLM_F_*` than request; `fixed` is what messages of the family begin with.
    pub fn new(kind: u16, flags: i32, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend([0; 4]); // the length: see `numbered`
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        bytes.extend([0; 8]); // the sequence number: see `numbered`; the port: the kernel's
        bytes.extend(fixed);
        Self(bytes)
    }

    /// Asks for an acknowledgement.
    pub fn acknowledged(mut self) -> Self {
        self.0[6] |= libc::NLM_F_ACK as u8;
        self
    }

    /// Appends one attribute.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(((4 + value.len()) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Appends a text with its NUL.
    pub fn text(self, kind: u16, value: &str) -> Self {
        self.attribute(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Appends a number in network byte order, as netfilter takes them.
    pub fn number(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// Appends an attribute that `inner` fills with attributes.
    pub fn nest(self, kind: u16, inner: impl FnOnce(Self) -> Self) -> Self {
        self.nest_after(kind, &[], inner)
    }

    /// The same for an attribute that begins with something else than attributes.
    pub fn nest_after(mut self, kind: u16, fixed: &[u8], inner: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend((kind | libc::NLA_F_NESTED as u16).to_ne_bytes());
        self.0.extend(fixed);
        let mut whole = inner(self);
        let len = (whole.0.len() - start) as u16;
        whole.0[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        whole
    }

    /// The whole message with its length and this sequence number.
    pub fn numbered(mut self, sequence: u32) -> Vec<u8> {
        let len = self.0.len() as u32;
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// A socket to the network namespace that it was opened in.
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// Opens it in the caller's network namespace; rtnetlink(7) unless another protocol is named.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT` from a kernel without the protocol.
    pub fn open(protocol: Option<Protocol>) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        Ok(Self::on(rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?))
    }

    /// On a socket that is open already.
    pub fn on(fd: OwnedFd) -> Self {
        // Without this the kernel gives an errno only. A kernel that lacks it does just that.
        let _ = crate::sys::net::netlink_ext_ack(fd.as_fd());
        Self { fd, sequence: 0 }
    }

    /// The next sequence number.
    pub fn next_number(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    /// Sends a message under the next number, which is returned.
    pub fn ask(&mut self, message: Message) -> Result<u32, Errno> {
        let number = self.next_number();
        self.send(&message.numbered(number))?;
        Ok(number)
    }

    /// Sends messages that have their numbers.
    pub fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, bytes, SendFlags::empty())).map(drop)
    }

    /// Shows `each` the answers to the messages with these numbers until it has what it wants.
    ///
    /// # Errors
    /// `ETIMEDOUT` after five seconds.
    pub fn answers<T>(
        &self,
        to: RangeInclusive<u32>,
        mut each: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<T, NetlinkError> {
        let until = Instant::now() + ANSWER_LIMIT;
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            let len = self.receive(&mut buffer, until)?.min(DATAGRAM_MAX);
            let mut rest = &buffer[..len];
            while let Some((message, more)) = split_message(rest) {
                rest = more;
                if to.contains(&word(message, 8))
                    && let Some(found) = each(message)
                {
                    return Ok(found);
                }
            }
        }
    }

    /// Drops what has been answered and nobody has read.
    pub fn drain(&self) {
        let mut buffer = vec![0; DATAGRAM_MAX];
        while rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT).is_ok() {}
    }

    fn receive(&self, buffer: &mut [u8], until: Instant) -> Result<usize, Errno> {
        loop {
            match rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::empty()) {
                Ok((len, _)) => return Ok(len),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {}
                Err(e) => return Err(e),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Errno::TIMEDOUT);
            }
            let left = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], left.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
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

/// A text of the kernel without its NUL.
pub fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
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

/// What an `NLMSG_ERROR` says: errno 0 is success; else the kernel's text is in an attribute behind the echoed request
/// (Documentation/userspace-api/netlink/intro.rst, "Ext ACK"). `None` for other messages.
pub fn verdict(message: &[u8]) -> Option<Result<(), NetlinkError>> {
    if i32::from(half(message, 4)) != libc::NLMSG_ERROR {
        return None;
    }
    let Some(code) = message.get(HEADER..HEADER + 4) else { return Some(Err(Errno::BADMSG.into())) };
    Some(match i32::from_ne_bytes(code.try_into().expect("four bytes")) {
        0 => Ok(()),
        code => Err(NetlinkError { errno: errno(code), text: kernel_text(message) }),
    })
}

/// The errno of a negative number from the kernel; one that cannot be an errno is a bad message.
fn errno(code: i32) -> Errno {
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
        let bytes = Message::new(9, 0, &[2, 0, 0, 0]).nest(5, |m| m.text(1, "ab").number(2, 7)).numbered(3);
        assert_eq!(word(&bytes, 0) as usize, bytes.len());
        assert_eq!((half(&bytes, 4), word(&bytes, 8)), (9, 3));
        let shown = [20, 0, 5, 0x80, 7, 0, 1, 0, b'a', b'b', 0, 0, 8, 0, 2, 0, 0, 0, 0, 7];
        assert_eq!(bytes[20..], shown, "a length has the NUL, not the padding; numbers are in network order");
    }

    #[test]
    fn damaged_datagrams_end_the_reading() {
        assert!(split_message(&[]).is_none());
        assert!(split_message(&[1; 40]).is_none());
        let mut zero_length = [0; 40];
        zero_length[4] = 2;
        assert!(split_message(&zero_length).is_none());
        assert_eq!(kernel_text(&[255; 24]), None);
        let mut short = [0; 17];
        short[4] = libc::NLMSG_ERROR as u8;
        assert_eq!(verdict(&short).unwrap().unwrap_err().errno, Errno::BADMSG);
    }
}
