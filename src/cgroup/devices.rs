// SPDX-License-Identifier: LGPL-2.1-or-later
//! The device policy: which devices a machine may open and make, where systemd does not set it.

use super::device_program::assemble;
use crate::error::{Code, Diagnostic};
use crate::sys::bpf::{self, Insn};
use rustix::io::Errno;
use serde::Serialize;
use std::os::fd::AsFd;

/// Block or character device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    /// `b`
    Block,
    /// `c`
    Char,
}

/// What may be done with a device: bits of `BPF_DEVCG_ACC_*` (linux/bpf.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Access(u8);

impl Access {
    /// Make its node.
    pub const MKNOD: Access = Access(1);
    /// Open it for reading.
    pub const READ: Access = Access(2);
    /// Open it for writing.
    pub const WRITE: Access = Access(4);
    /// `rw`
    pub const READ_WRITE: Access = Access(6);
    /// `rwm`
    pub const ALL: Access = Access(7);

    /// The bits.
    pub fn bits(self) -> u32 {
        self.0.into()
    }
}

/// One thing that is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct DeviceRule {
    /// Block or character device.
    pub kind: DeviceKind,
    /// Major number.
    pub major: u32,
    /// Minor number; `None` for all of them.
    pub minor: Option<u32>,
    /// What may be done.
    pub access: Access,
}

impl DeviceRule {
    /// A character device with all access.
    pub const fn char(major: u32, minor: u32) -> Self {
        Self { kind: DeviceKind::Char, major, minor: Some(minor), access: Access::ALL }
    }
}

/// What `DevicePolicy=closed` allows (systemd.resource-control(5)) and what a machine has in its `/dev` besides.
/// Numbers: the kernel's Documentation/admin-guide/devices.txt.
const USUAL: &[DeviceRule] = &[
    DeviceRule::char(1, 3),    // null
    DeviceRule::char(1, 5),    // zero
    DeviceRule::char(1, 7),    // full
    DeviceRule::char(1, 8),    // random
    DeviceRule::char(1, 9),    // urandom
    DeviceRule::char(5, 0),    // tty
    DeviceRule::char(5, 2),    // ptmx
    DeviceRule::char(10, 200), // net/tun
    DeviceRule::char(10, 229), // fuse
    // pts/*
    DeviceRule { kind: DeviceKind::Char, major: 136, minor: None, access: Access::READ_WRITE },
    // The nodes of --inaccessible=, and overlayfs whiteouts. No driver answers at 0:0.
    DeviceRule::char(0, 0),
    DeviceRule { kind: DeviceKind::Block, major: 0, minor: Some(0), access: Access::ALL },
];

/// A list of what is allowed; all else is refused with `EPERM`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DevicePolicy(Vec<DeviceRule>);

impl DevicePolicy {
    /// The same as a scope or the shipped unit has: `DevicePolicy=closed` with tun, fuse and pts.
    pub fn usual() -> Self {
        Self(USUAL.to_vec())
    }

    /// Allows one thing more.
    pub fn allow(&mut self, rule: DeviceRule) {
        if !self.0.contains(&rule) {
            self.0.push(rule);
        }
    }

    /// Allows a device that a bind mount brings in, by `st_mode` and `st_rdev` of its node. `false`: it is no device.
    pub fn allow_node(&mut self, mode: u32, rdev: u64, access: Access) -> bool {
        let kind = match rustix::fs::FileType::from_raw_mode(mode) {
            rustix::fs::FileType::BlockDevice => DeviceKind::Block,
            rustix::fs::FileType::CharacterDevice => DeviceKind::Char,
            _ => return false,
        };
        let (major, minor) = (rustix::fs::major(rdev), rustix::fs::minor(rdev));
        self.allow(DeviceRule { kind, major, minor: Some(minor), access });
        true
    }

    /// What is allowed.
    pub fn rules(&self) -> &[DeviceRule] {
        &self.0
    }

    /// As an eBPF program.
    pub fn compile(&self) -> Vec<Insn> {
        assemble(&self.0)
    }

    /// Loads it and attaches it to a group, for as long as that exists. Policies of groups above hold as well.
    pub fn attach(&self, group: impl AsFd) -> Result<(), PolicyError> {
        let program = bpf::load_cgroup_device(&self.compile()).map_err(PolicyError::Load)?;
        bpf::attach_cgroup_device(group, program).map_err(PolicyError::Attach)
    }
}

/// Why there is no device policy: the machine must then run without `CAP_MKNOD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyError {
    /// The kernel did not take the program: `EPERM` without `CAP_BPF`, `EINVAL` without cgroup BPF.
    Load(Errno),
    /// The group did not take it: `EPERM` when a group above allows no further program.
    Attach(Errno),
}

impl PolicyError {
    /// The kernel's reason.
    pub fn errno(self) -> Errno {
        match self {
            Self::Load(e) | Self::Attach(e) => e,
        }
    }
}

impl From<PolicyError> for Diagnostic {
    fn from(error: PolicyError) -> Self {
        let what = match error {
            PolicyError::Load(_) => "cannot load the device policy into the kernel",
            PolicyError::Attach(_) => "cannot attach the device policy to the machine's control group",
        };
        Diagnostic::new(Code::DevicePolicy, what).errno(error.errno())
    }
}

#[cfg(test)]
mod tests {
    use super::super::device_program::interpreter::run;
    use super::super::{Hierarchy, own_group};
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    const BLOCK: u32 = 1;
    const CHAR: u32 = 2;
    /// The kernel keeps twelve bits of the major and twenty of the minor number (linux/kdev_t.h).
    const LAST_MINOR: u32 = (1 << 20) - 1;

    #[test]
    fn the_usual_policy_request_by_request() {
        let program = DevicePolicy::usual().compile();
        for (access, kind, major, minor, allowed) in [
            (6, CHAR, 1, 3, 1),
            (7, CHAR, 1, 3, 1),
            (2, BLOCK, 1, 3, 0),
            (2, CHAR, 1, 1, 0),
            (6, CHAR, 136, 1_000_000, 1),
            (1, CHAR, 136, 0, 0),
            (7, CHAR, 136, 0, 0),
            (1, CHAR, 0, 0, 1),
            (2, CHAR, 5, 1, 0),
            (2, BLOCK, 8, 0, 0),
        ] {
            assert_eq!(run(&program, access, kind, major, minor), allowed, "{access} {kind} {major}:{minor}");
        }
    }

    #[test]
    fn nodes_of_binds() {
        let mut policy = DevicePolicy(vec![]);
        assert!(policy.allow_node(0o020600, rustix::fs::makedev(1000, 300_000), Access::READ));
        assert!(!policy.allow_node(0o100600, 0, Access::READ));
        let program = policy.compile();
        assert_eq!(run(&program, 2, CHAR, 1000, 300_000), 1);
        assert_eq!(run(&program, 4, CHAR, 1000, 300_000), 0);
        assert_eq!(run(&program, 2, CHAR, 1000, 300_001), 0);
        for (major, minor) in [(4096, Some(0)), (4096, None), (0, Some(1 << 20))] {
            let beyond = DeviceRule { kind: DeviceKind::Char, major, minor, access: Access::ALL };
            let program = DevicePolicy(vec![beyond]).compile();
            assert_eq!([(0, 0), (1, 0)].map(|(major, minor)| run(&program, 2, CHAR, major, minor)), [0, 0]);
        }
    }

    fn any_rule() -> impl Strategy<Value = DeviceRule> {
        let kind = prop_oneof![Just(DeviceKind::Block), Just(DeviceKind::Char)];
        (kind, prop_oneof![0u32..4, Just(4095)], proptest::option::of(prop_oneof![0u32..4, Just(LAST_MINOR)]), 1u8..8)
            .prop_map(|(kind, major, minor, access)| DeviceRule { kind, major, minor, access: Access(access) })
    }

    proptest! {
        #[test]
        fn the_program_says_what_the_rules_say(
            rules in proptest::collection::vec(any_rule(), 0..12),
            access in 1u32..8, kind in 1u32..3, major in prop_oneof![0u32..4, Just(4095)],
            minor in prop_oneof![0u32..4, Just(LAST_MINOR)],
        ) {
            let expected = rules.iter().any(|r| {
                (r.kind == DeviceKind::Char) == (kind == CHAR)
                    && r.major == major
                    && r.minor.is_none_or(|m| m == minor)
                    && access & !r.access.bits() == 0
            });
            prop_assert_eq!(run(&assemble(&rules), access, kind, major, minor), u64::from(expected));
        }
    }

    /// Runs a shell in `group`: it waits for the move before it does anything.
    fn shell_in(group: &crate::cgroup::Group, script: &str) -> String {
        let mut shell = Command::new("sh")
            .args(["-c", &format!("read go; {script}")])
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        group.attach(rustix::process::Pid::from_child(&shell)).unwrap();
        shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
        String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn the_kernel_enforces_it() {
        let skip = |why: &str| eprintln!("skipped: {why}");
        if !rustix::process::geteuid().is_root() {
            return skip("needs root");
        }
        let Some(hierarchy) = Hierarchy::find().unwrap() else { return skip("no cgroup2 is mounted") };
        let own = Hierarchy::own_path().unwrap().unwrap();
        let own = own_group(&hierarchy, &own, &format!("test-devices-{}", std::process::id())).unwrap();
        let dir = std::env::temp_dir().join(format!("spawn-test-devices-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        // kmsg is not in the policy; mem is not either, and is only made, never opened.
        let script = format!(
            "cd {}; for d in null zero full urandom; do : <>/dev/$d || exit; done; echo opened
             rm -f null; mknod null c 1 3 && echo made
             (: < outside) 2>&1 | sed 's/.*: //'; mknod mem c 1 1 2>&1 | sed 's/.*: //'; rm -f mem",
            dir.display()
        );
        let node = dir.join("outside");
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            &node,
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::RUSR,
            rustix::fs::makedev(1, 11),
        );
        let before = shell_in(&own.payload, &script);
        let attached = DevicePolicy::usual().attach(&own.group);
        let after = attached.is_ok().then(|| shell_in(&own.payload, &script));
        std::fs::remove_dir_all(&dir).unwrap();
        own.removal.run(Duration::from_secs(5)).unwrap();
        if let Err(e) = attached {
            return skip(&format!("bpf: {}", Diagnostic::from(e)));
        }
        if made.is_err() || before != "opened\nmade\n" {
            return skip(&format!("devices are restricted here already: {made:?} {before:?}"));
        }
        assert_eq!(after.unwrap(), "opened\nmade\nOperation not permitted\nOperation not permitted\n");
    }
}
