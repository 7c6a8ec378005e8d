// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every key of files has its effect in the plan, and `--dry-run` says which line of which file asked for it.

use super::*;
use crate::cli::{Caller, Command, parse};
use crate::config::file::layer::Layer;
use crate::config::file::{Loaded, combine};
use crate::config::{Built, Trust, keys};
use crate::net::HostLink;
use crate::supervise::{FdKind, StdioFacts, TerminalId};
use std::path::Path;

const FILE: &str = "/etc/systemd/nspawn/m.nspawn";
const ID: &str = "0102030405060708090a0b0c0d0e0f10";
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86-64" };

const FORWARDED: &str = "[Exec]\nForwardJournal=/j\n";

/// Key, a value that is not the default, and what must be in the file beside it.
const VALUES: &[(&str, &str, &str)] = &[
    ("Boot", "yes", ""),
    ("ProcessTwo", "yes", ""),
    ("Parameters", "/bin/x", "[Exec]\nProcessTwo=yes\n"),
    ("WorkingDirectory", "/srv", ""),
    ("Environment", "A=b", ""),
    ("User", "joe", ""),
    ("KillSignal", "SIGUSR1", ""),
    ("NotifyReady", "yes", ""),
    ("SuppressSync", "yes", ""),
    ("Hostname", "h", ""),
    ("MachineID", ID, ""),
    ("Slice", "x.slice", ""),
    ("Property", "TasksMax=5", ""),
    ("Register", "no", ""),
    ("Scope", "no", ""),
    ("KeepUnit", "yes", ""),
    ("Directory", "/t", ""),
    ("Template", "/tpl", "[Files]\nDirectory=/t\n"),
    ("Ephemeral", "yes", ""),
    ("ReadOnly", "yes", ""),
    ("Volatile", "state", ""),
    ("PivotRoot", "/x:/y", ""),
    ("PrivateUsers", "no", ""),
    ("PrivateUsersOwnership", "chown", ""),
    ("PrivateUsersChown", "yes", ""),
    ("Private", "yes", ""),
    ("Interface", "eth0", ""),
    ("MACVLAN", "eth0", ""),
    ("IPVLAN", "eth0", ""),
    ("VirtualEthernet", "yes", ""),
    ("VirtualEthernetExtra", "x", ""),
    ("Bridge", "br0", ""),
    ("Zone", "a", ""),
    ("NamespacePath", "/n", ""),
    ("Port", "80", "[Network]\nVirtualEthernet=yes\n"),
    ("Capability", "CAP_SYS_TIME", ""),
    ("DropCapability", "CAP_KILL", ""),
    ("AmbientCapability", "CAP_KILL", ""),
    ("NoNewPrivileges", "yes", ""),
    ("SystemCallFilter", "@clock", ""),
    ("RestrictAddressFamilies", "AF_UNIX", ""),
    ("OOMScoreAdjust", "5", ""),
    ("CPUAffinity", "0", ""),
    ("Personality", ARCHITECTURE, ""),
    ("ResolvConf", "off", ""),
    ("Timezone", "copy", ""),
    ("LinkJournal", "no", ""),
    ("ForwardJournal", "/j", ""),
    ("ForwardJournalMaxUse", "5M", FORWARDED),
    ("ForwardJournalKeepFree", "5M", FORWARDED),
    ("ForwardJournalMaxFileSize", "5M", FORWARDED),
    ("ForwardJournalMaxFiles", "5", FORWARDED),
    ("Bind", "/a:/m", ""),
    ("BindReadOnly", "/a:/m", ""),
    ("Inaccessible", "/m", ""),
    ("TemporaryFileSystem", "/m", ""),
    ("Overlay", "/a:/b:/m", ""),
    ("OverlayReadOnly", "/a:/b:/m", ""),
    ("Console", "passive", ""),
    ("SetCredential", "a:b", ""),
    ("LoadCredential", "a:/c", ""),
    ("SELinuxContext", "u:r:t:s0", ""),
    ("SELinuxAPIFSContext", "u:r:t:s0", ""),
    ("Background", "44", "[Exec]\nConsole=interactive\n"),
];

/// Keys whose effect is that steps are missing: there is nothing that could say who asked for it.
const LEAVES_OUT: &[&str] = &["ResolvConf"];

/// Keys whose effect is on users of the host that are looked up: the tests of `plan::bind_users` show it.
const LOOKED_UP: &[&str] = &["BindUser", "BindUserShell", "BindUserGroup"];

fn machine() -> Facts {
    let mut f = facts();
    (f.systemd, f.bus) = (true, true);
    f.tree.template = Some("/tpl".into());
    (f.host.localtime, f.host.zone) = (true, Some("Europe/Berlin".into()));
    f.host.selinux = true;
    f.journal_remote = Some(JournalRemote { program: "/usr/lib/systemd/systemd-journal-remote".into(), limits: true });
    f.stdio = StdioFacts([FdKind::Terminal(TerminalId { device: 1, inode: 1 }); 3]);
    f.terminal.term = Some("xterm".into());
    f.host.resolv_conf = Some("/etc/resolv.conf".into());
    f.host.machine_id = Some("dc18fcb7072d47eab90ca2f0c1583ad7".parse().unwrap());
    for (index, (name, kind)) in (1..).zip([("eth0", ""), ("br0", "bridge")]) {
        let link = HostLink { index, name: name.into(), alternatives: Vec::new(), kind: kind.into(), loopback: false };
        f.network.links.insert(name.into(), link);
    }
    f
}

fn loaded(line: &str, text: &str) -> Loaded {
    let words = ["spawn", "--machine=m"].into_iter().chain(line.split_whitespace()).map(Into::into).collect();
    let Ok(Command::Run(said)) = parse(words, &Caller::default()) else { panic!("{line}") };
    let layer = Layer::parse(Path::new(FILE), text.as_bytes(), Trust::Trusted, Invocation::Spawn);
    assert!(layer.broken.is_none() && layer.warnings.is_empty(), "{text}: {:?}", layer.warnings);
    combine(*said, vec![layer])
}

#[test]
fn by_nspawn_options_for_capabilities_hide_that_of_a_files_network() {
    use crate::model::Capability;
    let text = "[Network]\nVirtualEthernet=yes\n";
    for (line, invocation, want) in [
        ("", Invocation::SystemdNspawn, true),
        ("--capability=CAP_SYS_TIME", Invocation::SystemdNspawn, false),
        ("--drop-capability=CAP_KILL", Invocation::SystemdNspawn, false),
        ("--settings=override --capability=CAP_SYS_TIME", Invocation::SystemdNspawn, true),
        ("--capability=CAP_SYS_TIME", Invocation::Spawn, true),
    ] {
        let mut settings = loaded(line, text).settings;
        settings.invocation = invocation;
        let plan = build(&settings, &machine()).unwrap();
        assert!(plan.network.private);
        assert_eq!(plan.capabilities.bounding.contains(Capability::NET_ADMIN), want, "{invocation:?} {line}");
    }
    let mut settings = loaded("--capability=CAP_SYS_TIME --private-network", "").settings;
    settings.invocation = Invocation::SystemdNspawn;
    assert!(build(&settings, &machine()).unwrap().capabilities.bounding.contains(Capability::NET_ADMIN));
}

#[test]
fn a_network_given_by_its_path_has_ports_of_its_own() {
    use crate::model::Capability;
    for (invocation, want) in [(Invocation::Spawn, true), (Invocation::SystemdNspawn, false)] {
        let mut settings = loaded("-U --network-namespace-path=/run/netns/x", "").settings;
        settings.invocation = invocation;
        let plan = build(&settings, &machine()).unwrap();
        assert_eq!(plan.capabilities.bounding.contains(Capability::NET_BIND_SERVICE), want, "{invocation:?}");
    }
}

fn planned(text: &str) -> Plan {
    let loaded = loaded("", text);
    assert!(loaded.mistakes.is_empty(), "{text}: {}", loaded.mistakes[0]);
    build(&loaded.settings, &machine()).unwrap_or_else(|wrong| panic!("{text}: {}", wrong[0]))
}

/// What will happen, without who asked for it.
fn effect(plan: &Plan) -> serde_json::Value {
    let mut effect = serde_json::to_value(plan).unwrap();
    effect.as_object_mut().unwrap().remove("asked");
    effect
}

fn value_of(key: &str) -> (&'static str, &'static str) {
    let limit = key.starts_with("Limit").then_some(("5", ""));
    let row = VALUES.iter().find(|(name, ..)| *name == key).map(|(_, value, beside)| (*value, *beside));
    row.or(limit).unwrap_or_else(|| panic!("{key}= needs a row in VALUES"))
}

#[test]
fn every_key_has_an_effect_and_is_named() {
    let mut count = 0;
    for key in keys::all().filter(|key| !matches!(key.built, Built::No(_))) {
        let Some(file) = key.in_files_of(Invocation::Spawn) else { continue };
        if LOOKED_UP.contains(&file.name) {
            continue;
        }
        let (value, beside) = value_of(file.name);
        let text = format!("{beside}[{}]\n{}={value}\n", file.section.name(), file.name);
        let (without, with) = (planned(beside), planned(&text));
        assert_ne!(effect(&without), effect(&with), "{text} changes nothing");
        let who = format!("{FILE}:{} {}=", text.lines().count(), file.name);
        let shown = explain(&with);
        assert!(LEAVES_OUT.contains(&file.name) || shown.contains(&who), "{who} is not in\n{shown}");
        count += 1;
    }
    assert!(count > 65 - 3, "{count} keys only");
    for (name, ..) in VALUES {
        assert!(keys::all().any(|key| key.file.is_some_and(|f| f.name == *name)), "{name} is no key");
    }
}

#[test]
fn every_line_says_who_asked_for_it() {
    let plan = planned("[Exec]\nUser=joe\nEnvironment=A=b\n[Files]\nBind=/a:/m\n");
    let shown = explain(&plan);
    let of_its_own = ["warning", "notice", "remark"];
    for line in shown.lines().filter(|line| of_its_own.iter().all(|word| !line.starts_with(word))) {
        let bracket = line.rsplit_once("  [").unwrap_or_else(|| panic!("nobody asked for: {line}")).1;
        let (who, _) = bracket.split_once(']').unwrap();
        assert!(who == "default" || who == "--machine=m" || who.starts_with(FILE), "{line}");
    }
    let steps = shown.lines().filter(|line| line.starts_with("step"));
    assert_eq!(steps.count(), plan.steps.len());
    assert!(shown.contains("/a on /m rw  [/etc/systemd/nspawn/m.nspawn:5 Bind=]"), "{shown}");
    let shown = explain(&planned("[Files]\nBind=/a\x1b[2J:/m\n"));
    assert!(shown.contains("/a\\u{1b}[2J on /m rw"), "a terminal obeys this: {shown:?}");
}

#[test]
fn a_conflict_names_both_sides_wherever_they_were_said() {
    let rows = [
        ("--network-bridge=br0", "[Network]\nZone=a\n", "--network-bridge=br0", "2 Zone="),
        ("--keep-unit", "[Exec]\nScope=require\n", "--keep-unit", "2 Scope="),
        ("", "[Exec]\nEphemeral=yes\nLinkJournal=host\n", "2 Ephemeral=", "3 LinkJournal="),
        ("--read-only", "[Files]\nPrivateUsersOwnership=chown\n", "--read-only", "2 PrivateUsersOwnership="),
    ];
    for (line, text, one, other) in rows {
        let wrong =
            build(&loaded(line, text).settings, &machine()).err().unwrap_or_else(|| panic!("{line} and {text}"));
        let words = wrong[0].to_string();
        let place = |side: &str| if side.starts_with('-') { side.into() } else { format!("{FILE}:{side}") };
        assert!(words.contains(&place(one)) && words.contains(&place(other)), "{words}");
        assert!(words.contains("exclude each other") && words.contains("\n  help: "), "{words}");
    }
}
