// SPDX-License-Identifier: LGPL-2.1-or-later
//! The range of user ids, held for the container's life.

use crate::error::Result;
use crate::image::{PickedRange, ReservedIds, TreeOwner, pick_range};
use crate::model::UidRange;
use crate::plan::{Plan, UserNamespace};
use crate::prepare::Tree;
use rustix::fd::{AsFd, BorrowedFd};

/// A range, and its lock where it was picked.
pub struct HeldRange {
    /// The ids.
    pub range: UidRange,
    lock: Option<PickedRange>,
}

impl HeldRange {
    /// The lock, where there is one.
    pub fn lock(&self) -> Option<BorrowedFd<'_>> {
        self.lock.as_ref().map(|picked| picked.lock.as_fd())
    }

    /// Takes the range that the plan asks for; `None` without a user namespace.
    pub fn take(plan: &Plan, _tree: &Tree) -> Result<Option<Self>> {
        match &plan.user_namespace {
            UserNamespace::None => Ok(None),
            UserNamespace::Fixed { range, .. } => Ok(Some(Self { range: *range, lock: None })),
            UserNamespace::Pick { owner, .. } => {
                let owner = TreeOwner { uid: owner.0, gid: owner.1 };
                let picked = pick_range(Some(owner), &plan.machine, &ReservedIds::of_host())?;
                Ok(Some(Self { range: picked.range, lock: Some(picked) }))
            }
        }
    }
}
