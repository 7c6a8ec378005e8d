// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the test binaries below `tests/` share: a runner with a visible list of cases, running programs with a clean
//! environment and a bound on time, terminals, trees, and a picture of the host before and after.

// Each test binary uses its own part of this.
#![allow(dead_code, unused_imports, unused_macros)]

pub mod background;
pub mod case;
pub mod crowd;
pub mod faults;
pub mod generated;
pub mod host_state;
pub mod in_use;
pub mod inject;
pub mod killing;
pub mod leftovers;
pub mod program;
pub mod pty;
pub mod runner;
pub mod tree;

pub use case::{Case, Outcome, Reason, fail, skip};
pub use host_state::HostState;
pub use program::{Output, Program};
pub use pty::Pty;
