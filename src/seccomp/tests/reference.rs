// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every number of every ABI against sets of strings, for random edits.

use super::*;
use crate::seccomp::{abi::Abi, groups::GROUPS, names::NAMES};
use emulator::run_traced;
use proptest::prelude::*;
use std::collections::{BTreeSet, HashMap};

type Set = BTreeSet<&'static str>;

fn open_group(group: &str, into: &mut Set) {
    for member in GROUPS.iter().find(|(name, _)| *name == group).expect("a group").1.split(' ') {
        if member.starts_with('@') {
            open_group(member, into);
        } else {
            into.insert(member);
        }
    }
}

/// What the built-in list and the default capabilities allow.
fn default_set() -> Set {
    let mut set = Set::new();
    let groups = "@aio @basic-io @chown @default @file-system @io-event @ipc @keyring @mount @network-io @process \
                  @resources @setuid @signal @sync @timer";
    groups.split_whitespace().for_each(|group| open_group(group, &mut set));
    let calls = "arm_fadvise64_64 brk cachestat capget capset copy_file_range fadvise64 fadvise64_64 flock \
        get_mempolicy getcpu getpriority getrandom ioctl ioprio_get kcmp madvise mincore mprotect mremap \
        name_to_handle_at oldolduname olduname personality readahead readdir remap_file_pages sched_get_priority_max \
        sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler \
        sched_rr_get_interval sched_rr_get_interval_time64 sched_yield sendfile sendfile64 setdomainname setfsgid \
        setfsgid32 setfsuid setfsuid32 sethostname setpgid setsid splice sysinfo tee umask uname userfaultfd vmsplice \
        process_vm_readv process_vm_writev ptrace reboot vhangup";
    set.extend(calls.split_whitespace());
    set
}

/// What the calls of all ABIs of one architecture come to, by full number.
fn expected(abis: &[Abi], allowed: &Set, hidden: &Set) -> HashMap<u32, (u32, &'static str)> {
    let decide = |name: &str| match (hidden.contains(name), allowed.contains(name)) {
        (true, _) => errno(38),
        (false, true) => ALLOW,
        (false, false) => errno(1),
    };
    let calls = abis.iter().flat_map(|abi| abi.iter());
    calls.map(|(number, id)| (number, (decide(id.name()), id.name()))).collect()
}

fn check(request: &FilterRequest<'_>, allowed: &Set, hidden: &Set) {
    let filter = compile(request).unwrap();
    for abis in request.machine.abis().chunk_by(|a, b| a.arch == b.arch) {
        let table = expected(abis, allowed, hidden);
        let numbers = abis.iter().flat_map(|abi| (0..1024).map(|n| abi.base + n).chain([abi.base.wrapping_sub(1)]));
        for number in numbers.chain(table.keys().copied()) {
            let call = Call::new(request.machine, abis[0].arch, number, &[]);
            let (action, cacheable) = run_traced(&filter.program, &call);
            let (want, name) = table.get(&number).copied().unwrap_or((errno(38), "unknown"));
            assert_eq!(action, want, "{} {number} {name}", abis[0].name);
            assert!(cacheable || ["socket", "socketcall"].contains(&name), "{name} loads an argument");
        }
    }
}

/// What programs do without under our own name.
const RESTRAINED: [&str; 7] = [
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "userfaultfd",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
];

#[test]
fn nothing_said() {
    for machine in Machine::ALL {
        let nspawn = FilterRequest { machine, ..request(Posture::SystemdNspawn) };
        check(&nspawn, &default_set(), &Set::new());
        let hidden = Set::from(RESTRAINED);
        check(&FilterRequest { machine, ..request(Posture::Spawn) }, &default_set(), &hidden);
    }
}

/// Without a user namespace the keyrings of the host's root would be the payload's.
#[test]
fn keyrings_of_the_host() {
    let reaching = |posture| FilterRequest { keyrings: Keyrings::Host, ..request(posture) };
    let hidden = Set::from_iter(RESTRAINED.into_iter().chain(["add_key", "keyctl", "request_key"]));
    check(&reaching(Posture::Spawn), &default_set(), &hidden);
    check(&reaching(Posture::SystemdNspawn), &default_set(), &Set::new());
    let edits = lists(&["@keyring"]);
    let hidden = Set::from(RESTRAINED);
    check(&FilterRequest { edits: &edits, ..reaching(Posture::Spawn) }, &default_set(), &hidden);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn any_edits(
        wanted in proptest::sample::subsequence(NAMES, 0..NAMES.len()),
        refused in proptest::sample::subsequence(NAMES, 0..NAMES.len()),
        which in 0..Machine::ALL.len(),
    ) {
        let edit = |deny, words: &[&str]| Sourced::new(
            FilterWords { deny, words: words.iter().map(|w| (*w).to_owned()).collect() },
            Origin::Default,
        );
        let edits = [edit(false, &wanted), edit(true, &refused)];
        let mut allowed = default_set();
        allowed.extend(&wanted);
        refused.iter().for_each(|name| { allowed.remove(name); });
        let machine = Machine::ALL[which];
        check(&FilterRequest { machine, edits: &edits, ..request(Posture::SystemdNspawn) }, &allowed, &Set::new());
    }
}
