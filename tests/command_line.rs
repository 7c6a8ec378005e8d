// SPDX-License-Identifier: LGPL-2.1-or-later
//! Command lines and what is understood of them, or what a person is told instead. Nothing is started.

use expect_test::expect_file;
use proptest::prelude::*;
use spawn::cli::{Caller, Command, parse, render};
use spawn::config::{Invocation, Settings};
use spawn::error::{Code, Diagnostic, Sourced};
use spawn::model::*;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

fn run(line: &str, environment: &[(&str, &str)]) -> Result<Command, Vec<Diagnostic>> {
    let caller = Caller {
        environment: environment.iter().map(|(n, v)| (n.into(), v.into())).collect(),
        directory: Some("/work".into()),
    };
    parse(line.split_ascii_whitespace().map(OsString::from).collect(), &caller)
}

#[track_caller]
fn settings(line: &str) -> Settings {
    match run(line, &[]) {
        Ok(Command::Run(settings)) => *settings,
        Ok(other) => panic!("{line}: not a run but {other:?}"),
        Err(list) => panic!("{line}:\n{}", render::diagnostics(Invocation::Spawn, &list)),
    }
}

#[track_caller]
fn refused(line: &str) -> Vec<Diagnostic> {
    run(line, &[]).err().unwrap_or_else(|| panic!("{line}: accepted"))
}

fn value<T: Clone>(setting: &Option<Sourced<T>>) -> Option<T> {
    setting.as_ref().map(|s| s.value.clone())
}

fn values<T: Clone>(settings: &[Sourced<T>]) -> Vec<T> {
    settings.iter().map(|s| s.value.clone()).collect()
}

fn origin<T>(setting: &Option<Sourced<T>>) -> String {
    setting.as_ref().map_or("nobody".into(), |s| s.origin.to_string())
}

/// `"line" => what is looked at, what it must be;`
macro_rules! understood {
    ($($line:literal => |$s:ident| $found:expr, $expected:expr;)*) => {$({
        let $s = settings(concat!("spawn ", $line));
        assert_eq!($found, $expected, "{}", $line);
    })*};
}

#[test]
fn words_and_payload() {
    understood! {
        "" => |s| s.argv.len(), 0;
        "true" => |s| s.argv, ["true"];
        "-D /x ls -b --nosuch" => |s| (s.argv, value(&s.start_mode)), (vec!["ls".into(), "-b".into(), "--nosuch".into()], None);
        "-b -- -b --x" => |s| s.argv, ["-b", "--x"];
        "cmd -- -b" => |s| s.argv, ["cmd", "--", "-b"];
        "-- ps" => |s| s.argv, ["ps"];
        "-D x ps" => |s| (value(&s.directory), s.argv), (Some("/work/x".into()), vec!["ps".into()]);
        "--private-users cmd" => |s| (value(&s.private_users), s.argv), (Some(PrivateUsers::FromTree), vec!["cmd".into()]);
        "-M m true -M n" => |s| (value(&s.machine).unwrap().to_string(), s.argv.len()), ("m".into(), 3);
    }
}

#[test]
fn spellings() {
    understood! {
        "-Ddir" => |s| (value(&s.directory), origin(&s.directory)), (Some("/work/dir".into()), "-Ddir".into());
        "-D=dir" => |s| value(&s.directory), Some("/work/=dir".into());
        "-D dir" => |s| origin(&s.directory), "-D dir";
        "--directory=/a//b/./c/" => |s| value(&s.directory), Some("/a/b/c".into());
        "--directory /a" => |s| origin(&s.directory), "--directory /a";
        "--dir=/a" => |s| (value(&s.directory), origin(&s.directory)), (Some("/a".into()), "--dir=/a".into());
        "-bxD dir" => |s| (value(&s.ephemeral), value(&s.start_mode), value(&s.directory), origin(&s.directory)),
            (Some(true), Some(StartMode::Boot), Some("/work/dir".into()), "-D dir".into());
        "-bxDdir -q" => |s| (origin(&s.ephemeral), origin(&s.directory), origin(&s.quiet)),
            ("-x".into(), "-Ddir".into(), "-q".into());
        "--oom-score-adjust -5 -b" => |s| (value(&s.oom_score_adjust), value(&s.start_mode)), (Some(-5), Some(StartMode::Boot));
    }
}

#[test]
fn values_of_all_kinds() {
    understood! {
        "--kill-signal=RTMIN+3" => |s| value(&s.kill_signal).map(Signal::number), Some(37);
        "--uuid=0123456789abcdef0123456789abcdef" => |s| value(&s.uuid).map(Id128::plain),
            Some("0123456789abcdef0123456789abcdef".into());
        "-S a/b" => |s| value(&s.slice).unwrap().to_string(), "a-b.slice";
        "--property=MemoryMax=1G --property=A=b" => |s| values(&s.properties).len(), 2;
        "--register=auto" => |s| value(&s.register), Some(Register::Auto);
        "--register=off" => |s| value(&s.register), Some(Register::No);
        "--scope=require" => |s| value(&s.scope), Some(ScopeMode::Require);
        "--private-users=0" => |s| value(&s.private_users), Some(PrivateUsers::Fixed(UidRange { base: 0, size: 65536 }));
        "--private-users=off" => |s| value(&s.private_users), Some(PrivateUsers::No);
        "--private-users=no -U" => |s| value(&s.private_users), Some(PrivateUsers::Pick);
        "-U --private-users=identity" => |s| value(&s.private_users), Some(PrivateUsers::Identity);
        "--private-users-ownership=no" => |s| value(&s.ownership), Some(Ownership::Off);
        "-E A=1 -E B" => |s| values(&s.environment).into_iter().map(|e| (e.name, e.value)).collect::<Vec<_>>(),
            [("A".to_string(), Some("1".into())), ("B".into(), None)];
        "-u nobody" => |s| value(&s.user), Some("nobody".into());
        "--uid=" => |s| value(&s.user), None;
        "-n --private-network" => |s| (value(&s.network_veth), value(&s.private_network)), (Some(true), Some(true));
        "--capability=all --capability=cap_kill,CAP_CHOWN" => |s| values(&s.capability),
            [CapabilityWords::All, CapabilityWords::List(CapabilitySet(0b100001))];
        "--no-new-privileges=1" => |s| value(&s.no_new_privileges), Some(true);
        "--system-call-filter=~@clock" => |s| values(&s.system_call_filter)[0].deny, true;
        "--restrict-address-families=AF_UNIX --restrict-address-families=" => |s| s.address_families.len(), 0;
        "--restrict-address-families=none" => |s| values(&s.address_families)[0].words, ["none"];
        "--rlimit=NOFILE=1:2 --rlimit=RLIMIT_CORE=infinity" => |s| values(&s.rlimits)[1].hard, u64::MAX;
        "--oom-score-adjust=-500" => |s| value(&s.oom_score_adjust), Some(-500);
        "--cpu-affinity=0-2,5" => |s| value(&s.cpu_affinity).unwrap().cpus().collect::<Vec<_>>(), [0, 1, 2, 5];
        "--resolv-conf=copy-static" => |s| value(&s.resolv_conf), Some(ResolvConf::CopyStatic);
        "--resolv-conf=bind-host --resolv-conf=off" => |s| value(&s.resolv_conf), Some(ResolvConf::Off);
        "--timezone=no" => |s| value(&s.timezone), Some(Timezone::Off);
        "-j" => |s| value(&s.link_journal), Some(LinkJournal::TryGuest);
        "--console=autopipe -P" => |s| value(&s.console), Some(ConsoleMode::Pipe);
        "--settings=trusted" => |s| value(&s.settings_mode), Some(SettingsMode::Trusted);
        "--volatile=no --suppress-sync=no" => |s| value(&s.volatile), Some(Volatile::No);
        "--dry-run" => |s| value(&s.dry_run), Some(DryRun::Text);
        "--dry-run=json -v" => |s| (value(&s.dry_run), value(&s.verbose)), (Some(DryRun::Json), Some(true));
        "--system" => |s| value(&s.user_scope), Some(false);
        "--user nobody true" => |s| (value(&s.user), s.argv, value(&s.user_scope)), (Some("nobody".into()), vec!["true".into()], None);
        "--user=nobody" => |s| (value(&s.user), origin(&s.user)), (Some("nobody".into()), "--user=nobody".into());
        "--set-credential=a:b\\x00c" => |s| values(&s.credentials)[0].source, CredentialSource::Value(b"b\0c".to_vec());
        "--load-credential=a:./b" => |s| values(&s.credentials)[0].source, CredentialSource::Path("/work/b".into());
    }
}

#[test]
fn mounts_keep_their_order() {
    let s = settings("spawn --tmpfs=/t --bind=/a:/b --inaccessible=/c --bind-ro=rel:/d --bind=+/e");
    let mounts: Vec<_> = s.mounts.iter().map(|m| format!("{} ({})", m.value, m.origin)).collect();
    assert_eq!(
        mounts,
        [
            "/t:mode=0755 (--tmpfs=/t)",
            "/a:/b:rbind,noidmap (--bind=/a:/b)",
            "/c (--inaccessible=/c)",
            "/work/rel:/d:rbind,noidmap (--bind-ro=rel:/d)",
            "+/e:/e:rbind,noidmap (--bind=+/e)",
        ]
    );
}

#[test]
fn bytes_that_are_not_text_stay_as_they_are() {
    let path = OsString::from_vec(b"/\xff\xfe".to_vec());
    let words =
        ["spawn".into(), "-D".into(), path.clone(), "-E".into(), OsString::from_vec(b"A=\xff".to_vec()), path.clone()];
    let Ok(Command::Run(s)) = parse(words.to_vec(), &Caller::default()) else { panic!("refused") };
    assert_eq!(value(&s.directory), Some(path.clone().into()));
    assert_eq!(values(&s.environment)[0].value, Some(OsString::from_vec(b"\xff".to_vec())));
    assert_eq!(s.argv, [path]);
}

#[test]
fn mistakes_name_the_option_and_what_is_allowed() {
    let rows: &[(&str, &[(Code, &str)])] = &[
        (
            "--oom-score-adjust=2000",
            &[(Code::OptionValue, "--oom-score-adjust=2000: must be a number from -1000 to 1000")],
        ),
        ("--nosuch", &[(Code::OptionUnknown, "--nosuch is not an option")]),
        ("-k", &[(Code::OptionUnknown, "-k is not an option")]),
        ("--network-", &[(Code::OptionAmbiguous, "--network- is ambiguous")]),
        ("--bind", &[(Code::OptionValueMissing, "--bind needs a value: PATH[:PATH[:OPTIONS]]")]),
        ("-M", &[(Code::OptionValueMissing, "-M needs a value: NAME")]),
        ("-bM", &[(Code::OptionValueMissing, "-M needs a value: NAME")]),
        ("--mach", &[(Code::OptionValueMissing, "--mach needs a value: NAME")]),
        (
            "-kbk --nosuch=1 -k --nosuch -b=",
            &[
                (Code::OptionUnknown, "-k is not an option"),
                (Code::OptionUnknown, "--nosuch is not an option"),
                (Code::OptionUnknown, "-= is not an option"),
            ],
        ),
        ("--machine -b", &[(Code::OptionValue, "--machine -b: must be labels of letters")]),
        ("--boot=yes", &[(Code::OptionValue, "--boot takes no value")]),
        ("--register=maybe", &[(Code::OptionValue, "--register=maybe: must be one of no, yes, auto")]),
        ("--machine=a_b", &[(Code::OptionValue, "--machine=a_b: must be labels of letters")]),
        ("--machine=", &[(Code::OptionValue, "--machine=: must be 1 to 64 characters long")]),
        (
            "--uuid=00000000000000000000000000000000",
            &[(Code::OptionValue, "--uuid=00000000000000000000000000000000: must not be")],
        ),
        ("--chdir=/proc/self", &[(Code::OptionValue, "--chdir=/proc/self: must not be /proc or below it")]),
        ("--bind=/a:b", &[(Code::OptionValue, "--bind=/a:b: 'b' must be an absolute path")]),
        ("-E 1A=secret", &[(Code::OptionValue, "-E 1A: must be NAME[=VALUE]")]),
        (
            "--set-credential=a:secret\\q",
            &[(Code::OptionValue, "--set-credential=a: the value of a contains a backslash")],
        ),
        (
            "--set-credential=a:b --set-credential=a:c",
            &[(Code::OptionValue, "--set-credential=a: a credential with the id a")],
        ),
        ("--ambient-capability=all", &[(Code::OptionValue, "--ambient-capability=all: must name capabilities")]),
        ("--restrict-address-families=inet", &[(Code::OptionValue, "--restrict-address-families=inet: 'inet' is not")]),
        ("--rlimit=NOFILE=2:1", &[(Code::OptionValue, "--rlimit=NOFILE=2:1: the soft limit must not be above")]),
        ("-i /x", &[(Code::NotBuiltYet, "--image= is not built yet")]),
        ("--user", &[(Code::NotBuiltYet, "--user (a machine of the calling user) is not built yet")]),
        ("--user -- cmd", &[(Code::NotBuiltYet, "--user (a machine of the calling user) is not built yet")]),
        ("--share-system", &[(Code::NotBuiltYet, "--share-system is not built yet")]),
        ("--verity-data=a --verity-data=b", &[(Code::NotBuiltYet, "--verity-data= is not built yet")]),
        (
            "--image=/x --nosuch -kb --oom-score-adjust=x --vers=1 --share-system -p 80 --bind",
            &[
                (Code::OptionUnknown, "--nosuch is not an option"),
                (Code::OptionUnknown, "-k is not an option"),
                (Code::OptionValue, "--version takes no value"),
                (Code::OptionValueMissing, "--bind needs a value"),
                (Code::OptionValue, "--oom-score-adjust=x: must be a number"),
                (Code::NotBuiltYet, "--image= is not built yet"),
                (Code::NotBuiltYet, "--share-system is not built yet"),
            ],
        ),
        (
            "-D /x -i /y -p 80",
            &[
                (Code::NotBuiltYet, "--image= is not built yet"),
                (Code::OptionConflict, "-D /x and -i /y exclude each other"),
                (Code::OptionConflict, "-p 80 needs a network of its own"),
            ],
        ),
    ];
    for (line, expected) in rows {
        let found: Vec<_> = refused(&format!("spawn {line}")).iter().map(|d| (d.code(), d.headline())).collect();
        let fits = found.len() == expected.len()
            && found.iter().zip(*expected).all(|(f, e)| f.0 == e.0 && f.1.starts_with(e.1));
        assert!(fits, "{line}\n  found    {found:#?}\n  expected {expected:#?}");
    }
}

#[test]
fn of_many_mistakes_the_first_are_told() {
    let line = (0..10_000).fold("spawn".to_string(), |line, n| line + &format!(" --nosuch{n}"));
    let told = refused(&line);
    assert_eq!(told.len(), 20);
    assert!(told[19].to_string().contains("the rest of the line was not looked at"), "{}", told[19]);
    let few = refused("spawn -^^ --nosuch");
    assert_eq!(few.len(), 2);
    assert!(!few[1].to_string().contains("not looked at"));
}

#[test]
fn near_names_and_candidates_are_told() {
    let help = |line: &str| refused(line)[0].remedy().unwrap_or_default().to_string();
    assert_eq!(help("spawn --directry=/x"), "did you mean --directory?");
    assert_eq!(help("spawn --set"), "write one of --settings, --setenv, --set-credential");
    assert_eq!(help("spawn --bnid=/x"), "did you mean --bind?");
    assert_eq!(help("spawn --nosuch"), "see --help for the options");
}

#[test]
fn secrets_are_in_no_message() {
    for line in [
        "spawn -E A=topsecret --set-credential=a:topsecret --nosuch",
        "spawn --setenv=1A=topsecret --set-credential a:topsecret\\q",
        "spawn -EA=topsecret -qE A=topsecret -E topsecret-=topsecret --set-credential=:topsecret",
    ] {
        let text = render::diagnostics(Invocation::Spawn, &refused(line));
        assert!(!text.contains("=topsecret") && !text.contains(":topsecret"), "{text}");
    }
    let s = settings("spawn -E A=topsecret -EB=topsecret --setenv C=topsecret --set-cred=a:topsecret");
    let origins: Vec<_> = s.environment.iter().map(|e| e.origin.to_string()).collect();
    assert_eq!(origins, ["-E A", "-EB", "--setenv C"]);
    assert_eq!(s.credentials[0].origin.to_string(), "--set-cred=a");
    assert!(!format!("{s:?}").contains("topsecret"));
}

#[test]
fn control_characters_are_escaped() {
    let words =
        vec!["spawn".into(), "--nosuch\x1b[31m".into(), "-D".into(), "a\nb\x1b".into(), "-i".into(), "/x\x07".into()];
    let Err(list) = parse(words, &Caller::default()) else { panic!("accepted") };
    let text = render::diagnostics(Invocation::Spawn, &list);
    assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any line is understood or refused with words; what was typed is found again in what is said about it.
    #[test]
    fn arbitrary_lines(words in proptest::collection::vec(prop_oneof![
        4 => proptest::sample::select(vec![
            "-D", "-D/x", "-D=x", "-bxD", "-xq", "-kq", "-qk", "-E", "-EA=b", "-M", "-Mm", "-a", "-U", "--", "-", "--user", "--user=a",
            "--bind", "--bind=/a", "--bi=/a", "--private-users", "--private-users=pick", "--net", "--volatile=", "--nosuch=1", "--=",
            "--boot=1", "--set-credential=a:b", "x", "m", "/p", "A=b", "--no", "-\u{e4}", "-q\u{e4}b", "--settings", "no", "-=", "",
        ]).prop_map(OsString::from),
        1 => proptest::collection::vec(1u8..=255, 0..5).prop_map(OsString::from_vec),
        1 => proptest::collection::vec(1u8..=255, 0..5).prop_map(|mut b| { b.splice(0..0, *b"--"); OsString::from_vec(b) }),
        1 => proptest::collection::vec(1u8..=255, 0..5).prop_map(|mut b| { b.insert(0, b'-'); OsString::from_vec(b) }),
    ], 0..9)) {
        let line: Vec<OsString> = std::iter::once("spawn".into()).chain(words.iter().cloned()).collect();
        match parse(line, &Caller { directory: Some("/".into()), ..Caller::default() }) {
            Err(list) => {
                prop_assert!(!list.is_empty());
                prop_assert!(render::diagnostics(Invocation::Spawn, &list).chars().all(|c| !c.is_control() || c == '\n'));
            }
            Ok(Command::Run(s)) => {
                prop_assert!(words.ends_with(&s.argv));
                let typed = words[..words.len() - s.argv.len()].iter().map(|w| w.to_string_lossy()).collect::<Vec<_>>().join(" ");
                // As in messages.
                let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
                let typed: String = typed.chars().map(escape).collect();
                for mount in &s.mounts {
                    prop_assert!(typed.contains(&mount.origin.to_string()), "{typed:?} {}", mount.origin);
                }
                for (setting, short) in [(origin(&s.machine), "-M"), (origin(&s.directory), "-D")] {
                    prop_assert!(setting == "nobody" || setting.starts_with(short) || setting.starts_with("--"), "{setting}");
                }
            }
            Ok(_) => {}
        }
    }
}

#[test]
fn the_two_names() {
    assert_eq!(settings("/usr/bin/systemd-nspawn -D /x").invocation, Invocation::SystemdNspawn);
    assert_eq!(settings("./spawn -D /x").invocation, Invocation::Spawn);
    for option in ["--scope=auto", "-v", "--dry-run"] {
        assert_eq!(refused(&format!("systemd-nspawn {option}"))[0].code(), Code::OptionUnknown, "{option}");
    }
}

#[test]
fn environment_makes_settings() {
    let Ok(Command::Run(s)) =
        run("spawn --suppress-sync=yes", &[("SYSTEMD_SUPPRESS_SYNC", "no"), ("SYSTEMD_SECCOMP", "0")])
    else {
        panic!("refused")
    };
    assert_eq!((value(&s.suppress_sync), value(&s.seccomp)), (Some(false), Some(false)));
    assert_eq!(origin(&s.seccomp), "$SYSTEMD_SECCOMP");
    let list = run("spawn", &[("SYSTEMD_NSPAWN_SHARE_SYSTEM", "1"), ("SYSTEMD_NSPAWN_LOCK", "x")]).unwrap_err();
    assert_eq!(list.iter().map(Diagnostic::code).collect::<Vec<_>>(), [Code::OptionValue, Code::NotBuiltYet]);
}

#[test]
fn commands_that_only_show_something() {
    assert!(run("spawn --help --nope-after=1 x", &[]).is_err());
    assert!(matches!(run("spawn -bh x", &[]), Ok(Command::Help)));
    assert!(matches!(run("spawn --version", &[]), Ok(Command::Version)));
    assert!(matches!(run("spawn --introspect-cli", &[]), Ok(Command::IntrospectCli)));
    assert!(matches!(run("spawn true --help", &[]), Ok(Command::Run(_))));
    for option in
        ["volatile", "kill-signal", "private-users-ownership", "capability", "rlimit", "resolv-conf", "console"]
    {
        let Ok(Command::PrintValues(text)) = run(&format!("spawn --{option}=help"), &[]) else { panic!("{option}") };
        assert!(text.lines().count() > 2 && text.ends_with('\n'), "{option}: {text:?}");
    }
    assert_eq!(render::version(Invocation::SystemdNspawn).lines().next(), Some("systemd 262 (262)"));
    let table: serde_json::Value = serde_json::from_str(&render::introspect(Invocation::SystemdNspawn)).unwrap();
    assert!(table.as_array().unwrap().len() > 100);
}

#[test]
fn help_of_both_names() {
    expect_file!["snapshots/help-spawn.txt"].assert_eq(&render::help(Invocation::Spawn));
    expect_file!["snapshots/help-systemd-nspawn.txt"].assert_eq(&render::help(Invocation::SystemdNspawn));
    for name in [Invocation::Spawn, Invocation::SystemdNspawn] {
        for line in render::help(name).lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
