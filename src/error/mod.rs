// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a person gets to read when something cannot be done.
//!
//! Library code returns a [`Diagnostic`] and never prints it; the face of the program prints it once.

mod codes;
mod origin;
mod remedies;

pub use codes::Code;
pub use origin::{Origin, Sourced};

use std::fmt;

/// Result of everything that can fail in a way a person should hear of.
pub type Result<T> = std::result::Result<T, Diagnostic>;

/// One failure: what failed on what and why, who asked for it, and what to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnostic(Box<Inner>);

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    code: Code,
    what: String,
    cause: Option<String>,
    origin: Option<Origin>,
    errno: Option<i32>,
    help: Option<String>,
    notes: Vec<String>,
}

impl Diagnostic {
    /// `what` says what failed on what ("cannot open the tree /var/lib/machines/foo"), without a full stop.
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            what: what.into(),
            cause: None,
            origin: None,
            errno: None,
            help: None,
            notes: Vec::new(),
        }))
    }
    /// Why, as text.
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }
    /// Why, as an errno: its meaning and its name are shown.
    pub fn errno(self, errno: rustix::io::Errno) -> Self {
        self.raw_errno(errno.raw_os_error())
    }
    fn raw_errno(mut self, raw: i32) -> Self {
        self.0.errno = Some(raw);
        self.cause(describe_errno(raw))
    }
    /// Why, as an I/O error (its errno when it has one).
    pub fn io(self, error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(n) => self.raw_errno(n),
            None => self.cause(error.to_string()),
        }
    }
    /// Which setting asked for it.
    pub fn origin(mut self, origin: &Origin) -> Self {
        self.0.origin = Some(origin.clone());
        self
    }
    /// What to do about it: one imperative sentence.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }
    /// A further fact worth a line of its own.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.0.notes.push(note.into());
        self
    }
    /// The stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }
    /// First line without the code: what failed and why.
    pub fn headline(&self) -> String {
        match &self.0.cause {
            Some(c) => format!("{}: {c}", self.0.what),
            None => self.0.what.clone(),
        }
    }
    /// The setting that asked for it, when known.
    pub fn asked_by(&self) -> Option<&Origin> {
        self.0.origin.as_ref()
    }
    /// Whether it failed for want of something that others hold at the moment, which says nothing about what was tried.
    pub fn ran_out(&self) -> bool {
        self.0.errno.is_some_and(|raw| ran_out(rustix::io::Errno::from_raw_os_error(raw)))
    }
    /// The remedy, when known: the one for this failure, else the one for its errno. Without descriptors any step fails,
    /// whatever else may go wrong with it.
    pub fn remedy(&self) -> Option<&str> {
        let errno = self.0.errno.map(rustix::io::Errno::from_raw_os_error);
        let help = self.0.help.as_deref().filter(|_| !errno.is_some_and(is_of_descriptors));
        help.or_else(|| remedies::of(self.0.errno?))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.headline(), self.0.code)?;
        if let Some(o) = &self.0.origin
            && *o != Origin::Default
        {
            write!(f, "\n  asked for by {o}")?;
        }
        for n in &self.0.notes {
            write!(f, "\n  {n}")?;
        }
        if let Some(h) = self.remedy() {
            write!(f, "\n  help: {h}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

fn is_of_descriptors(errno: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    matches!(errno, Errno::MFILE | Errno::NFILE)
}

/// Whether a call failed for want of descriptors, memory or processes.
pub fn ran_out(errno: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    is_of_descriptors(errno) || matches!(errno, Errno::NOMEM | Errno::AGAIN)
}

/// The meaning of an errno and its name: "Permission denied (EACCES)".
pub fn describe_errno(raw: i32) -> String {
    let errno = nix::errno::Errno::from_raw(raw);
    format!("{} ({errno:?})", errno.desc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_names_everything() {
        let d = Diagnostic::new(Code::TreeMissing, "cannot open the tree /x")
            .errno(rustix::io::Errno::NOENT)
            .origin(&Origin::Option("--directory=/x".into()))
            .help("create it");
        assert_eq!(
            d.to_string(),
            format!(
                "cannot open the tree /x: No such file or directory (ENOENT) [{}]\n  asked for by --directory=/x\n  help: create it",
                Code::TreeMissing
            )
        );
    }

    #[test]
    fn an_errno_has_a_remedy_where_the_failure_has_none() {
        let with = |errno| Diagnostic::new(Code::Prepare, "cannot make it").errno(errno);
        let d = with(rustix::io::Errno::IO);
        assert!(d.to_string().contains("(EIO)") && d.remedy().is_some_and(|r| r.contains("dmesg")), "{d}");
        assert_eq!(d.help("wait").remedy(), Some("wait"));
        // Whatever the step was about, this is what keeps it.
        let d = with(rustix::io::Errno::MFILE).help("use another file system");
        assert!(d.to_string().contains("(EMFILE)") && d.remedy().is_some_and(|r| r.contains("ulimit -n")), "{d}");
        assert!(d.ran_out() && !with(rustix::io::Errno::IO).ran_out());
    }
}
