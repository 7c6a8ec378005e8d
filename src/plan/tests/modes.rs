// SPDX-License-Identifier: LGPL-2.1-or-later
//! Kinds of roots, and of files of the host in them.

use super::*;
use crate::plan::mounts::steps;

/// What is done about a path, in the words of `--dry-run=json`; the root with its first two steps.
fn of(line: &str, change: impl FnOnce(&mut Facts), path: &str) -> Vec<String> {
    let mut f = facts();
    f.host.localtime = true;
    f.host.resolv_conf = Some("/etc/resolv.conf".into());
    change(&mut f);
    let s = settings(line);
    let user = UserNamespace::Fixed { range: UidRange { base: 0x80000, size: 65536 }, idmap: true };
    let words = |step: &Step| match &step.action {
        Action::MountTree { read_only, .. } => format!("tree {}", if *read_only { "ro" } else { "rw" }),
        Action::MountOverlay { .. } => "overlay".into(),
        Action::MountEmpty { .. } => "empty".into(),
        Action::PivotRoot => "pivot".into(),
        Action::CompleteRoot => "complete".into(),
        Action::Mount(m) => format!("{} {:?} {:?}", m.target.display(), m.source, m.missing),
        Action::WriteFile { path, source, how } => format!("{} {} {how:?}", path.display(), source.display()),
        Action::RemoveFile { path } => format!("{} removed", path.display()),
        Action::TimezoneLink { zone } => format!("/etc/localtime -> {zone}"),
    };
    let all: Vec<String> =
        steps(&s, &f, &user, &crate::plan::network::network(&s, &f, None).0, &[]).iter().map(words).collect();
    match path {
        "/" => all.into_iter().filter(|words| words != "complete").take(3).collect(),
        "" => all,
        path => all.into_iter().filter(|words| words.starts_with(&format!("{path} "))).collect(),
    }
}

#[test]
fn roots() {
    let root = |line: &str| of(line, |_| {}, "/");
    let third = |line: &str| root(line)[2].clone();
    for (line, first) in [
        ("", "tree rw"),
        ("--read-only", "tree ro"),
        ("-x", "overlay"),
        ("--volatile=no", "tree rw"),
        ("--volatile=overlay", "overlay"),
        ("--volatile=overlay -x", "overlay"),
        ("--volatile=state", "tree ro"),
        ("--volatile=state -x", "tree ro"),
        ("--volatile", "empty"),
        ("--volatile=yes -x", "empty"),
    ] {
        assert_eq!(root(line)[..2], [first, "pivot"], "{line}");
    }
    assert_eq!(third("--volatile"), "/usr Usr { idmap: true } Create");
    assert!(third("--volatile=state").starts_with("/var Tmpfs"), "{}", third("--volatile=state"));
    assert!(third("--volatile=overlay").starts_with("/tmp "), "{}", third("--volatile=overlay"));
    assert_eq!(third("--pivot-root=/new:/old"), "/old OldRoot { read_only: false, idmap: true } Fail");
    assert!(third("--pivot-root=/new").starts_with("/tmp "));
    // What leads into /usr needs it, and API file systems need what they are mounted on.
    let order = of("--volatile --pivot-root=/new", |_| {}, "");
    let at = |start: &str| order.iter().position(|words| words.starts_with(start)).unwrap();
    assert!(at("/usr") < at("complete") && at("complete") < at("/tmp"), "{order:?}");
}

#[test]
fn name_servers() {
    let conf = |line: &str| of(line, |_| {}, "/etc/resolv.conf").concat();
    for (line, expected) in [
        ("", "/etc/resolv.conf /etc/resolv.conf Truncate"),
        ("--resolv-conf=off", ""),
        ("--resolv-conf=delete", "/etc/resolv.conf removed"),
        ("--resolv-conf=copy-stub", "/etc/resolv.conf /run/systemd/resolve/stub-resolv.conf Truncate"),
        ("--resolv-conf=replace-uplink", "/etc/resolv.conf /run/systemd/resolve/resolv.conf Replace"),
        ("--resolv-conf=replace-host --volatile", "/etc/resolv.conf /etc/resolv.conf Replace"),
    ] {
        assert_eq!(conf(line), expected, "{line}");
    }
    for (line, missing) in [
        ("--resolv-conf=bind-host", "Create"),
        ("--resolv-conf=bind-host --read-only", "Fail"),
        ("--read-only", "Fail"),
    ] {
        let said = conf(line);
        assert!(said.starts_with("/etc/resolv.conf Host") && said.ends_with(missing), "{line}: {said}");
    }
    let without = |line: &str| of(line, |f| f.host.resolv_conf = None, "/etc/resolv.conf").concat();
    assert_eq!((without(""), without("--read-only")), ("/etc/resolv.conf removed".into(), String::new()));
}

#[test]
fn time_zones() {
    let zone = |line: &str| of(line, |f| f.host.zone = Some("Etc/UTC".into()), "/etc/localtime").concat();
    let bind = "/etc/localtime Host { path: \"/etc/localtime\", recursive: false, idmap: None }";
    for (line, expected) in [
        ("", "/etc/localtime -> Etc/UTC".to_string()),
        ("--timezone=symlink", "/etc/localtime -> Etc/UTC".into()),
        ("--timezone=symlink --read-only", format!("{bind} Fail")),
        ("--read-only", format!("{bind} Fail")),
        ("--timezone=bind", format!("{bind} Create")),
        ("--timezone=copy", "/etc/localtime /etc/localtime Replace".into()),
        ("--timezone=delete", "/etc/localtime removed".into()),
        ("--timezone=off", String::new()),
    ] {
        assert_eq!(zone(line), expected, "{line}");
    }
    let without = |line: &str| of(line, |f| f.host.localtime = false, "/etc/localtime").concat();
    assert_eq!((without(""), without("--timezone=bind")), ("/etc/localtime removed".into(), String::new()));
    assert_eq!(without("--read-only"), "");
}

#[test]
fn layers_are_mapped_as_the_tree_is() {
    let mapped = |invocation, idmap| {
        let user = UserNamespace::Fixed { range: UidRange { base: 0x80000, size: 65536 }, idmap };
        let s = Settings { invocation, ..settings("--overlay=/l:/u:/m") };
        let overlay = steps(&s, &facts(), &user, &crate::plan::network::network(&s, &facts(), None).0, &[])
            .into_iter()
            .find_map(|step| match step.action {
                Action::Mount(MountStep { source: Source::Overlay { owners, .. }, .. }) => Some(owners),
                _ => None,
            });
        overlay.expect("there is one")
    };
    assert_eq!(mapped(Invocation::Spawn, true), LayerOwners::Mapped);
    assert_eq!(mapped(Invocation::SystemdNspawn, true), LayerOwners::MappedIfPossible);
    assert_eq!(mapped(Invocation::Spawn, false), LayerOwners::Unmapped);
}
