// SPDX-License-Identifier: LGPL-2.1-or-later
//! `--link-journal=`: whether and how the host's journalctl(1) sees the journal of a machine. Pure; no I/O.
//!
//! `guest` keeps the journal in the tree, and the host's `/var/log/journal/ID` becomes a link to it; `host` keeps it on
//! the host and mounts it into the machine (systemd-nspawn(1)). The link outlives the run, so that the journal can be
//! read when the machine is down. Other than systemd-nspawn, an entry that is not ours is never replaced.

use crate::error::{Code, Diagnostic, Result, Sourced};
use crate::model::{Id128, LinkJournal};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Where journald keeps persistent journals, in the tree and on the host (systemd-journald.service(8)).
pub const JOURNAL_DIRECTORY: &str = "/var/log/journal";

/// What becomes of the tree when the machine ends, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeKind {
    /// A directory that stays.
    Directory,
    /// A copy or an overlay that is thrown away (`-x`).
    Ephemeral,
    /// Something without a path on the host.
    Image,
}

/// What is at the host's `/var/log/journal/ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEntry {
    /// The host has no `/var/log/journal` at all.
    NoJournal,
    /// Nothing.
    Absent,
    /// A directory without entries.
    EmptyDirectory,
    /// A directory with entries.
    Directory,
    /// Something is mounted there.
    MountPoint,
    /// A symbolic link that leads somewhere.
    Link(PathBuf),
    /// A symbolic link whose target is gone.
    DeadLink(PathBuf),
    /// None of these.
    Other,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkPlan {
    /// Nothing, and nobody needs to hear of it.
    Nothing,
    /// Nothing, for a reason that is said once ([`crate::log::MessageId::JournalNotLinked`]).
    Skip(String),
    /// Make the directory in the tree and the link on the host.
    Guest {
        /// The machine's id.
        id: Id128,
        /// What the link on the host points to.
        target: PathBuf,
        /// What is there already.
        existing: Existing,
    },
    /// Mount the host's directory over that of the machine.
    Host {
        /// The machine's id.
        id: Id128,
        /// Whether the host's directory is to be made.
        existing: Existing,
    },
}

/// What is at the host's place and may be used or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Existing {
    /// Nothing: it is made.
    Nothing,
    /// What is wanted: it is used as it is.
    Wanted,
    /// Something that is replaced: an empty directory, or a link to a tree that is gone.
    Replaceable,
}

/// Whether the machine runs without the link when it cannot be made: `auto`, `try-guest`, `try-host`.
pub fn is_optional(mode: LinkJournal) -> bool {
    matches!(mode, LinkJournal::No | LinkJournal::Auto | LinkJournal::TryGuest | LinkJournal::TryHost)
}

/// What the decision rests on.
#[derive(Debug, Clone)]
pub struct LinkRequest<'a> {
    /// `--link-journal=`
    pub mode: &'a Sourced<LinkJournal>,
    /// What the tree is.
    pub kind: TreeKind,
    /// Its path on the host.
    pub tree: &'a Path,
    /// The machine's id (machine-id(5)).
    pub machine_id: Option<Id128>,
    /// The host's id.
    pub host_id: Option<Id128>,
}

/// Decides, from what was asked for and what the host has at the machine's place.
pub fn plan(request: &LinkRequest<'_>, entry: &HostEntry) -> Result<LinkPlan> {
    let LinkRequest { mode: Sourced { value: mode, origin }, kind, tree, machine_id, host_id } = request;
    let mode = *mode;
    if mode == LinkJournal::No {
        return Ok(LinkPlan::Nothing);
    }
    let refuse = |why: String, help: &str| {
        if mode == LinkJournal::Auto && matches!(entry, HostEntry::NoJournal | HostEntry::Absent) {
            Ok(LinkPlan::Nothing)
        } else if is_optional(mode) {
            Ok(LinkPlan::Skip(why))
        } else {
            let what = "cannot link the journal of the machine to the host's";
            Err(Diagnostic::new(Code::JournalLink, what).cause(why).origin(origin).help(help))
        }
    };
    let help_try = "use --link-journal=try-guest to run without the link, or --link-journal=no";
    match kind {
        TreeKind::Directory => (),
        TreeKind::Ephemeral if is_optional(mode) => return Ok(LinkPlan::Nothing),
        TreeKind::Ephemeral => return refuse("its tree is thrown away at the end".into(), help_try),
        TreeKind::Image => return refuse("its tree is not a directory of the host".into(), help_try),
    }
    let Some(id) = *machine_id else { return refuse("it has no machine id yet".into(), "give it one with --uuid=") };
    if Some(id) == *host_id {
        return refuse(
            format!("it has the machine id of the host, {id}"),
            "empty /etc/machine-id in its tree, or give it another id with --uuid=",
        );
    }
    let place = Path::new(JOURNAL_DIRECTORY).join(id.plain());
    let at = place.display();
    let target = tree.join(&JOURNAL_DIRECTORY[1..]).join(id.plain());
    let guest = |existing| Ok(LinkPlan::Guest { id, target: target.clone(), existing });
    let on_host = |existing| Ok(LinkPlan::Host { id, existing });
    let wants_guest = matches!(mode, LinkJournal::Guest | LinkJournal::TryGuest);
    let help_other = "give the machine an id of its own: empty /etc/machine-id in its tree";
    match entry {
        HostEntry::NoJournal => {
            refuse(format!("the host has no {JOURNAL_DIRECTORY}"), "make it, see Storage= in journald.conf(5)")
        }
        HostEntry::MountPoint => refuse(format!("something is mounted at {at}"), "unmount it"),
        HostEntry::Other => refuse(format!("{at} is neither a directory nor a link"), "remove it"),
        HostEntry::Link(to) if *to == target && (wants_guest || mode == LinkJournal::Auto) => guest(Existing::Wanted),
        HostEntry::Link(to) => refuse(
            format!("{at} is the journal of another machine, {}", to.display()),
            if *to == target { "remove the link first" } else { help_other },
        ),
        HostEntry::DeadLink(to) if *to == target && mode == LinkJournal::Auto => guest(Existing::Wanted),
        HostEntry::DeadLink(to) if wants_guest => {
            guest(if *to == target { Existing::Wanted } else { Existing::Replaceable })
        }
        HostEntry::DeadLink(to) => refuse(format!("{at} is a link to {}, which is gone", to.display()), "remove it"),
        HostEntry::Absent if wants_guest => guest(Existing::Nothing),
        HostEntry::Absent if mode == LinkJournal::Auto => Ok(LinkPlan::Nothing),
        HostEntry::Absent => on_host(Existing::Nothing),
        HostEntry::EmptyDirectory if wants_guest => guest(Existing::Replaceable),
        HostEntry::Directory if wants_guest => {
            refuse(format!("{at} holds a journal already"), "use --link-journal=host to go on with it, or move it away")
        }
        HostEntry::EmptyDirectory | HostEntry::Directory => on_host(Existing::Wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Origin;

    fn id(n: u8) -> Id128 {
        Id128::from_bytes([n; 16]).unwrap()
    }

    fn decide(mode: LinkJournal, kind: TreeKind, ids: (Option<Id128>, Option<Id128>), entry: &HostEntry) -> String {
        let mode = &Sourced::new(mode, Origin::Option(format!("--link-journal={mode}")));
        let (machine_id, host_id) = ids;
        let request = LinkRequest { mode, kind, tree: Path::new("/m/a"), machine_id, host_id };
        match plan(&request, entry) {
            Ok(LinkPlan::Nothing) => "nothing".into(),
            Ok(LinkPlan::Skip(why)) => format!("skip: {why}"),
            Ok(LinkPlan::Guest { existing, target, .. }) => {
                assert_eq!(target, Path::new("/m/a/var/log/journal").join(id(1).plain()));
                format!("guest {existing:?}")
            }
            Ok(LinkPlan::Host { existing, .. }) => format!("host {existing:?}"),
            Err(d) => {
                assert!(d.remedy().is_some() && d.code() == Code::JournalLink);
                format!("error: {}", d.headline().split_once(": ").unwrap().1)
            }
        }
    }

    #[test]
    fn every_mode_with_every_entry() {
        use HostEntry::*;
        use LinkJournal as M;
        let target = Path::new("/m/a/var/log/journal").join(id(1).plain());
        let modes = [M::Guest, M::TryGuest, M::Auto, M::Host];
        for (entry, expected) in [
            (NoJournal, ["error", "skip", "nothing", "error"]),
            (Absent, ["guest Nothing", "guest Nothing", "nothing", "host Nothing"]),
            (EmptyDirectory, ["guest Replaceable", "guest Replaceable", "host Wanted", "host Wanted"]),
            (Directory, ["error", "skip", "host Wanted", "host Wanted"]),
            (MountPoint, ["error", "skip", "skip", "error"]),
            (Other, ["error", "skip", "skip", "error"]),
            (Link(target.clone()), ["guest Wanted", "guest Wanted", "guest Wanted", "error"]),
            (Link("/m/b".into()), ["error", "skip", "skip", "error"]),
            (DeadLink(target), ["guest Wanted", "guest Wanted", "guest Wanted", "error"]),
            (DeadLink("/m/b".into()), ["guest Replaceable", "guest Replaceable", "skip", "error"]),
        ] {
            for (mode, expected) in modes.iter().zip(expected) {
                let got = decide(*mode, TreeKind::Directory, (Some(id(1)), Some(id(2))), &entry);
                assert_eq!(got.split(':').next().unwrap(), expected, "{mode} with {entry:?}: {got}");
            }
            assert_eq!(decide(M::No, TreeKind::Directory, (Some(id(1)), Some(id(1))), &entry), "nothing");
        }
    }

    #[test]
    fn what_makes_a_link_impossible_is_named() {
        use LinkJournal as M;
        let here = HostEntry::Absent;
        let same = (Some(id(1)), Some(id(1)));
        let apart = (Some(id(1)), Some(id(2)));
        for (mode, kind, ids, expected) in [
            (M::Guest, TreeKind::Directory, same, "error: it has the machine id of the host, 0101010101010101"),
            (M::TryGuest, TreeKind::Directory, same, "skip: it has the machine id of the host, 0101010101010101"),
            (M::Auto, TreeKind::Directory, same, "nothing"),
            (M::TryGuest, TreeKind::Directory, (None, None), "skip: it has no machine id yet"),
            (M::Guest, TreeKind::Ephemeral, apart, "error: its tree is thrown away at the end"),
            (M::TryGuest, TreeKind::Ephemeral, apart, "nothing"),
            (M::TryGuest, TreeKind::Image, apart, "skip: its tree is not a directory of the host"),
        ] {
            let got = decide(mode, kind, ids, &here);
            assert!(got.starts_with(expected), "{got}");
        }
        let other = decide(M::TryGuest, TreeKind::Directory, apart, &HostEntry::Link("/m/b".into()));
        assert!(other.contains("the journal of another machine, /m/b"), "{other}");
    }
}
