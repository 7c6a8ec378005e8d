// SPDX-License-Identifier: LGPL-2.1-or-later
//! [`Logger`]: where messages go and who sees them.

use super::{MessageId, escape};
use crate::error::{Diagnostic, Origin};
use rustix::termios::OutputModes;
use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::panic::Location;
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;

/// How grave a message is; the journal's priorities 3 to 6 (syslog(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something asked for is not there: 3.
    Error,
    /// Something is worse than asked for: 4.
    Warning,
    /// Worth a word: 5.
    Notice,
    /// Interesting later: 6.
    Info,
}

/// Who reads stderr and how much they want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// `-q`: errors and warnings.
    Quiet,
    /// Notices as well.
    Normal,
    /// `-v`: everything.
    Verbose,
}

impl Audience {
    /// Whether a message of this level is for them.
    pub fn wants(self, level: Level) -> bool {
        level
            <= match self {
                Audience::Quiet => Level::Warning,
                Audience::Normal => Level::Notice,
                Audience::Verbose => Level::Info,
            }
    }
}

/// What fd 2 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StderrIs {
    /// The journal already (`$JOURNAL_STREAM`, systemd.exec(5)): messages are sent there once, with their fields.
    Journal,
    /// A person, a file, a pipe.
    Other,
}

impl StderrIs {
    /// Compares `$JOURNAL_STREAM` (`DEVICE:INODE`, decimal) with what `fd` is.
    pub fn detect(journal_stream: Option<&OsStr>, fd: BorrowedFd<'_>) -> Self {
        let said = journal_stream.and_then(OsStr::to_str).and_then(|s| {
            let (device, inode) = s.split_once(':')?;
            Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
        });
        match (said, rustix::fs::fstat(fd)) {
            (Some(said), Ok(stat)) if said == (stat.st_dev, stat.st_ino) => Self::Journal,
            _ => Self::Other,
        }
    }
}

/// What a [`Logger`] is made from.
#[derive(Debug, Clone)]
pub struct LogSetup {
    /// `SYSLOG_IDENTIFIER=` and the first word on stderr: the name the program was called by.
    pub identifier: &'static str,
    /// Who reads stderr.
    pub audience: Audience,
    /// What stderr is.
    pub stderr: StderrIs,
}

/// Writes messages. Never fails: a message that cannot be written is gone.
pub struct Logger {
    setup: LogSetup,
    machine: RefCell<Option<String>>,
    leader: Cell<Option<i64>>,
    /// Opened by the first message; `None` inside when there is no journal.
    journal: OnceCell<Option<Dispatch>>,
}

impl Logger {
    /// Opens nothing yet.
    pub fn new(setup: LogSetup) -> Self {
        Self { setup, machine: RefCell::new(None), leader: Cell::new(None), journal: OnceCell::new() }
    }

    /// From now on messages carry `SPAWN_MACHINE=`.
    pub fn set_machine(&self, name: &str) {
        *self.machine.borrow_mut() = Some(name.to_owned());
    }

    /// From now on messages carry `SPAWN_LEADER=`: the payload's process id on the host; `None` when it is gone.
    pub fn set_leader(&self, pid: Option<rustix::process::Pid>) {
        self.leader.set(pid.map(|p| p.as_raw_nonzero().get().into()));
    }

    /// Whether stderr is the journal already.
    pub fn stderr_is_journal(&self) -> bool {
        self.setup.stderr == StderrIs::Journal
    }

    /// The machine's name, once known.
    #[doc(hidden)]
    pub fn machine(&self) -> Option<String> {
        self.machine.borrow().clone()
    }

    /// The payload's process id on the host, once known.
    #[doc(hidden)]
    pub fn leader(&self) -> Option<i64> {
        self.leader.get()
    }

    /// Writes a failure to both places; stderr gets all its lines.
    #[track_caller]
    pub fn failure(&self, diagnostic: &Diagnostic) {
        let text = diagnostic.to_string();
        self.say(Level::Error, &text);
        let at = Location::caller();
        let origin = diagnostic.asked_by().filter(|o| **o != Origin::Default).map(ToString::to_string);
        self.in_journal(|| {
            tracing::event!(
                tracing::Level::ERROR,
                message_id = MessageId::Failed.as_str(),
                spawn_machine = self.machine(),
                spawn_leader = self.leader(),
                spawn_code = %diagnostic.code(),
                spawn_origin = origin,
                spawn_help = diagnostic.remedy(),
                spawn_caller = %at,
                message = text.as_str()
            )
        });
    }

    /// Writes to stderr, unless it is the journal or nobody there wants this level.
    #[doc(hidden)]
    pub fn say(&self, level: Level, text: &str) {
        let twice = self.setup.stderr == StderrIs::Journal && self.journal().is_some();
        if twice || !self.setup.audience.wants(level) {
            return;
        }
        let stderr = std::io::stderr();
        let line = format!("{}: {}\n", self.setup.identifier, escape::text(text));
        let line = if is_raw_terminal(stderr.as_fd()) { line.replace('\n', "\r\n") } else { line };
        // Nobody is left to tell when stderr is gone.
        let _ = stderr.lock().write_all(line.as_bytes());
    }

    /// Runs `emit`, whose events go to the journal; does nothing when there is none.
    #[doc(hidden)]
    pub fn in_journal(&self, emit: impl FnOnce()) {
        if let Some(journal) = self.journal() {
            tracing::dispatcher::with_default(journal, emit);
        }
    }

    fn journal(&self) -> Option<&Dispatch> {
        self.journal.get_or_init(|| open_journal(self.setup.identifier)).as_ref()
    }
}

/// `None` when journald's socket is missing or nobody listens there.
fn open_journal(identifier: &str) -> Option<Dispatch> {
    use tracing_journald::{Priority, PriorityMappings};
    let layer = tracing_journald::layer()
        .ok()?
        .with_field_prefix(None)
        .with_syslog_identifier(identifier.to_owned())
        .with_priority_mappings(PriorityMappings {
            error: Priority::Error,
            warn: Priority::Warning,
            info: Priority::Notice,
            debug: Priority::Informational,
            trace: Priority::Debug,
        });
    Some(Dispatch::new(tracing_subscriber::registry().with(layer)))
}

/// A terminal in raw mode does not return the carriage on a line feed.
fn is_raw_terminal(fd: BorrowedFd<'_>) -> bool {
    rustix::termios::tcgetattr(fd).is_ok_and(|t| !t.output_modes.contains(OutputModes::OPOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn audiences() {
        let wanted = |a: Audience| {
            [Level::Error, Level::Warning, Level::Notice, Level::Info].into_iter().filter(|l| a.wants(*l)).count()
        };
        assert_eq!([Audience::Quiet, Audience::Normal, Audience::Verbose].map(wanted), [2, 3, 4]);
    }

    #[test]
    fn stderr_is_the_journal_only_when_device_and_inode_agree() {
        let file = std::fs::File::open("/").unwrap();
        let stat = rustix::fs::fstat(&file).unwrap();
        let detect = |s: String| StderrIs::detect(Some(OsStr::new(&s)), file.as_fd());
        assert_eq!(detect(format!("{}:{}", stat.st_dev, stat.st_ino)), StderrIs::Journal);
        assert_eq!(detect(format!("{}:{}", stat.st_dev, stat.st_ino + 1)), StderrIs::Other);
        assert_eq!(detect(format!("{}", stat.st_dev)), StderrIs::Other);
        assert_eq!(StderrIs::detect(None, file.as_fd()), StderrIs::Other);
    }

    #[test]
    fn a_raw_terminal_is_told_from_a_cooked_one() {
        let pty = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        assert!(!is_raw_terminal(pty.as_fd()));
        let mut attributes = rustix::termios::tcgetattr(&pty).unwrap();
        attributes.make_raw();
        rustix::termios::tcsetattr(&pty, rustix::termios::OptionalActions::Now, &attributes).unwrap();
        assert!(is_raw_terminal(pty.as_fd()));
        assert!(!is_raw_terminal(std::fs::File::open("/").unwrap().as_fd()));
    }

    #[test]
    fn macros_and_failures_work_without_a_journal() {
        let logger = Logger::new(LogSetup { identifier: "spawn", audience: Audience::Quiet, stderr: StderrIs::Other });
        logger.set_machine("m");
        logger.set_leader(rustix::process::Pid::from_raw(7));
        crate::log::notice!(&logger, MessageId::Started, "a {}", 1);
        crate::log::info!(&logger, MessageId::Consumed, step: "end", "b");
        crate::log::failure(&logger, &Diagnostic::new(Code::Prepare, "a test of failures"));
        assert_eq!((logger.machine().as_deref(), logger.leader()), (Some("m"), Some(7)));
    }
}
