// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a filter does, in terms a person can check.

use super::families::FamilyRule;
use super::{FilterRequest, Machine, Posture, Sync};
use crate::error::{Origin, Sourced};
use crate::model::FilterWords;
use serde::Serialize;

/// Description of a filter for `--dry-run`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// Whose defaults hold.
    pub posture: Posture,
    /// The kernel's kind.
    pub machine: Machine,
    /// Per ABI; all others get ENOSYS.
    pub abis: Vec<AbiSummary>,
    /// Groups that are allowed without being asked for, by default or by capability.
    pub groups: Vec<&'static str>,
    /// Calls that are allowed by a capability.
    pub by_capability: Vec<&'static str>,
    /// `--system-call-filter=`, in the order said. Refusals win.
    pub edits: Vec<Edit>,
    /// Calls that look as if the kernel lacked them.
    pub hidden: Vec<&'static str>,
    /// What socket(2) may do; the audit protocol of netlink is refused in any case.
    pub(super) families: FamilyRule,
    /// What becomes of socketcall(2).
    pub socketcall: SocketCallFate,
    /// `--suppress-sync=`
    pub sync: Sync,
    /// What a person should hear of.
    pub warnings: Vec<String>,
    /// Length of the program.
    pub instructions: usize,
}

/// One ABI in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AbiSummary {
    /// Its name.
    pub abi: &'static str,
    /// Calls that it has.
    pub known: usize,
    /// Calls that are allowed, some by their arguments.
    pub allowed: usize,
}

/// One `--system-call-filter=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Edit {
    /// It refuses.
    pub deny: bool,
    /// Names and groups.
    pub words: Vec<String>,
    /// Who asked.
    pub origin: Origin,
}

impl From<&Sourced<FilterWords>> for Edit {
    fn from(list: &Sourced<FilterWords>) -> Self {
        Self { deny: list.value.deny, words: list.value.words.clone(), origin: list.origin.clone() }
    }
}

/// What becomes of making a socket by socketcall(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SocketCallFate {
    /// ENOSYS on all ABIs.
    Refused,
    /// ENOSYS on all ABIs but the native one.
    RefusedUnlessNative,
    /// It works and no rule on families reaches it.
    Open,
}

impl Explanation {
    /// Fills in what the request says; the rest is for the compiler.
    pub(super) fn new(request: &FilterRequest<'_>, families: FamilyRule, socketcall: SocketCallFate) -> Self {
        Self {
            posture: request.posture,
            machine: request.machine,
            abis: Vec::new(),
            groups: Vec::new(),
            by_capability: Vec::new(),
            edits: request.edits.iter().map(Edit::from).collect(),
            hidden: Vec::new(),
            families,
            socketcall,
            sync: request.sync,
            warnings: Vec::new(),
            instructions: 0,
        }
    }
}
