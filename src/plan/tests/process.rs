// SPDX-License-Identifier: LGPL-2.1-or-later
//! The program, its variables and its signal.

use super::*;
use crate::supervise::{FdKind, StdioFacts, TerminalId};
use std::collections::BTreeMap;
use std::ffi::OsStr;

fn process(line: &str, argv: &[&str], f: &Facts) -> Process {
    let s = Settings { argv: argv.iter().map(Into::into).collect(), ..settings(line) };
    build(&s, f).unwrap_or_else(|wrong| panic!("{line}: {}", wrong[0])).process
}

fn variables(process: &Process) -> BTreeMap<&str, &str> {
    process.environment.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect()
}

#[test]
fn a_missing_home_is_made_for_users_of_the_image() {
    let home = |invocation, line: &str| {
        let s = Settings { invocation, ..settings(line) };
        super::super::process::process(&s, &facts(), ConsoleMode::Pipe).missing_home
    };
    use Invocation::{Spawn, SystemdNspawn};
    for (line, by_spawn, by_nspawn) in [
        ("", MissingHome::Left, MissingHome::Left),
        ("-u=root", MissingHome::Left, MissingHome::Left),
        ("-u=0", MissingHome::Left, MissingHome::Left),
        ("-u=joe", MissingHome::MadeIfPossible, MissingHome::Made),
        ("-u=1000", MissingHome::MadeIfPossible, MissingHome::Made),
        ("-u=joe --bind-user=joe", MissingHome::Left, MissingHome::Left),
    ] {
        assert_eq!((home(Spawn, line), home(SystemdNspawn, line)), (by_spawn, by_nspawn), "{line}");
    }
    let shown = |line: &str| explain(&build(&settings(line), &facts()).unwrap());
    assert!(shown("-u=joe").contains("joe, whose home is made if it is missing  [-u=joe]"), "{}", shown("-u=joe"));
    assert!(!shown("-u=root").contains("home"));
}

#[test]
fn variables_say_what_the_container_is() {
    let usual = [
        ("LANG", "C.UTF-8"),
        ("NOTIFY_SOCKET", "/run/host/notify"),
        ("PATH", super::super::process::PATH),
        ("TERM", "dumb"),
    ];
    let with = |more: &[(&'static str, &'static str)]| -> BTreeMap<&str, &str> {
        usual.iter().chain(&[("container", "systemd-nspawn")]).chain(more).copied().collect()
    };
    assert_eq!(variables(&process("", &["true"], &facts())), with(&[]));
    let mut booted = with(&[]);
    booted.remove("LANG");
    assert_eq!(variables(&process("-b", &[], &facts())), booted);
    assert_eq!(
        variables(&process("--set-credential=a:b", &[], &facts())),
        with(&[("CREDENTIALS_DIRECTORY", "/run/host/credentials")])
    );
    let mut f = facts();
    f.host.os_release = vec![("container_host_id".into(), "debian".into())];
    assert_eq!(variables(&process("", &[], &f)), with(&[("container_host_id", "debian")]));
    let mut s = settings("");
    s.container_service = from_environment("SYSTEMD_NSPAWN_CONTAINER_SERVICE", "oci".to_string());
    let plan = build(&s, &facts()).unwrap();
    assert_eq!((plan.container_manager.as_str(), variables(&plan.process)["container"]), ("oci", "oci"));
}

#[test]
fn the_terminals_variables_are_for_who_sees_a_terminal() {
    let mut f = facts();
    let of = |text: &str| Some(text.into());
    f.terminal = Terminal { term: of("xterm"), colorterm: of("truecolor"), no_color: of("1"), utf8: true };
    let seen = |line: &str, f: &Facts| {
        let process = process(line, &[], f);
        let names = ["TERM", "COLORTERM", "NO_COLOR"];
        names.map(|n| variables(&process).get(n).map(|v| v.to_string())).map(Option::unwrap_or_default)
    };
    assert_eq!(seen("--console=interactive", &f), ["xterm", "truecolor", "1"]);
    let by_nspawn = |f: &Facts| {
        let mut s = settings("--console=interactive");
        s.invocation = Invocation::SystemdNspawn;
        let plan = build(&s, f).unwrap();
        variables(&plan.process)["TERM"].to_string()
    };
    let terminal = FdKind::Terminal(TerminalId { device: 1, inode: 1 });
    for (stdio, term) in [([terminal; 3], "xterm"), ([terminal, FdKind::Plain, terminal], "dumb")] {
        f.stdio = StdioFacts(stdio);
        assert_eq!(by_nspawn(&f), term, "{stdio:?}");
    }
    f.stdio = StdioFacts([FdKind::Plain, terminal, FdKind::Plain]);
    assert_eq!((by_nspawn(&f).as_str(), seen("--console=interactive", &f)[0].as_str()), ("dumb", "xterm"));
    assert_eq!(seen("--console=read-only", &f), ["xterm", "truecolor", "1"]);
    assert_eq!(seen("--console=pipe", &f), ["dumb", "", ""]);
    f.terminal.colorterm = None;
    assert_eq!(seen("--console=interactive", &f), ["xterm", "", "1"]);
    f.terminal.term = of("dumb");
    assert_eq!(seen("--console=interactive", &f), ["dumb", "", ""]);
    f.terminal.term = None;
    assert_eq!(seen("--console=interactive", &f), ["dumb", "", ""]);
}

#[test]
fn namespaces_of_the_host_are_shared_where_asked() {
    let shared = |line: &str| {
        let mut s = settings(line);
        s.share_ipc = from_environment("SYSTEMD_NSPAWN_SHARE_NS_IPC", true);
        s.share_uts = from_environment("SYSTEMD_NSPAWN_SHARE_NS_UTS", true);
        build(&s, &facts())
    };
    let plan = shared("--hostname=h").unwrap();
    assert!(plan.shares(SharedNamespace::Ipc) && plan.shares(SharedNamespace::Uts));
    assert_eq!(plan.register, Register::No);
    assert!(plan.notices.iter().any(|n| n.contains("--hostname=h has no effect")), "{:?}", plan.notices);
    let shown = explain(&plan);
    assert!(shown.contains("the host's IPC namespace  [$SYSTEMD_NSPAWN_SHARE_NS_IPC]"), "{shown}");
    assert!(shown.contains("the host's name and UTS namespace  [$SYSTEMD_NSPAWN_SHARE_NS_UTS]"), "{shown}");
    let queues = |line: &str| shared(line).unwrap().mounts_on("/dev/mqueue");
    assert!(queues("--private-users=no") && !queues("--private-users=pick"));
    for line in ["-b", "-a"] {
        let wrong = shared(line).unwrap_err()[0].to_string();
        assert!(wrong.starts_with(&format!("{line} and $SYSTEMD_NSPAWN_SHARE_NS_UTS exclude")), "{wrong}");
    }
    let plan = build(&settings("--register=yes"), &facts()).unwrap();
    assert!(plan.shared.is_empty() && plan.register == Register::Yes);
}

#[test]
fn d27_passed_descriptors_are_those_of_the_program() {
    let mut f = facts();
    f.listen_names = Some("web:log".into());
    assert!(!variables(&process("", &[], &f)).contains_key("LISTEN_FDNAMES"), "names of nothing");
    f.listen_fds = vec![FdKind::Plain, FdKind::CharacterDevice];
    for (line, pid) in [("", "1"), ("-b", "1"), ("-a", "2")] {
        let process = process(line, &[], &f);
        let variables = variables(&process);
        assert_eq!((process.listen_fds, variables["LISTEN_FDS"], variables["LISTEN_PID"]), (2, "2", pid), "{line}");
        assert_eq!(variables["LISTEN_FDNAMES"], "web:log", "{line}");
        let stored = Facts { fd_store: true, listen_names: Some("payload-mine:log".into()), ..f.clone() };
        assert_eq!(self::variables(&self::process(line, &[], &stored))["LISTEN_FDNAMES"], "mine:log", "{line}");
    }
    f.listen_fds[1] = FdKind::Directory;
    assert_eq!(wrong(&settings(""), &f), ["descriptor 4 is a directory, which is not passed into a container"]);
    let nspawn = Settings { invocation: Invocation::SystemdNspawn, ..settings("") };
    assert_eq!(wrong(&nspawn, &f), Vec::<String>::new());
}

#[test]
fn words_and_modes() {
    use StartMode::{Boot, Pid1, Pid2};
    type Words = &'static [&'static str];
    let rows: [(&str, Words, StartMode, Words, Words); 4] = [
        ("", &["a", "B=c"], Pid1, &["a", "B=c"], &[]),
        ("-a", &["a"], Pid2, &["a"], &[]),
        ("-b", &["B=c", "quiet", "x.y=z"], Boot, &["quiet", "x.y=z"], &["B"]),
        ("-b --setenv=D=e", &["B=c"], Boot, &[], &["D", "B"]),
    ];
    for (line, argv, mode, words, extra) in rows {
        let process = process(line, argv, &facts());
        let names: Vec<&str> = process.extra_environment.0.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!((process.mode, process.argv.as_slice(), names.as_slice()), (mode, &*own(words), extra), "{line}");
    }
    let set = process("--setenv=A=b", &[], &facts());
    assert_eq!(set.extra_environment.0, [("A".to_string(), OsStr::new("b").to_owned())]);
}

fn own(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

#[test]
fn the_signal_that_asks_it_to_end() {
    for (line, expected) in [
        ("", None),
        ("-a", None),
        ("-b", Some("RTMIN+3")),
        ("--kill-signal=SIGTERM", Some("TERM")),
        ("-b --kill-signal=SIGTERM", Some("TERM")),
    ] {
        let expected = expected.map(|name: &str| name.parse::<Signal>().unwrap());
        assert_eq!(process(line, &[], &facts()).kill_signal, expected, "{line}");
    }
}

#[test]
fn user_and_directory() {
    let made = process("-u=joe --chdir=/srv", &[], &facts());
    assert_eq!(made.user, Some(("joe".into(), Origin::Option("-u=joe".into()))));
    assert_eq!(made.directory.as_deref(), Some(std::path::Path::new("/srv")));
    let made = process("", &[], &facts());
    assert_eq!((made.user, made.directory), (None, None));
}
