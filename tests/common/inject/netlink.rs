// SPDX-License-Identifier: LGPL-2.1-or-later
//! Requests to the kernel by netlink(7), which fail in the answer and not in the call that sends them.

use super::notify::Waiting;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// The length of `struct nlmsghdr`; `NLMSG_MIN_TYPE`, also `NFNL_MSG_BATCH_BEGIN`; `NLM_F_REQUEST` (linux/netlink.h).
const HEADER: usize = 16;
const MIN_TYPE: u16 = 16;
const REQUEST: u16 = 1;
/// A kind of message that neither rtnetlink nor nfnetlink has.
const NO_KIND: u16 = 0xff;

/// Where in the caller's memory the kind of the message is that asks for something, and that kind.
fn kind(call: &Waiting) -> Option<(u64, u16)> {
    if call.call()?.name() != "sendto" {
        return None;
    }
    let (start, length) = (call.argument(1), call.argument(2) as usize);
    let mut bytes = [0; HEADER + 4 + HEADER];
    let read = memory(call, false).ok()?.read_at(&mut bytes, start).ok()?.min(length);
    let header = |at: usize| {
        let header = bytes.get(at..at + HEADER).filter(|_| at + HEADER <= read)?;
        let half = |n: usize| u16::from_ne_bytes([header[n], header[n + 1]]);
        let whole = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        (whole >= HEADER && whole <= length - at && half(4) >= MIN_TYPE && half(6) & REQUEST != 0)
            .then_some((whole, half(4)))
    };
    let (whole, first) = header(0)?;
    match header(whole) {
        // The first of a batch only begins it.
        Some((_, second)) if first == MIN_TYPE => Some((start + whole as u64 + 4, second)),
        _ => Some((start + 4, first)),
    }
}

/// The kind of message that this call sends to the kernel, if it does.
pub fn request(call: &Waiting) -> Option<u16> {
    kind(call).map(|(_, kind)| kind)
}

/// Makes the request one that the kernel refuses.
pub fn spoil(call: &Waiting) -> io::Result<()> {
    let (at, _) = kind(call).ok_or(io::ErrorKind::InvalidData)?;
    memory(call, true)?.write_all_at(&NO_KIND.to_ne_bytes(), at)
}

fn memory(call: &Waiting, write: bool) -> io::Result<File> {
    fs::OpenOptions::new().read(true).write(write).open(format!("/proc/{}/mem", call.pid()))
}
