// SPDX-License-Identifier: LGPL-2.1-or-later
//! What can be released.

use crate::error::Result;
use crate::net::nft::ForwardKey;
use crate::sys::ofd_lock::OfdLock;
use crate::sys::programs::wire::Op;
use crate::sys::termios::TermState;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// One way to release something. What is gone already counts as released: each may be run twice.
pub enum Release {
    /// Kills the process of this pidfd, waits until it is gone (2 s at most), and reaps it when it is a child.
    KillProcess(OwnedFd),
    /// Asks the process of this pidfd to end and kills it if it does not within half a second.
    EndProcess(OwnedFd),
    /// Kills everything in the control group of this directory (`cgroup.kill`), waits until it is empty (2 s at most).
    KillCgroup(OwnedFd),
    /// Puts a terminal's attributes back.
    RestoreTerminal {
        /// The terminal.
        terminal: OwnedFd,
        /// What they were.
        attributes: TermState,
    },
    /// Gives a lock up. The keeper holds it too, so that it outlives a killed supervisor until all younger entries of
    /// the list are undone.
    Unlock(OfdLock),
    /// Closes a descriptor, such as one that a lock goes with: the keeper holds a copy until it is this entry's turn.
    Hold(OwnedFd),
    /// Removes a directory of ours inside the tree of a container, with what is in it: the path is resolved within the
    /// tree, whatever its links say.
    RemoveInside {
        /// The tree.
        root: OwnedFd,
        /// From there, absolute.
        path: PathBuf,
    },
    /// Only the keeper does this: makes systemd see that the scope with this control group is empty, should it have been
    /// made for a process that was dead already. This process tells systemd over the bus.
    EmptyScope {
        /// The group's directory.
        group: PathBuf,
        /// The directory of the group that the keeper lives in.
        home: OwnedFd,
    },
    /// Deletes a link of a container's network namespace by its index there.
    DeleteInside {
        /// A route socket of that namespace.
        socket: OwnedFd,
        /// The link.
        index: u32,
    },
    /// Something that is named by a path, and so can be written to the record.
    Path(PathRelease),
    /// Something that only this process can do, such as a call over a bus; the keeper does not know of it.
    Call(Box<dyn FnOnce() -> Result<()>>),
}

/// A release that a later process can run as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathRelease {
    /// Detaches the mount at this path (`MNT_DETACH`, no link followed).
    Unmount(#[serde(with = "byte_path")] PathBuf),
    /// Removes a file, socket or link.
    RemoveFile(#[serde(with = "byte_path")] PathBuf),
    /// Removes an empty directory.
    RemoveDir(#[serde(with = "byte_path")] PathBuf),
    /// Removes a directory of ours with what is in it: at most 8 levels, no other file system, no link followed.
    RemoveTree(#[serde(with = "byte_path")] PathBuf),
    /// Removes a copy of a tree, whatever it holds: a snapshot at once, else directory by directory on one file system.
    RemoveCopy(#[serde(with = "byte_path")] PathBuf),
    /// Removes a control group and the groups below it; tries for 2 s at most, as they may only just have become empty.
    RemoveCgroup(#[serde(with = "byte_path")] PathBuf),
    /// Deletes a network link of the host by name.
    DeleteLink(String),
    /// Moves a link that was lent to a container back to the host.
    ReturnLink {
        /// Where the container's network namespace is mounted.
        #[serde(with = "byte_path")]
        netns: PathBuf,
        /// The link's index there.
        index: u32,
        /// Its name on the host.
        name: String,
    },
    /// Deletes the bridge of a network zone by name when it has no ports any more.
    RemoveZone(String),
    /// Stops forwarding a port of the host.
    StopForward(ForwardKey),
}

impl PathRelease {
    pub(super) fn op(&self) -> Op {
        match self {
            Self::Unmount(_) => Op::Unmount,
            Self::RemoveFile(_) => Op::RemoveFile,
            Self::RemoveDir(_) => Op::RemoveDir,
            Self::RemoveTree(_) => Op::RemoveTree,
            Self::RemoveCopy(_) => Op::RemoveCopy,
            Self::RemoveCgroup(_) => Op::RemoveCgroup,
            Self::DeleteLink(_) => Op::DeleteLink,
            Self::ReturnLink { .. } => Op::ReturnLink,
            Self::RemoveZone(_) => Op::RemoveZone,
            Self::StopForward(_) => Op::StopForward,
        }
    }

    fn text(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Unmount(path)
            | Self::RemoveFile(path)
            | Self::RemoveDir(path)
            | Self::RemoveTree(path)
            | Self::RemoveCopy(path)
            | Self::RemoveCgroup(path) => path.as_os_str().as_bytes().into(),
            Self::DeleteLink(name) | Self::RemoveZone(name) => name.as_bytes().into(),
            Self::StopForward(ForwardKey { family, protocol, port }) => {
                format!("{} {protocol} {port}", family.number()).into_bytes().into()
            }
            Self::ReturnLink { netns, index, name } => {
                [format!("{index} {name} ").as_bytes(), netns.as_os_str().as_bytes()].concat().into()
            }
        }
    }
}

impl Release {
    /// How the keeper is told: operation, descriptor, text. `None` for what it cannot do.
    pub(super) fn as_message(&self) -> Option<(Op, Option<BorrowedFd<'_>>, Cow<'_, [u8]>)> {
        let none = Cow::Borrowed(&[][..]);
        Some(match self {
            Self::KillProcess(pidfd) => (Op::KillProcess, Some(pidfd.as_fd()), none),
            Self::EndProcess(pidfd) => (Op::EndProcess, Some(pidfd.as_fd()), none),
            Self::KillCgroup(group) => (Op::KillCgroup, Some(group.as_fd()), none),
            Self::RestoreTerminal { terminal, attributes } => {
                (Op::RestoreTerminal, Some(terminal.as_fd()), attributes.as_bytes().into())
            }
            Self::Hold(fd) => (Op::Hold, Some(fd.as_fd()), none),
            Self::Unlock(lock) => (Op::Hold, Some(lock.as_fd()), none),
            Self::Path(path) => (path.op(), None, path.text()),
            Self::EmptyScope { group, home } => (Op::Visit, Some(home.as_fd()), group.as_os_str().as_bytes().into()),
            Self::DeleteInside { socket, index } => {
                (Op::DeleteInside, Some(socket.as_fd()), index.to_string().into_bytes().into())
            }
            Self::RemoveInside { root, path } => {
                (Op::RemoveInside, Some(root.as_fd()), path.as_os_str().as_bytes().into())
            }
            Self::Call(_) => return None,
        })
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Call(_) => f.write_str("Call"),
            other => other.as_message().map(|(op, ..)| op).fmt(f),
        }
    }
}

impl From<PathRelease> for Release {
    fn from(path: PathRelease) -> Self {
        Self::Path(path)
    }
}

/// Paths in JSON: text where they are UTF-8, a list of bytes where not.
pub(super) mod byte_path {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::path::Path;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub fn serialize<S: serde::Serializer>(path: &Path, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let form = match path.to_str() {
            Some(text) => Form::Text(text.into()),
            None => Form::Bytes(path.as_os_str().as_bytes().into()),
        };
        form.serialize(serializer)
    }

    pub fn deserialize<'a, D: serde::Deserializer<'a>>(deserializer: D) -> std::result::Result<PathBuf, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Text(text) => text.into(),
            Form::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn path_releases_survive_json() {
        let odd = PathBuf::from(OsStr::from_bytes(b"/run/\xff\n\""));
        for release in [
            PathRelease::Unmount(odd.clone()),
            PathRelease::RemoveCgroup("/sys/fs/cgroup/x".into()),
            PathRelease::DeleteLink("ve-x".into()),
            PathRelease::RemoveZone("vz-x".into()),
            PathRelease::ReturnLink { netns: odd.clone(), index: 7, name: "eth0".into() },
        ] {
            let text = serde_json::to_string(&release).unwrap();
            assert_eq!(serde_json::from_str::<PathRelease>(&text).unwrap(), release, "{text}");
        }
    }

    #[test]
    fn the_keeper_reads_of_a_lent_link_what_was_written() {
        use crate::sys::programs::wire::parse_lent;
        let lent = PathRelease::ReturnLink { netns: "/run/a b".into(), index: u32::MAX, name: "eth0".into() };
        assert_eq!(parse_lent(&lent.text()), Some((u32::MAX, &b"eth0"[..], &b"/run/a b"[..])));
        for bad in [&b""[..], b"1 a", b"x a /p", b"4294967296 a /p", b" a /p"] {
            assert_eq!(parse_lent(bad), None);
        }
    }
}
