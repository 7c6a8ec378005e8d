// SPDX-License-Identifier: LGPL-2.1-or-later
//! The command lines. A line is `LAUNCHER --directory=TREE OPTIONS… PROBE`; `@DIR@` in it is the case's folder, which holds
//! the files and folders that `run::prepare_sources` makes, `@TREE@` the tree.

mod ends;
mod files;
mod host;
mod payload;

pub use ends::{ENDS, NOT_BUILT, REFUSED};
pub use files::FILES;
pub use host::{MOUNTS, NETWORK, STREAMS, UNITS};
pub use payload::{IDENTITY, LIMITS, POWERS, START, USERS};

/// Every group of lines.
pub const ALL: &[&[Line]] =
    &[START, IDENTITY, POWERS, LIMITS, MOUNTS, NETWORK, USERS, STREAMS, UNITS, ENDS, NOT_BUILT, REFUSED, FILES];

/// What stands between the test and the launcher's standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    Pipes,
    Terminal,
}

/// How the container is ended once it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The probe exits with this status.
    Exit(u8),
    /// SIGKILL to the probe.
    Killed,
    /// SIGTERM to the launcher.
    Stopped,
    /// There is no probe, or it does not run.
    ByItself,
}

/// One command line, under both launchers.
#[derive(Debug, Clone)]
pub struct Line {
    pub options: &'static str,
    /// Instead of the probe and its words.
    pub program: Option<&'static str>,
    /// The probe's words.
    pub words: &'static [&'static str],
    /// Before the launcher: a shell script that ends with `"$@"`.
    pub around: Option<&'static str>,
    /// A shell script on the fresh tree, with the tree as working directory.
    pub setup: Option<&'static str>,
    pub streams: Streams,
    pub end: End,
    /// First version of systemd-nspawn that has all options.
    pub since: u32,
    pub machine: &'static str,
    pub unit: Option<&'static str>,
    /// The probe writes into the tree, as the console shows nothing.
    pub to_file: bool,
    /// A `.nspawn` file beside the tree, in which `@DIR@` is replaced as well.
    pub file: Option<&'static str>,
}

/// The usual line with these options.
pub const fn line(options: &'static str) -> Line {
    Line {
        options,
        program: None,
        words: &["one", "t w o"],
        around: None,
        setup: None,
        streams: Streams::Pipes,
        end: End::Exit(0),
        since: 0,
        machine: "tree",
        unit: None,
        to_file: false,
        file: None,
    }
}

impl Line {
    const fn program(mut self, program: &'static str) -> Self {
        self.program = Some(program);
        self.end = End::ByItself;
        self
    }
    const fn around(mut self, script: &'static str) -> Self {
        self.around = Some(script);
        self
    }
    const fn setup(mut self, script: &'static str) -> Self {
        self.setup = Some(script);
        self
    }
    const fn on_terminal(mut self) -> Self {
        self.streams = Streams::Terminal;
        self
    }
    const fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }
    const fn since(mut self, version: u32) -> Self {
        self.since = version;
        self
    }
    const fn machine(mut self, name: &'static str) -> Self {
        self.machine = name;
        self
    }
    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = Some(unit);
        self
    }
    const fn into_file(mut self) -> Self {
        self.to_file = true;
        self
    }

    const fn file(mut self, text: &'static str) -> Self {
        self.file = Some(text);
        self
    }

    /// How reports and accepted differences name the line.
    pub fn name(&self) -> String {
        let mut name = if self.options.is_empty() { "(plain)".to_owned() } else { self.options.to_owned() };
        match self.end {
            End::Exit(0) | End::ByItself => {}
            End::Exit(status) => name += &format!(" [exit {status}]"),
            End::Killed => name += " [killed]",
            End::Stopped => name += " [stopped]",
        }
        if let Some(program) = self.program {
            name += &format!(" [run {program}]");
        }
        if let Some(text) = self.file {
            let keys: Vec<&str> = text.lines().filter(|l| !l.starts_with('[')).collect();
            name += &format!(" [file {}]", keys.join(" "));
        }
        if self.streams == Streams::Terminal {
            name += " [terminal]";
        }
        name
    }
}
