// SPDX-License-Identifier: LGPL-2.1-or-later
//! Whole programs, run by an emulator, against a naive reference and against libseccomp.

mod arguments;
mod emulator;
mod libseccomp;
mod reference;
mod speed;

use super::*;
use crate::error::Origin;
use crate::model::DEFAULT_BOUNDING;
use emulator::{ALLOW, Call, errno, run};

/// What is asked for when nothing is said.
fn request(posture: Posture) -> FilterRequest<'static> {
    FilterRequest {
        machine: Machine::X86_64,
        capabilities: DEFAULT_BOUNDING,
        edits: &[],
        address_families: &[],
        posture,
        socketcall: SocketCall::Guarded,
        sync: Sync::Honoured,
        log: Log::Nothing,
        keyrings: Keyrings::Own,
    }
}

/// Lists as on the command line: `~` first refuses.
fn lists(texts: &[&str]) -> Vec<Sourced<FilterWords>> {
    let list = |text: &&str| {
        let (deny, rest) = text.strip_prefix('~').map_or((false, *text), |rest| (true, rest));
        let words = rest.split_whitespace().map(str::to_owned).collect();
        Sourced::new(FilterWords { deny, words }, Origin::Option(format!("--system-call-filter={text}")))
    };
    texts.iter().map(list).collect()
}

/// Full number of a call of an ABI.
fn number(machine: Machine, abi: &str, call: &str) -> (u32, u32) {
    let abi = machine.abis().iter().find(|a| a.name == abi).expect("an ABI of the machine");
    (abi.arch, abi.iter().find(|(_, id)| id.name() == call).unwrap_or_else(|| panic!("{call} in {}", abi.name)).0)
}

/// Runs a call of an x86-64 kernel.
fn on_x86_64(filter: &Filter, abi: &str, call: &str, args: &[u64]) -> u32 {
    let (arch, number) = number(Machine::X86_64, abi, call);
    run(&filter.program, &Call::new(Machine::X86_64, arch, number, args))
}
