// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the supervisor and the keeper say to each other: one datagram a message, a fixed header and a text.
//!
//! Compiled into both. Byte order is the machine's: both ends are the same build on the same machine.

/// Most entries the keeper's list holds.
pub const MAX_ENTRIES: usize = 256;
/// Most bytes the texts of all entries take together, one more byte for each counted in.
pub const MAX_TEXT: usize = 256 * 1024;
/// Most bytes of one text: the longest path the kernel takes.
pub const MAX_ONE_TEXT: usize = 4096;
/// Bytes of the header.
pub const HEADER: usize = 12;

/// What a message means. Releases are kept under the message's id until `RELEASED` names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Op {
    /// Everything is undone: end without running the list.
    Done = 1,
    /// The release with this id is done or no longer wanted.
    Released,
    /// fd: pidfd of a process to kill and to wait for.
    KillProcess,
    /// fd: directory of a control group to kill and to wait for.
    KillCgroup,
    /// fd: terminal; text: `struct termios2`.
    RestoreTerminal,
    /// fd: held open until this release's turn.
    Hold,
    /// text: path of a mount point, detached without following a link.
    Unmount,
    /// text: path of a file.
    RemoveFile,
    /// text: path of an empty directory.
    RemoveDir,
    /// text: path of a directory removed with what is in it, on one file system, to a limited depth.
    RemoveTree,
    /// fd: root of a tree; text: path in it of a directory removed with what is in it.
    RemoveInside,
    /// text: path of a copy of a tree: a snapshot or a directory of any depth, removed with what is in it.
    RemoveCopy,
    /// text: path of a control group, removed with the groups below it.
    RemoveCgroup,
    /// text: name of a network link of the host.
    DeleteLink,
    /// text: path of the control group of a scope that may have been made for a process that was already dead. Should it
    /// stay empty, it is entered and left, so that systemd sees it empty. fd: directory of the group to go back to.
    Visit,
    /// Move into the control group that it is in. Not kept.
    StayInGroup,
    /// text: a link that was lent to a container and moves back, as [`parse_lent`] reads it.
    ReturnLink,
    /// fd: a route socket of a container's network namespace; text: the index of a link there to delete, in decimal.
    DeleteInside,
    /// text: name of a zone's bridge, deleted when it has no ports.
    RemoveZone,
    /// text: a port that is forwarded no longer: family (`AF_*`), protocol (`IPPROTO_*`) and port, in decimal with blanks.
    StopForward,
    /// text: path of a control group that shall have a process until the connection (fd) ends. Not kept.
    Occupy,
    /// From now on no message has to be acted on at once, so they may wait in the connection. Not kept.
    Gather,
    /// fd: pidfd of a process that has something to finish: it is asked to end, and killed if it has not after a moment.
    EndProcess,
}

/// How long a process that is asked to end may take to do so.
pub const MOMENT_MS: u64 = 500;

impl Op {
    /// The operation with this number.
    pub fn from_number(number: u32) -> Option<Op> {
        const ALL: &[Op] = &[
            Op::Done,
            Op::Released,
            Op::KillProcess,
            Op::KillCgroup,
            Op::RestoreTerminal,
            Op::Hold,
            Op::Unmount,
            Op::RemoveFile,
            Op::RemoveDir,
            Op::RemoveTree,
            Op::RemoveInside,
            Op::RemoveCopy,
            Op::RemoveCgroup,
            Op::DeleteLink,
            Op::Visit,
            Op::StayInGroup,
            Op::ReturnLink,
            Op::DeleteInside,
            Op::RemoveZone,
            Op::StopForward,
            Op::Occupy,
            Op::Gather,
            Op::EndProcess,
        ];
        ALL.get((number as usize).wrapping_sub(1)).copied()
    }
}

/// The header in front of the text: operation, id, length of the text.
#[allow(dead_code, reason = "the keeper only listens")]
pub fn header(op: Op, id: u32, text_length: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0..4].copy_from_slice(&(op as u32).to_ne_bytes());
    bytes[4..8].copy_from_slice(&id.to_ne_bytes());
    bytes[8..12].copy_from_slice(&text_length.to_ne_bytes());
    bytes
}

/// Takes a message apart: operation, id, text. `None` when it is not whole.
pub fn parse(message: &[u8]) -> Option<(Op, u32, &[u8])> {
    let (head, text) = message.split_at_checked(HEADER)?;
    let word = |at: usize| Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?));
    (word(8)? as usize == text.len()).then_some(())?;
    Some((Op::from_number(word(0)?)?, word(4)?, text))
}

/// The record by which init's last part reports that the payload could not be executed: the errno of the path that counts,
/// and that path's index. The same bytes as those of the supervisor's other children.
#[allow(dead_code, reason = "only the program that executes the payload fails to")]
pub fn exec_failed(errno: i32, path: i32) -> [u8; 16] {
    failed(23, errno, path)
}

/// The record by which it reports that the payload's SELinux label could not be set.
#[allow(dead_code, reason = "only the program that executes the payload fails to")]
pub fn label_failed(errno: i32) -> [u8; 16] {
    failed(24, errno, 0)
}

#[allow(dead_code, reason = "only the program that executes the payload fails to")]
fn failed(step: u16, errno: i32, value: i32) -> [u8; 16] {
    const FAILED: u8 = 1;
    const INIT: u8 = 2;
    let mut bytes = [0; 16];
    bytes[0] = FAILED;
    bytes[1] = INIT;
    bytes[4..6].copy_from_slice(&step.to_ne_bytes());
    bytes[8..12].copy_from_slice(&errno.to_ne_bytes());
    bytes[12..16].copy_from_slice(&value.to_ne_bytes());
    bytes
}

/// Where a process says with which label its next program runs (SELinux: security/selinux/hooks.c, `selinux_setprocattr`);
/// only the process itself can.
#[allow(dead_code, reason = "only the program that executes the payload has one")]
pub const EXEC_LABEL: &core::ffi::CStr = c"/proc/thread-self/attr/exec";

/// A link that was lent: its index in the container, its name on the host, the path of the container's network namespace;
/// the inverse of "INDEX NAME PATH".
pub fn parse_lent(text: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let mut parts = text.splitn(3, |byte| *byte == b' ');
    let (index, name, path) = (parts.next()?, parts.next()?, parts.next()?);
    Some((decimal(index)?, name, path))
}

/// A decimal number that fits.
pub fn decimal(text: &[u8]) -> Option<u32> {
    let digit = |sum: u32, byte: &u8| match byte {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u32::from(byte - b'0')),
        _ => None,
    };
    if text.is_empty() { None } else { text.iter().try_fold(0, digit) }
}

/// Longest message about a link: headers, a name, a descriptor.
pub const LINK_MAX: usize = 32 + 4 + 16 + 8;

/// A request about a link as rtnetlink(7) has it: the message and its length. `None` when no link can have that name.
type Request = Option<([u8; LINK_MAX], usize)>;

fn link_request(kind: u16, flags: u16, index: u32, name: &[u8], attribute: Option<(u16, u32)>) -> Request {
    const NLM_F_REQUEST: u16 = 1;
    const IFLA_IFNAME: u16 = 3;
    if name.len() > 15 {
        return None;
    }
    let mut message = [0; LINK_MAX];
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[6..8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
    message[20..24].copy_from_slice(&index.to_ne_bytes());
    let mut length = 32;
    if !name.is_empty() {
        let size = 4 + name.len() + 1;
        message[length..length + 2].copy_from_slice(&(size as u16).to_ne_bytes());
        message[length + 2..length + 4].copy_from_slice(&IFLA_IFNAME.to_ne_bytes());
        message[length + 4..length + 4 + name.len()].copy_from_slice(name);
        length += size.next_multiple_of(4);
    }
    if let Some((kind, value)) = attribute {
        message[length..length + 2].copy_from_slice(&8u16.to_ne_bytes());
        message[length + 2..length + 4].copy_from_slice(&kind.to_ne_bytes());
        message[length + 4..length + 8].copy_from_slice(&value.to_ne_bytes());
        length += 8;
    }
    message[0..4].copy_from_slice(&(length as u32).to_ne_bytes());
    Some((message, length))
}

const NLM_F_ACK: u16 = 4;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_SETLINK: u16 = 19;

/// `RTM_SETLINK`: moves the link with that index to the network namespace of that descriptor, where it gets that name.
pub fn move_link_message(index: u32, name: &[u8], netns: i32) -> Request {
    const IFLA_NET_NS_FD: u16 = 28;
    if name.is_empty() {
        return None;
    }
    link_request(RTM_SETLINK, NLM_F_ACK, index, name, Some((IFLA_NET_NS_FD, netns as u32)))
}

/// `RTM_DELLINK` by name.
pub fn delete_link_message(name: &[u8]) -> Request {
    if name.is_empty() { None } else { link_request(RTM_DELLINK, NLM_F_ACK, 0, name, None) }
}

/// `RTM_DELLINK` by index.
pub fn delete_index_message(index: u32) -> Request {
    link_request(RTM_DELLINK, NLM_F_ACK, index, &[], None)
}

/// `RTM_GETLINK` by name.
pub fn find_link_message(name: &[u8]) -> Request {
    if name.is_empty() { None } else { link_request(RTM_GETLINK, NLM_F_ACK, 0, name, None) }
}

/// `RTM_GETLINK` of all links whose master is the link with that index.
pub fn ports_message(bridge: u32) -> Request {
    const NLM_F_DUMP: u16 = 0x300;
    const IFLA_MASTER: u16 = 10;
    link_request(RTM_GETLINK, NLM_F_DUMP, 0, &[], Some((IFLA_MASTER, bridge)))
}

/// The index of the link that the kernel's answer begins with; `None` when it says that there is none, or begins with the
/// end of a list. The error is the errno of an answer that says neither.
pub fn answered_link(answer: &[u8]) -> Result<Option<u32>, i32> {
    const NLMSG_ERROR: u16 = 2;
    const NLMSG_DONE: u16 = 3;
    const RTM_NEWLINK: u16 = 16;
    const ENODEV: i32 = 19;
    const EBADMSG: i32 = 74;
    let word = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    let kind = answer.get(4..6).and_then(|bytes| Some(u16::from_ne_bytes(bytes.try_into().ok()?)));
    match (kind, word(16).map(|code| (code as i32).wrapping_neg()), word(20)) {
        (Some(RTM_NEWLINK), _, Some(index)) => Ok(Some(index)),
        (Some(NLMSG_ERROR), Some(ENODEV), _) | (Some(NLMSG_DONE), Some(0), _) => Ok(None),
        (Some(NLMSG_ERROR | NLMSG_DONE), Some(errno @ 1..4096), _) => Err(errno),
        _ => Err(EBADMSG),
    }
}

/// Whom the lock of the zones belongs to: whoever holds it makes and removes their bridges (systemd
/// `src/nspawn/nspawn-network.c`). Folder and file.
pub const ZONE_LOCK: (&str, &str) = ("/run/systemd", "nspawn-network-zone");

/// The key of a forwarded port in systemd's map: protocol and port in network byte order, each in four bytes.
pub fn port_key(protocol: u8, port: u16) -> [u8; 8] {
    let [high, low] = port.to_be_bytes();
    [protocol, 0, 0, 0, high, low, 0, 0]
}

/// Reads the text of [`Op::StopForward`].
pub fn parse_port(text: &[u8]) -> Option<(u8, u8, u16)> {
    let mut parts = text.splitn(3, |byte| *byte == b' ');
    let mut next = || decimal(parts.next()?);
    Some((next()?.try_into().ok()?, next()?.try_into().ok()?, next()?.try_into().ok()?))
}

/// Length of the transaction of [`stop_forward_message`].
pub const STOP_FORWARD: usize = 20 + 84 + 20;

/// The nfnetlink transaction that takes a port out of systemd's map (linux/netfilter/nf_tables.h, `NFT_MSG_DELSETELEM`,
/// with an acknowledgement asked for).
pub fn stop_forward_message(family: u8, protocol: u8, port: u16) -> [u8; STOP_FORWARD] {
    const NESTED: u16 = 0x8000;
    const NFTABLES: u16 = 10;
    let mut message = [0; STOP_FORWARD];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        message[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    let mut header = |length: u32, kind: u16, flags: u16, family: u8, resource: u16| {
        put(&length.to_ne_bytes());
        put(&kind.to_ne_bytes());
        put(&flags.to_ne_bytes());
        put(&[0; 8]);
        put(&[family, 0]);
        put(&resource.to_be_bytes());
    };
    header(20, 16, 1, 0, NFTABLES);
    header(84, NFTABLES << 8 | 14, 1 | 4, family, 0);
    let mut attribute = |length: u16, kind: u16, value: &[u8]| {
        put(&length.to_ne_bytes());
        put(&kind.to_ne_bytes());
        put(value);
    };
    attribute(19, 1, b"io.systemd.nat\0\0");
    attribute(20, 2, b"map_port_ipport\0");
    attribute(24, 3 | NESTED, &[]);
    attribute(20, 1 | NESTED, &[]);
    attribute(16, 1 | NESTED, &[]);
    attribute(12, 1, &port_key(protocol, port));
    message[104..108].copy_from_slice(&20u32.to_ne_bytes());
    message[108..110].copy_from_slice(&17u16.to_ne_bytes());
    message[110..112].copy_from_slice(&1u16.to_ne_bytes());
    message[122..124].copy_from_slice(&NFTABLES.to_be_bytes());
    message
}
