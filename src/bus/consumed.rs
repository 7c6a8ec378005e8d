// SPDX-License-Identifier: LGPL-2.1-or-later
//! What PID 1 remembers of a scope whose control group is gone.

use super::proxies::ScopeProxy;
use super::{Bus, failure};
use crate::cgroup::Usage;
use crate::error::Result;
use std::time::Duration;
use zbus::proxy::CacheProperties;

/// What PID 1 answers where nothing was counted (`UINT64_MAX`, org.freedesktop.systemd1(5)).
const UNKNOWN: u64 = u64::MAX;

impl Bus {
    /// CPU time and memory peak of a scope. PID 1 reads them before it removes an empty group and keeps them for as long as
    /// the unit is referenced (`unit_prune_cgroup` of systemd's cgroup.c; the memory since 255). What it does not know is
    /// `None`.
    pub fn scope_usage(&mut self, unit: &str) -> Result<Usage> {
        let (systemd, conn) = (self.systemd.clone(), self.conn.clone());
        let figures = self.call(async {
            let path = systemd.get_unit(unit).await?;
            let scope = ScopeProxy::builder(&conn).path(path).cache_properties(CacheProperties::No).build().await?;
            let known = |n: zbus::Result<u64>| n.ok().filter(|n| *n != UNKNOWN);
            Ok::<_, zbus::Error>((known(scope.cpu_usage().await), known(scope.memory_peak().await)))
        })?;
        let (cpu, memory_peak) =
            figures.map_err(|e| failure::call(format!("cannot ask systemd what {unit} has consumed"), &e))?;
        Ok(Usage { cpu: cpu.map(Duration::from_nanos), memory_peak, ..Usage::default() })
    }
}
