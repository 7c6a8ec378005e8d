// SPDX-License-Identifier: LGPL-2.1-or-later

use super::*;
use crate::cli::{Caller, Command, parse};
use crate::config::Listing;
use crate::error::Origin;
use crate::model::{PrivateUsers, StartMode};
use std::path::Path;

fn said(line: &str) -> Settings {
    let words = line.split_whitespace().map(Into::into).collect();
    match parse(words, &Caller { directory: Some("/cwd".into()), ..Caller::default() }) {
        Ok(Command::Run(settings)) => *settings,
        other => panic!("{line}: {other:?}"),
    }
}

fn layer(path: &str, trust: Trust, invocation: Invocation, text: &str) -> Layer {
    let layer = Layer::parse(Path::new(path), text.as_bytes(), trust, invocation);
    assert!(layer.broken.is_none(), "{:?}", layer.broken);
    layer
}

fn with(line: &str, files: &[(&str, Trust, &str)]) -> Loaded {
    let said = said(line);
    let layers = files.iter().map(|(path, trust, text)| layer(path, *trust, said.invocation, text)).collect();
    combine(said, layers)
}

fn warned(loaded: &Loaded) -> Vec<String> {
    loaded.warnings.iter().map(ToString::to_string).collect()
}

fn refused(loaded: &Loaded) -> Vec<String> {
    loaded.mistakes.iter().map(ToString::to_string).collect()
}

fn targets(s: &Settings) -> Vec<&str> {
    s.mounts.iter().map(|m| m.value.target().to_str().unwrap()).collect()
}

const ETC: &str = "/etc/systemd/nspawn/m.nspawn";
const BESIDE: &str = "/machines/m.nspawn";
use Trust::{Anyone, Trusted};

#[test]
fn values_carry_file_and_line() {
    let text = "[Exec]\nBoot=yes\n\nHostname=h\n[Files]\nBind=/a:/b\n";
    let loaded = with("spawn", &[(ETC, Trusted, text)]);
    let s = &loaded.settings;
    let hostname = s.hostname.as_ref().unwrap();
    assert_eq!((hostname.value.as_str(), hostname.origin.to_string()), ("h", format!("{ETC}:4 Hostname=")));
    assert_eq!(s.mounts[0].origin, Origin::File { path: ETC.into(), line: 6, key: "Bind".into() });
    assert_eq!(s.start_mode.as_ref().unwrap().value, StartMode::Boot);
    assert!(loaded.warnings.is_empty() && loaded.mistakes.is_empty());
}

#[test]
fn nspawn_hides_whole_groups_and_spawn_single_keys() {
    let text = "[Exec]\nDropCapability=CAP_KILL\n[Files]\nBind=/a:/b\nReadOnly=yes\n[Network]\nVirtualEthernet=yes\n";
    let nspawn = with("systemd-nspawn --bind=/x --capability=CAP_MKNOD --private-network", &[(ETC, Trusted, text)]);
    let s = &nspawn.settings;
    assert_eq!((targets(s), s.drop_capability.len(), s.network_veth.is_some()), (vec!["/x"], 0, false));
    assert!(s.read_only.as_ref().unwrap().value);
    let own = with("spawn --bind=/x --capability=CAP_MKNOD --private-network", &[(ETC, Trusted, text)]);
    let s = &own.settings;
    assert_eq!((targets(s), s.drop_capability.len()), (vec!["/b", "/x"], 1));
    assert!(s.network_veth.as_ref().unwrap().value);
}

#[test]
fn override_lets_trusted_files_win() {
    let text = "[Exec]\nHostname=f\nPrivateUsers=no\n[Network]\nVirtualEthernet=no\n";
    for name in ["systemd-nspawn", "spawn"] {
        let line = format!("{name} --settings=override --hostname=c -U -n --rlimit=NOFILE=5 --bind=/x");
        let s = with(&line, &[(ETC, Trusted, text)]).settings;
        assert_eq!(s.hostname.unwrap().value.as_str(), "f", "{name}");
        assert_eq!(s.private_users.unwrap().value, PrivateUsers::No, "{name}");
        assert!(!s.network_veth.unwrap().value, "{name}");
        assert_eq!((s.rlimits.len(), s.mounts.len()), (1, 1), "{name}");
    }
}

#[test]
fn private_no_takes_back_the_links_of_the_weaker() {
    let text = "[Network]\nPrivate=no\n";
    let s = with("spawn --settings=override -n", &[(ETC, Trusted, text)]).settings;
    assert!(s.network_veth.is_none() && !s.private_network.unwrap().value);
    let both = "[Network]\nPrivate=no\nVirtualEthernet=yes\n";
    assert!(with("spawn", &[(ETC, Trusted, both)]).settings.network_veth.is_some());
}

#[test]
fn words_of_the_command_line_choose_the_program() {
    let text = "[Exec]\nBoot=yes\nParameters=a 'b c'\n";
    for name in ["systemd-nspawn", "spawn"] {
        let s = with(&format!("{name} /bin/ls"), &[(ETC, Trusted, text)]).settings;
        assert_eq!((s.start_mode.is_none(), s.argv), (true, vec!["/bin/ls".into()]), "{name}");
        let s = with(name, &[(ETC, Trusted, text)]).settings;
        assert_eq!(s.argv, ["a", "b c"], "{name}");
    }
}

/// What they would have it do is not said by whom they do not trust.
#[test]
fn d05_what_others_say_is_not_changed_by_a_file_beside_the_image() {
    let weak = "[Exec]\nUser=u\nBoot=yes\nParameters=evil\nPivotRoot=/evil\nResolvConf=bind-host\nTimezone=bind\n\
                SuppressSync=yes\nEnvironment=A=evil\n[Files]\nReadOnly=no\nVolatile=yes\n";
    let line = "--user=x --pivot-root=/y --resolv-conf=off --timezone=off --suppress-sync=no --read-only \
                --volatile=no -E A=mine /bin/ls";
    let strong = with(&format!("spawn {line}"), &[(BESIDE, Anyone, weak)]).settings;
    let alone = with(&format!("spawn {line}"), &[]).settings;
    let shown = |s: &Settings| {
        let pivot = s.pivot_root.as_ref().map(|p| p.value.clone());
        let last = s.environment.last().map(|e| format!("{:?}", e.value));
        format!(
            "{:?} {:?} {pivot:?} {:?} {:?} {:?} {:?} {:?} {last:?} {:?}",
            s.user, s.argv, s.resolv_conf, s.timezone, s.suppress_sync, s.read_only, s.volatile, s.start_mode
        )
    };
    assert_eq!(shown(&strong), shown(&alone));
}

#[test]
fn d06_override_keeps_the_limits_that_no_file_sets() {
    let text = "[Exec]\nHostname=h\nLimitNOFILE=7\n";
    for name in ["systemd-nspawn", "spawn"] {
        let line = format!("{name} --settings=override --rlimit=NPROC=5 --rlimit=NOFILE=6");
        let s = with(&line, &[(ETC, Trusted, text)]).settings;
        // The last one of a resource is the one that holds.
        let of = |name: &str| s.rlimits.iter().map(|l| l.value.to_string()).rfind(|l| l.contains(name));
        assert_eq!((of("NPROC").unwrap(), of("NOFILE").unwrap()), ("NPROC=5:5".into(), "NOFILE=7:7".into()));
        let s = with(&line, &[(ETC, Trusted, "[Exec]\nHostname=h\n")]).settings;
        assert_eq!(s.rlimits.len(), 2, "{name}");
    }
}

#[test]
fn d08_words_alone_are_run() {
    let alone = "[Exec]\nParameters=a\n";
    assert_eq!(with("spawn", &[(ETC, Trusted, alone)]).settings.argv, ["a"]);
    assert!(with("systemd-nspawn", &[(ETC, Trusted, alone)]).settings.argv.is_empty());
}

#[test]
fn d09_a_digit_for_a_boolean_is_told() {
    for (digit, means, users) in
        [("0", "means no here", PrivateUsers::No), ("1", "means yes here", PrivateUsers::FromTree)]
    {
        let text = format!("[Exec]\nPrivateUsers={digit}\n");
        for name in ["systemd-nspawn", "spawn"] {
            let loaded = with(name, &[(ETC, Trusted, &text)]);
            assert_eq!(loaded.settings.private_users.as_ref().unwrap().value, users, "{name}");
            let warned = warned(&loaded).concat();
            let told = warned.contains(means) && warned.contains(&format!("--private-users={digit} does"));
            assert_eq!(told, name == "spawn", "{name}: {warned}");
        }
    }
    assert!(with("spawn", &[(ETC, Trusted, "[Exec]\nPrivateUsers=no\n")]).warnings.is_empty());
}

#[test]
fn d22_an_empty_list_of_address_families_is_an_answer() {
    for name in ["systemd-nspawn", "spawn"] {
        let loaded = with(name, &[(ETC, Trusted, "[Exec]\nRestrictAddressFamilies=\n")]);
        assert!(loaded.warnings.is_empty() && loaded.mistakes.is_empty(), "{name}: {:?}", warned(&loaded));
    }
}

#[test]
fn d23_a_wrong_link_leaves_the_rest_of_the_file() {
    for line in ["Interface=a/b", "MACVLAN=a b/c", "IPVLAN=x:y/z"] {
        let text = format!("[Exec]\nHostname=h\n[Network]\n{line}\n");
        let parse = |name| Layer::parse(Path::new(ETC), text.as_bytes(), Trusted, name);
        assert!(parse(Invocation::SystemdNspawn).broken.is_some(), "{line}");
        let layer = parse(Invocation::Spawn);
        assert!(layer.broken.is_none() && layer.warnings.len() == 1, "{line}");
        assert_eq!(combine(said("spawn"), vec![layer]).settings.hostname.unwrap().value.as_str(), "h");
    }
}

#[test]
fn d44_files_add_up_key_by_key() {
    let main = "[Files]\nBind=/a\nBindReadOnly=/r\n[Exec]\nDropCapability=CAP_KILL\n";
    let files = [(ETC, Trusted, main), ("/1.conf", Trusted, "[Files]\nBind=/b\n")];
    let s = with("spawn --bind=/z --capability=CAP_MKNOD", &files).settings;
    assert_eq!(targets(&s), ["/a", "/r", "/b", "/z"]);
    assert_eq!((s.drop_capability.len(), s.capability.len()), (1, 1));
}

#[test]
fn d05_a_file_beside_the_image_gives_itself_nothing() {
    let text = "[Exec]\nUser=u\nCapability=all\nDropCapability=CAP_KILL\nPrivateUsers=no\nSystemCallFilter=~mount\n\
                LimitNOFILE=5\n[Files]\nBind=/\nReadOnly=yes\n[Network]\nPrivate=no\n";
    for name in ["systemd-nspawn", "spawn"] {
        let loaded = with(name, &[(BESIDE, Anyone, text)]);
        let s = &loaded.settings;
        assert_eq!(s.user.as_ref().unwrap().value, "u");
        assert_eq!((s.drop_capability.len(), s.system_call_filter.len()), (1, 1));
        assert!(s.capability.is_empty() && s.mounts.is_empty() && s.rlimits.is_empty());
        assert!(s.private_users.is_none() && s.private_network.is_none());
        let warned = warned(&loaded);
        assert_eq!(warned.len(), 5, "{warned:?}");
        assert_eq!(
            warned[0],
            "/machines/m.nspawn:3: Capability= is left out, since a file next to the image could give itself rights with \
             it; move the file to /etc/systemd/nspawn, or say --settings=trusted"
        );
        let trusted = with(&format!("{name} --settings=trusted"), &[(BESIDE, Trusted, text)]);
        assert!(trusted.warnings.is_empty() && trusted.settings.mounts.len() == 1);
    }
    let hidden = with("systemd-nspawn --bind=/x", &[(BESIDE, Anyone, "[Files]\nBind=/\n")]);
    assert!(hidden.warnings.is_empty(), "what an option hides is not worth a warning");
}

#[test]
fn one_allowed_call_spoils_the_filter_of_an_untrusted_file() {
    let text = "[Exec]\nSystemCallFilter=~mount\nSystemCallFilter=bpf\n";
    let loaded = with("spawn", &[(BESIDE, Anyone, text)]);
    assert!(loaded.settings.system_call_filter.is_empty());
    assert_eq!(loaded.warnings.len(), 2);
}

#[test]
fn an_untrusted_file_changes_nothing_that_others_say() {
    let weak = "[Exec]\nRestrictAddressFamilies=AF_INET\nDropCapability=CAP_KILL\n[Files]\nReadOnly=no\n";
    let drop_in = "[Exec]\nRestrictAddressFamilies=AF_UNIX\n";
    let files = [(BESIDE, Anyone, weak), ("/etc/systemd/nspawn/m.nspawn.d/a.conf", Trusted, drop_in)];
    let loaded = with("spawn --settings=override --read-only", &files);
    let s = &loaded.settings;
    assert_eq!(s.address_families.len(), 1);
    assert_eq!(s.address_families[0].value.words, ["AF_UNIX"]);
    assert_eq!(s.drop_capability.len(), 1);
    assert!(s.read_only.as_ref().unwrap().value);
    let warned = warned(&loaded);
    assert!(
        warned[0].contains(":2: RestrictAddressFamilies= is left out, since a file of the administrator"),
        "{warned:?}"
    );
    assert!(warned[1].contains(":5: ReadOnly= is left out, since an option of the command line"), "{warned:?}");
}

#[test]
fn drop_ins_add_and_take_back() {
    let main = "[Exec]\nHostname=a\nEnvironment=A=1 B=2\nKillSignal=TERM\n[Files]\nBind=/a\nBindReadOnly=/r\n";
    let one = "[Exec]\nHostname=b\nEnvironment=C=3\n[Files]\nBind=\nBind=/c\n";
    let two = "[Exec]\nEnvironment=\nKillSignal=\n";
    let files = [(ETC, Trusted, main), ("/1.conf", Trusted, one), ("/2.conf", Trusted, two)];
    let loaded = with("spawn --bind=/z", &files);
    let s = &loaded.settings;
    assert_eq!(s.hostname.as_ref().unwrap().origin.to_string(), "/1.conf:2 Hostname=");
    assert!(s.environment.is_empty() && s.kill_signal.is_none());
    assert_eq!(targets(s), ["/r", "/c", "/z"]);
    assert!(loaded.warnings.is_empty(), "{:?}", warned(&loaded));
}

#[test]
fn what_is_not_built_is_refused_by_name_where_it_counts() {
    let text = "[Exec]\nPrivateUsersDelegate=1\n[Network]\nVirtualEthernetExtra=\n[Files]\nPrivateUsersChown=no\n";
    let refused = refused(&with("spawn", &[(ETC, Trusted, text)]));
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].starts_with("PrivateUsersDelegate= is not built yet"), "{refused:?}");
    assert!(refused[0].contains(&format!("asked for by {ETC}:2 PrivateUsersDelegate=")), "{refused:?}");
    assert!(with("systemd-nspawn -U", &[(ETC, Trusted, text)]).mistakes.is_empty(), "an option hides it");
    assert!(with("spawn", &[(BESIDE, Anyone, text)]).mistakes.is_empty(), "it does not count");
}

#[test]
fn values_that_ask_for_something_wrong_are_not_left_out() {
    let text = "[Files]\nBind=/a:/b:nope\nBind=relative\n";
    let loaded = with("spawn", &[(ETC, Trusted, text)]);
    assert_eq!(refused(&loaded).len(), 1);
    assert!(refused(&loaded)[0].contains(&format!("{ETC}:2: Bind=/a:/b:nope: 'nope' is not an option")));
    assert_eq!(
        warned(&loaded),
        [format!("{ETC}:3: Bind=relative: relative must be an absolute path; what is wrong is left out")]
    );
}

#[test]
fn secrets_are_not_repeated() {
    let layer =
        layer(ETC, Trusted, Invocation::Spawn, "[Exec]\nEnvironment=A=geheim 'B=x\nEnvironment=C=geheim geheim\n");
    assert_eq!(layer.warnings.len(), 2);
    assert!(layer.warnings.iter().all(|w| !w.to_string().contains("geheim")), "{:?}", layer.warnings);
}

#[test]
fn a_credential_of_the_command_line_takes_the_place_of_a_files() {
    let text = "[Exec]\nSetCredential=a:file\nSetCredential=b:file\nLoadCredential=c:/file\n";
    let s = with("spawn --set-credential=a:line", &[(ETC, Trusted, text)]).settings;
    let from: Vec<_> = s.credentials.iter().map(|c| (c.value.id.as_str(), c.origin.to_string())).collect();
    let expected = [
        ("b", format!("{ETC}:3 SetCredential=")),
        ("c", format!("{ETC}:4 LoadCredential=")),
        ("a", "--set-credential=a".into()),
    ];
    assert_eq!(from, expected);
}

#[test]
fn keys_of_our_own_are_unknown_to_systemd_nspawn() {
    let text = "[Exec]\nSlice=x.slice\n[Files]\nDirectory=/srv/m\n";
    assert_eq!(with("systemd-nspawn", &[(ETC, Trusted, text)]).warnings.len(), 2);
    let s = with("spawn", &[(ETC, Trusted, text)]).settings;
    assert_eq!((s.slice.unwrap().value.as_str(), s.directory.unwrap().value), ("x.slice", "/srv/m".into()));
    assert_eq!(with("spawn", &[(BESIDE, Anyone, text)]).warnings.len(), 2);
}

/// Every option that says something of a container has a key.
#[test]
fn d45_what_can_be_said_on_the_command_line_can_be_said_in_a_file() {
    for (text, built) in [
        ("[Exec]\nSlice=x.slice\nProperty=MemoryMax=1G\nSetCredential=a:b\nLoadCredential=c:/d", true),
        ("[Exec]\nSELinuxContext=a\nSELinuxAPIFSContext=a\n[Files]\nBindUserGroup=g\nTemplate=/t", true),
        ("[Files]\nImagePolicy=root=verity", false),
        ("[Files]\nRootHash=00112233445566778899aabbccddeeff", false),
        ("[Files]\nRootHashSignature=base64:AA", false),
        ("[Files]\nVerityData=/v", false),
        ("[Exec]\nForwardJournal=/j", true),
    ] {
        let loaded = with("spawn", &[(ETC, Trusted, text)]);
        assert!(loaded.warnings.is_empty(), "{:?}", warned(&loaded));
        let said = refused(&loaded).concat();
        assert_eq!(said.is_empty(), built, "{said}");
        assert!(built || said.contains("is not built yet"), "{said}");
    }
    let without: Vec<&str> =
        keys::all().filter(|key| key.file.is_none() && key.listing != Listing::Hidden).map(|key| key.id).collect();
    let of_the_program =
        ["help", "version", "no-pager", "no-ask-password", "quiet", "verbose", "dry-run", "settings", "cleanup"];
    // A bundle and a name decide which file is read; the others are short for options that have keys, or who calls.
    let others = ["oci-bundle", "machine", "system", "user", "U", "rlimit", "j", "pipe"];
    assert_eq!(without, [&of_the_program[..], &others].concat());
}
