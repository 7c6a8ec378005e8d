// SPDX-License-Identifier: LGPL-2.1-or-later
//! Words for what a child reported: the step is looked up in the plan, so that path, flags and origin are known.

use super::report::{InitStep, Part, Record, Stage};
use crate::error::{Code, Diagnostic};
use crate::model::StartMode;
use crate::plan::{Action, Plan, Source, escape};
use rustix::io::Errno;

/// The diagnostic for a failed or skipped step.
pub fn failure(plan: &Plan, record: &Record) -> Diagnostic {
    let errno = Errno::from_raw_os_error(record.errno);
    match record.stage {
        Stage::Stager => stager(plan, record, errno),
        Stage::Init => init(plan, record, errno),
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
    let (what, code) = describe(&step.action, record.part);
    let mut d = Diagnostic::new(code, what).errno(errno).origin(&step.origin);
    if record.part != Part::Whole {
        d = d.note(record.part.what());
    }
    if let Some(why) = step.optional {
        d = d.note(format!("the start goes on: {why}"));
    }
    match (record.part, errno) {
        (Part::Type, _) => d.help("a directory can only be mounted on a directory, a file on a file"),
        (Part::Create, Errno::ROFS) => d.help("make the mount point in the image, or start without --read-only"),
        (Part::Open, Errno::NOENT) => d.help("name a file or directory that the image has"),
        (Part::Open, Errno::LOOP) => d.help("the path leads through too many or through magic links in the image"),
        _ => d,
    }
}

fn describe(action: &Action, part: Part) -> (String, Code) {
    let code = if matches!(part, Part::Open | Part::Create | Part::Type) { Code::ImageObject } else { Code::Mount };
    let what = match action {
        Action::MountTree { source, .. } => format!("cannot mount the tree {}", source.display()),
        Action::MountOverlay { lower, .. } => format!("cannot mount a throw-away layer above {}", lower.display()),
        Action::PivotRoot => "cannot make the tree the root directory".into(),
        Action::WriteFile { path, .. } => format!("cannot write {} of the image", path.display()),
        Action::TimezoneLink { zone } => format!("cannot set the time zone {zone} in the image"),
        Action::Mount(m) => {
            let target = m.target.display();
            let source = match &m.source {
                Source::Tmpfs { .. } => "a tmpfs".to_string(),
                Source::Devpts => "devpts".into(),
                Source::Proc => "the container's procfs".into(),
                Source::Sysfs | Source::SysfsParts => "sysfs".into(),
                Source::Cgroup2 => "the container's cgroup2".into(),
                Source::Mqueue => "mqueue".into(),
                Source::Host { path, .. } => path.display().to_string(),
                Source::Inside { path, .. } => format!("{} of the container", path.display()),
                Source::Shared { what } => what.words().into(),
                Source::Inaccessible => "an inaccessible node".into(),
            };
            match part {
                Part::Open => format!("cannot open the mount point {target} in the image"),
                Part::Create => format!("cannot make the mount point {target} in the image"),
                Part::Type => format!("cannot mount {source} on {target}, which is of another type"),
                Part::Attributes => format!("cannot set the mount flags of {target}"),
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
        InitStep::Affinity => {
            let d = Diagnostic::new(Code::ChildStep, "cannot set the CPU affinity").errno(errno);
            match &plan.limits.cpu_affinity {
                Some(a) => d.origin(&a.origin).help("name CPUs that this machine has and that are online"),
                None => d,
            }
        }
        other => Diagnostic::new(Code::ChildStep, format!("cannot {}", other.what())).errno(errno),
    }
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
        _ => Diagnostic::new(Code::PayloadNotExecutable, format!("cannot execute {tried}"))
            .errno(errno)
            .help("check its mode, its format and the architecture of the image"),
    }
}
