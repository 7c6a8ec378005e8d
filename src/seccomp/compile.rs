// SPDX-License-Identifier: LGPL-2.1-or-later
//! From decisions to the program.

use super::abi::{Abi, SPAN};
use super::bpf::{self, Assembler, Label, MAX_INSTRUCTIONS, Runs, Test, Verdict};
use super::families::{self, FamilyRule, SocketDecision};
use super::names::{self, NameId, NameSet};
use super::policy::{self, Policy};
use super::{AbiSummary, Explanation, Filter, FilterRequest, Log, Posture, SocketCall, SocketCallFate, Sync};
use crate::error::{Code, Diagnostic};

const EPERM: u16 = 1;
const EBADF: u16 = 9;
const EINVAL: u16 = 22;
const ENOSYS: u16 = 38;
const EAFNOSUPPORT: u16 = 97;

/// `SECCOMP_FILTER_FLAG_LOG`
const FLAG_LOG: u32 = 1 << 1;
/// `O_DSYNC`, which is part of `O_SYNC` too; the same on all our ABIs.
const O_DSYNC: u32 = 0o10000;
/// `SYS_SOCKET` of `linux/net.h`: socketcall(2) that makes a socket.
const SYS_SOCKET: u32 = 1;
const NETLINK_AUDIT: u32 = 9;

const SOCKET: NameId = names::id("socket");
const SOCKETCALL: NameId = names::id("socketcall");
const OPEN: NameId = names::id("open");
const OPENAT: NameId = names::id("openat");
const SYNC_ALL: NameSet = names::set(&["sync", "msync"]);
const SYNC_FILE: NameSet = names::set(&["fdatasync", "fsync", "sync_file_range", "sync_file_range2", "syncfs"]);

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Final(Verdict),
    /// By address family and protocol.
    Socket,
    /// Only when it makes no socket.
    SocketCall,
    /// Success without doing anything, but EBADF for a negative first argument.
    SyncFile,
    /// By the open flags in this argument.
    OpenFlags(u32),
}

/// Builds the filter. Fails with one diagnostic for each unknown group or address family.
pub fn compile(request: &FilterRequest<'_>) -> Result<Filter, Vec<Diagnostic>> {
    let (policy, families) =
        match (policy::resolve(request), families::resolve(request.address_families, request.posture)) {
            (Ok(policy), Ok(families)) => (policy, families),
            (policy, families) => {
                return Err(policy.err().into_iter().chain(families.err()).flatten().collect());
            }
        };
    let guarded = request.posture == Posture::Spawn
        && request.socketcall == SocketCall::Guarded
        && families.rule != FamilyRule::All
        && !policy.named.contains(SOCKETCALL);
    let socketcall = match (guarded, families.asked) {
        (false, _) => SocketCallFate::Open,
        (true, true) => SocketCallFate::Refused,
        (true, false) => SocketCallFate::RefusedUnlessNative,
    };
    let plan = Draft { request, policy, family_rule: families.rule, socketcall };
    let mut explain = Explanation::new(request, families.rule, socketcall);
    let program = plan.program(&mut explain);
    if program.len() > MAX_INSTRUCTIONS {
        let what = format!("the system call filter has {} instructions", program.len());
        return Err(vec![Diagnostic::new(Code::SeccompFailed, what).help("use fewer --system-call-filter= words")]);
    }
    plan.describe(&mut explain, program.len());
    let flags = if request.log == Log::Refusals { FLAG_LOG } else { 0 };
    Ok(Filter { program, flags, explain })
}

/// Everything that is decided, before code is made from it.
struct Draft<'a> {
    request: &'a FilterRequest<'a>,
    policy: Policy,
    family_rule: FamilyRule,
    socketcall: SocketCallFate,
}

impl Draft<'_> {
    fn program(&self, explain: &mut Explanation) -> Vec<bpf::Instruction> {
        let native = self.request.machine.abis()[0].arch;
        let mut by_arch = Vec::with_capacity(2);
        for abis in self.request.machine.abis().chunk_by(|a, b| a.arch == b.arch) {
            let mut runs = Runs::new(Decision::Final(Verdict::Errno(ENOSYS)));
            explain.abis.extend(abis.iter().map(|abi| self.decide(abi, abi.arch == native, &mut runs)));
            by_arch.push((abis[0].arch, self.native_socket(&abis[0]).filter(|_| abis[0].arch == native), runs));
        }
        let mut code = Assembler::new();
        let mut next = code.verdict(Verdict::Errno(ENOSYS));
        // Made from the end: what is made last, the native ABI, is tested first.
        for (arch, socket, runs) in by_arch.iter().rev() {
            let mut calls = code.search(runs.as_slice(), &mut |code, decision| self.leaf(code, decision));
            if let Some(number) = *socket {
                // The kernel remembers which calls are allowed whatever their arguments; this one, which is made often,
                // runs the program every time.
                let socket = self.leaf(&mut code, Decision::Socket);
                calls = code.branch(Test::Equal, number, socket, calls);
            }
            let calls = code.load(bpf::NUMBER, calls);
            next = code.branch(Test::Equal, *arch, calls, next);
        }
        code.load(bpf::ARCH, next);
        code.finish()
    }

    /// Adds the calls of one ABI, and says how many there are.
    fn decide(&self, abi: &Abi, native: bool, runs: &mut Runs<Decision>) -> AbiSummary {
        let unknown = Decision::Final(Verdict::Errno(ENOSYS));
        let mut summary = AbiSummary { abi: abi.name, known: 0, allowed: 0 };
        let mut count = |id: NameId| {
            summary.known += 1;
            summary.allowed += usize::from(self.policy.allowed.contains(id));
            self.decision(id, native)
        };
        for (number, id) in abi.calls.iter().enumerate() {
            runs.push(abi.base + number as u32, id.map_or(unknown, &mut count));
        }
        runs.push(abi.base + SPAN as u32, unknown);
        for &(number, id) in abi.beyond {
            runs.push(number, count(id));
            runs.push(number + 1, unknown);
        }
        summary
    }

    /// The number of socket(2), when its arguments decide.
    fn native_socket(&self, abi: &Abi) -> Option<u32> {
        let at = abi.calls.iter().position(|id| *id == Some(SOCKET))?;
        (self.decision(SOCKET, true) == Decision::Socket).then_some(abi.base + at as u32)
    }

    fn decision(&self, id: NameId, native: bool) -> Decision {
        if self.policy.hidden.contains(id) {
            return Decision::Final(Verdict::Errno(ENOSYS));
        }
        if !self.policy.allowed.contains(id) {
            return Decision::Final(Verdict::Errno(EPERM));
        }
        let suppressed = self.request.sync == Sync::Suppressed;
        match id {
            SOCKET => Decision::Socket,
            SOCKETCALL if self.guards_socketcall(native) => Decision::SocketCall,
            OPEN if suppressed => Decision::OpenFlags(1),
            OPENAT if suppressed => Decision::OpenFlags(2),
            id if suppressed && SYNC_ALL.contains(id) => Decision::Final(Verdict::Errno(0)),
            id if suppressed && SYNC_FILE.contains(id) => Decision::SyncFile,
            _ => Decision::Final(Verdict::Allow),
        }
    }

    fn guards_socketcall(&self, native: bool) -> bool {
        match self.socketcall {
            SocketCallFate::Refused => true,
            SocketCallFate::RefusedUnlessNative => !native,
            SocketCallFate::Open => false,
        }
    }

    fn leaf(&self, code: &mut Assembler, decision: Decision) -> Label {
        match decision {
            Decision::Final(verdict) => code.verdict(verdict),
            Decision::Socket => {
                let runs = self.family_rule.runs();
                let tree = code.search(runs.as_slice(), &mut |code, family| match family {
                    SocketDecision::Allow => code.verdict(Verdict::Allow),
                    SocketDecision::Refuse => code.verdict(Verdict::Errno(EAFNOSUPPORT)),
                    SocketDecision::Netlink => {
                        self.on_argument(code, 2, Test::Equal, NETLINK_AUDIT, EAFNOSUPPORT, Verdict::Allow)
                    }
                });
                code.load(self.argument(0), tree)
            }
            Decision::SocketCall => self.on_argument(code, 0, Test::Equal, SYS_SOCKET, ENOSYS, Verdict::Allow),
            Decision::SyncFile => self.on_argument(code, 0, Test::AtLeast, 1 << 31, EBADF, Verdict::Errno(0)),
            Decision::OpenFlags(at) => self.on_argument(code, at, Test::AnyBit, O_DSYNC, EINVAL, Verdict::Allow),
        }
    }

    /// Ends with `errno` when the test of an argument holds, with `other` when not.
    fn on_argument(
        &self,
        code: &mut Assembler,
        at: u32,
        test: Test,
        operand: u32,
        errno: u16,
        other: Verdict,
    ) -> Label {
        let yes = code.verdict(Verdict::Errno(errno));
        let no = code.verdict(other);
        let branch = code.branch(test, operand, yes, no);
        code.load(self.argument(at), branch)
    }

    /// Offset of an argument's low half in `struct seccomp_data`. The kernel takes these arguments as `int` and drops
    /// the high half, so a test of it would only be a way around the filter.
    fn argument(&self, at: u32) -> u32 {
        16 + 8 * at + if self.request.machine.is_big_endian() { 4 } else { 0 }
    }

    fn describe(self, explain: &mut Explanation, instructions: usize) {
        let io_uring = self.policy.allowed.contains(names::id("io_uring_setup"));
        explain.warnings = self.policy.warnings;
        if io_uring && self.request.posture == Posture::Spawn && self.family_rule != FamilyRule::All {
            explain.warnings.push("io_uring is allowed: rules on address families do not reach its sockets".to_owned());
        }
        explain.hidden = self.policy.hidden.iter().map(NameId::name).collect();
        explain.groups = self.policy.groups;
        explain.by_capability = self.policy.by_capability;
        explain.instructions = instructions;
    }
}
