// SPDX-License-Identifier: LGPL-2.1-or-later

use super::*;
use crate::cli::{Caller, Command, parse};
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
    let alone = "[Exec]\nParameters=a\n";
    assert_eq!(with("spawn", &[(ETC, Trusted, alone)]).settings.argv, ["a"]);
    // Finding 8 of systemd-nspawn's behaviour: the words alone do not count there.
    assert!(with("systemd-nspawn", &[(ETC, Trusted, alone)]).settings.argv.is_empty());
}

#[test]
fn a_file_beside_the_image_gives_itself_nothing() {
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
    let links = Layer::parse(Path::new(ETC), b"[Network]\nInterface=a/b\n", Trusted, Invocation::SystemdNspawn);
    assert!(links.broken.is_some());
    let links = Layer::parse(Path::new(ETC), b"[Network]\nInterface=a/b\n", Trusted, Invocation::Spawn);
    assert!(links.broken.is_none() && links.warnings.len() == 1);
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
