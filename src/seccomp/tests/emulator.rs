// SPDX-License-Identifier: LGPL-2.1-or-later
//! Classic BPF as the kernel runs it for seccomp(2), strict about what the kernel's checker refuses.

use crate::seccomp::{Instruction, MAX_INSTRUCTIONS, Machine};

pub(super) const ALLOW: u32 = 0x7FFF_0000;

/// The action that ends a call with `n`.
pub(super) const fn errno(n: u32) -> u32 {
    0x0005_0000 | n
}

/// `struct seccomp_data`
#[derive(Debug, Clone)]
pub(super) struct Call {
    words: [u32; 16],
}

impl Call {
    pub(super) fn new(machine: Machine, arch: u32, number: u32, args: &[u64]) -> Self {
        let mut words = [0; 16];
        (words[0], words[1]) = (number, arch);
        for (at, arg) in args.iter().enumerate() {
            let (low, high) = if machine == Machine::S390x { (1, 0) } else { (0, 1) };
            words[4 + 2 * at + low] = *arg as u32;
            words[4 + 2 * at + high] = (*arg >> 32) as u32;
        }
        Self { words }
    }
}

/// The action, and whether the kernel would cache it for this number (it saw nothing but number and architecture).
pub(super) fn run_traced(program: &[Instruction], call: &Call) -> (u32, bool) {
    assert!(!program.is_empty() && program.len() <= MAX_INSTRUCTIONS, "{} instructions", program.len());
    let (mut accumulator, mut at, mut cacheable) = (0u32, 0usize, true);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        let branch = |test: bool| usize::from(if test { jt } else { jf });
        at += 1 + match code {
            0x20 => {
                assert!(k % 4 == 0 && k < 64, "load at {k}");
                cacheable &= k < 8;
                accumulator = call.words[k as usize / 4];
                0
            }
            0x54 => {
                accumulator &= k;
                0
            }
            0x05 => k as usize,
            0x15 => branch(accumulator == k),
            0x25 => branch(accumulator > k),
            0x35 => branch(accumulator >= k),
            0x45 => branch(accumulator & k != 0),
            0x06 => return (k, cacheable),
            other => panic!("operation {other:#x}"),
        };
    }
}

/// The action.
pub(super) fn run(program: &[Instruction], call: &Call) -> u32 {
    run_traced(program, call).0
}
