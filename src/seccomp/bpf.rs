// SPDX-License-Identifier: LGPL-2.1-or-later
//! Assembler for classic BPF as seccomp(2) takes it, and binary search trees over runs of equal decisions.
//!
//! Code is made from its end towards its start: jumps only go forwards, so every target exists when a jump to it is
//! written and its distance is known.

use serde::Serialize;

/// `struct sock_filter` of `linux/filter.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when a test holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// `BPF_MAXINSNS`: longer programs are refused by the kernel.
pub const MAX_INSTRUCTIONS: usize = 4096;

const LOAD_WORD: u16 = 0x20;
const JUMP_ALWAYS: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

const ACTION_ALLOW: u32 = 0x7FFF_0000;
const ACTION_ERRNO: u32 = 0x0005_0000;

/// Offset of the number in `struct seccomp_data`.
pub(super) const NUMBER: u32 = 0;
/// Offset of the architecture in `struct seccomp_data`.
pub(super) const ARCH: u32 = 4;

/// How a call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Allow,
    /// Not made; the caller sees this errno, or success when it is 0.
    Errno(u16),
}

impl Verdict {
    const fn raw(self) -> u32 {
        match self {
            Self::Allow => ACTION_ALLOW,
            Self::Errno(n) => ACTION_ERRNO | n as u32,
        }
    }
}

/// Test of the loaded word against an operand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    Equal,
    AtLeast,
    AnyBit,
}

/// Values from `start` up to the next run's start are decided alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run<D> {
    pub(super) start: u32,
    pub(super) decision: D,
}

/// Collects runs for values that rise from 0, joining neighbours that are decided alike.
pub(super) struct Runs<D>(Vec<Run<D>>);

impl<D: Copy + PartialEq> Runs<D> {
    /// `first` decides from 0 on.
    pub(super) fn new(first: D) -> Self {
        let mut runs = Vec::with_capacity(256);
        runs.push(Run { start: 0, decision: first });
        Self(runs)
    }
    /// From `start` on, `decision` holds.
    pub(super) fn push(&mut self, start: u32, decision: D) {
        let last = self.0.len() - 1;
        if self.0[last].decision == decision {
            return;
        }
        if self.0[last].start < start {
            self.0.push(Run { start, decision });
        } else if last > 0 && self.0[last - 1].decision == decision {
            self.0.pop();
        } else {
            self.0[last].decision = decision;
        }
    }
    pub(super) fn as_slice(&self) -> &[Run<D>] {
        &self.0
    }
}

/// Place of an instruction, counted from the end of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// The program being made.
pub(super) struct Assembler {
    /// Last instruction first.
    reversed: Vec<Instruction>,
    /// The most recent return of each verdict.
    returns: Vec<(Verdict, Label)>,
}

impl Assembler {
    pub(super) fn new() -> Self {
        Self { reversed: Vec::with_capacity(512), returns: Vec::with_capacity(8) }
    }

    /// The instructions in order.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    /// A place that returns `verdict`; an earlier one when there is one, however far.
    pub(super) fn verdict(&mut self, verdict: Verdict) -> Label {
        match self.returns.iter().find(|(v, _)| *v == verdict) {
            Some((_, label)) => *label,
            None => self.fresh_return(verdict),
        }
    }

    /// Loads the word at `offset` of `struct seccomp_data`, then goes on at `next`.
    pub(super) fn load(&mut self, offset: u32, next: Label) -> Label {
        if next.0 + 1 != self.reversed.len() {
            self.jump(next);
        }
        self.push(LOAD_WORD, 0, 0, offset)
    }

    /// Goes on at `yes` or `no` after a test of the loaded word.
    pub(super) fn branch(&mut self, test: Test, operand: u32, yes: Label, no: Label) -> Label {
        // Bringing `no` near may put one more instruction between here and `yes`.
        let yes = self.near(yes, 1);
        let no = self.near(no, 0);
        let code = match test {
            Test::Equal => JUMP_EQUAL,
            Test::AtLeast => JUMP_AT_LEAST,
            Test::AnyBit => JUMP_ANY_BIT,
        };
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.push(code, jt, jf, operand)
    }

    /// A binary search for the run that the loaded word is in; `leaf` makes the code of a decision.
    pub(super) fn search<D: Copy>(&mut self, runs: &[Run<D>], leaf: &mut impl FnMut(&mut Self, D) -> Label) -> Label {
        if let [only] = runs {
            return leaf(self, only.decision);
        }
        let (low, high) = runs.split_at(runs.len() / 2);
        let start = high[0].start;
        let high = self.search(high, leaf);
        let low = self.search(low, leaf);
        self.branch(Test::AtLeast, start, high, low)
    }

    fn fresh_return(&mut self, verdict: Verdict) -> Label {
        let label = self.push(RETURN, 0, 0, verdict.raw());
        match self.returns.iter_mut().find(|(v, _)| *v == verdict) {
            Some(slot) => slot.1 = label,
            None => self.returns.push((verdict, label)),
        }
        label
    }

    /// `target`, or a place that a conditional jump reaches and that does the same.
    fn near(&mut self, target: Label, slack: usize) -> Label {
        if self.distance(target) + slack <= usize::from(u8::MAX) {
            return target;
        }
        // A return is as short as a jump to one.
        match self.returns.iter().find(|(_, label)| *label == target) {
            Some((verdict, _)) => self.fresh_return(*verdict),
            None => self.jump(target),
        }
    }

    fn jump(&mut self, target: Label) -> Label {
        let distance = self.distance(target) as u32;
        self.push(JUMP_ALWAYS, 0, 0, distance)
    }

    /// Instructions to skip to get to `target` from the one written next.
    fn distance(&self, target: Label) -> usize {
        self.reversed.len() - target.0 - 1
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(Instruction { code, jt, jf, k });
        Label(self.reversed.len() - 1)
    }
}
