// SPDX-License-Identifier: LGPL-2.1-or-later
//! Everything between `clone` and `execve`: the stager, init, and the supervisor's side of both.
//!
//! The children take prepared data only, allocate nothing, log nothing and report each failure as one fixed-size
//! record; the words are found in the supervisor.

mod cgroups;
mod child;
mod init;
mod mounting;
mod ops;
mod overlay;
mod places;
pub mod report;
mod resolve;
mod stager;
mod start;
pub mod words;

pub use init::{Handover, Home, Init, Stdio, Stub};
pub use ops::{BaseLink, Create, Op, OpKind, OwnFs, Stager};
pub use overlay::{Layer, LayerFrom, Overlay, Top, UPPER, UPPER_HOLDER, WORK};
pub use start::{Channels, Cloned, Entered, Mapped, Mapping, Released, start};
