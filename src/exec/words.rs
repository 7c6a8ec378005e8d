// SPDX-License-Identifier: LGPL-2.1-or-later
//! Words for what a child reported: the step is looked up in the plan, so that path, flags and origin are known.

use super::report::{InitStep, Kind, Part, Record, Stage};
use crate::error::{Code, Diagnostic, Origin};
use crate::model::shown::escape;
use crate::model::{StartMode, Volatile};
use crate::plan::{Action, MountStep, Plan, Source, Step, UserNamespace};
use rustix::io::Errno;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The diagnostic for a failed or skipped step. `home` is that of the payload's user, which the plan does not know.
pub fn failure(plan: &Plan, home: Option<&CStr>, record: &Record) -> Diagnostic {
    let errno = Errno::from_raw_os_error(record.errno);
    let init = || match (InitStep::of(record), home) {
        (Some(InitStep::Home), Some(path)) => no_home(plan, path, record, errno),
        _ => init(plan, record, errno),
    };
    match record.stage {
        Stage::Stager => stager(plan, record, errno),
        Stage::Init if errno == Errno::ACCESS => with_whom_to_let_in(plan, init()),
        Stage::Init => init(),
    }
}

fn no_home(plan: &Plan, path: &CStr, record: &Record, errno: Errno) -> Diagnostic {
    let path = escape(OsStr::from_bytes(path.to_bytes()));
    let (user, origin) = plan.process.user.clone().unwrap_or_else(|| ("root".into(), Origin::Default));
    let d = Diagnostic::new(Code::ChildStep, format!("cannot make the home directory {path} of {user}"));
    let d = d.errno(errno).origin(&origin);
    let d = match record.part {
        Part::Whole => d,
        part => d.note(part.what()),
    };
    match record.kind {
        Kind::Skipped => d.note("the start goes on: the program runs without a home"),
        _ => d,
    }
    .help(format!("make it in the image, or mount something there: --tmpfs={path}"))
}

/// Without a map of the owners the tree may keep the container's root out, whose user has no powers over it.
fn with_whom_to_let_in(plan: &Plan, d: Diagnostic) -> Diagnostic {
    match &plan.user_namespace {
        UserNamespace::Fixed { range, idmap: false } if range.base != 0 => {
            let tree = plan.tree.path.display();
            d.note(format!("the container's root is user {} of this machine, whom {tree} must let in", range.base))
        }
        _ => d,
    }
}

fn stager(plan: &Plan, record: &Record, errno: Errno) -> Diagnostic {
    let Some(step) = plan.steps.get(usize::from(record.step)) else {
        if let (Part::Source, Some(path)) = (record.part, &plan.network.join) {
            let what = format!("cannot join the network namespace {}", path.value.display());
            return Diagnostic::new(Code::NetworkNamespace, what).errno(errno).origin(&path.origin);
        }
        let what = match record.part {
            Part::Helper => "cannot clone the container's first process",
            Part::Configure => "cannot set the OOM score adjustment",
            Part::Attach => "cannot cut the new mount namespace off from the host's",
            _ => "cannot set up the process that builds the container's mounts",
        };
        let d = Diagnostic::new(Code::Clone, what).errno(errno);
        return match (record.part, errno) {
            (Part::Helper, Errno::PERM) => d.help("CAP_SYS_ADMIN is needed, and user namespaces must be allowed"),
            (Part::Helper, Errno::NOSPC) => {
                d.help("raise user.max_user_namespaces and the other limits below /proc/sys/user")
            }
            (Part::Configure, _) => match &plan.limits.oom_score_adjust {
                Some(o) => d.origin(&o.origin).help("a value below the own one takes CAP_SYS_RESOURCE"),
                None => d,
            },
            _ => d,
        };
    };
    let (what, code) = describe(&step.action, record.part, errno);
    let mut d = Diagnostic::new(code, what).errno(errno).origin(&step.origin);
    if !is_said(&step.action, record.part) {
        d = d.note(record.part.what());
    }
    if let Some(why) = step.optional {
        d = d.note(format!("the start goes on: {why}"));
    }
    match (record.part, errno) {
        (Part::Type, Errno::BUSY) => {
            d.help("choose another place: nothing can be mounted on the root directory itself")
        }
        (Part::Create, Errno::NOENT) => d.help("choose another place: that file system lets nobody make directories"),
        (Part::Create, Errno::ACCESS) if plan.user_namespace.is_some() && !plan.idmapped() => d.help(
            "make it in the image, or leave --private-users-ownership= out: the tree is not the container root's",
        ),
        (Part::Type, _) => d.help("a directory can only be mounted on a directory, a file on a file"),
        (Part::Configure, _) if matches!(&step.action, Action::Mount(m) if is_overlay(m)) => {
            d.help("the upper directory must not be on an overlay or a network file system, nor inside a lower one")
        }
        (Part::Create, Errno::ROFS) if matches!(&step.action, Action::Mount(m) if is_kernels(&m.target)) => {
            d.help("choose another place: nothing can be made below /proc and /sys")
        }
        (Part::Create, Errno::ROFS) if plan.tree.volatile != Volatile::No => {
            d.help("make the mount point in the image, which --volatile= keeps from being written to")
        }
        (Part::Create, Errno::ROFS) => d.help("make the mount point in the image, or start without --read-only"),
        (Part::Open, Errno::NOENT) => d.help("name a file or directory that the image has"),
        (Part::Open, Errno::LOOP) => d.help("the path leads through too many or through magic links in the image"),
        _ => d,
    }
}

/// Whether the kernel alone makes what is there.
fn is_kernels(target: &Path) -> bool {
    ["/proc", "/sys"].iter().any(|top| target.starts_with(top))
}

fn is_overlay(mount: &MountStep) -> bool {
    matches!(mount.source, Source::Overlay { .. })
}

/// Whether [`describe`] says which part it was.
fn is_said(action: &Action, part: Part) -> bool {
    match part {
        Part::Whole => true,
        Part::Open | Part::Create | Part::Type | Part::Attributes | Part::Source | Part::Helper => {
            matches!(action, Action::Mount(_))
        }
        Part::Clone | Part::Attach | Part::Configure | Part::Write | Part::Owner => false,
    }
}

fn describe(action: &Action, part: Part, errno: Errno) -> (String, Code) {
    let code = if matches!(part, Part::Open | Part::Create | Part::Type) { Code::ImageObject } else { Code::Mount };
    let what = match action {
        Action::MountTree { source, .. } => format!("cannot mount the tree {}", source.display()),
        Action::MountOverlay { lower, .. } => format!("cannot mount a throw-away layer above {}", lower.display()),
        Action::MountEmpty { .. } => "cannot mount an empty root in memory".into(),
        Action::PivotRoot => "cannot make the tree the root directory".into(),
        Action::CompleteRoot => "cannot make the usual directories and links at the root of the image".into(),
        Action::WriteFile { path, .. } => format!("cannot write {} of the image", path.display()),
        Action::RemoveFile { path } => format!("cannot remove {} of the image", path.display()),
        Action::TimezoneLink { zone } => format!("cannot set the time zone {zone} in the image"),
        Action::Mount(m) => {
            let target = m.target.display();
            let source = match &m.source {
                Source::Tmpfs { .. } => "a tmpfs".to_string(),
                Source::Devpts => "devpts".into(),
                Source::Proc => "the container's procfs".into(),
                Source::Sysfs | Source::SysfsParts => "sysfs".into(),
                Source::Cgroup2 => "the container's cgroup2".into(),
                Source::HostCgroup2 => "the host's cgroup2".into(),
                Source::Mqueue => "mqueue".into(),
                Source::Host { path, .. } | Source::Home { path, .. } => path.display().to_string(),
                Source::Inside { path, .. } => format!("{} of the container", path.display()),
                Source::OldRoot { .. } => "the whole tree".into(),
                Source::Usr { .. } => "/usr of the tree".into(),
                Source::Overlay { .. } => "an overlay".into(),
                Source::Shared { what } => what.words().into(),
                Source::Inaccessible => "an inaccessible node".into(),
            };
            match part {
                Part::Open => format!("cannot open the mount point {target} in the container"),
                Part::Create => format!("cannot make the mount point {target} in the image"),
                Part::Type if errno == Errno::BUSY => {
                    format!("cannot mount {source} on {target}: it is the root directory")
                }
                Part::Type => format!("cannot mount {source} on {target}, which is of another type"),
                Part::Attributes => format!("cannot set the mount flags of {target}"),
                Part::Source if is_overlay(m) => {
                    format!("cannot open a layer of the overlay on {target}")
                }
                Part::Source => format!("cannot open {source}"),
                Part::Helper => format!("cannot start the helper that mounts {source}"),
                _ => format!("cannot mount {source} on {target}"),
            }
        }
    };
    (what, code)
}

fn init(plan: &Plan, record: &Record, errno: Errno) -> Diagnostic {
    let Some(step) = InitStep::of(record) else {
        return Diagnostic::new(Code::ChildStep, "the container's first process failed").errno(errno);
    };
    if let Some(d) = refused_by_filter(plan, step, errno) {
        return d;
    }
    match step {
        InitStep::Exec if record.part == Part::Helper => {
            Diagnostic::new(Code::ChildStep, "cannot execute the program that runs the payload").errno(errno)
        }
        InitStep::Exec => program(plan, errno),
        InitStep::Rlimit => {
            let limit = plan.limits.rlimits.iter().find(|l| i32::from(l.value.resource.number()) == record.value);
            match limit {
                Some(l) => Diagnostic::new(Code::ChildStep, format!("cannot set the resource limit {}", l.value))
                    .errno(errno)
                    .origin(&l.origin),
                None => Diagnostic::new(Code::ChildStep, "cannot set a resource limit").errno(errno),
            }
        }
        InitStep::WorkingDirectory => {
            let directory = plan.process.directory.as_ref().map_or_else(String::new, |d| format!(" {}", d.display()));
            Diagnostic::new(Code::ChildStep, format!("cannot enter the working directory{directory}"))
                .errno(errno)
                .help("name a directory that exists in the container with --chdir=")
        }
        InitStep::UserIds => {
            let d = Diagnostic::new(Code::ChildStep, "cannot become the user of the program").errno(errno);
            match &plan.process.user {
                Some((_, origin)) => d.origin(origin).help("the user's ids must lie within the container's range"),
                None => d,
            }
        }
        InitStep::Console | InitStep::Stdio => {
            let (what, help) = match step {
                InitStep::Console => {
                    ("open the console", "leave /dev of the container as it is, or use --console=pipe")
                }
                other => (other.what(), "leave /dev of the container as it is"),
            };
            let d = Diagnostic::new(Code::ChildStep, format!("cannot {what}")).errno(errno);
            let covers = |step: &&Step| {
                let on_dev = |m: &MountStep| Path::new("/dev").starts_with(&m.target) || m.target.starts_with("/dev");
                step.origin != Origin::Default && matches!(&step.action, Action::Mount(m) if on_dev(m))
            };
            match plan.steps.iter().rev().find(covers) {
                Some(step) => d.origin(&step.origin).help(help),
                None => d,
            }
        }
        InitStep::Affinity => {
            let d = Diagnostic::new(Code::ChildStep, "cannot set the CPU affinity").errno(errno);
            match &plan.limits.cpu_affinity {
                Some(a) => d.origin(&a.origin).help("name CPUs that this machine has and that are online"),
                None => d,
            }
        }
        InitStep::Label => {
            let d = Diagnostic::new(Code::ChildStep, "cannot set the SELinux label of the program").errno(errno);
            match &plan.labels.payload {
                Some(l) => d.origin(&l.origin).help("name a label of the loaded policy that our own may turn into"),
                None => d,
            }
        }
        other => {
            let d = Diagnostic::new(Code::ChildStep, format!("cannot {}", other.what())).errno(errno);
            match (other, errno) {
                (InitStep::CgroupNamespace | InitStep::MountNamespace, Errno::NOSPC) => {
                    d.help("raise the limits of namespaces below /proc/sys/user")
                }
                (InitStep::Keyring, Errno::DQUOT) => d.help("raise kernel.keys.root_maxkeys with sysctl(8)"),
                (InitStep::Seccomp, _) => d.help("use a kernel with seccomp filters (CONFIG_SECCOMP_FILTER)"),
                _ => d,
            }
        }
    }
}

/// From the moment the filter is there it holds for what is left of the start too; what it refuses fails with EPERM.
fn refused_by_filter(plan: &Plan, step: InitStep, errno: Errno) -> Option<Diagnostic> {
    let what = match step {
        InitStep::Capabilities | InitStep::UserIds | InitStep::DeathSignal | InitStep::NoNewPrivileges => step.what(),
        InitStep::Exec => "execute the program",
        _ => return None,
    };
    let edits = plan.filter.as_ref().map(|filter| filter.0.explain.edits.as_slice()).unwrap_or_default();
    let by = edits.iter().rev().find(|edit| edit.deny).filter(|_| errno == Errno::PERM)?;
    let d = Diagnostic::new(Code::ChildStep, format!("cannot {what}")).errno(errno).origin(&by.origin);
    let d = d.note("the filter of system calls holds for the last steps of the start as well");
    Some(d.help("leave capset, prctl, setresuid, setresgid, setgroups, execve and execveat to the container"))
}

fn program(plan: &Plan, errno: Errno) -> Diagnostic {
    let tried = match plan.process.mode {
        StartMode::Boot => "an init (/usr/lib/systemd/systemd, /lib/systemd/systemd or /sbin/init)".to_string(),
        _ => match plan.process.argv.first() {
            Some(word) => escape(word),
            None => "a shell (/bin/bash or /bin/sh)".into(),
        },
    };
    match errno {
        Errno::NOENT | Errno::NOTDIR => {
            Diagnostic::new(Code::PayloadNotFound, format!("cannot find {tried} in the container"))
                .errno(errno)
                .help("give a program that the image has, and check that its interpreter is there too")
        }
        _ => {
            let d = Diagnostic::new(Code::PayloadNotExecutable, format!("cannot execute {tried}")).errno(errno);
            match &plan.labels.payload {
                // The policy has the last word when the program starts, and the kernel does not say that it was the policy.
                Some(label) if matches!(errno, Errno::ACCESS | Errno::PERM) => d.origin(&label.origin).help(
                    "see whether the policy forbids it (ausearch -m avc, or denials in journalctl -k); check the program's mode",
                ),
                _ => d.help("check its mode, its format and the architecture of the image"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{build, testing};

    /// Every part of every step is worded, and nothing is said twice.
    #[test]
    fn a_part_is_said_once() {
        let plan = build(&testing::settings("--bind=/usr:/x"), &testing::facts()).unwrap();
        for (n, step) in plan.steps.iter().enumerate() {
            for part in Part::ALL.iter().copied() {
                let (kind, stage) = (Kind::Failed, Stage::Stager);
                let record = Record { kind, stage, part, step: n as u16, errno: libc::ENOENT, value: 0 };
                let said = failure(&plan, None, &record);
                let noted = said.to_string().lines().any(|line| line.trim() == part.what());
                let whole = failure(&plan, None, &Record { part: Part::Whole, ..record });
                let worded = said.headline() != whole.headline() || part == Part::Whole;
                assert_ne!(noted, worded, "{:?} {part:?}: {said}", step.action);
            }
        }
    }

    /// The kernel has the same two words for a mode that does not let a program run and for a policy that forbids it.
    #[test]
    fn a_label_may_be_why_a_program_does_not_start() {
        let mut f = testing::facts();
        f.host.selinux = true;
        for (options, errno, asked) in [
            ("-Z=u:r:t:s0", libc::EACCES, Some("-Z=u:r:t:s0")),
            ("-Z=u:r:t:s0 --no-new-privileges=yes", libc::EPERM, Some("-Z=u:r:t:s0")),
            ("-Z=u:r:t:s0", libc::ENOEXEC, None),
            ("", libc::EACCES, None),
        ] {
            let plan = build(&testing::settings(options), &f).unwrap();
            let said = program(&plan, Errno::from_raw_os_error(errno));
            assert_eq!(said.asked_by().map(ToString::to_string).as_deref(), asked, "{said}");
            assert_eq!(said.remedy().unwrap_or_default().contains("policy"), asked.is_some(), "{said}");
        }
    }

    /// What can be done about a mount point that cannot be made depends on whose it is.
    #[test]
    fn a_read_only_place_has_its_own_way_out() {
        let plan = build(&testing::settings("--bind=/usr:/sys/x --bind=/usr:/y"), &testing::facts()).unwrap();
        let help = |target: &str| {
            let on = |step: &Step| matches!(&step.action, Action::Mount(m) if m.target == Path::new(target));
            let n = plan.steps.iter().position(on).unwrap() as u16;
            let (kind, stage, part) = (Kind::Failed, Stage::Stager, Part::Create);
            let said = failure(&plan, None, &Record { kind, stage, part, step: n, errno: libc::EROFS, value: 0 });
            said.remedy().unwrap_or_default().to_owned()
        };
        assert_eq!(help("/sys/x"), "choose another place: nothing can be made below /proc and /sys");
        assert_eq!(help("/y"), "make the mount point in the image, or start without --read-only");
        let plan = build(&testing::settings("--volatile=state"), &testing::facts()).unwrap();
        let on_var = |step: &Step| matches!(&step.action, Action::Mount(m) if m.target == Path::new("/var"));
        let (kind, stage, part) = (Kind::Failed, Stage::Stager, Part::Create);
        let step = plan.steps.iter().position(on_var).unwrap() as u16;
        let said = failure(&plan, None, &Record { kind, stage, part, step, errno: libc::EROFS, value: 0 });
        assert!(said.remedy().unwrap_or_default().contains("--volatile="), "{said}");
    }
}
