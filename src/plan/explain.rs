// SPDX-License-Identifier: LGPL-2.1-or-later
//! A plan in words (`--dry-run`).

use super::{Action, MissingHome, Network, Plan, SharedNamespace, Source, Unit, UserNamespace, describe_attributes};
use crate::error::Origin;
use crate::model::BindSource;
use crate::model::shown::escape;
use crate::supervise::{Background, Dress};
use std::fmt::Write as _;

/// The plan as text, a line for each thing that is done, with who asked for it.
pub fn explain(plan: &Plan) -> String {
    let mut out = String::new();
    let mut line = |key: &str, value: String| {
        // A file next to the image may name anything, and a terminal obeys what it is sent.
        let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
        let value: String = value.chars().map(shown).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{key:<12} {value}");
    };
    let by = |part: &str| plan.asked.words(part);
    line("machine", format!("{}{}", plan.machine, by("machine")));
    line("hostname", format!("{}{}", plan.hostname, by("hostname")));
    line("tree", format!("{}{}", plan.tree.path.display(), by("tree")));
    if let Some(id) = plan.uuid {
        line("id", format!("{}{}", id.dashed(), by("id")));
    }
    line("users", format!("{}{}", users(plan), by("users")));
    if let Some(template) = &plan.tree.template {
        line("template", format!("the tree is made after {}{}", template.value.display(), asked(&template.origin)));
    }
    if let Some(origin) = &plan.tree.give {
        line("owners", format!("all files of the tree are given to the range{}", asked(origin)));
    }
    line("network", network(&plan.network));
    for link in &plan.network.links {
        line("link", format!("{}{}", link.value, asked(&link.origin)));
    }
    for port in &plan.network.ports {
        line("port", format!("{}{}", port.value, asked(&port.origin)));
    }
    for shared in &plan.shared {
        let what = match shared.value {
            SharedNamespace::Ipc => "the host's IPC namespace",
            SharedNamespace::Uts => "the host's name and UTS namespace",
        };
        line("shared", format!("{what}{}", asked(&shared.origin)));
    }
    line("unit", format!("{}{}", unit(&plan.unit), by("unit")));
    line("machined", format!("{}{}", plan.register, by("machined")));
    line("journal", format!("{}{}", plan.link_journal, by("journal")));
    if let Some(forward) = &plan.forward_journal {
        line("forwarded", format!("the journal {forward}{}", by("forwarded")));
    }
    line("console", format!("{}{}", plan.console, by("console")));
    if let Some(Dress { look: Some(look), .. }) = &plan.dress {
        let background = match &look.background {
            Background::None => "its own background".to_string(),
            Background::Colour(colour) => format!("background {colour}"),
            Background::Tint => "its background tinted blue".into(),
        };
        let title = look.title.as_ref().map_or_else(String::new, |t| format!(", title \"{}\"", t.text));
        line("terminal", format!("{background}{title}{}", by("terminal")));
    }
    let gains = if plan.no_new_privileges { ", none can be gained" } else { "" };
    line("caps", format!("{}{gains}{}", plan.capabilities.bounding, by("caps")));
    let filter = match &plan.filter {
        None => "none: every system call is allowed".into(),
        Some(f) => {
            let abis = f.0.explain.abis.iter().map(|a| format!("{} of {} calls of {}", a.allowed, a.known, a.abi));
            format!("allows {}", abis.collect::<Vec<_>>().join(", "))
        }
    };
    line("filter", format!("{filter}{}", by("filter")));
    for (key, label) in [("label", &plan.labels.payload), ("API label", &plan.labels.api_file_systems)] {
        if let Some(label) = label {
            line(key, format!("{}{}", label.value, asked(&label.origin)));
        }
    }
    for step in &plan.steps {
        let optional = step.optional.map_or_else(String::new, |why| format!(" (optional: {why})"));
        line("step", format!("{}{}{optional}", action(&step.action), asked(&step.origin)));
    }
    let words: Vec<_> = plan.process.argv.iter().map(|w| escape(w)).collect();
    line("program", format!("{} {}{}", plan.process.mode, words.join(" "), by("program")));
    if let Some(directory) = &plan.process.directory {
        line("directory", format!("{}{}", directory.display(), by("directory")));
    }
    if let Some(signal) = plan.process.kill_signal {
        line("signal", format!("{signal}{}", by("signal")));
    }
    if plan.notify_ready {
        line("ready", format!("when the payload says so{}", by("ready")));
    }
    if plan.fd_store {
        line("fd store", "what the payload stores is kept by our service manager  [$FDSTORE]".into());
    }
    if let Some((user, origin)) = &plan.process.user {
        let home = match plan.process.missing_home {
            MissingHome::Left => "",
            MissingHome::MadeIfPossible | MissingHome::Made => ", whose home is made if it is missing",
        };
        line("user", format!("{user}{home}{}", asked(origin)));
    }
    for (name, _) in &plan.process.extra_environment.0 {
        line("variable", format!("{name}{}", by(&format!("variable {name}"))));
    }
    for credential in &plan.credentials {
        line("credential", format!("{}{}", credential.value.id, asked(&credential.origin)));
    }
    for limit in plan.limits.rlimits.iter().filter(|l| l.origin != Origin::Default) {
        line("limit", format!("{}{}", limit.value, asked(&limit.origin)));
    }
    if let Some(adjust) = &plan.limits.oom_score_adjust {
        line("limit", format!("OOM score adjustment {}{}", adjust.value, asked(&adjust.origin)));
    }
    if let Some(cpus) = &plan.limits.cpu_affinity {
        line("limit", format!("CPUs {}{}", cpus.value, asked(&cpus.origin)));
    }
    if let Some(personality) = &plan.limits.personality {
        line("limit", format!("personality {}{}", personality.value, asked(&personality.origin)));
    }
    for warning in &plan.warnings {
        line("warning", warning.clone());
    }
    for notice in &plan.notices {
        line("notice", notice.clone());
    }
    for remark in &plan.remarks {
        line("remark", remark.clone());
    }
    out
}

fn asked(origin: &Origin) -> String {
    match origin {
        Origin::Default => "  [default]".into(),
        other => format!("  [{other}]"),
    }
}

fn network(network: &Network) -> String {
    let asked = asked(&network.origin);
    match &network.join {
        Some(path) => format!("that of {}{asked}", path.value.display()),
        None if !network.private => format!("the host's{asked}"),
        None if network.links.is_empty() => format!("its own, loopback only{asked}"),
        None => format!("its own{asked}"),
    }
}

fn unit(unit: &Unit) -> String {
    match unit {
        Unit::Scope { name, slice, properties, .. } => {
            let set: String = properties.iter().map(|p| format!(", {}={}", p.value.name, p.value.value)).collect();
            format!("the scope {name} in {slice}{set}")
        }
        Unit::Keep => "that of the caller".into(),
        Unit::Own { .. } => "none, a control group of its own".into(),
    }
}

fn users(plan: &Plan) -> String {
    match &plan.user_namespace {
        UserNamespace::None => "the host's: the container's root is the host's root".into(),
        UserNamespace::Fixed { range, idmap } => {
            format!("{} ids from {} on{}", range.size, range.base, if *idmap { ", the tree idmapped" } else { "" })
        }
        UserNamespace::Pick { idmap, .. } => {
            format!("a free range of ids{}", if *idmap { ", the tree idmapped" } else { "" })
        }
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::MountTree { source, read_only, .. } => {
            format!("mount {} on / {}", source.display(), if *read_only { "ro" } else { "rw" })
        }
        Action::MountOverlay { lower, read_only, .. } => {
            let how = if *read_only { " ro" } else { "" };
            format!("mount a throw-away layer above {} on /{how}", lower.display())
        }
        Action::MountEmpty { options, .. } => format!("mount an empty root (tmpfs, {options}) on /"),
        Action::PivotRoot => "make it the root directory".into(),
        Action::CompleteRoot => "make what is missing of its usual directories and links into /usr".into(),
        Action::WriteFile { path, source, .. } => format!("copy {} to {}", source.display(), path.display()),
        Action::RemoveFile { path } => format!("remove {}", path.display()),
        Action::TimezoneLink { zone } => format!("point /etc/localtime at {zone}"),
        Action::Mount(m) => {
            let what = match &m.source {
                Source::Tmpfs { options, .. } => format!("tmpfs ({options})"),
                Source::Devpts => "devpts".into(),
                Source::Proc => "proc".into(),
                Source::Sysfs => "sysfs".into(),
                Source::SysfsParts => "parts of its own sysfs".into(),
                Source::Cgroup2 => "cgroup2".into(),
                Source::HostCgroup2 => "the host's cgroup2 (its own group can be changed)".into(),
                Source::Mqueue => "mqueue".into(),
                Source::Host { path, .. } => path.display().to_string(),
                Source::Home { path, owner, seen_as } => {
                    format!("{} (user {} as user {seen_as})", path.display(), owner.0)
                }
                Source::Inside { path, .. } => format!("{} of the container", path.display()),
                Source::Inaccessible => return format!("make {} inaccessible", m.target.display()),
                Source::OldRoot { .. } => "the whole tree".into(),
                Source::Usr { .. } => "/usr of the tree".into(),
                Source::Overlay { lower, upper, .. } => overlay(lower, upper),
                Source::Shared { what } => what.words().into(),
            };
            format!("mount {what} on {} {}", m.target.display(), describe_attributes(m.attributes))
        }
    }
}

fn overlay(lower: &[BindSource], upper: &BindSource) -> String {
    let layer = |layer: &BindSource| match layer {
        BindSource::Host(path) => path.display().to_string(),
        BindSource::Image(path) => format!("{} of the container", path.display()),
        BindSource::Temporary => "a temporary directory".into(),
    };
    let layers: Vec<_> = lower.iter().chain([upper]).map(layer).collect();
    format!("an overlay of {}", layers.join(", "))
}
