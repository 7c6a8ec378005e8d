// SPDX-License-Identifier: LGPL-2.1-or-later
//! spawn's own messages: to the journal with fields, to stderr in plain words.
//!
//! [`Logger`] is made once by the face of the program; [`crate::log::error!`], [`crate::log::warning!`],
//! [`crate::log::notice!`] and [`crate::log::info!`] write through it. The journal is opened by the first message that
//! goes there. Values of credentials and of `-E` never come here: a [`Diagnostic`] does not hold them.

pub mod console_sink;
pub mod escape;
mod fields;
pub mod journal_link;
pub mod journal_link_apply;
mod logger;
pub mod message_ids;

pub use fields::FIELDS;
pub use logger::{Audience, Level, LogSetup, Logger, StderrIs};
pub use message_ids::MessageId;

#[doc(inline)]
pub use crate::{log_error as error, log_info as info, log_notice as notice, log_warning as warning};

use crate::error::Diagnostic;

/// Reports a failure that ends the program or the run. Called by the face of the program only, once per failure.
#[track_caller]
pub fn failure(logger: &Logger, diagnostic: &Diagnostic) {
    logger.failure(diagnostic);
}

/// The body of the four macros; not for use by itself.
#[doc(hidden)]
#[macro_export]
macro_rules! log_event {
    ($logger:expr, $level:ident, $tracing:ident, $id:expr, $step:expr, $($words:tt)+) => {{
        fn here() {}
        let logger: &$crate::log::Logger = $logger;
        let text = ::std::format!($($words)+);
        let step: ::std::option::Option<&str> = $step;
        logger.say($crate::log::Level::$level, &text);
        logger.in_journal(|| $crate::log::reexport::event!(
            $crate::log::reexport::Level::$tracing,
            message_id = $id.as_str(),
            spawn_machine = logger.machine(),
            spawn_leader = logger.leader(),
            spawn_step = step,
            code_func = ::std::any::type_name_of_val(&here).trim_end_matches("::here"),
            message = text.as_str()
        ));
    }};
}

/// Writes an error: `error!(&logger, MessageId, "format", …)`, or with `step: "name",` after the id.
#[macro_export]
macro_rules! log_error {
    ($l:expr, $id:expr, step: $s:expr, $($w:tt)+) => { $crate::log_event!($l, Error, ERROR, $id, Some($s), $($w)+) };
    ($l:expr, $id:expr, $($w:tt)+) => { $crate::log_event!($l, Error, ERROR, $id, None, $($w)+) };
}
/// Writes a warning: what was asked for is there, but worse than asked. Arguments as of `error!`.
#[macro_export]
macro_rules! log_warning {
    ($l:expr, $id:expr, step: $s:expr, $($w:tt)+) => { $crate::log_event!($l, Warning, WARN, $id, Some($s), $($w)+) };
    ($l:expr, $id:expr, $($w:tt)+) => { $crate::log_event!($l, Warning, WARN, $id, None, $($w)+) };
}
/// Writes something worth a word, silenced on stderr by `-q`. Arguments as of `error!`.
#[macro_export]
macro_rules! log_notice {
    ($l:expr, $id:expr, step: $s:expr, $($w:tt)+) => { $crate::log_event!($l, Notice, INFO, $id, Some($s), $($w)+) };
    ($l:expr, $id:expr, $($w:tt)+) => { $crate::log_event!($l, Notice, INFO, $id, None, $($w)+) };
}
/// Writes what is interesting later: always to the journal, to stderr with `-v` only. Arguments as of `error!`.
#[macro_export]
macro_rules! log_info {
    ($l:expr, $id:expr, step: $s:expr, $($w:tt)+) => { $crate::log_event!($l, Info, DEBUG, $id, Some($s), $($w)+) };
    ($l:expr, $id:expr, $($w:tt)+) => { $crate::log_event!($l, Info, DEBUG, $id, None, $($w)+) };
}

/// What the macros need of `tracing`, so that their users need not depend on it.
#[doc(hidden)]
pub mod reexport {
    pub use tracing::{Level, event};
}
