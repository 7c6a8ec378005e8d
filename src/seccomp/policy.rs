// SPDX-License-Identifier: LGPL-2.1-or-later
//! Which calls are allowed: the allow-list of systemd-nspawn 262 (`nspawn-seccomp.c`), what capabilities and
//! `--system-call-filter=` add, and what is taken away.

use super::names::{self, NameSet};
use super::{FilterRequest, Keyrings, Posture, groups};
use crate::error::{Code, Diagnostic, Sourced};
use crate::model::{CapabilitySet, FilterWords};

/// Groups that are always allowed.
const GROUPS: [&str; 16] = [
    "@aio",
    "@basic-io",
    "@chown",
    "@default",
    "@file-system",
    "@io-event",
    "@ipc",
    "@keyring",
    "@mount",
    "@network-io",
    "@process",
    "@resources",
    "@setuid",
    "@signal",
    "@sync",
    "@timer",
];

/// Calls that are always allowed beside the groups.
#[rustfmt::skip]
const CALLS: &[&str] = &[
    "arm_fadvise64_64", "brk", "cachestat", "capget", "capset", "copy_file_range", "fadvise64", "fadvise64_64",
    "flock", "get_mempolicy", "getcpu", "getpriority", "getrandom", "ioctl", "ioprio_get", "kcmp", "madvise",
    "mincore", "mprotect", "mremap", "name_to_handle_at", "oldolduname", "olduname", "personality", "readahead",
    "readdir", "remap_file_pages", "sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity",
    "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_rr_get_interval_time64",
    "sched_yield", "sendfile", "sendfile64", "setdomainname", "setfsgid", "setfsgid32", "setfsuid", "setfsuid32",
    "sethostname", "setpgid", "setsid", "splice", "sysinfo", "tee", "umask", "uname", "userfaultfd", "vmsplice",
];

/// What a capability (by number) makes useful.
const BY_CAPABILITY: [(u8, &[&str]); 10] = [
    (14, &["@memlock"]),
    (16, &["@module"]),
    (17, &["@raw-io"]),
    (19, &["process_vm_readv", "process_vm_writev", "ptrace"]),
    (20, &["acct"]),
    (22, &["reboot"]),
    (25, &["@clock"]),
    (26, &["vhangup"]),
    (34, &["syslog"]),
    (39, &["bpf"]),
];

/// Refused with ENOSYS under the name `spawn` unless asked for: large and often attacked parts of the kernel that
/// programs know to do without. Memory protection keys are not allowed by default either; a program that gets EPERM
/// for them takes that for a mistake of its own (pkeys(7) knows ENOSYS and ENOSPC).
const RESTRAINED: NameSet = names::set(&["io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd"])
    .union(groups::reach_named("@pkey"));

/// Refused in the same way where they would reach the keyrings of the host's users.
const KEYRING: NameSet = groups::reach_named("@keyring");

static ALWAYS: NameSet = {
    let mut set = names::set(CALLS);
    let mut at = 0;
    while at < GROUPS.len() {
        set = set.union(groups::reach_named(GROUPS[at]));
        at += 1;
    }
    set
};

/// The calls by fate, and how it came to that.
pub(super) struct Policy {
    /// Allowed, unless an argument says otherwise.
    pub(super) allowed: NameSet,
    /// As if the kernel did not have them.
    pub(super) hidden: NameSet,
    /// Named one by one in an allow edit.
    pub(super) named: NameSet,
    /// Groups that are allowed without being asked for.
    pub(super) groups: Vec<&'static str>,
    /// Calls that are allowed by a capability, outside groups.
    pub(super) by_capability: Vec<&'static str>,
    /// What a person should hear of, without origin of their own.
    pub(super) warnings: Vec<String>,
}

/// The edits, looked up.
struct Edits<'a> {
    named: NameSet,
    wanted: NameSet,
    refused_names: NameSet,
    refused_groups: Vec<&'a str>,
    wanted_words: Vec<&'a str>,
    warnings: Vec<String>,
}

/// Decides for every name. Refusing edits win over allowing ones.
pub(super) fn resolve(request: &FilterRequest<'_>) -> Result<Policy, Vec<Diagnostic>> {
    let edits = look_up(request.edits, request.posture)?;
    let granted: Vec<&'static str> = granted(request.capabilities).collect();
    let refused_groups = &edits.refused_groups;
    let allowed = if request.posture == Posture::SystemdNspawn && !refused_groups.is_empty() {
        // There a refused group is only skipped where it is listed: its members stay where another group has them.
        let listed = GROUPS.iter().chain(CALLS).chain(&granted).chain(&edits.wanted_words);
        listed.fold(NameSet::EMPTY, |set, item| set.union(opened(item, refused_groups)))
    } else {
        let base = granted.iter().fold(ALWAYS, |set, item| set.union(opened(item, &[])));
        refused_groups.iter().fold(base.union(edits.wanted), |set, group| set.minus(opened(group, &[])))
    };
    let allowed = allowed.minus(edits.refused_names);
    let hidden = match request.posture {
        Posture::Spawn if request.keyrings == Keyrings::Host => RESTRAINED.union(KEYRING).minus(edits.wanted),
        Posture::Spawn => RESTRAINED.minus(edits.wanted),
        Posture::SystemdNspawn => NameSet::EMPTY,
    };
    let (by_group, by_capability): (Vec<_>, Vec<_>) = granted.into_iter().partition(|item| item.starts_with('@'));
    Ok(Policy {
        allowed: allowed.minus(hidden),
        hidden,
        named: edits.named,
        groups: GROUPS.into_iter().chain(by_group).collect(),
        by_capability,
        warnings: edits.warnings,
    })
}

fn granted(capabilities: CapabilitySet) -> impl Iterator<Item = &'static str> {
    let held = BY_CAPABILITY.iter().filter(move |(number, _)| capabilities.0 & (1 << number) != 0);
    held.flat_map(|(_, items)| items.iter().copied())
}

/// What a name or group stands for, leaving out the refused groups. Unknown words stand for nothing.
fn opened(item: &str, refused_groups: &[&str]) -> NameSet {
    if !item.starts_with('@') {
        return names::find(item.as_bytes()).map_or(NameSet::EMPTY, |id| NameSet::EMPTY.with(id));
    }
    if refused_groups.is_empty() {
        return groups::find(item).unwrap_or(NameSet::EMPTY);
    }
    if refused_groups.contains(&item) {
        return NameSet::EMPTY;
    }
    let mut members = groups::members(item).peekable();
    if members.peek().is_none() {
        return groups::find(item).unwrap_or(NameSet::EMPTY);
    }
    members.fold(NameSet::EMPTY, |set, member| set.union(opened(member, refused_groups)))
}

fn look_up<'a>(lists: &'a [Sourced<FilterWords>], posture: Posture) -> Result<Edits<'a>, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut edits = Edits {
        named: NameSet::EMPTY,
        wanted: NameSet::EMPTY,
        refused_names: NameSet::EMPTY,
        refused_groups: Vec::new(),
        wanted_words: Vec::new(),
        warnings: Vec::new(),
    };
    for list in lists {
        let deny = list.value.deny;
        for word in &list.value.words {
            // `-` in front: what this version may not know.
            let (word, lenient) = match word.strip_prefix('-') {
                Some(rest) if deny && posture == Posture::Spawn => (rest, true),
                _ => (word.as_str(), false),
            };
            match (word.starts_with('@'), groups::find(word), names::find(word.as_bytes())) {
                (_, None, None) if lenient => {}
                (true, None, _) if posture == Posture::Spawn => errors.push(unknown_group(word, list)),
                (true, None, _) => edits.warnings.push(format!(
                    "no group of system calls is named {word} (named by {}): nothing is {} by that",
                    list.origin,
                    if deny { "refused" } else { "allowed" }
                )),
                (true, Some(_), _) if deny => edits.refused_groups.push(word),
                (true, Some(set), _) => edits.wanted = edits.wanted.union(set),
                (false, _, Some(id)) if deny => edits.refused_names = edits.refused_names.with(id),
                (false, _, Some(id)) => {
                    edits.named = edits.named.with(id);
                    edits.wanted = edits.wanted.with(id);
                }
                (false, _, None) if deny && posture == Posture::Spawn => errors.push(unknown_call(word, list)),
                (false, _, None) if deny => edits.warnings.push(format!(
                    "no system call is named {word} (refused by {}): nothing is refused by that",
                    list.origin
                )),
                (false, _, None) => edits.warnings.push(format!(
                    "no system call is named {word} (asked for by {}): it stays refused with ENOSYS",
                    list.origin
                )),
            }
            if !deny {
                edits.wanted_words.push(word);
            }
        }
    }
    if errors.is_empty() { Ok(edits) } else { Err(errors) }
}

/// Whoever mistypes what is to be refused would run a container that may still do it.
fn unknown_call(word: &str, list: &Sourced<FilterWords>) -> Diagnostic {
    Diagnostic::new(Code::OptionValue, format!("no system call is named {word}, so it cannot be refused"))
        .origin(&list.origin)
        .help(format!("correct the name, or write -{word} for a call that only other versions know"))
}

fn unknown_group(word: &str, list: &Sourced<FilterWords>) -> Diagnostic {
    let known: Vec<&str> = groups::GROUPS.iter().map(|(name, _)| *name).chain(["@known"]).collect();
    Diagnostic::new(Code::OptionValue, format!("unknown group of system calls {word}"))
        .origin(&list.origin)
        .help(format!("use some of {}", known.join(" ")))
}
