// SPDX-License-Identifier: LGPL-2.1-or-later
//! The machine's name and ids, its unit, and what keeps a plan from being made.

use super::*;

fn on_systemd() -> Facts {
    Facts { systemd: true, bus: true, ..facts() }
}

/// A unit in words.
fn unit(line: &str, f: &Facts) -> String {
    match plan(&format!("-M=m {line}"), f).unit {
        Unit::Scope { name, slice, properties, fallback, .. } => {
            format!("{name} in {slice}, {} properties, fallback={fallback}", properties.len())
        }
        Unit::Keep => "keep".into(),
        Unit::Own { .. } => "own".into(),
    }
}

#[test]
fn units() {
    let (here, bare) = (on_systemd(), facts());
    let no_bus = Facts { bus: false, ..on_systemd() };
    for (line, f, expected) in [
        ("", &here, "m.scope in machine.slice, 0 properties, fallback=true"),
        ("--scope=auto", &here, "m.scope in machine.slice, 0 properties, fallback=true"),
        ("--scope=require", &here, "m.scope in machine.slice, 0 properties, fallback=false"),
        ("--scope=require", &bare, "m.scope in machine.slice, 0 properties, fallback=false"),
        ("--slice=x.slice --property=TasksMax=5", &here, "m.scope in x.slice, 1 properties, fallback=true"),
        ("--scope=no", &here, "own"),
        ("", &bare, "own"),
        ("", &no_bus, "own"),
        ("--keep-unit", &here, "keep"),
        ("--keep-unit", &bare, "keep"),
    ] {
        assert_eq!(unit(line, f), expected, "{line} systemd={} bus={}", f.systemd, f.bus);
    }
}

#[test]
fn what_has_no_effect_is_told() {
    let effect = "--property=TasksMax=5 has no effect";
    let nobody = "there is no systemd to ask";
    for (line, f, expected) in [
        ("--private-users=no", on_systemd(), &[][..]),
        ("--private-users=no --property=TasksMax=5", on_systemd(), &[]),
        ("--private-users=no --keep-unit", facts(), &[]),
        ("--private-users=no --keep-unit --property=TasksMax=5", on_systemd(), &[effect]),
        ("--private-users=no --scope=no", facts(), &[]),
        ("--private-users=no", facts(), &[nobody]),
        ("--private-users=no --property=TasksMax=5", facts(), &[nobody, effect]),
    ] {
        let notices = plan(line, &f).notices;
        let fits = notices.len() == expected.len() && notices.iter().zip(expected).all(|(n, e)| n.starts_with(e));
        assert!(fits, "{line}: {notices:?}");
    }
}

#[test]
fn device_nodes_that_are_bound_may_be_used() {
    let line = "--bind=/dev/fb0 --bind-ro=/dev/sda:/x --bind=/devices --bind=+/dev/y --tmpfs=/z";
    let expected = [("/dev/fb0".into(), "rw"), ("/dev/sda".into(), "r")];
    for f in [on_systemd(), facts()] {
        match plan(line, &f).unit {
            Unit::Scope { devices, .. } | Unit::Own { devices } => assert_eq!(devices, expected),
            Unit::Keep => panic!(),
        }
    }
}

#[test]
fn names() {
    let mut f = facts();
    let name = |line: &str, f: &Facts| plan(line, f).machine.to_string();
    // What a link leads to is not what the machine is called after.
    f.tree.named = "/var/lib/machines/deb_ian".into();
    assert_eq!(name("", &f), "debian");
    assert_eq!(name("-M=other", &f), "other");
    assert_eq!(name("-x", &f), "debian-0000000000000007");
    assert_eq!(name("-x -M=other", &f), "other");
    f.tree.named = format!("/{}", "a".repeat(64)).into();
    assert_eq!(name("-x", &f), format!("{}-0000000000000007", "a".repeat(47)));
    f.tree.is_host_root = true;
    assert_eq!(name("-x", &f), "host-0000000000000007");
    f.tree = facts().tree;
    f.tree.named = "/___".into();
    assert_eq!(wrong(&settings(""), &f), ["no machine name can be made of /___"]);
}

#[test]
fn ids_and_host_names() {
    let id = |text: &str| Some(text.parse::<Id128>().unwrap());
    let (image, said) = ("0102030405060708090a0b0c0d0e0f10", "1102030405060708090a0b0c0d0e0f10");
    let mut f = facts();
    assert_eq!(plan("", &f).uuid, None);
    assert_eq!(plan(&format!("--uuid={said}"), &f).uuid, id(said));
    f.tree.machine_id = id(image);
    assert_eq!(plan(&format!("--uuid={said}"), &f).uuid, id(image));
    assert_eq!(plan("-M=m", &f).hostname.to_string(), "m");
    assert_eq!(plan("-M=m --hostname=h", &f).hostname.to_string(), "h");
}

#[test]
fn what_keeps_it_from_starting() {
    type Change = fn(&mut Facts);
    let rows: &[(&str, Change, &[&str])] = &[
        ("", |_| (), &[]),
        ("-D=/t", |f| f.tree.usr = false, &["the tree /t has no /usr directory"]),
        ("", |f| f.tree.usr = false, &["no tree was named: the current directory /t has no /usr"]),
        ("-b", |f| f.tree.usr = false, &[]),
        ("", |f| f.tree.os_release = false, &[]),
        ("-b", |f| f.tree.os_release = false, &["the tree /t has no os-release file, so it cannot be booted"]),
        ("", |f| f.root = false, &["only root can start a container so far"]),
        ("-M=m", |f| f.tree.is_host_root = true, &["the host's own root directory cannot be the tree of a container"]),
        ("-x", |f| f.tree.is_host_root = true, &[]),
        ("--volatile", |f| f.tree.is_host_root = true, &[]),
        ("-M=m --read-only", |f| f.tree.is_host_root = true, &["the host's own root directory"]),
        ("-M=m --volatile", |f| f.tree.split_usr = true, &["the tree /t keeps programs outside of /usr"]),
        ("--property=Nonsense=1", |_| (), &["there is no unit property \"Nonsense\" for a scope"]),
        (
            "-a -b --property=Nonsense=1",
            |f| (f.root, f.tree.os_release) = (false, false),
            &["-a and -b", "the tree /t has no os-release", "only root", "there is no unit property"],
        ),
    ];
    for (line, change, expected) in rows {
        let mut f = facts();
        change(&mut f);
        let found = wrong(&settings(line), &f);
        let fits = found.len() == expected.len() && found.iter().zip(*expected).all(|(f, e)| f.starts_with(e));
        assert!(fits, "{line}: {found:?}");
    }
    let mut unchecked = settings("-b");
    unchecked.check_os_release = from_environment("SYSTEMD_NSPAWN_CHECK_OS_RELEASE", false);
    let mut f = facts();
    f.tree.os_release = false;
    assert_eq!(wrong(&unchecked, &f), Vec::<String>::new());
}

#[test]
fn switches_are_passed_on() {
    let plan = |line: &str| plan(line, &facts());
    let usual = plan("");
    assert!(!usual.quiet && !usual.notify_ready && !usual.no_new_privileges && usual.tree.lock);
    assert_eq!((usual.register, usual.link_journal), (Register::Auto, LinkJournal::Auto));
    assert!(usual.filter.is_some());
    assert!(plan("-q").quiet && plan("--notify-ready=yes").notify_ready);
    assert!(plan("--no-new-privileges=yes").no_new_privileges);
    assert_eq!(plan("--register=no").register, Register::No);
    assert_eq!(plan("--link-journal=no").link_journal, LinkJournal::No);
    let mut s = settings("");
    s.lock = from_environment("SYSTEMD_NSPAWN_LOCK", false);
    s.seccomp = from_environment("SYSTEMD_SECCOMP", false);
    let without = build(&s, &facts()).unwrap();
    assert!(!without.tree.lock && without.filter.is_none());
    // systemd-nspawn says nothing of its own beside piped output.
    for (invocation, line, quiet) in [
        (Invocation::SystemdNspawn, "--console=pipe", true),
        (Invocation::SystemdNspawn, "", false),
        (Invocation::Spawn, "--console=pipe", false),
    ] {
        let s = Settings { invocation, ..settings(line) };
        assert_eq!(build(&s, &facts()).unwrap().quiet, quiet, "{invocation:?} {line}");
    }
}

#[test]
fn networks() {
    for (line, private, veth, origin) in [
        ("", false, false, Origin::Default),
        ("--private-network", true, false, Origin::Option("--private-network".into())),
        ("-n", true, true, Origin::Option("-n".into())),
        ("--private-network -n", true, true, Origin::Option("-n".into())),
    ] {
        let network = plan(line, &facts()).network;
        assert_eq!((network.private, !network.links.is_empty(), network.origin), (private, veth, origin), "{line}");
    }
}
