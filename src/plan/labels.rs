// SPDX-License-Identifier: LGPL-2.1-or-later
//! SELinux labels: only where SELinux is in force, as its kernel half alone knows what a label means.

use super::{Facts, Labels, Told};
use crate::config::{Invocation, Settings};
use crate::error::{Code, Diagnostic};

const START_SELINUX: &str =
    "start the machine with SELinux (selinux=1 on the kernel's command line), or leave the option out";

/// The labels that are set, as `--selinux-context=` and `--selinux-apifs-context=` ask for them.
///
/// Without SELinux systemd-nspawn(1) starts without the first (`setexeccon(3)` is not called) and fails at the first mount
/// with the second, which no file system then knows.
pub fn labels(s: &Settings, f: &Facts, told: &mut Told) -> Result<Labels, Diagnostic> {
    if f.host.selinux {
        return Ok(Labels { payload: s.selinux_context.clone(), api_file_systems: s.selinux_apifs_context.clone() });
    }
    if let Some(label) = &s.selinux_apifs_context {
        return Err(Diagnostic::new(
            Code::KernelTooOld,
            "file systems cannot be labelled: SELinux is not in force here",
        )
        .origin(&label.origin)
        .help(START_SELINUX));
    }
    if let (Some(label), Invocation::Spawn) = (&s.selinux_context, s.invocation) {
        told.warnings.push(format!("{} has no effect: SELinux is not in force here", label.origin));
    }
    Ok(Labels::default())
}

#[cfg(test)]
mod tests {
    use crate::plan::testing::{facts, settings};
    use crate::plan::{Plan, build};

    fn labels(plan: &Plan) -> [Option<&str>; 2] {
        [&plan.labels.payload, &plan.labels.api_file_systems].map(|l| l.as_ref().map(|l| l.value.as_str()))
    }

    #[test]
    fn labels_are_for_machines_with_selinux() {
        let mut f = facts();
        let both = settings("-Z=u:r:t:s0:c1,c2 -L=u:object_r:t:s0");
        let refused = build(&both, &f).unwrap_err();
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(refused[0].to_string().contains("SELinux is not in force here"), "{}", refused[0]);
        assert_eq!(refused[0].asked_by().map(ToString::to_string).as_deref(), Some("-L=u:object_r:t:s0"));
        let plan = build(&settings("--selinux-context=a"), &f).unwrap();
        assert_eq!(labels(&plan), [None, None]);
        assert_eq!(plan.warnings, ["--selinux-context=a has no effect: SELinux is not in force here"]);
        let mut compatible = settings("-Z=a");
        compatible.invocation = crate::config::Invocation::SystemdNspawn;
        assert!(build(&compatible, &f).unwrap().warnings.is_empty());
        f.host.selinux = true;
        let plan = build(&both, &f).unwrap();
        assert_eq!(labels(&plan), [Some("u:r:t:s0:c1,c2"), Some("u:object_r:t:s0")]);
        assert!(plan.warnings.is_empty());
        assert_eq!(labels(&build(&settings("-Z=a -L=b"), &f).unwrap()), [Some("a"), Some("b")]);
        assert_eq!(labels(&build(&settings("-Z=a --selinux-context="), &f).unwrap()), [None, None]);
    }
}
