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
const ALU32_RSH_K: u8 = 0x74;
const ALU64_MOV_K: u8 = 0xb7;
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
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

fn insn(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn { code, regs: dst | src << 4, off, imm }
}

/// A comparison whose jump goes past the rule's last instruction once that is known.
fn unless_equal(register: u8, value: u32) -> Insn {
    insn(JMP32_JNE_K, register, 0, 0, value as i32)
}

/// The program that allows what one of `rules` allows and nothing else.
pub(super) fn assemble(rules: &[DeviceRule]) -> Vec<Insn> {
    let mut program = vec![
        insn(LDX_MEM_W, KIND, SCRATCH, CTX_ACCESS_TYPE, 0),
        insn(LDX_MEM_W, MAJOR, SCRATCH, CTX_MAJOR, 0),
        insn(LDX_MEM_W, MINOR, SCRATCH, CTX_MINOR, 0),
        insn(ALU32_MOV_X, ACCESS, KIND, 0, 0),
        insn(ALU32_RSH_K, ACCESS, 0, 0, 16),
        insn(ALU32_AND_K, KIND, 0, 0, 0xffff),
    ];
    for rule in rules {
        let kind = match rule.kind {
            DeviceKind::Block => 1,
            DeviceKind::Char => 2,
        };
        let mut body = vec![unless_equal(KIND, kind), unless_equal(MAJOR, rule.major)];
        body.extend(rule.minor.map(|minor| unless_equal(MINOR, minor)));
        if rule.access != Access::ALL {
            let forbidden = Access::ALL.bits() & !rule.access.bits();
            body.push(insn(ALU32_MOV_X, SCRATCH, ACCESS, 0, 0));
            body.push(insn(ALU32_AND_K, SCRATCH, 0, 0, forbidden as i32));
            body.push(unless_equal(SCRATCH, 0));
        }
        body.push(insn(ALU64_MOV_K, RESULT, 0, 0, 1));
        body.push(insn(EXIT, 0, 0, 0, 0));
        let length = body.len();
        for (at, i) in body.iter_mut().enumerate().filter(|(_, i)| i.code == JMP32_JNE_K) {
            // A rule has at most 8 instructions.
            i.off = (length - at - 1) as i16;
        }
        program.extend(body);
    }
    program.push(insn(ALU64_MOV_K, RESULT, 0, 0, 0));
    program.push(insn(EXIT, 0, 0, 0, 0));
    program
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
                JMP32_JNE_K if r[dst] as u32 != i.imm as u32 => pc += i.off as usize,
                JMP32_JNE_K => (),
                EXIT => return r[RESULT as usize],
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }
}
