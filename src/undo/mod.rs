// SPDX-License-Identifier: LGPL-2.1-or-later
//! Everything acquired is released, whatever happens.
//!
//! [`Undo`] is the supervisor's list; [`Keeper`] is a process that holds a copy and runs it when the supervisor is
//! killed; [`RuntimeDir`] holds a [`Record`] from which the next start of the same machine cleans up when both were.

mod control;
mod keeper;
mod list;
mod network;
mod perform;
mod process;
mod record;
mod recover;
mod release;
mod runtime_dir;

pub use control::{Control, answer_to};
pub use keeper::{Keeper, Occupied};
pub use list::{Ticket, Undo};
pub use perform::kill_process;
pub use process::{NO_PROC, ProcessId};
pub use record::{Group, Record, boot_id};
pub use release::{PathRelease, Release};
pub use runtime_dir::{BASE, RuntimeDir, Stale, lent_links};
