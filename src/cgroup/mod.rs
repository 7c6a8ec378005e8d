// SPDX-License-Identifier: LGPL-2.1-or-later
//! Control groups (cgroup2): where they are, groups of our own, the device policy, what was consumed.
//!
//! With a scope systemd makes the group and [`Hierarchy::open`] opens it; without one [`own_group`] makes it; in the
//! caller's unit [`split_unit`] divides it. All work goes through the directory fd of a [`Group`].

mod device_program;
pub mod devices;
pub mod facts;
mod group;
mod hierarchy;
mod oom;
mod placement;
pub mod usage;

pub use group::{Group, Owner};
pub use hierarchy::{Hierarchy, Layout};
pub use oom::OomWatch;
pub use placement::{GroupRemoval, OwnGroup, PAYLOAD, SUPERVISOR, SplitUnit, own_group, split_unit};
pub use usage::Usage;
