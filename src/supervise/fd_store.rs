// SPDX-License-Identifier: LGPL-2.1-or-later
//! Descriptors that the payload's first process wants to find again after a restart: our own service manager keeps them
//! (sd_notify(3), `FDSTORE=1`; systemd.io/FILE_DESCRIPTOR_STORE).

use libsystemd::daemon::NotifyState;
use rustix::fd::OwnedFd;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What stands before the payload's names in our manager's store, as with systemd-nspawn (its `nspawn.c`).
const PREFIX: &str = "payload-";
/// The name of what has none (`sd_pid_notify_with_fds(3)`).
const UNNAMED: &str = "stored";
/// The longest name (`FDNAME_MAX` of systemd).
const NAME_MAX: usize = 255;

/// Most descriptors of one message (`SCM_MAX_FD` of the kernel).
pub const MOST: usize = 253;

/// What one message wants of the store.
#[derive(Debug)]
pub struct Storing {
    name: String,
    what: What,
}

#[derive(Debug)]
enum What {
    /// Keeps these; without `poll` even those that have hung up.
    Keep { fds: Vec<OwnedFd>, poll: bool },
    /// Drops those of the name.
    Drop,
}

impl Storing {
    /// Reads `KEY=VALUE` lines. `None` when they want nothing, or cannot have it.
    pub fn parse(message: &[u8], fds: Vec<OwnedFd>) -> Option<Self> {
        let (mut keep, mut drop, mut poll, mut name) = (false, false, true, UNNAMED);
        for line in message.split(|b| *b == b'\n') {
            match line {
                b"FDSTORE=1" => keep = true,
                b"FDSTOREREMOVE=1" => drop = true,
                b"FDPOLL=0" => poll = false,
                _ => {
                    if let Some(said) = line.strip_prefix(b"FDNAME=") {
                        name = std::str::from_utf8(said).ok().filter(|name| is_name(name))?;
                    }
                }
            }
        }
        let what = match (keep, drop) {
            (_, true) => What::Drop,
            (true, false) if !fds.is_empty() => What::Keep { fds, poll },
            _ => return None,
        };
        Some(Self { name: format!("{PREFIX}{name}"), what })
    }

    /// What the manager is told, and what it is handed.
    pub fn words(&self) -> (Vec<NotifyState>, &[OwnedFd]) {
        let name = NotifyState::Fdname(self.name.clone());
        match &self.what {
            What::Drop => (vec![NotifyState::FdstoreRemove, name], &[]),
            What::Keep { fds, poll } => {
                let mut words = vec![NotifyState::Fdstore, name];
                words.extend((!poll).then_some(NotifyState::FdpollDisable));
                (words, fds)
            }
        }
    }
}

/// As `fdname_is_valid()` of systemd, with room for the prefix.
fn is_name(name: &str) -> bool {
    let fits = !name.is_empty() && name.len() + PREFIX.len() <= NAME_MAX;
    fits && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
}

/// The names of descriptors as the payload knows them: what it has stored comes back under the name that it gave.
pub fn names_for_payload(names: &OsStr) -> OsString {
    let parts = names.as_bytes().split(|b| *b == b':');
    let own = parts.map(|name| name.strip_prefix(PREFIX.as_bytes()).filter(|rest| !rest.is_empty()).unwrap_or(name));
    OsString::from_vec(own.collect::<Vec<_>>().join(&b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_fds() -> Vec<OwnedFd> {
        vec![std::fs::File::open("/dev/null").unwrap().into()]
    }

    fn told(message: &[u8], fds: Vec<OwnedFd>) -> Option<(String, usize)> {
        let storing = Storing::parse(message, fds)?;
        let (words, fds) = storing.words();
        Some((words.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), fds.len()))
    }

    #[test]
    fn names_are_the_payloads() {
        let some = |text: &str, n| Some((text.to_owned(), n));
        assert_eq!(told(b"FDSTORE=1\nFDNAME=a", some_fds()), some("FDSTORE=1 FDNAME=payload-a", 1));
        assert_eq!(told(b"FDSTORE=1", some_fds()), some("FDSTORE=1 FDNAME=payload-stored", 1));
        assert_eq!(told(b"FDPOLL=0\nFDNAME=a\nFDSTORE=1", some_fds()), some("FDSTORE=1 FDNAME=payload-a FDPOLL=0", 1));
        assert_eq!(told(b"FDSTOREREMOVE=1\nFDNAME=a", Vec::new()), some("FDSTOREREMOVE=1 FDNAME=payload-a", 0));
        // What is to be removed is not kept as well.
        assert_eq!(
            told(b"FDSTOREREMOVE=1\nFDSTORE=1\nFDNAME=a", some_fds()),
            some("FDSTOREREMOVE=1 FDNAME=payload-a", 0)
        );
    }

    #[test]
    fn what_makes_no_sense_is_left_out() {
        assert_eq!(told(b"FDSTORE=1\nFDNAME=a", Vec::new()), None);
        assert_eq!(told(b"READY=1", some_fds()), None);
        assert_eq!(told(b"FDSTORE=0\nFDNAME=a", some_fds()), None);
        let long = [b"FDSTORE=1\nFDNAME=".as_slice(), &[b'x'; NAME_MAX - PREFIX.len() + 1]].concat();
        assert_eq!(told(&long, some_fds()), None);
        assert!(told(&long[..long.len() - 1], some_fds()).is_some());
        for name in ["a:b", "a b", "", "\u{e4}", "a\x1b"] {
            assert_eq!(told(format!("FDSTORE=1\nFDNAME={name}").as_bytes(), some_fds()), None, "{name:?}");
        }
    }

    #[test]
    fn names_come_back_as_they_were_given() {
        for (of_manager, of_payload) in [
            ("payload-a:http:payload-stored", "a:http:stored"),
            ("payload-", "payload-"),
            ("", ""),
            ("payload-payload-a", "payload-a"),
        ] {
            assert_eq!(names_for_payload(of_manager.as_ref()), OsStr::new(of_payload));
        }
    }
}
