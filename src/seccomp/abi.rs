// SPDX-License-Identifier: LGPL-2.1-or-later
//! The system call tables of every ABI a kernel offers, by number.
//!
//! Numbers are those of the `syscalls` crate, corrected and completed to Linux 7.2 after the kernel's own
//! `asm/unistd*.h`.

use super::names::{self, NameId};

/// Tables cover numbers below this; x32 ends at 547.
pub(super) const SPAN: usize = 560;

/// The name behind each number.
pub(super) type Calls = [Option<NameId>; SPAN];

/// One ABI: what `seccomp_data` says for it and which calls it has.
pub(super) struct Abi {
    /// As uname(2) or systemd say it.
    pub(super) name: &'static str,
    /// `AUDIT_ARCH_*` of `linux/audit.h`.
    pub(super) arch: u32,
    /// Added to each number.
    pub(super) base: u32,
    /// Calls at `base` and above.
    pub(super) calls: &'static Calls,
    /// Calls past the table, numbers rising.
    pub(super) beyond: &'static [(u32, NameId)],
}

#[cfg(test)]
impl Abi {
    /// All calls with their full numbers, rising.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, NameId)> + '_ {
        let table = self.calls.iter().enumerate();
        let table = table.filter_map(|(n, id)| id.map(|id| (self.base + n as u32, id)));
        table.chain(self.beyond.iter().copied())
    }
}

/// A kind of kernel, by its native 64-bit ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Machine {
    /// x86-64, with x32 and i386.
    X86_64,
    /// 64-bit ARM, with the 32-bit EABI.
    Aarch64,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit POWER, little endian.
    Powerpc64le,
    /// z/Architecture; its 31-bit ABI is refused.
    S390x,
    /// 64-bit LoongArch.
    Loongarch64,
}

impl Machine {
    /// Every machine that filters can be built for.
    pub const ALL: [Self; 6] =
        [Self::X86_64, Self::Aarch64, Self::Riscv64, Self::Powerpc64le, Self::S390x, Self::Loongarch64];

    /// The machine this program was built for; `None` when there is no table for it.
    pub const NATIVE: Option<Self> = if cfg!(target_arch = "x86_64") {
        Some(Self::X86_64)
    } else if cfg!(target_arch = "aarch64") {
        Some(Self::Aarch64)
    } else if cfg!(target_arch = "riscv64") {
        Some(Self::Riscv64)
    } else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
        Some(Self::Powerpc64le)
    } else if cfg!(target_arch = "s390x") {
        Some(Self::S390x)
    } else if cfg!(target_arch = "loongarch64") {
        Some(Self::Loongarch64)
    } else {
        None
    };

    /// Whether the second half of a 64-bit argument in `seccomp_data` is the low one.
    pub(super) fn is_big_endian(self) -> bool {
        self == Self::S390x
    }

    /// Its ABIs, native first; those of one `arch` are neighbours with rising numbers.
    pub(super) fn abis(self) -> &'static [Abi] {
        match self {
            Self::X86_64 => &ON_X86_64,
            Self::Aarch64 => &ON_AARCH64,
            Self::Riscv64 => &ON_RISCV64,
            Self::Powerpc64le => &ON_POWERPC64LE,
            Self::S390x => &ON_S390X,
            Self::Loongarch64 => &ON_LOONGARCH64,
        }
    }
}

/// Calls newer than the crate: the same number everywhere (`scripts/syscall.tbl` of the kernel).
const NEWER: &[(usize, &str)] = &[(470, "listns"), (471, "rseq_slice_yield")];

/// Calls with 64-bit time, which only 32-bit ABIs have; the crate lists them for some 64-bit ones.
const TIME64: &[std::ops::RangeInclusive<usize>] = &[403..=414, 416..=423];

/// Builds a table from the module of the crate: numbers to leave out, then numbers to name otherwise.
macro_rules! calls {
    ($module:ident, absent: $absent:expr, named: $named:expr) => {{
        static CALLS: Calls = {
            let absent: &[std::ops::RangeInclusive<usize>] = $absent;
            let named: &[(usize, &str)] = $named;
            let mut calls = [None; SPAN];
            let mut number = 0;
            while number < SPAN {
                if let Some(call) = syscalls::$module::Sysno::new(number) {
                    calls[number] = match (is_within(number, absent), renamed(number, named)) {
                        (true, _) => None,
                        (false, Some(name)) => Some(names::id(name)),
                        (false, None) => Some(names::id(call.name())),
                    };
                }
                number += 1;
            }
            let mut at = 0;
            while at < NEWER.len() {
                calls[NEWER[at].0] = Some(names::id(NEWER[at].1));
                at += 1;
            }
            calls
        };
        &CALLS
    }};
}

const fn is_within(number: usize, ranges: &[std::ops::RangeInclusive<usize>]) -> bool {
    let mut at = 0;
    while at < ranges.len() {
        if *ranges[at].start() <= number && number <= *ranges[at].end() {
            return true;
        }
        at += 1;
    }
    false
}

const fn renamed(number: usize, names: &[(usize, &'static str)]) -> Option<&'static str> {
    let mut at = 0;
    while at < names.len() {
        if names[at].0 == number {
            return Some(names[at].1);
        }
        at += 1;
    }
    None
}

const fn native(name: &'static str, arch: u32, calls: &'static Calls) -> Abi {
    Abi { name, arch, base: 0, calls, beyond: &[] }
}

const ARCH_X86_64: u32 = 0xC000_003E;
const ARCH_I386: u32 = 0x4000_0003;
const ARCH_AARCH64: u32 = 0xC000_00B7;
const ARCH_ARM: u32 = 0x4000_0028;
const ARCH_RISCV64: u32 = 0xC000_00F3;
const ARCH_PPC64LE: u32 = 0xC000_0015;
const ARCH_S390X: u32 = 0x8000_0016;
const ARCH_LOONGARCH64: u32 = 0xC000_0102;

/// `__X32_SYSCALL_BIT` of `asm/unistd.h`.
const X32_BIT: u32 = 0x4000_0000;

static CALLS_X86_64: &Calls = calls!(x86_64, absent: &[], named: &[]);
static CALLS_I386: &Calls = calls!(x86, absent: &[], named: &[(17, "break")]);
static CALLS_AARCH64: &Calls = calls!(aarch64, absent: TIME64, named: &[(79, "newfstatat")]);
static CALLS_ARM: &Calls = calls!(arm, absent: &[], named: &[(341, "sync_file_range2")]);
static CALLS_RISCV64: &Calls = calls!(riscv64, absent: &[], named: &[]);
static CALLS_PPC64: &Calls = calls!(powerpc64, absent: &[], named: &[(17, "break")]);
static CALLS_S390X: &Calls = calls!(s390x, absent: &[], named: &[]);
static CALLS_LOONGARCH64: &Calls = calls!(
    loongarch64,
    absent: &[38..=38, 163..=164, 403..=414, 416..=423],
    named: &[(79, "newfstatat")]
);

/// Calls whose x32 form has a number of its own, from 512 on; its 64-bit number is not a call of x32.
const X32_OWN: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// Calls that x32 does not have at all.
const X32_LACKS: [&str; 11] = [
    "uselib",
    "_sysctl",
    "create_module",
    "get_kernel_syms",
    "query_module",
    "nfsservctl",
    "set_thread_area",
    "get_thread_area",
    "epoll_ctl_old",
    "epoll_wait_old",
    "vserver",
];

static CALLS_X32: Calls = {
    let mut calls = *CALLS_X86_64;
    let gone = names::set(&X32_OWN).union(names::set(&X32_LACKS));
    let mut number = 0;
    while number < SPAN {
        if let Some(id) = calls[number]
            && gone.contains(id)
        {
            calls[number] = None;
        }
        number += 1;
    }
    let mut at = 0;
    while at < X32_OWN.len() {
        calls[512 + at] = Some(names::id(X32_OWN[at]));
        at += 1;
    }
    calls
};

/// `__ARM_NR_BASE` of `asm/unistd.h` and what follows it.
static ARM_PRIVATE: [(u32, NameId); 6] = [
    (0xF_0001, names::id("breakpoint")),
    (0xF_0002, names::id("cacheflush")),
    (0xF_0003, names::id("usr26")),
    (0xF_0004, names::id("usr32")),
    (0xF_0005, names::id("set_tls")),
    (0xF_0006, names::id("get_tls")),
];

static ON_X86_64: [Abi; 3] = [
    native("x86-64", ARCH_X86_64, CALLS_X86_64),
    Abi { name: "x32", arch: ARCH_X86_64, base: X32_BIT, calls: &CALLS_X32, beyond: &[] },
    native("x86", ARCH_I386, CALLS_I386),
];
static ON_AARCH64: [Abi; 2] = [
    native("arm64", ARCH_AARCH64, CALLS_AARCH64),
    Abi { name: "arm", arch: ARCH_ARM, base: 0, calls: CALLS_ARM, beyond: &ARM_PRIVATE },
];
static ON_RISCV64: [Abi; 1] = [native("riscv64", ARCH_RISCV64, CALLS_RISCV64)];
static ON_POWERPC64LE: [Abi; 1] = [native("ppc64-le", ARCH_PPC64LE, CALLS_PPC64)];
static ON_S390X: [Abi; 1] = [native("s390x", ARCH_S390X, CALLS_S390X)];
static ON_LOONGARCH64: [Abi; 1] = [native("loongarch64", ARCH_LOONGARCH64, CALLS_LOONGARCH64)];

#[cfg(test)]
mod tests {
    use super::*;

    fn number(machine: Machine, abi: &str, call: &str) -> Option<u32> {
        let abi = machine.abis().iter().find(|a| a.name == abi).unwrap();
        abi.iter().find(|(_, id)| id.name() == call).map(|(n, _)| n)
    }

    #[test]
    fn numbers_of_the_kernel_headers() {
        use Machine::*;
        for (machine, abi, call, want) in [
            (X86_64, "x86-64", "socket", Some(41)),
            (X86_64, "x86-64", "ioctl", Some(16)),
            (X86_64, "x86-64", "listns", Some(470)),
            (X86_64, "x32", "ioctl", Some(X32_BIT + 514)),
            (X86_64, "x32", "socket", Some(X32_BIT + 41)),
            (X86_64, "x32", "pwritev2", Some(X32_BIT + 547)),
            (X86_64, "x32", "_sysctl", None),
            (X86_64, "x86", "socket", Some(359)),
            (X86_64, "x86", "break", Some(17)),
            (X86_64, "x86", "clock_gettime64", Some(403)),
            (Aarch64, "arm64", "newfstatat", Some(79)),
            (Aarch64, "arm64", "clock_gettime64", None),
            (Aarch64, "arm64", "semtimedop", Some(192)),
            (Aarch64, "arm", "sync_file_range2", Some(341)),
            (Aarch64, "arm", "set_tls", Some(0xF_0005)),
            (Riscv64, "riscv64", "riscv_flush_icache", Some(259)),
            (Powerpc64le, "ppc64-le", "socketcall", Some(102)),
            (S390x, "s390x", "s390_pci_mmio_read", Some(353)),
            (Loongarch64, "loongarch64", "renameat", None),
        ] {
            assert_eq!(number(machine, abi, call), want, "{abi} {call}");
        }
    }

    #[test]
    fn each_table_names_a_call_once_and_numbers_rise() {
        for abi in Machine::ALL.iter().flat_map(|m| m.abis()) {
            let all: Vec<_> = abi.iter().collect();
            assert!(all.windows(2).all(|w| w[0].0 < w[1].0), "{}", abi.name);
            let mut names: Vec<_> = all.iter().map(|(_, id)| id.name()).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|w| w[0] != w[1]), "{}", abi.name);
            assert!(names.len() > 300, "{}", abi.name);
        }
    }
}
