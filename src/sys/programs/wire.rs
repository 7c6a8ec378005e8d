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
    /// text: path of a control group that shall have a process until the pipe (fd) ends. Not kept.
    Occupy,
    /// From now on no message has to be acted on at once, so they may wait in the connection. Not kept.
    Gather,
}

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
            Op::Occupy,
            Op::Gather,
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
    const FAILED: u8 = 1;
    const INIT: u8 = 2;
    const EXEC_STEP: u16 = 23;
    let mut bytes = [0; 16];
    bytes[0] = FAILED;
    bytes[1] = INIT;
    bytes[4..6].copy_from_slice(&EXEC_STEP.to_ne_bytes());
    bytes[8..12].copy_from_slice(&errno.to_ne_bytes());
    bytes[12..16].copy_from_slice(&path.to_ne_bytes());
    bytes
}

/// Longest `RTM_DELLINK` message: `nlmsghdr`, `ifinfomsg`, one attribute with a name of at most 15 bytes and its NUL.
pub const DELETE_LINK_MAX: usize = 16 + 16 + 4 + 16;

/// The rtnetlink request (rtnetlink(7), `RTM_DELLINK` with an acknowledgement asked for) that deletes the link with
/// this name. The length of the message comes with it; `None` when no link can have that name.
pub fn delete_link_message(name: &[u8]) -> Option<([u8; DELETE_LINK_MAX], usize)> {
    const RTM_DELLINK: u16 = 17;
    const NLM_F_REQUEST_ACK: u16 = 1 | 4;
    const IFLA_IFNAME: u16 = 3;
    if name.is_empty() || name.len() > 15 {
        return None;
    }
    let attribute = 4 + name.len() + 1;
    let length = 32 + attribute.next_multiple_of(4);
    let mut message = [0; DELETE_LINK_MAX];
    message[0..4].copy_from_slice(&(length as u32).to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_DELLINK.to_ne_bytes());
    message[6..8].copy_from_slice(&NLM_F_REQUEST_ACK.to_ne_bytes());
    message[32..34].copy_from_slice(&(attribute as u16).to_ne_bytes());
    message[34..36].copy_from_slice(&IFLA_IFNAME.to_ne_bytes());
    message[36..36 + name.len()].copy_from_slice(name);
    Some((message, length))
}
