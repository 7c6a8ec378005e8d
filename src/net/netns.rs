// SPDX-License-Identifier: LGPL-2.1-or-later
//! Network namespaces that somebody else has made.

use crate::error::{Code, Diagnostic, Result};
use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Opens the network namespace that this path leads to, for setns(2).
///
/// # Errors
/// [`Code::NetworkNamespace`] when there is nothing, or something else.
pub fn open_namespace(path: &Path) -> Result<OwnedFd> {
    // Not to hang on a FIFO, nor to wind a tape back.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        Diagnostic::new(Code::NetworkNamespace, format!("cannot open the network namespace {}", path.display()))
            .errno(errno)
    })?;
    match crate::sys::net::is_network_namespace(fd.as_fd()) {
        true => Ok(fd),
        false => {
            let what = format!("{} is no network namespace", path.display());
            Err(Diagnostic::new(Code::NetworkNamespace, what))
        }
    }
}
