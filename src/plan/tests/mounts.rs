// SPDX-License-Identifier: LGPL-2.1-or-later
//! What is mounted and written, where, how and when.

use super::*;
use crate::model::BindIdmap;
use crate::userdb::{Found, HostUser};

/// A step in words: what, flags, "late" and "optional" where it is that.
fn words(step: &Step) -> String {
    let mut words = match &step.action {
        Action::Mount(m) => {
            let source = match &m.source {
                Source::Tmpfs { options, .. } => format!("tmpfs({options})"),
                Source::Host { path, recursive, idmap } => {
                    let idmap = if *idmap == BindIdmap::None { "" } else { " idmap" };
                    format!("host {}{}{idmap}", path.display(), if *recursive { " recursive" } else { "" })
                }
                Source::Inside { path, .. } => format!("inside {}", path.display()),
                Source::Shared { what } => format!("shared {what:?}"),
                other => format!("{other:?}"),
            };
            format!("{source} {}{}", describe_attributes(m.attributes), if m.late { " late" } else { "" })
        }
        Action::WriteFile { source, how, .. } => format!("write {how:?} {}", source.display()),
        Action::TimezoneLink { zone } => format!("link {zone}"),
        Action::MountTree { read_only, idmap, .. } => format!("tree read_only={read_only} idmap={idmap}"),
        Action::MountOverlay { idmap, read_only, .. } => {
            format!("overlay idmap={idmap}{}", if *read_only { " ro" } else { "" })
        }
        Action::MountEmpty { options, .. } => format!("empty({options})"),
        Action::RemoveFile { .. } => "remove".into(),
        Action::PivotRoot => "pivot".into(),
        Action::CompleteRoot => "complete".into(),
    };
    if step.optional.is_some() {
        words += " optional";
    }
    words
}

fn place(step: &Step) -> &str {
    match &step.action {
        Action::Mount(m) => m.target.to_str().unwrap_or_default(),
        Action::WriteFile { path, .. } | Action::RemoveFile { path } => path.to_str().unwrap_or_default(),
        Action::TimezoneLink { .. } => "/etc/localtime",
        _ => "/",
    }
}

/// What the steps at this place do, in order; empty when there is none.
fn at(plan: &Plan, path: &str) -> String {
    let steps = plan.steps.iter().filter(|s| place(s) == path);
    steps.map(words).collect::<Vec<_>>().join("; ")
}

fn with_systemd() -> Facts {
    Facts { systemd: true, bus: true, ..facts() }
}

const RSD: &str = "nosuid,nodev,noexec";

#[test]
fn api_file_systems() {
    let ro = format!("ro,{RSD}");
    let rows = [
        ("", "/tmp", "tmpfs(mode=01777,size=10%,nr_inodes=400k) nosuid,nodev,strictatime".to_string()),
        ("", "/sys", format!("Sysfs {ro}")),
        ("--private-network", "/sys", format!("SysfsParts {ro} late")),
        ("", "/dev", "tmpfs(mode=0755,size=4m,nr_inodes=64k) nosuid,strictatime".into()),
        ("", "/dev/pts", "Devpts nosuid,noexec".into()),
        ("", "/dev/shm", "tmpfs(mode=01777,size=10%,nr_inodes=400k) nosuid,nodev,strictatime".into()),
        ("", "/dev/mqueue", format!("Mqueue {RSD} late optional")),
        ("", "/run", "tmpfs(mode=0755,size=20%,nr_inodes=800k) nosuid,nodev,strictatime".into()),
        ("", "/run/host", format!("tmpfs(mode=0755,size=4m,nr_inodes=1k) {ro}")),
        ("", "/proc", format!("Proc {RSD} late")),
        ("", "/proc/sys", format!("inside /proc/sys {ro} late")),
        ("", "/proc/sys/net", String::new()),
        ("--private-network", "/proc/sys/net", format!("inside /proc/sys/net {RSD} late")),
        ("-n", "/proc/sys/net", format!("inside /proc/sys/net {RSD} late")),
        ("", "/proc/kcore", format!("Inaccessible {ro} late")),
        ("", "/proc/irq", format!("inside /proc/irq {ro} late")),
        ("", "/proc/kmsg", format!("inside /run/host/proc-kmsg {ro} late")),
        ("", "/sys/fs/cgroup", format!("Cgroup2 {RSD} late optional")),
        ("", "/sys/fs/selinux", String::new()),
        ("", "/run/host/credentials", String::new()),
    ];
    for (line, path, expected) in rows {
        assert_eq!(at(&plan(line, &facts()), path), expected, "{line} {path}");
    }
    let mut s = settings("");
    s.tmpfs_tmp = from_environment("SYSTEMD_NSPAWN_TMPFS_TMP", false);
    assert_eq!(at(&build(&s, &facts()).unwrap(), "/tmp"), "");
    s.tmpfs_tmp = from_environment("SYSTEMD_NSPAWN_TMPFS_TMP", true);
    assert!(at(&build(&s, &facts()).unwrap(), "/tmp").starts_with("tmpfs"));
}

fn said(name: &str, value: &str, line: &str) -> Result<Plan, Vec<Diagnostic>> {
    let mut s = settings(line);
    let refused = crate::config::keys::environment::apply_environment(&mut s, &[(name.into(), value.into())]);
    assert!(refused.is_empty(), "{refused:?}");
    build(&s, &facts())
}

/// As systemd-nspawn mounts them; the compat lines compare.
#[test]
fn api_file_systems_that_can_be_written_to() {
    let (rw, ro) = (RSD.to_string(), format!("ro,{RSD}"));
    let net = format!("inside /proc/sys/net {RSD} late");
    let sys = |at: &str| format!("inside /proc/sys {at} late");
    for (value, line, at_sys, at_proc_sys, at_net, kcore) in [
        ("no", "", format!("Sysfs {ro}"), sys(&ro), String::new(), true),
        ("yes", "--private-users=no", format!("Sysfs {rw}"), String::new(), String::new(), false),
        ("1", "--private-users=no -n", format!("SysfsParts {rw} late"), String::new(), String::new(), false),
        ("network", "--private-users=no", format!("SysfsParts {ro} late"), sys(&ro), net.clone(), true),
        ("network", "-U -n", format!("SysfsParts {ro} late"), sys(&ro), net.clone(), true),
    ] {
        let plan = said("SYSTEMD_NSPAWN_API_VFS_WRITABLE", value, line).unwrap();
        assert_eq!(at(&plan, "/sys"), at_sys, "{value} {line}");
        assert_eq!(at(&plan, "/proc/sys"), at_proc_sys, "{value} {line}");
        assert_eq!(at(&plan, "/proc/sys/net"), at_net, "{value} {line}");
        assert_eq!(!at(&plan, "/proc/kcore").is_empty(), kcore, "{value} {line}");
        assert!(!at(&plan, "/proc/kmsg").is_empty(), "{value} {line}");
    }
    let shown = explain(&said("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes", "--private-users=no").unwrap());
    assert!(shown.contains(&format!("mount sysfs on /sys {RSD}  [$SYSTEMD_NSPAWN_API_VFS_WRITABLE]")), "{shown}");
}

#[test]
fn a_user_namespace_and_a_host_that_can_be_written_to_exclude_each_other() {
    let name = "SYSTEMD_NSPAWN_API_VFS_WRITABLE";
    for (value, line, wrong) in [
        ("yes", "-U", true),
        ("yes", "-U -n", true),
        ("network", "-U", true),
        ("network", "-U --private-network", false),
        ("no", "-U", false),
    ] {
        let found: Vec<_> = said(name, value, line).err().into_iter().flatten().map(|d| d.headline()).collect();
        let expected = format!("${name} and -U exclude each other");
        assert_eq!(found, if wrong { vec![expected] } else { Vec::new() }, "{value} {line}");
    }
    // Nobody has asked for the namespace: it is given up, and that is told.
    let plan = said(name, "yes", "").unwrap();
    assert_eq!(plan.user_namespace, UserNamespace::None);
    assert!(
        plan.notices.iter().any(|n| n.contains(name) && n.contains("without a user namespace")),
        "{:?}",
        plan.notices
    );
    assert!(said(name, "network", "-n").unwrap().user_namespace.is_some());
}

#[test]
fn without_a_cgroup_namespace_the_hosts_hierarchy_is_seen() {
    let plan = said("SYSTEMD_NSPAWN_USE_CGNS", "no", "").unwrap();
    assert!(!plan.cgroup_namespace);
    assert_eq!(at(&plan, "/sys/fs/cgroup"), format!("HostCgroup2 {RSD} late optional"));
    let shown = explain(&plan);
    assert!(shown.contains("on /sys/fs/cgroup nosuid,nodev,noexec  [$SYSTEMD_NSPAWN_USE_CGNS]"), "{shown}");
    let plan = said("SYSTEMD_NSPAWN_USE_CGNS", "yes", "").unwrap();
    assert!(plan.cgroup_namespace);
    assert_eq!(at(&plan, "/sys/fs/cgroup"), format!("Cgroup2 {RSD} late optional"));
}

#[test]
fn selinux_is_shown_where_the_host_has_it_and_read_only() {
    let mut f = facts();
    f.host.selinux = true;
    let mount = format!("host /sys/fs/selinux ro,{RSD}");
    assert_eq!(at(&plan("", &f), "/sys/fs/selinux"), format!("{mount} optional"));
    let private = plan("--private-network", &f);
    assert_eq!(at(&private, "/sys/fs/selinux"), format!("{mount} late optional"));
    let position = |path| private.steps.iter().position(|s| place(s) == path);
    assert!(position("/sys") < position("/sys/fs/selinux"));
}

#[test]
fn credentials_are_for_root_unless_nobody_else_can_gain_by_it() {
    for (line, mode) in [
        ("", "mode=0500"),
        ("-u=root --no-new-privileges=yes", "mode=0500"),
        ("-u=0 --no-new-privileges=yes", "mode=0500"),
        ("-u=user", "mode=0500"),
        ("-u=user --no-new-privileges=yes -b", "mode=0500"),
        ("-u=user --no-new-privileges=yes -a", "mode=0555"),
        ("-u=user --no-new-privileges=yes", "mode=0555"),
    ] {
        let plan = plan(&format!("--set-credential=a:b {line}"), &facts());
        assert_eq!(at(&plan, "/run/host/credentials"), format!("tmpfs({mode}) ro,{RSD}"), "{line}");
        let told = plan.warnings.iter().any(|w| w.contains("user user cannot read the credentials"));
        assert_eq!(told, line.contains("-u=user") && mode == "mode=0500", "{line}: {:?}", plan.warnings);
    }
    let below_a_stub = settings("--set-credential=a:b -u=user --no-new-privileges=yes -a");
    let nspawn = Settings { invocation: Invocation::SystemdNspawn, ..below_a_stub };
    let plan = build(&nspawn, &facts()).unwrap();
    assert!(at(&plan, "/run/host/credentials").contains("mode=0500") && plan.warnings.is_empty());
}

#[test]
fn what_host_and_container_share() {
    const INCOMING: &str = "/run/host/incoming";
    const EXPORT: &str = "/run/host/unix-export";
    const JOURNAL: &str = "/var/log/journal";
    use Invocation::{Spawn, SystemdNspawn};
    let rows: &[(Invocation, bool, &str, &[&str])] = &[
        (Spawn, false, "--private-users=no -b", &[JOURNAL]),
        (Spawn, true, "--private-users=no -b", &[INCOMING, EXPORT, JOURNAL]),
        (Spawn, true, "--private-users=no", &[INCOMING, JOURNAL]),
        (Spawn, true, "--private-users=pick -b", &[EXPORT, JOURNAL]),
        (Spawn, true, "--private-users=no -b --register=no", &[JOURNAL]),
        (Spawn, true, "--private-users=no -b --link-journal=no", &[INCOMING, EXPORT]),
        (Spawn, true, "--private-users=no -b -x", &[INCOMING, EXPORT]),
        (SystemdNspawn, false, "", &[JOURNAL]),
        (SystemdNspawn, true, "", &[INCOMING, EXPORT, JOURNAL]),
        (SystemdNspawn, true, "--register=no", &[INCOMING, EXPORT, JOURNAL]),
        (SystemdNspawn, true, "--private-users=pick", &[EXPORT, JOURNAL]),
    ];
    for (invocation, systemd, line, expected) in rows {
        let f = Facts { systemd: *systemd, bus: *systemd, ..facts() };
        let plan = build(&Settings { invocation: *invocation, ..settings(line) }, &f).unwrap();
        let shared = plan.steps.iter().filter(|s| words(s).starts_with("shared"));
        assert_eq!(shared.map(place).collect::<Vec<_>>(), *expected, "{invocation:?} {systemd} {line}");
        assert!(plan.steps.iter().filter(|s| words(s).starts_with("shared")).all(|s| s.optional.is_some()));
    }
    let plan = plan("-b --private-users=no", &with_systemd());
    assert_eq!(at(&plan, INCOMING), "shared Incoming ro optional");
    assert_eq!(at(&plan, EXPORT), format!("shared UnixExport {RSD},nosymfollow optional"));
}

#[test]
fn what_was_asked_for() {
    let rows = [
        ("--bind=/a:/m", "/m", "host /a recursive rw"),
        ("--bind-ro=/a:/m", "/m", "host /a recursive ro"),
        ("--bind=/a:/m:norbind", "/m", "host /a rw"),
        ("--bind=/a:/m:idmap", "/m", "host /a recursive idmap rw"),
        ("--bind=+/a:/m", "/m", "inside /a rw"),
        ("--bind=:/m", "/m", "tmpfs(mode=0755) rw"),
        ("--tmpfs=/m:size=1M", "/m", "tmpfs(size=1M) nodev,strictatime"),
        ("--inaccessible=/m", "/m", "Inaccessible ro,nosuid,nodev,noexec"),
        ("--bind-ro=/a:/proc/m", "/proc/m", "host /a recursive ro late"),
    ];
    for (line, path, expected) in rows {
        let plan = plan(line, &facts());
        assert_eq!(at(&plan, path), expected, "{line}");
        let step = plan.steps.iter().find(|s| place(s) == path).unwrap();
        assert_eq!(step.origin, Origin::Option(line.into()));
    }
    let plan = plan("--bind=/a:/x/y/z --tmpfs=/x/y --bind=/b:/proc/x --inaccessible=/x", &facts());
    let places: Vec<&str> = plan.steps.iter().map(place).filter(|p| p.contains("/x")).collect();
    assert_eq!(places, ["/x", "/x/y", "/x/y/z", "/proc/x"]);
}

#[test]
fn the_tree() {
    let rows = [
        ("--private-users=no", "tree read_only=false idmap=false"),
        ("", "tree read_only=false idmap=true"),
        ("--private-users-ownership=off", "tree read_only=false idmap=false"),
        ("--private-users=65536", "tree read_only=false idmap=false"),
        ("--private-users=65536 --private-users-ownership=map", "tree read_only=false idmap=true"),
        ("--read-only", "tree read_only=true idmap=true"),
        ("-x", "overlay idmap=true"),
        ("-x --private-users=no", "overlay idmap=false"),
        ("-x --read-only", "overlay idmap=true ro"),
    ];
    for (line, expected) in rows {
        assert_eq!(at(&plan(line, &facts()), "/"), format!("{expected}; pivot; complete optional"), "{line}");
    }
    for (line, origin) in
        [("", Origin::Default), ("-M=m", Origin::Option("-M=m".into())), ("-M=m -D=/t", Origin::Option("-D=/t".into()))]
    {
        assert_eq!(plan(line, &facts()).steps[0].origin, origin, "{line}");
    }
}

#[test]
fn resolv_conf() {
    let mut f = facts();
    f.host.resolv_conf = Some("/h".into());
    let read_only = |path: &str| format!("host {path} ro,nosuid,nodev optional");
    let rows = [
        ("", "write Truncate /h optional".to_string()),
        ("--resolv-conf=auto --private-network", String::new()),
        ("--resolv-conf=off", String::new()),
        ("--resolv-conf=copy-host --private-network", "write Truncate /etc/resolv.conf optional".into()),
        ("--resolv-conf=copy-static", "write Truncate /usr/lib/systemd/resolv.conf optional".into()),
        ("--resolv-conf=copy-uplink", "write Truncate /run/systemd/resolve/resolv.conf optional".into()),
        ("--resolv-conf=copy-stub", "write Truncate /run/systemd/resolve/stub-resolv.conf optional".into()),
        ("--read-only", read_only("/h")),
        ("--read-only -x", read_only("/h")),
    ];
    for (line, expected) in rows {
        assert_eq!(at(&plan(line, &f), "/etc/resolv.conf"), expected, "{line}");
    }
    f.tree.read_only = true;
    assert_eq!(at(&plan("", &f), "/etc/resolv.conf"), read_only("/h"));
    assert_eq!(at(&plan("-x", &f), "/etc/resolv.conf"), "write Truncate /h optional");
    assert_eq!(at(&plan("", &facts()), "/etc/resolv.conf"), "remove optional");
}

#[test]
fn time_zone() {
    let mut f = facts();
    f.host.localtime = true;
    let copy = "write Replace /etc/localtime optional";
    let bind = "host /etc/localtime ro,nosuid,nodev optional";
    assert_eq!(at(&plan("", &f), "/etc/localtime"), copy);
    f.host.zone = Some("Europe/Berlin".into());
    for (line, expected) in [
        ("", "link Europe/Berlin optional"),
        ("--timezone=auto", "link Europe/Berlin optional"),
        ("--timezone=copy", copy),
        ("--timezone=off", ""),
        ("--read-only", bind),
        ("--read-only -x", bind),
        ("-x", "link Europe/Berlin optional"),
        ("--timezone=copy --read-only", bind),
    ] {
        assert_eq!(at(&plan(line, &f), "/etc/localtime"), expected, "{line}");
    }
    assert_eq!(at(&plan("--timezone=copy", &facts()), "/etc/localtime"), "");
}

/// In the order of their targets, whoever asks for them: what is mounted first is not covered.
#[test]
fn d25_homes_of_bound_users_are_mounted_in_their_turn() {
    let mut f = facts();
    let user = |name: &str| HostUser {
        name: name.into(),
        uid: 1000,
        gid: 1000,
        group: name.into(),
        home: format!("/home/{name}").into(),
        ..HostUser::default()
    };
    f.users.found = ["u", "t"].map(|name| (name.into(), Found::Known(Box::new(user(name))))).into();
    let line = "--bind-user=u --bind-user=t --bind=/a:/run/host/home/u/in-it --tmpfs=/run/host/home --bind=/z";
    let plan = plan(line, &f);
    let places =
        ["/run/host", "/run/host/home", "/run/host/home/t", "/run/host/home/u", "/run/host/home/u/in-it", "/z"];
    let order: Vec<&str> = plan.steps.iter().map(place).filter(|at| places.contains(at)).collect();
    assert_eq!(order, places);
}
