// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the planner needs to know about control groups here.

use super::{Hierarchy, Layout};
use crate::error::Result;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Facts about control groups; a few reads of `/proc` and one of the hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CgroupFacts {
    /// The mounted cgroup2; `None` when there is none.
    pub hierarchy: Option<Hierarchy>,
    /// Our own group in it, as `/proc/self/cgroup` names it.
    pub own: Option<PathBuf>,
    /// The controllers of cgroup2 at its mount point. Empty where version 1 holds them all.
    pub controllers: Vec<String>,
    /// Whether the kernel has cgroup namespaces (cgroup_namespaces(7)).
    pub namespace: bool,
}

impl CgroupFacts {
    /// Looks.
    pub fn probe() -> Result<Self> {
        let hierarchy = Hierarchy::find()?;
        let controllers = match &hierarchy {
            Some(h) => h.open(&h.root)?.controllers()?,
            None => Vec::new(),
        };
        Ok(Self {
            hierarchy,
            own: Hierarchy::own_path()?,
            controllers,
            namespace: Path::new("/proc/self/ns/cgroup").exists(),
        })
    }

    /// Whether cgroup2 is mounted somewhere else than at `/sys/fs/cgroup`.
    pub fn is_hybrid(&self) -> bool {
        self.hierarchy.as_ref().is_some_and(|h| h.layout == Layout::Hybrid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_agree_with_the_kernel() {
        let facts = CgroupFacts::probe().unwrap();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let mounted = mounts.lines().any(|l| l.split(' ').nth(2) == Some("cgroup2"));
        assert_eq!(facts.hierarchy.is_some(), mounted);
        assert_eq!(facts.is_hybrid(), mounted && !mounts.contains(" /sys/fs/cgroup cgroup2 "));
        assert!(!mounted || facts.own.is_some());
    }
}
