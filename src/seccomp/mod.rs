// SPDX-License-Identifier: LGPL-2.1-or-later
//! The system call filter: from what was asked for to one classic BPF program for every ABI of the kernel.
//!
//! A call that no table knows, and every call of an unknown ABI, ends with ENOSYS; a known call that is not allowed
//! with EPERM; an address family that is refused, and the audit protocol of netlink, with EAFNOSUPPORT. Arguments are
//! loaded only for the few calls that are decided by them, so that the kernel can cache all other allowed ones
//! (`seccomp_cache_prepare` in `kernel/seccomp.c`). [`crate::sys::seccomp`] installs the program.

mod abi;
mod bpf;
mod compile;
mod explain;
mod families;
mod groups;
mod names;
mod policy;
#[cfg(test)]
mod tests;

pub use abi::Machine;
pub use bpf::{Instruction, MAX_INSTRUCTIONS};
pub use compile::compile;
pub use explain::{AbiSummary, Edit, Explanation, SocketCallFate};
pub use families::is_address_family;

use crate::config::Invocation;
use crate::error::Sourced;
use crate::model::{CapabilitySet, FilterWords};

/// The named groups of system calls, each with its `@` (systemd.exec(5), `SystemCallFilter=`).
pub fn group_names() -> impl Iterator<Item = &'static str> {
    groups::GROUPS.iter().map(|(name, _)| *name).chain(["@known"])
}

/// The address families by name, as `AF_INET` (address_families(7)).
pub fn family_names() -> impl Iterator<Item = &'static str> {
    families::FAMILIES.into_iter()
}

/// Whose defaults hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Posture {
    /// io_uring, userfaultfd, AF_VSOCK and the host's keyrings are refused unless asked for; a refused group loses every member.
    Spawn,
    /// The verdicts of systemd-nspawn 262, i386 included: no rule reaches its socketcall(2).
    SystemdNspawn,
}

impl From<Invocation> for Posture {
    fn from(name: Invocation) -> Self {
        match name {
            Invocation::Spawn => Self::Spawn,
            Invocation::SystemdNspawn => Self::SystemdNspawn,
        }
    }
}

/// What to do about socketcall(2), whose arguments a filter cannot see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketCall {
    /// Making a socket through it ends with ENOSYS where a rule on families would be evaded; socket(2) itself works.
    /// On the native ABI (s390x, ppc64-le) only when a person gave the rule: C libraries there know no other way.
    Guarded,
    /// It works, and rules on families do not reach it: for images whose C library needs it (glibc on i386).
    Open,
}

/// What fsync(2) and its kin do (`--suppress-sync=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sync {
    /// What they are meant to.
    Honoured,
    /// Nothing, with success; O_SYNC and O_DSYNC in open(2) and openat(2) end with EINVAL. openat2(2) is not covered:
    /// its flags are in memory.
    Suppressed,
}

/// Whose keyrings the calls of keyrings(7) reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyrings {
    /// The container's: those of users belong to its own user namespace.
    Own,
    /// The host's: without a user namespace, root of the container owns the keyrings of the host's root.
    Host,
}

/// Whether the kernel logs refused calls (`SECCOMP_FILTER_FLAG_LOG`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// No.
    Nothing,
    /// To the audit log.
    Refusals,
}

/// What the filter is made from.
#[derive(Debug, Clone, Copy)]
pub struct FilterRequest<'a> {
    /// The kernel's kind; [`Machine::NATIVE`] but in tests.
    pub machine: Machine,
    /// The payload's bounding set.
    pub capabilities: CapabilitySet,
    /// `--system-call-filter=`
    pub edits: &'a [Sourced<FilterWords>],
    /// `--restrict-address-families=`
    pub address_families: &'a [Sourced<FilterWords>],
    /// Whose defaults hold.
    pub posture: Posture,
    /// socketcall(2)
    pub socketcall: SocketCall,
    /// `--suppress-sync=`
    pub sync: Sync,
    /// `$SYSTEMD_LOG_SECCOMP`
    pub log: Log,
    /// Under the name `spawn` the host's are out of reach unless asked for.
    pub keyrings: Keyrings,
}

/// What is to be installed.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// For [`crate::sys::seccomp::install`].
    pub program: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*` to install it with.
    pub flags: u32,
    /// For the Plan.
    pub explain: Explanation,
}
