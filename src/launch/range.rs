// SPDX-License-Identifier: LGPL-2.1-or-later
//! The range of user ids, held for the container's life.

use crate::error::Result;
use crate::image::{NssAnswer, NssCheck, PickedRange, ReservedIds, TreeOwner, candidates, pick_range};
use crate::model::UidRange;
use crate::plan::{Plan, UserNamespace};
use rustix::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// How many of the ranges that may be picked are asked for.
const ASKED: usize = 4;
/// How long the answer may take after everything else that is done meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// A range, and its lock where it was picked.
pub struct HeldRange {
    /// The ids.
    pub range: UidRange,
    lock: Option<PickedRange>,
}

/// Asks those who know users that are in no file, where there are such, about the ranges that will be tried first.
pub fn ask(plan: &Plan) -> Option<NssCheck> {
    let UserNamespace::Pick { owner: (uid, gid), .. } = plan.user_namespace else { return None };
    let bases: Vec<u32> = candidates(Some(TreeOwner { uid, gid }), &plan.machine).take(ASKED).collect();
    NssCheck::start(&bases)
}

impl HeldRange {
    /// The lock, where there is one.
    pub fn lock(&self) -> Option<BorrowedFd<'_>> {
        self.lock.as_ref().map(|picked| picked.lock.as_fd())
    }

    /// Takes the range that the plan asks for; `None` without a user namespace. `asked` was asked before; without an
    /// answer in time the files are all that is known.
    pub fn take(plan: &Plan, asked: Option<NssCheck>) -> Result<Option<Self>> {
        match &plan.user_namespace {
            UserNamespace::None => Ok(None),
            UserNamespace::Fixed { range, .. } => Ok(Some(Self { range: *range, lock: None })),
            UserNamespace::Pick { owner, .. } => {
                let owner = TreeOwner { uid: owner.0, gid: owner.1 };
                let mut reserved = ReservedIds::of_host();
                if let Some(NssAnswer::Taken(ids)) = asked.map(|a| a.collect(PATIENCE)) {
                    ids.into_iter().for_each(|id| reserved.add(id));
                }
                let picked = pick_range(Some(owner), &plan.machine, &reserved)?;
                Ok(Some(Self { range: picked.range, lock: Some(picked) }))
            }
        }
    }
}
