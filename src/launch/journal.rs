// SPDX-License-Identifier: LGPL-2.1-or-later
//! `--link-journal=`: the host's journalctl(1) gets to see the container's journal.

use super::Session;
use crate::error::{Code, Diagnostic, Origin, Result, Sourced};
use crate::log::journal_link::{JOURNAL_DIRECTORY, LinkPlan, LinkRequest, TreeKind, is_optional, plan};
use crate::log::journal_link_apply::{Applied, HostJournal, LinkUndo, Owner, apply, observe};
use crate::log::{self, MessageId};
use crate::model::{LinkJournal, Volatile};
use crate::plan::Shared;
use crate::prepare::SharedDirectory;
use crate::undo::{Release, Ticket, Undo};
use std::path::Path;

/// Makes the link, before the first boot. The ticket takes it back; it is for a failed start only, as the link outlives
/// the run.
pub fn link(session: &Session<'_>, undo: &mut Undo) -> Result<(Option<SharedDirectory>, Option<Ticket>)> {
    if session.plan.link_journal == LinkJournal::No {
        return Ok((None, None));
    }
    let mut done = Vec::new();
    let made = make(session, &mut done);
    let ticket = match done.is_empty() {
        true => None,
        false => Some(undo.push(take_back(done), "the link between the journals")?),
    };
    match made {
        Ok(shared) => Ok((shared, ticket)),
        Err(d) if is_optional(session.plan.link_journal) => {
            log::warning!(session.log, MessageId::JournalNotLinked, step: "journal", "{d}");
            if let Some(ticket) = ticket {
                undo.release(ticket)?;
            }
            Ok((None, None))
        }
        Err(d) => Err(d),
    }
}

fn take_back(done: Vec<LinkUndo>) -> Release {
    Release::Call(Box::new(move || {
        let failed: Vec<_> = done.iter().rev().filter_map(|step| step.run().err()).collect();
        failed.into_iter().next().map_or(Ok(()), Err)
    }))
}

fn make(session: &Session<'_>, done: &mut Vec<LinkUndo>) -> Result<Option<SharedDirectory>> {
    let tree = &session.plan.tree;
    let mode = session.plan.link_journal;
    let request = LinkRequest {
        mode: &Sourced::new(mode, Origin::Option(format!("--link-journal={mode}"))),
        kind: match tree.ephemeral {
            true => TreeKind::Ephemeral,
            false => TreeKind::Directory,
        },
        tree: session.tree.path(),
        machine_id: Some(session.uuid),
        host_id: crate::image::host_machine_id(),
    };
    let host = HostJournal::open(Path::new(JOURNAL_DIRECTORY))?;
    let entry = observe(host.as_ref(), session.uuid)?;
    // Where /var is in memory the host's directory is mounted over what is made there.
    let in_memory = tree.volatile != Volatile::No;
    let decided = match plan(&request, &entry)? {
        decided @ LinkPlan::Host { .. } if in_memory => decided,
        LinkPlan::Guest { .. } | LinkPlan::Host { .. } if tree.read_only => match is_optional(mode) {
            true => LinkPlan::Skip("its tree is read-only".into()),
            false => {
                let what = "cannot link the journal of the machine to the host's";
                return Err(Diagnostic::new(Code::JournalLink, what)
                    .cause("its tree is read-only")
                    .origin(&request.mode.origin)
                    .help("use --link-journal=try-guest to run without the link, or --link-journal=no"));
            }
        },
        decided => decided,
    };
    if let LinkPlan::Skip(why) = &decided {
        let name = &session.plan.machine;
        log::notice!(
            session.log,
            MessageId::JournalNotLinked,
            step: "journal",
            "the journal of {name} is not linked to the host's: {why}"
        );
    }
    let Some(host) = host else { return Ok(None) };
    let id = match &session.range {
        Some(held) if !session.plan.idmapped() => held.range.base,
        _ => 0,
    };
    let owner = Owner { uid: id, gid: id };
    let written = (!in_memory).then(|| (session.tree.fd(), session.tree.path()));
    Ok(match apply(&decided, &host, written, owner, done)? {
        Applied::Done => None,
        Applied::Bind { source, target } => Some(SharedDirectory { what: Shared::Journal, directory: source, target }),
    })
}
