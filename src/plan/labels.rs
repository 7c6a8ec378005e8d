// SPDX-License-Identifier: LGPL-2.1-or-later
//! SELinux labels: only where SELinux is in force, as its kernel half alone knows what a label means.

use super::{Facts, Labels, Told};
use crate::config::{Invocation, Settings};
use crate::error::{Code, Diagnostic, Sourced};
use crate::model::shown::escape;
use std::ffi::OsStr;

const START_SELINUX: &str =
    "start the machine with SELinux (selinux=1 on the kernel's command line), or leave the option out";

/// The labels that are set, as `--selinux-context=` and `--selinux-apifs-context=` ask for them.
///
/// Without SELinux systemd-nspawn(1) starts without the first (`setexeccon(3)` is not called) and fails at the first mount
/// with the second, which no file system then knows.
pub fn labels(s: &Settings, f: &Facts, told: &mut Told) -> Result<Labels, Vec<Diagnostic>> {
    let asked = [&s.selinux_context, &s.selinux_apifs_context];
    if f.host.selinux {
        let [payload, api_file_systems] = asked.map(Clone::clone);
        let wrong: Vec<_> = asked.into_iter().flatten().filter_map(|label| unknown(label, f)).collect();
        return if wrong.is_empty() { Ok(Labels { payload, api_file_systems }) } else { Err(wrong) };
    }
    if let Some(label) = &s.selinux_apifs_context {
        let what = "file systems cannot be labelled: SELinux is not in force here";
        return Err(vec![Diagnostic::new(Code::KernelTooOld, what).origin(&label.origin).help(START_SELINUX)]);
    }
    if let (Some(label), Invocation::Spawn) = (&s.selinux_context, s.invocation) {
        told.warnings.push(format!("{} has no effect: SELinux is not in force here", label.origin));
    }
    Ok(Labels::default())
}

/// systemd-nspawn(1) leaves it to the kernel to refuse a label, which it does at a mount or at the payload's start.
fn unknown(label: &Sourced<String>, f: &Facts) -> Option<Diagnostic> {
    let what = || format!("the loaded SELinux policy has no label \"{}\"", escape(OsStr::new(&label.value)));
    f.host.unknown_labels.contains(&label.value).then(|| {
        Diagnostic::new(Code::OptionValue, what())
            .origin(&label.origin)
            .help("write user:role:type:level, each of them one of the policy's (seinfo(1) lists them)")
    })
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

    #[test]
    fn every_label_that_the_policy_lacks_is_told_before_the_start() {
        let mut f = facts();
        f.host.selinux = true;
        f.host.unknown_labels = vec!["a".into(), "b".into()];
        let refused = build(&settings("-Z=a -L=b"), &f).unwrap_err();
        let told: Vec<_> = refused.iter().map(|d| (d.headline(), d.asked_by().map(ToString::to_string))).collect();
        let want = |label: &str, by: &str| {
            (format!("the loaded SELinux policy has no label \"{label}\""), Some(by.to_owned()))
        };
        assert_eq!(told, [want("a", "-Z=a"), want("b", "-L=b")]);
        assert!(build(&settings("-Z=c -L=d"), &f).is_ok());
    }
}
