// SPDX-License-Identifier: LGPL-2.1-or-later
//! nfnetlink messages of nf_tables (linux/netfilter/nfnetlink.h, nf_tables.h): a transaction is a batch of them that the
//! kernel does as a whole or not at all.

use super::super::netlink::{Message, NetlinkError, Socket, verdict};
use rustix::io::Errno;
use rustix::net::netlink;

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

/// A request of nf_tables: `kind` is an `NFT_MSG_*`, `flags` more `NLM_F_*` than request; `family` an `NFPROTO_*`.
pub fn request(kind: u16, flags: i32, family: u8) -> Message {
    nfnetlink(SUBSYSTEM << 8 | kind, flags, family, 0)
}

/// A message that begins with a `struct nfgenmsg`.
fn nfnetlink(kind: u16, flags: i32, family: u8, resource: u16) -> Message {
    let [high, low] = resource.to_be_bytes();
    Message::new(kind, flags, &[family, 0, high, low])
}

/// A connection to the packet filter of the caller's network namespace.
pub struct Nft {
    socket: Socket,
    answered: bool,
}

impl Nft {
    /// Opens it.
    ///
    /// # Errors
    /// `EPROTONOSUPPORT` from a kernel without it.
    pub fn open() -> Result<Self, Errno> {
        Ok(Self { socket: Socket::open(Some(netlink::NETFILTER))?, answered: true })
    }

    /// Does all messages or none.
    ///
    /// # Errors
    /// The errno of the first message that failed.
    pub fn transaction(&mut self, messages: Vec<Message>) -> Result<(), Errno> {
        let first = self.socket.next_number();
        let mut last = first;
        let mut bytes = nfnetlink(BATCH_BEGIN, 0, 0, SUBSYSTEM).numbered(first);
        let count = messages.len();
        for (n, message) in messages.into_iter().enumerate() {
            let message = if n + 1 == count { message.acknowledged() } else { message };
            last = self.socket.next_number();
            bytes.extend(message.numbered(last));
        }
        bytes.extend(nfnetlink(BATCH_END, 0, 0, SUBSYSTEM).numbered(self.socket.next_number()));
        self.answered = true;
        self.socket.send(&bytes)?;
        // Messages that have failed are answered in their order; the last one in any case.
        let answer = self.socket.answers(first..=last, verdict);
        self.answered = answer.is_ok();
        answer.and_then(|verdict| verdict).map_err(|e| {
            self.socket.drain();
            e.errno
        })
    }

    /// Whether the kernel has said what became of the last transaction. If it has not, one that failed may be done.
    pub fn has_answered(&self) -> bool {
        self.answered
    }

    /// Asks whether something is there.
    pub fn exists(&mut self, message: Message) -> Result<bool, Errno> {
        let number = self.socket.ask(message)?;
        let answer = self.socket.answers(number..=number, |message| Some(verdict(message).unwrap_or(Ok(()))));
        match answer.and_then(|verdict| verdict) {
            Ok(()) => Ok(true),
            Err(NetlinkError { errno: Errno::NOENT, .. }) => Ok(false),
            Err(e) => Err(e.errno),
        }
    }
}
