// SPDX-License-Identifier: LGPL-2.1-or-later
//! Assembles a device policy into eBPF (`BPF_PROG_TYPE_CGROUP_DEVICE`).
//!
//! The kernel calls the program with a `bpf_cgroup_dev_ctx` for every open and mknod of a device; it returns 1 to allow.

use super::devices::{Access, DeviceKind, DeviceRule};
use crate::sys::bpf::Insn;

// Instruction classes, sizes and operations of linux/bpf.h and linux/bpf_common.h.
const LDX_MEM_W: u8 = 0x61;
const ALU32_MOV_X: u8 = 0xbc;
const ALU32_AND_K: u8 = 0x54;
const ALU32_OR_X: u8 = 0x4c;
const ALU32_LSH_K: u8 = 0x64;
const ALU32_RSH_K: u8 = 0x74;
const ALU64_MOV_K: u8 = 0xb7;
const JMP32_JEQ_K: u8 = 0x16;
const JMP32_JNE_K: u8 = 0x56;
const EXIT: u8 = 0x95;

/// `struct bpf_cgroup_dev_ctx`: access << 16 | kind, major, minor.
const CTX_ACCESS_TYPE: i16 = 0;
/// See [`CTX_ACCESS_TYPE`].
const CTX_MAJOR: i16 = 4;
/// See [`CTX_ACCESS_TYPE`].
const CTX_MINOR: i16 = 8;

const RESULT: u8 = 0;
/// The context at the start, free for use once its fields are loaded.
const SCRATCH: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
/// Major and minor number in one word, as the kernel itself keeps them (linux/kdev_t.h).
const DEVICE: u8 = 4;
const MAJOR: u8 = 5;

/// Bits of a minor number in the kernel (linux/kdev_t.h); the major number has the other 12 of 32.
const MINOR_BITS: u32 = 20;

fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn { code, regs: dst | src << 4, off, imm }
}

fn load(register: u8, field: i16) -> Insn {
    insn(LDX_MEM_W, register, SCRATCH, field, 0)
}

/// Goes `skip` instructions further when the register holds something else.
fn unless_equal(register: u8, value: u32, skip: usize) -> Insn {
    insn(JMP32_JNE_K, register, 0, skip as i16, value as i32)
}

/// Goes to the end that allows, which is not known yet.
fn allow_if_equal(register: u8, value: u32) -> Insn {
    insn(JMP32_JEQ_K, register, 0, 0, value as i32)
}

/// The program that allows what one of `rules` allows and nothing else. The verifier follows every way through it, so it
/// is kept short: one comparison for a device that may be used in every way.
pub(super) fn assemble(rules: &[DeviceRule]) -> Vec<Insn> {
    let mut program = vec![
        load(KIND, CTX_ACCESS_TYPE),
        load(MAJOR, CTX_MAJOR),
        load(DEVICE, CTX_MINOR),
        insn(ALU32_MOV_X, SCRATCH, MAJOR, 0, 0),
        insn(ALU32_LSH_K, SCRATCH, 0, 0, MINOR_BITS as i32),
        insn(ALU32_OR_X, DEVICE, SCRATCH, 0, 0),
        insn(ALU32_MOV_X, ACCESS, KIND, 0, 0),
        insn(ALU32_RSH_K, ACCESS, 0, 0, 16),
        insn(ALU32_AND_K, KIND, 0, 0, 0xffff),
    ];
    for (kind, number) in [(DeviceKind::Char, 2), (DeviceKind::Block, 1)] {
        let body: Vec<Insn> = rules.iter().filter(|rule| rule.kind == kind).flat_map(one_rule).collect();
        if !body.is_empty() {
            program.push(unless_equal(KIND, number, body.len()));
            program.extend(body);
        }
    }
    let refuse = program.len();
    for (at, jump) in program.iter_mut().enumerate().filter(|(_, i)| i.code == JMP32_JEQ_K) {
        // Past the two instructions that refuse.
        jump.off = (refuse + 2 - at - 1) as i16;
    }
    for result in [0, 1] {
        program.push(insn(ALU64_MOV_K, RESULT, 0, 0, result));
        program.push(insn(EXIT, 0, 0, 0, 0));
    }
    program
}

/// Nothing for numbers that no device of this kernel can have.
fn one_rule(rule: &DeviceRule) -> Vec<Insn> {
    if rule.major >> (32 - MINOR_BITS) != 0 || rule.minor.is_some_and(|minor| minor >> MINOR_BITS != 0) {
        return Vec::new();
    }
    let (register, value) = match rule.minor {
        Some(minor) => (DEVICE, rule.major << MINOR_BITS | minor),
        None => (MAJOR, rule.major),
    };
    if rule.access == Access::ALL {
        return vec![allow_if_equal(register, value)];
    }
    let forbidden = Access::ALL.bits() & !rule.access.bits();
    vec![
        unless_equal(register, value, 3),
        insn(ALU32_MOV_X, SCRATCH, ACCESS, 0, 0),
        insn(ALU32_AND_K, SCRATCH, 0, 0, forbidden as i32),
        allow_if_equal(SCRATCH, 0),
    ]
}

#[cfg(test)]
pub(super) mod interpreter {
    use super::*;

    /// Runs a program of [`assemble`] on one request, as the kernel would.
    pub fn run(program: &[Insn], access: u32, kind: u32, major: u32, minor: u32) -> u64 {
        let mut r = [0u64; 11];
        let mut pc = 0;
        loop {
            let i = program[pc];
            let (dst, src) = (usize::from(i.regs & 15), usize::from(i.regs >> 4));
            pc += 1;
            match i.code {
                LDX_MEM_W => r[dst] = [access << 16 | kind, major, minor][i.off as usize / 4].into(),
                ALU32_MOV_X => r[dst] = u64::from(r[src] as u32),
                ALU32_AND_K => r[dst] = u64::from(r[dst] as u32 & i.imm as u32),
                ALU32_RSH_K => r[dst] = u64::from((r[dst] as u32) >> i.imm),
                ALU64_MOV_K => r[dst] = i.imm as u64,
                ALU32_OR_X => r[dst] = u64::from((r[dst] | r[src]) as u32),
                ALU32_LSH_K => r[dst] = u64::from((r[dst] as u32) << i.imm),
                JMP32_JEQ_K if r[dst] as u32 == i.imm as u32 => pc += i.off as usize,
                JMP32_JEQ_K => (),
                JMP32_JNE_K if r[dst] as u32 != i.imm as u32 => pc += i.off as usize,
                JMP32_JNE_K => (),
                EXIT => return r[RESULT as usize],
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }
}
