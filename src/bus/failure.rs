// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a failed call means, in words.

use crate::error::{Code, Diagnostic};
use std::io;
use zbus::DBusError;

/// An error that the other side sent.
pub(super) struct Remote {
    /// "org.freedesktop.systemd1.UnitExists"
    pub(super) name: String,
    /// The sender's words.
    pub(super) text: String,
}

/// The error that the other side sent; `None` when the call did not get that far.
pub(super) fn remote(error: &zbus::Error) -> Option<Remote> {
    match error {
        zbus::Error::MethodError(name, text, _) => {
            Some(Remote { name: name.to_string(), text: text.clone().unwrap_or_default() })
        }
        zbus::Error::FDO(error) => match &**error {
            zbus::fdo::Error::ZBus(inner) => remote(inner),
            other => Some(Remote {
                name: other.name().to_string(),
                text: other.description().unwrap_or_default().to_owned(),
            }),
        },
        _ => None,
    }
}

/// Whether the other side sent one of these errors.
pub(super) fn is(error: &zbus::Error, names: &[&str]) -> bool {
    remote(error).is_some_and(|sent| names.contains(&sent.name.as_str()))
}

/// Why a call failed, in one line.
pub(super) fn reason(error: &zbus::Error) -> String {
    if let Some(Remote { name, text }) = remote(error) {
        return if text.is_empty() { name } else { format!("{} ({name})", text.trim_end_matches('.')) };
    }
    match error {
        zbus::Error::InputOutput(e) if e.kind() == io::ErrorKind::TimedOut => no_answer(),
        zbus::Error::InputOutput(e) | zbus::Error::Connection(e, _) => {
            e.raw_os_error().map_or_else(|| e.to_string(), crate::error::describe_errno)
        }
        other => other.to_string(),
    }
}

/// The reason when nobody answered in time.
pub(super) fn no_answer() -> String {
    format!("no answer within {} s", super::WAIT.as_secs())
}

/// A call that failed without a better explanation: `what` says what was called for.
pub(super) fn call(what: impl Into<String>, error: &zbus::Error) -> Diagnostic {
    Diagnostic::new(Code::BusCall, what).cause(reason(error))
}

/// Our own runtime failed (epoll_wait(2), poll(2)).
pub(super) fn wait(error: &io::Error) -> Diagnostic {
    Diagnostic::new(Code::BusCall, "cannot wait for the system bus").io(error)
}
