// SPDX-License-Identifier: LGPL-2.1-or-later
//! nfnetlink messages of nf_tables (linux/netfilter/nfnetlink.h, nf_tables.h): a transaction is a batch of them that the
//! kernel does as a whole or not at all.

use super::super::rtnl::{errno, half, word};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
/// How long an answer may take. The kernel answers at once; this only keeps a start from hanging.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Room for one datagram of the kernel.
const DATAGRAM_MAX: usize = 32 * 1024;

/// One message under construction.
pub struct Message(Vec<u8>);

impl Message {
    /// A request of nf_tables: `kind` is an `NFT_MSG_*`, `flags` more `NLM_F_*` than request; `family` an `NFPROTO_*`.
    pub fn new(kind: u16, flags: i32, family: u8) -> Self {
        Self::raw(SUBSYSTEM << 8 | kind, flags, family, 0)
    }

    fn raw(kind: u16, flags: i32, family: u8, resource: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(((flags | libc::NLM_F_REQUEST) as u16).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend([family, 0]);
        bytes.extend(resource.to_be_bytes());
        Self(bytes)
    }

    /// Appends one attribute.
    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(((4 + value.len()) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// Appends a text with its NUL.
    pub fn text(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Appends a number, which nf_tables takes in network byte order.
    pub fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Appends an attribute that `inner` fills.
    pub fn nest(mut self, kind: u16, inner: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend((kind | libc::NLA_F_NESTED as u16).to_ne_bytes());
        let mut whole = inner(self);
        let len = (whole.0.len() - start) as u16;
        whole.0[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        whole
    }

    /// The whole message.
    pub fn numbered(mut self, sequence: u32) -> Vec<u8> {
        let len = self.0.len() as u32;
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// A connection to the packet filter of the caller's network namespace.
pub struct Nft {
    socket: OwnedFd,
    sequence: u32,
}

impl Nft {
    /// Opens it.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT` from a kernel without it.
    pub fn open() -> Result<Self, Errno> {
        let protocol = Some(netlink::NETFILTER);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Does all messages or none.
    ///
    /// # Errors
    /// The errno of the first message that failed.
    pub fn transaction(&mut self, messages: Vec<Message>) -> Result<(), Errno> {
        let mut bytes = Vec::new();
        bytes.extend(Message::raw(BATCH_BEGIN, 0, 0, SUBSYSTEM).numbered(self.next()));
        let first = self.sequence;
        let mut last = first;
        let count = messages.len();
        for (n, mut message) in messages.into_iter().enumerate() {
            if n + 1 == count {
                message.0[6] |= libc::NLM_F_ACK as u8;
            }
            last = self.next();
            bytes.extend(message.numbered(last));
        }
        bytes.extend(Message::raw(BATCH_END, 0, 0, SUBSYSTEM).numbered(self.next()));
        self.send(&bytes)?;
        loop {
            // Messages that have failed are answered in their order; the last one in any case.
            for answer in self.receive()? {
                let sequence = word(&answer, 8);
                if i32::from(half(&answer, 4)) == libc::NLMSG_ERROR && (first..=last).contains(&sequence) {
                    match error_of(&answer) {
                        Some(errno) => {
                            self.drain();
                            return Err(errno);
                        }
                        None if sequence == last => return Ok(()),
                        None => {}
                    }
                }
            }
        }
    }

    /// Asks whether something is there.
    pub fn exists(&mut self, message: Message) -> Result<bool, Errno> {
        let sequence = self.next();
        self.send(&message.numbered(sequence))?;
        loop {
            if let Some(answer) = self.receive()?.iter().find(|answer| word(answer, 8) == sequence) {
                if i32::from(half(answer, 4)) != libc::NLMSG_ERROR {
                    return Ok(true);
                }
                return match error_of(answer) {
                    None => Ok(true),
                    Some(Errno::NOENT) => Ok(false),
                    Some(other) => Err(other),
                };
            }
        }
    }

    fn next(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| rustix::net::send(&self.socket, bytes, SendFlags::empty())).map(drop)
    }

    fn receive(&self) -> Result<Vec<Vec<u8>>, Errno> {
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            match rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((len, _)) => return Ok(split(&buffer[..len.min(DATAGRAM_MAX)])),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {}
                Err(e) => return Err(e),
            }
            let limit = Timespec::try_from(ANSWER_LIMIT).ok();
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], limit.as_ref()) {
                Ok(0) => return Err(Errno::TIMEDOUT),
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Drops what is still to be read about a batch that has failed.
    fn drain(&self) {
        let mut buffer = vec![0; DATAGRAM_MAX];
        while rustix::net::recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT).is_ok() {}
    }
}

/// The messages of a datagram; what is damaged ends them.
pub fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((message, rest)) = super::super::rtnl::split_message(bytes) {
        found.push(message.to_vec());
        bytes = rest;
    }
    found
}

/// The errno that an `NLMSG_ERROR` reports; `None` is success. One that is cut short is a bad message.
pub fn error_of(answer: &[u8]) -> Option<Errno> {
    let code = answer.get(16..20).map_or(-libc::EBADMSG, |c| i32::from_ne_bytes([c[0], c[1], c[2], c[3]]));
    (code != 0).then(|| errno(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_network_order_and_nests_know_their_length() {
        let bytes = Message::new(9, 0, 2).nest(5, |m| m.text(1, "ab").number(2, 7)).numbered(3);
        assert_eq!(word(&bytes, 0) as usize, bytes.len());
        assert_eq!(half(&bytes, 4), 10 << 8 | 9);
        assert_eq!(bytes[20..], [20, 0, 5, 0x80, 7, 0, 1, 0, b'a', b'b', 0, 0, 8, 0, 2, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn damaged_answers_end_the_reading() {
        assert!(split(&[]).is_empty() && split(&[0; 40]).is_empty() && split(&[255; 40]).is_empty());
        assert_eq!(error_of(&[0; 17]), Some(Errno::BADMSG));
    }
}
