// SPDX-License-Identifier: LGPL-2.1-or-later
//! What holds for every plan, whatever the command line and the machine.

use super::*;
use crate::supervise::{FdKind, StdioFacts};
use proptest::prelude::*;
use std::collections::BTreeSet;

const SECRET: &str = "s3cret";

/// Words of which some make a command line. No two mount at the same place.
const WORDS: &[&str] = &[
    "-q",
    "-M=machine",
    "-D=/t",
    "-x",
    "--read-only",
    "-a",
    "-b",
    "--chdir=/srv",
    "--setenv=A=s3cret",
    "-u=joe",
    "--kill-signal=SIGTERM",
    "--notify-ready=yes",
    "--hostname=host",
    "--uuid=0102030405060708090a0b0c0d0e0f10",
    "--slice=x.slice",
    "--property=TasksMax=5",
    "--property=Nonsense=1",
    "--register=no",
    "--register=yes",
    "--scope=no",
    "--scope=require",
    "--keep-unit",
    "--private-users=no",
    "--private-users=pick",
    "--private-users=identity",
    "--private-users=65536:65536",
    "--private-users-ownership=map",
    "--private-users-ownership=off",
    "--private-network",
    "-n",
    "--capability=CAP_SYS_TIME",
    "--capability=all",
    "--drop-capability=CAP_KILL",
    "--drop-capability=all",
    "--ambient-capability=CAP_KILL",
    "--no-new-privileges=yes",
    "--system-call-filter=@clock",
    "--system-call-filter=~mkdir",
    "--system-call-filter=~typo",
    "--restrict-address-families=AF_UNIX",
    "--rlimit=NOFILE=5:10",
    "--oom-score-adjust=5",
    "--resolv-conf=copy-host",
    "--resolv-conf=off",
    "--timezone=copy",
    "--link-journal=no",
    "--bind=/a:/m/a",
    "--bind-ro=/dev/b:/m",
    "--bind=+/a:/m/a/c",
    "--bind=:/proc/d",
    "--tmpfs=/m/t",
    "--inaccessible=/m/i",
    "--console=pipe",
    "--console=read-only",
    "--set-credential=c:s3cret",
    "--settings=no",
];

/// A machine, from as many bits as it has facts that matter.
fn machine(bits: u32) -> Facts {
    let mut f = facts();
    let bit = |n: u32| bits & 1 << n != 0;
    (f.systemd, f.bus, f.user_namespaces) = (bit(0), bit(1), bit(2));
    f.tree.read_only = bit(3);
    f.tree.is_host_root = bit(4) && bit(5);
    f.tree.open_to_others = bit(6);
    f.host.selinux = bit(7);
    f.host.localtime = bit(8);
    f.host.zone = bit(9).then(|| "Europe/Berlin".into());
    f.host.resolv_conf = bit(10).then(|| "/etc/resolv.conf".into());
    f.listen_fds = vec![FdKind::Plain; (bits >> 11 & 1) as usize];
    if bit(12) {
        f.powers.remove(Capability::SYS_RESOURCE);
        f.hard_limits = [7; 16];
    }
    if bit(13) && bit(14) {
        f.stdio = StdioFacts([FdKind::Directory, FdKind::Plain, FdKind::Plain]);
    }
    if bit(15) && bit(16) {
        f.tree.unmappable = vec!["the file system of /t has no idmapped mounts".into()];
    }
    f
}

fn command_lines() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![proptest::sample::subsequence(WORDS, 0..8), proptest::sample::subsequence(WORDS, 0..WORDS.len())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_is_sound_or_says_what_is_wrong(line in command_lines(), bits in 0u32..1 << 17, nspawn in any::<bool>()) {
        let invocation = if nspawn { Invocation::SystemdNspawn } else { Invocation::Spawn };
        let s = Settings { invocation, ..settings(&line.join(" ")) };
        let f = machine(bits);
        match build(&s, &f) {
            Ok(plan) => {
                order(&plan);
                origins(&plan, &s);
                powers(&plan);
                shown(&plan);
                prop_assert_eq!(Ok(plan), build(&s, &f));
            }
            Err(wrong) => {
                prop_assert!(!wrong.is_empty());
                for d in &wrong {
                    prop_assert!(d.asked_by().is_some() || d.remedy().is_some(), "{}", d);
                    prop_assert!(!d.to_string().contains(SECRET), "{}", d);
                }
                let headlines: BTreeSet<_> = wrong.iter().map(Diagnostic::to_string).collect();
                prop_assert_eq!(headlines.len(), wrong.len(), "said twice: {:?}", wrong);
            }
        }
    }
}

/// The root first, then what needs no namespace, then the rest; nothing covers what was mounted before it.
fn order(plan: &Plan) {
    assert!(matches!(plan.steps[0].action, Action::MountTree { .. } | Action::MountOverlay { .. }));
    let pivots = plan.steps.iter().enumerate().filter(|(_, s)| s.action == Action::PivotRoot).map(|(at, _)| at);
    assert_eq!(pivots.collect::<Vec<_>>(), [1]);
    let mounts: Vec<&MountStep> = plan
        .steps
        .iter()
        .filter_map(|s| match &s.action {
            Action::Mount(m) => Some(m),
            _ => None,
        })
        .collect();
    for (at, mount) in mounts.iter().enumerate() {
        assert!(mount.target.is_absolute());
        for earlier in &mounts[..at] {
            assert_ne!(earlier.target, mount.target, "two mounts at one place");
            assert!(!earlier.target.starts_with(&mount.target), "{:?} hides {:?}", mount.target, earlier.target);
            assert!(mount.late || !earlier.late, "{:?} is early, {:?} before it is late", mount.target, earlier.target);
        }
        let own = matches!(
            mount.source,
            Source::Proc | Source::Cgroup2 | Source::HostCgroup2 | Source::Mqueue | Source::SysfsParts
        );
        assert!(mount.late || !own, "{:?} needs namespaces that are not there yet", mount.target);
    }
    let last_file = plan.steps.iter().rposition(|s| matches!(s.action, Action::WriteFile { .. }));
    let first_late = plan.steps.iter().position(|s| matches!(&s.action, Action::Mount(m) if m.late));
    assert!(last_file < first_late, "a file of the image is written when the container's processes could see it");
}

/// What was asked for is there once and says who asked; the rest is built in.
fn origins(plan: &Plan, s: &Settings) {
    for mount in &s.mounts {
        let steps = plan.steps.iter().filter(|step| {
            step.origin == mount.origin && matches!(&step.action, Action::Mount(m) if m.target == mount.value.target())
        });
        assert_eq!(steps.count(), 1, "{}", mount.origin);
    }
    for step in &plan.steps {
        assert!(step.optional.is_none_or(|why| !why.is_empty()));
        let asked = s.mounts.iter().any(|m| m.origin == step.origin);
        assert!(!asked || step.optional.is_none(), "{}: who asks for it does not want to go without", step.origin);
    }
}

fn powers(plan: &Plan) {
    let caps = &plan.capabilities;
    let within = |a: CapabilitySet, b: CapabilitySet| a.minus(b).is_empty();
    assert!(within(caps.permitted, caps.bounding) && within(caps.effective, caps.permitted), "{caps:?}");
    assert!(within(caps.ambient, caps.permitted) && within(caps.ambient, caps.inheritable), "{caps:?}");
    if !plan.user_namespace.is_some() {
        assert!(!plan.idmapped());
    }
    assert_eq!(plan.limits.rlimits.iter().filter(|l| l.value.soft > l.value.hard).count(), 0);
    assert!(plan.network.private || plan.network.links.is_empty());
    assert!(plan.tree.read_only || !plan.tree.ephemeral);
}

/// `--dry-run` shows the machine and no secret.
fn shown(plan: &Plan) {
    for text in [explain(plan), serde_json::to_string(plan).unwrap(), format!("{plan:?}")] {
        assert!(text.contains(plan.machine.as_str()));
        assert!(!text.contains(SECRET), "{text}");
    }
}
