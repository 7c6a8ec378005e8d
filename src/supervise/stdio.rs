// SPDX-License-Identifier: LGPL-2.1-or-later
//! What becomes of the caller's standard input, output and error. The decision is pure; [`StdioFacts::probe`] looks.

use crate::config::Invocation;
use crate::error::{Code, Diagnostic, Origin, Result};
use crate::model::ConsoleMode;
use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, major, minor};
use rustix::io::Errno;
use serde::Serialize;
use std::os::fd::{AsFd, BorrowedFd, RawFd};

/// Which terminal: its device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TerminalId {
    /// The file system of the node.
    pub device: u64,
    /// The inode of the node.
    pub inode: u64,
}

/// What a descriptor refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FdKind {
    /// It is not open.
    Closed,
    /// A terminal.
    Terminal(TerminalId),
    /// The null device (character device 1:3).
    Null,
    /// Another character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// Opened with `O_PATH`: not for reading or writing, but a way to what it names.
    PathOnly,
    /// A regular file, pipe, socket or anonymous inode.
    Plain,
}

impl FdKind {
    /// Looks at a descriptor that whoever started us may have passed by its number.
    pub fn of_number(fd: RawFd) -> Self {
        kind(crate::sys::process::borrow_fd(fd))
    }
}

/// What descriptors 0 to 2 refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StdioFacts(pub [FdKind; 3]);

impl StdioFacts {
    /// Looks at three descriptors; `None` is one that is not open.
    pub fn probe(fds: [Option<BorrowedFd<'_>>; 3]) -> Self {
        Self(fds.map(|fd| fd.map_or(FdKind::Closed, kind)))
    }
    /// Looks at this process's standard input, output and error.
    ///
    /// The standard library opens `/dev/null` for those that were closed at start.
    pub fn of_this_process() -> Self {
        let (i, o, e) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        Self::probe([Some(i.as_fd()), Some(o.as_fd()), Some(e.as_fd())])
    }
}

fn kind(fd: BorrowedFd<'_>) -> FdKind {
    let stat = match fstat(fd) {
        Ok(stat) => stat,
        Err(Errno::BADF) => return FdKind::Closed,
        Err(_) => return FdKind::Plain,
    };
    if fcntl_getfl(fd).is_ok_and(|flags| flags.contains(OFlags::PATH)) {
        return FdKind::PathOnly;
    }
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => FdKind::Directory,
        FileType::BlockDevice => FdKind::BlockDevice,
        FileType::CharacterDevice if rustix::termios::isatty(fd) => {
            FdKind::Terminal(TerminalId { device: stat.st_dev, inode: stat.st_ino })
        }
        FileType::CharacterDevice if (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3) => FdKind::Null,
        FileType::CharacterDevice => FdKind::CharacterDevice,
        _ => FdKind::Plain,
    }
}

/// What one of the payload's descriptors 0 to 2 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stdio {
    /// The container's `/dev/console`.
    Console,
    /// The caller's descriptor as it is.
    Pass,
    /// A pipe that the supervisor fills from the terminal on the caller's side.
    RelayIn,
    /// A pipe that the supervisor empties to the terminal on the caller's side.
    RelayOut,
    /// The same pipe as standard output, so that the order of what is written stays.
    LikeStdout,
    /// The container's `/dev/null`.
    Null,
}

/// How the payload's standard input, output and error are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StdioPlan {
    /// Interactive, read-only, passive or pipe; never autopipe.
    pub mode: ConsoleMode,
    /// Descriptors 0 to 2.
    pub fds: [Stdio; 3],
}

/// The mode that `--console=` (or its absence) means here: autopipe is interactive if standard input and output are
/// terminals and else pipe; without the option `systemd-nspawn` is interactive in that case and else read-only, while
/// `spawn` does as autopipe (systemd-nspawn(1), `--console=`).
pub fn resolve_mode(asked: Option<ConsoleMode>, invocation: Invocation, facts: &StdioFacts) -> ConsoleMode {
    let both = matches!(facts.0, [FdKind::Terminal(_), FdKind::Terminal(_), _]);
    match (asked, invocation) {
        (Some(ConsoleMode::Autopipe), _) | (None, Invocation::Spawn) if both => ConsoleMode::Interactive,
        (Some(ConsoleMode::Autopipe), _) | (None, Invocation::Spawn) => ConsoleMode::Pipe,
        (None, Invocation::SystemdNspawn) if both => ConsoleMode::Interactive,
        (None, Invocation::SystemdNspawn) => ConsoleMode::ReadOnly,
        (Some(mode), _) => mode,
    }
}

/// Decides what the payload gets as descriptors 0 to 2. A terminal is never handed into the container, nor is the
/// host's null device, whose node the container's root could change.
///
/// # Errors
/// One for each descriptor that is a directory, a block device or opened with `O_PATH`: those lead out of the container.
pub fn plan_stdio(mode: ConsoleMode, facts: &StdioFacts) -> std::result::Result<StdioPlan, Vec<Diagnostic>> {
    let refused: Vec<_> = facts.0.iter().enumerate().filter_map(|(n, kind)| refuse(n, *kind).err()).collect();
    if !refused.is_empty() {
        return Err(refused);
    }
    let mode = resolve_mode(Some(mode), Invocation::Spawn, facts);
    if mode != ConsoleMode::Pipe {
        return Ok(StdioPlan { mode, fds: [Stdio::Console; 3] });
    }
    let [input, output, error] = facts.0;
    let each = |kind, relay| match kind {
        FdKind::Terminal(_) => relay,
        FdKind::Closed | FdKind::Null => Stdio::Null,
        _ => Stdio::Pass,
    };
    let error_relay = match (output, error) {
        (FdKind::Terminal(a), FdKind::Terminal(b)) if a == b => Stdio::LikeStdout,
        _ => Stdio::RelayOut,
    };
    let fds = [each(input, Stdio::RelayIn), each(output, Stdio::RelayOut), each(error, error_relay)];
    Ok(StdioPlan { mode, fds })
}

/// What is wrong with descriptors passed by socket activation: those that are not open, and under the name `spawn` those
/// that lead out of the container. systemd-nspawn passes on whatever it gets.
pub fn refuse_passed(kinds: &[FdKind], invocation: Invocation) -> Vec<Diagnostic> {
    let one = |(at, kind): (usize, &FdKind)| {
        let fd = at + 3;
        let what = match (kind, invocation) {
            (FdKind::Closed, _) => format!("descriptor {fd} is not open"),
            (_, Invocation::SystemdNspawn) => return None,
            (FdKind::Terminal(_), _) => format!("descriptor {fd} is a terminal, which is not passed into a container"),
            (kind, _) => format!("descriptor {fd} is {}, which is not passed into a container", leads_out(*kind)?),
        };
        let d = Diagnostic::new(Code::ConsoleFailed, what).origin(&Origin::Environment("LISTEN_FDS".into()));
        Some(d.help("pass sockets, pipes or regular files, or start without LISTEN_FDS"))
    };
    kinds.iter().enumerate().filter_map(one).collect()
}

/// Whether a descriptor that the payload has could be passed to it again at its next start.
pub fn may_be_passed(fd: BorrowedFd<'_>, invocation: Invocation) -> bool {
    refuse_passed(&[kind(fd)], invocation).is_empty()
}

/// What gives its holder more than the bytes of one file.
fn leads_out(kind: FdKind) -> Option<&'static str> {
    match kind {
        FdKind::Directory => Some("a directory"),
        FdKind::BlockDevice => Some("a block device"),
        FdKind::PathOnly => Some("a descriptor opened with O_PATH"),
        FdKind::Closed | FdKind::Terminal(_) | FdKind::Null | FdKind::CharacterDevice | FdKind::Plain => None,
    }
}

fn refuse(number: usize, kind: FdKind) -> Result<()> {
    let Some(what) = leads_out(kind) else { return Ok(()) };
    let name = ["standard input (fd 0)", "standard output (fd 1)", "standard error (fd 2)"][number];
    Err(Diagnostic::new(Code::ConsoleFailed, format!("{name} is {what}, which is not passed into a container"))
        .help("redirect it to a file, a pipe or /dev/null"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use FdKind::{BlockDevice, CharacterDevice, Closed, Directory, Null as NullDevice, PathOnly, Plain};
    use Stdio::{LikeStdout, Null, Pass, RelayIn, RelayOut};

    const A: FdKind = FdKind::Terminal(TerminalId { device: 1, inode: 3 });
    const B: FdKind = FdKind::Terminal(TerminalId { device: 1, inode: 4 });

    #[test]
    fn modes() {
        use ConsoleMode::*;
        use Invocation::{Spawn, SystemdNspawn};
        let rows = [
            (None, Spawn, [A, A, A], Interactive),
            (None, Spawn, [A, B, Plain], Interactive),
            (None, Spawn, [A, Plain, A], Pipe),
            (None, Spawn, [Plain, A, A], Pipe),
            (None, SystemdNspawn, [A, A, A], Interactive),
            (None, SystemdNspawn, [A, Plain, A], ReadOnly),
            (None, SystemdNspawn, [NullDevice, Plain, Plain], ReadOnly),
            (Some(Autopipe), SystemdNspawn, [A, A, A], Interactive),
            (Some(Autopipe), SystemdNspawn, [A, Plain, A], Pipe),
            (Some(Passive), Spawn, [A, A, A], Passive),
            (Some(Interactive), Spawn, [Plain, Plain, Plain], Interactive),
            (Some(Pipe), Spawn, [A, A, A], Pipe),
        ];
        for (asked, invocation, fds, expected) in rows {
            assert_eq!(resolve_mode(asked, invocation, &StdioFacts(fds)), expected, "{asked:?} {invocation:?} {fds:?}");
        }
    }

    #[test]
    fn pipes() {
        let rows = [
            ([Plain, Plain, Plain], [Pass, Pass, Pass]),
            ([A, A, A], [RelayIn, RelayOut, LikeStdout]),
            ([A, A, B], [RelayIn, RelayOut, RelayOut]),
            ([A, Plain, A], [RelayIn, Pass, RelayOut]),
            ([Plain, A, Plain], [Pass, RelayOut, Pass]),
            ([Plain, A, A], [Pass, RelayOut, LikeStdout]),
            ([Closed, Closed, A], [Null, Null, RelayOut]),
            ([NullDevice, CharacterDevice, NullDevice], [Null, Pass, Null]),
        ];
        for (facts, expected) in rows {
            let plan = plan_stdio(ConsoleMode::Pipe, &StdioFacts(facts)).unwrap();
            assert_eq!((plan.mode, plan.fds), (ConsoleMode::Pipe, expected), "{facts:?}");
        }
        for mode in [ConsoleMode::Interactive, ConsoleMode::ReadOnly, ConsoleMode::Passive] {
            let plan = plan_stdio(mode, &StdioFacts([A, Plain, A])).unwrap();
            assert_eq!((plan.mode, plan.fds), (mode, [Stdio::Console; 3]));
        }
        assert_eq!(plan_stdio(ConsoleMode::Autopipe, &StdioFacts([A, A, A])).unwrap().mode, ConsoleMode::Interactive);
    }

    #[test]
    fn refused_in_every_mode() {
        for mode in [ConsoleMode::Pipe, ConsoleMode::Interactive, ConsoleMode::Autopipe] {
            let errors = plan_stdio(mode, &StdioFacts([Directory, BlockDevice, PathOnly])).unwrap_err();
            let text: Vec<_> = errors.iter().map(|e| e.headline()).collect();
            assert_eq!(
                text,
                [
                    "standard input (fd 0) is a directory, which is not passed into a container",
                    "standard output (fd 1) is a block device, which is not passed into a container",
                    "standard error (fd 2) is a descriptor opened with O_PATH, which is not passed into a container",
                ]
            );
            assert!(errors.iter().all(|e| e.code() == Code::ConsoleFailed));
        }
    }

    #[test]
    fn what_socket_activation_may_pass() {
        let kinds = [Plain, Directory, NullDevice, BlockDevice, PathOnly, A, Closed, CharacterDevice];
        let told = |invocation| {
            let refused = refuse_passed(&kinds, invocation);
            assert!(refused.iter().all(|d| d.asked_by() == Some(&Origin::Environment("LISTEN_FDS".into()))));
            refused.iter().map(|d| d.headline().split(',').next().unwrap_or_default().to_string()).collect::<Vec<_>>()
        };
        let all = [
            "descriptor 4 is a directory",
            "descriptor 6 is a block device",
            "descriptor 7 is a descriptor opened with O_PATH",
            "descriptor 8 is a terminal",
            "descriptor 9 is not open",
        ];
        assert_eq!(told(Invocation::Spawn), all);
        assert_eq!(told(Invocation::SystemdNspawn), all[4..]);
    }

    #[test]
    fn probing() {
        let (dir, null, exe) = (open("/"), open("/dev/null"), open("/proc/self/exe"));
        let facts = StdioFacts::probe([Some(dir.as_fd()), Some(null.as_fd()), Some(exe.as_fd())]);
        assert_eq!(facts.0, [Directory, NullDevice, Plain]);
        let path = rustix::fs::open("/dev/null", OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        let pty = crate::supervise::pty::tests::host_pty();
        let facts = StdioFacts::probe([Some(path.as_fd()), Some(pty.slave.as_fd()), None]);
        assert!(matches!(facts.0, [PathOnly, FdKind::Terminal(_), Closed]), "{facts:?}");
    }

    fn open(path: &str) -> std::fs::File {
        std::fs::File::open(path).unwrap()
    }
}
