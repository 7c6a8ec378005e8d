// SPDX-License-Identifier: LGPL-2.1-or-later
//! `--forward-journal=`: the guest's journald sends what it writes to a socket, and systemd-journal-remote(8) stores it.

use super::{Facts, JournalRemote};
use crate::config::{One, Settings};
use crate::error::{Code, Diagnostic, Origin, Sourced};
use crate::model::{Credential, CredentialSource, MachineName};
use serde::Serialize;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where the container sees the socket.
pub const SOCKET: &str = "/run/host/journal/socket";

/// The credential by which journald of systemd 256 and later learns of it (systemd.system-credentials(7)).
const CREDENTIAL: &str = "journal.forward_to_socket";

/// Where the journal of the guest goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForwardJournal {
    /// systemd-journal-remote on this host.
    #[serde(serialize_with = "crate::model::shown::path")]
    pub program: PathBuf,
    /// The file that is written.
    #[serde(serialize_with = "crate::model::shown::path")]
    pub file: PathBuf,
    /// Bytes that all its files may take.
    pub max_use: Option<u64>,
    /// Bytes of its file system that they leave free.
    pub keep_free: Option<u64>,
    /// Bytes of one file.
    pub max_file_size: Option<u64>,
    /// How many files there may be.
    pub max_files: Option<u64>,
    /// Who asked for it.
    pub origin: Origin,
}

impl ForwardJournal {
    /// The options of systemd-journal-remote that say so.
    pub fn limits(&self) -> Vec<OsString> {
        let limits = [
            ("max-use", self.max_use),
            ("keep-free", self.keep_free),
            ("max-file-size", self.max_file_size),
            ("max-files", self.max_files),
        ];
        limits.iter().filter_map(|(name, limit)| Some(format!("--{name}={}", (*limit)?).into())).collect()
    }
}

impl fmt::Display for ForwardJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to {} by {}", self.file.display(), self.program.display())?;
        let limits = [
            ("at most", self.max_use, " bytes"),
            ("leaving", self.keep_free, " bytes free"),
            ("files of", self.max_file_size, " bytes"),
            ("at most", self.max_files, " files"),
        ];
        limits
            .iter()
            .filter_map(|(before, n, after)| Some((before, (*n)?, after)))
            .try_for_each(|(before, n, after)| write!(f, ", {before} {n}{after}"))
    }
}

/// What was asked for, with the program that does it.
pub(super) fn forward(
    s: &Settings,
    f: &Facts,
    machine: Option<&MachineName>,
) -> Result<Option<ForwardJournal>, Diagnostic> {
    let (Some(said), Some(machine)) = (&s.forward_journal, machine) else { return Ok(None) };
    let Some(JournalRemote { program, limits }) = f.journal_remote.clone() else {
        let what = "this host has no systemd-journal-remote, which stores forwarded journals";
        return Err(Diagnostic::new(Code::JournalForward, what)
            .origin(&said.origin)
            .help("install the package systemd-journal-remote, or share the journal with --link-journal="));
    };
    if let (Some(asked), false) = (self::limit(s), limits) {
        let what = format!("{} takes no limits: it is too old", program.display());
        return Err(Diagnostic::new(Code::JournalForward, what)
            .origin(asked)
            .help("leave the limit out, or install the systemd-journal-remote of systemd 261 or later"));
    }
    let limit = |said: &One<u64>| said.as_ref().map(|limit| limit.value);
    Ok(Some(ForwardJournal {
        program,
        file: match is_file(&said.value) {
            true => said.value.clone(),
            false => said.value.join(format!("remote-{machine}.journal")),
        },
        max_use: limit(&s.forward_journal_max_use),
        keep_free: limit(&s.forward_journal_keep_free),
        max_file_size: limit(&s.forward_journal_max_file_size),
        max_files: limit(&s.forward_journal_max_files),
        origin: said.origin.clone(),
    }))
}

/// Whether one file is meant, by its name as with systemd-nspawn.
fn is_file(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b".journal")
}

/// The first limit that was said, for which a journal is needed.
pub(super) fn limit(s: &Settings) -> Option<&Origin> {
    let limits = [
        &s.forward_journal_max_use,
        &s.forward_journal_keep_free,
        &s.forward_journal_max_file_size,
        &s.forward_journal_max_files,
    ];
    limits.into_iter().flatten().map(|limit| &limit.origin).next()
}

/// What the container is handed: the credentials that were said, and the one that journald reads.
pub(super) fn credentials(s: &Settings) -> Vec<Sourced<Credential>> {
    let socket = s.forward_journal.as_ref().map(|forward| {
        let source = CredentialSource::Value(SOCKET.into());
        Sourced::new(Credential { id: CREDENTIAL.into(), source }, forward.origin.clone())
    });
    s.credentials.iter().cloned().chain(socket).collect()
}

/// The credential of that id which was said beside it.
pub(super) fn clashing(s: &Settings) -> Option<&Origin> {
    s.credentials.iter().find(|c| c.value.id == CREDENTIAL).map(|c| &c.origin)
}

/// Where systemd-journal-remote is: in `$PATH`, else where systemd keeps such programs.
pub(super) fn find_program() -> Option<JournalRemote> {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = ["/usr/lib/systemd", "/lib/systemd", "/usr/libexec"].map(PathBuf::from);
    let places = std::env::split_paths(&path).filter(|place| place.is_absolute()).chain(own);
    let is_program = |at: &PathBuf| at.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    let program = places.map(|place| place.join("systemd-journal-remote")).find(is_program)?;
    let limits = knows_limits(&program);
    Some(JournalRemote { program, limits })
}

/// Whether the option is among the words of the program, which is quicker to tell than by running it. Of a script that
/// is not known.
fn knows_limits(program: &Path) -> bool {
    const OPTION: &[u8] = b"max-file-size";
    let Ok(bytes) = std::fs::read(program) else { return true };
    !bytes.starts_with(b"\x7fELF") || bytes.windows(OPTION.len()).any(|word| word == OPTION)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{facts, settings};
    use super::super::{Action, MountStep, Plan, Shared, Source, build, explain};
    use super::*;

    fn remote(limits: bool) -> JournalRemote {
        JournalRemote { program: "/usr/lib/systemd/systemd-journal-remote".into(), limits }
    }

    fn planned(line: &str) -> Result<Plan, Vec<Diagnostic>> {
        let mut f = facts();
        f.journal_remote = Some(remote(true));
        build(&settings(line), &f)
    }

    #[test]
    fn a_directory_gets_a_file_for_the_machine() {
        let file = |line: &str| planned(line).unwrap().forward_journal.unwrap().file;
        assert_eq!(file("--machine=m --forward-journal=/j"), Path::new("/j/remote-m.journal"));
        assert_eq!(file("--machine=m --forward-journal=/j/x.journal"), Path::new("/j/x.journal"));
        assert_eq!(planned("--machine=m").unwrap().forward_journal, None);
    }

    #[test]
    fn the_container_has_the_socket_and_a_credential_that_names_it() {
        let plan = planned("--machine=m --forward-journal=/j --set-credential=a:b").unwrap();
        let ids: Vec<_> = plan.credentials.iter().map(|c| c.value.id.as_str()).collect();
        assert_eq!(ids, ["a", CREDENTIAL]);
        assert_eq!(plan.credentials[1].value.source, CredentialSource::Value(SOCKET.into()));
        let directory = ("CREDENTIALS_DIRECTORY".to_string(), "/run/host/credentials".into());
        assert!(plan.process.environment.contains(&directory));
        assert!(plan.mounts_on("/run/host/credentials"));
        let socket = plan.steps.iter().find(|step| {
            let shared = Source::Shared { what: Shared::JournalSocket };
            matches!(&step.action, Action::Mount(MountStep { source, target, .. }) if *source == shared && target == Path::new(SOCKET))
        });
        let socket = socket.unwrap();
        assert_eq!((socket.optional, socket.origin.to_string()), (None, "--forward-journal=/j".into()));
    }

    #[test]
    fn limits_are_those_of_the_program() {
        let line = "--machine=m --forward-journal=/j --forward-journal-max-use=1K --forward-journal-keep-free=2 \
            --forward-journal-max-file-size=1M --forward-journal-max-files=3";
        let plan = planned(line).unwrap();
        let limits = plan.forward_journal.as_ref().unwrap().limits();
        assert_eq!(limits, ["--max-use=1024", "--keep-free=2", "--max-file-size=1048576", "--max-files=3"]);
        let shown = explain(&plan);
        let wanted = "to /j/remote-m.journal by /usr/lib/systemd/systemd-journal-remote, at most 1024 bytes, \
            leaving 2 bytes free, files of 1048576 bytes, at most 3 files  [--forward-journal=/j, \
            --forward-journal-max-use=1K, ";
        assert!(shown.contains(wanted), "{shown}");
    }

    #[test]
    fn limits_that_the_program_does_not_know_are_refused() {
        let f = Facts { journal_remote: Some(remote(false)), ..facts() };
        let line = "--machine=m --forward-journal=/j";
        assert!(build(&settings(line), &f).is_ok());
        let wrong = build(&settings(&format!("{line} --forward-journal-max-files=3")), &f).unwrap_err();
        let words = wrong[0].to_string();
        assert!(words.contains("takes no limits") && words.contains("--forward-journal-max-files=3"), "{words}");
        let dir = std::env::temp_dir().join(format!("spawn-test-forward-{}", std::process::id()));
        for (text, limits) in
            [(&b"\x7fELF..\0output\0"[..], false), (b"\x7fELF..\0max-file-size\0", true), (b"#!/bin/sh\n", true)]
        {
            std::fs::write(&dir, text).unwrap();
            assert_eq!(knows_limits(&dir), limits);
        }
        std::fs::remove_file(&dir).unwrap();
    }

    #[test]
    fn without_the_program_it_is_refused() {
        let wrong = build(&settings("--machine=m --forward-journal=/j"), &facts()).unwrap_err();
        assert_eq!(wrong.len(), 1);
        assert_eq!(wrong[0].code(), Code::JournalForward);
        assert!(wrong[0].to_string().contains("--forward-journal=/j") && wrong[0].remedy().is_some(), "{}", wrong[0]);
    }
}
