// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the payload finds around itself: variables, names, ids of the machine, credentials, files of the host.

use crate::common::{Case, HostState, Outcome, Program, Reason, skip};
use crate::support::*;
use std::collections::BTreeMap;

const ID: &str = "0102030405060708090a0b0c0d0e0f10";
const DASHED: &str = "01020304-0506-0708-090a-0b0c0d0e0f10";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn told_of_the_host() -> Result<BTreeMap<String, String>, Reason> {
    let text =
        std::fs::read_to_string("/etc/os-release").or_else(|_| std::fs::read_to_string("/usr/lib/os-release"))?;
    let value = |l: &str| l.trim_matches('"').to_owned();
    let told = text
        .lines()
        .filter_map(|l| l.split_once('='))
        .filter(|(k, v)| ["ID", "VERSION_ID", "BUILD_ID", "VARIANT_ID"].contains(k) && !v.is_empty());
    Ok(told.map(|(k, v)| (format!("container_host_{}", k.to_lowercase()), value(v))).collect())
}

fn expected(more: &[(&str, &str)]) -> Result<BTreeMap<String, String>, Reason> {
    let usual = [
        ("PATH", PATH),
        ("container", "systemd-nspawn"),
        ("TERM", "dumb"),
        ("HOME", "/root"),
        ("USER", "root"),
        ("LOGNAME", "root"),
        ("container_uuid", DASHED),
        ("NOTIFY_SOCKET", "/run/host/notify"),
        ("LANG", "C.UTF-8"),
    ];
    let mut all = told_of_the_host()?;
    all.extend(usual.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
    Ok(all)
}

fn environment(facts: &Facts) -> BTreeMap<String, String> {
    facts.below("env.").map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// Whoever logged in to start it (pam_loginuid(8)) has not logged in inside.
pub fn logins_inside_are_their_own(case: &mut Case) -> Outcome {
    const NOBODY: &str = "4294967295";
    let tree = Tree::new(case)?;
    let print = ["/bin/cat", "/proc/self/loginuid"];
    let set = "echo 1234 >/proc/self/loginuid || exit 77; cat /proc/self/loginuid >&2; exec \"$@\"";
    for users in ["--private-users=no", "--private-users=pick"] {
        let command = tree.spawn(case, &["-q", users]).args(print).command();
        let run = Program::new("/bin/sh").args(["-c", set, "sh"]).arg(command.get_program()).args(command.get_args());
        let run = run.run();
        if run.status.code() == Some(77) {
            return skip("the kernel has no audit, or its login ids cannot be set here");
        }
        let run = run.expect_code(0);
        assert!(run.stderr.starts_with("1234"), "{run}");
        assert_eq!(run.stdout.trim(), NOBODY, "{users}");
    }
    Ok(())
}

/// Exactly these variables: nothing of the caller's gets through.
pub fn environment_is_exactly_this(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let uuid = format!("--uuid={ID}");
    for name in BOTH {
        let run = tree.called(case, name, &[&uuid, "-P"])?.env("SECRET", "x").env("TERM", "xterm").arg("/probe").run();
        assert_eq!(environment(&Facts::of(&run.expect_code(0).stdout)), expected(&[])?, "{name:?}");
    }
    // On a console the terminal's variables are the caller's.
    let run = tree.spawn(case, &[&uuid, "--console=read-only"]).env("TERM", "xterm").env("COLORTERM", "truecolor");
    let facts = Facts::of(&run.env("NO_COLOR", "1").arg("/probe").run().expect_code(0).stdout.replace('\r', ""));
    let more = [("TERM", "xterm"), ("COLORTERM", "truecolor"), ("NO_COLOR", "1")];
    assert_eq!(environment(&facts), expected(&more)?);
    // Of what was asked for, the last wins; without a value it is the caller's.
    let options = [&uuid, "-E", "A=1", "-E", "A=2", "-E", "HOME=/h", "-E", "TAKEN", "-E", "UNSET", "-E", "PATH=/bin"];
    let run = tree.spawn(case, &options).env("TAKEN", "from caller").arg("/probe").run().expect_code(0);
    let more = [("A", "2"), ("HOME", "/h"), ("TAKEN", "from caller"), ("UNSET", ""), ("PATH", "/bin")];
    assert_eq!(environment(&Facts::of(&run.stdout)), expected(&more)?);
    let facts = tree.probe(case, &[&uuid, "-u", "user"]);
    let more = [("HOME", "/home/user"), ("USER", "user"), ("LOGNAME", "user")];
    assert_eq!(environment(&facts), expected(&more)?);
    let run = tree.spawn(case, &[&uuid]).env("SYSTEMD_NSPAWN_CONTAINER_SERVICE", "other").arg("/probe").run();
    assert_eq!(environment(&Facts::of(&run.expect_code(0).stdout)), expected(&[("container", "other")])?);
    let facts = tree.probe(case, &[&uuid, "--set-credential=a:b"]);
    assert_eq!(environment(&facts), expected(&[("CREDENTIALS_DIRECTORY", "/run/host/credentials")])?);
    Ok(())
}

/// The search for the program uses the container's path, the one of `-E` if there is one.
pub fn programs_are_found_by_the_containers_path(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    std::fs::create_dir(tree.path.join("opt"))?;
    std::fs::rename(tree.path.join("probe"), tree.path.join("opt/probe"))?;
    tree.spawn(case, &[]).env("PATH", "/opt").arg("probe").run().expect_code(127);
    let run = tree.spawn(case, &["-E", "PATH=/nowhere:/opt"]).arg("probe").run().expect_code(0);
    assert_eq!(&Facts::of(&run.stdout)["arg.0"], "probe");
    Ok(())
}

pub fn hostname_is_the_machines_unless_said(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    assert_eq!(tree.script(case, &[], "hostname"), "tree\n");
    assert_eq!(tree.script(case, &["-M", "my.name"], "hostname"), "my.name\n");
    assert_eq!(tree.script(case, &["--hostname=other"], "hostname"), "other\n");
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/hostname")?, host);
    Ok(())
}

/// The image's id wins, then the one that is given, else it is random on every start; nothing is written.
pub fn machine_id_rules(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let uuid = format!("--uuid={ID}");
    let read = |options: &[&str]| tree.script(case, options, "cat /run/host/container-uuid").trim().to_owned();
    assert_eq!(read(&[&uuid]), DASHED);
    let (first, second) = (read(&[]), read(&[]));
    assert!(first != second && first.len() == 36, "{first} {second}");
    for unset in ["", "\n", "uninitialized\n"] {
        tree.write("etc/machine-id", unset)?;
        assert_eq!(read(&[&uuid]), DASHED, "{unset:?}");
        assert_eq!(tree.read("etc/machine-id")?, unset);
    }
    tree.write("etc/machine-id", "ffffffffeeeeeeeeddddddddcccccccc\n")?;
    assert_eq!(read(&[]), "ffffffff-eeee-eeee-dddd-ddddcccccccc");
    assert_eq!(read(&[&uuid]), "ffffffff-eeee-eeee-dddd-ddddcccccccc");
    Ok(())
}

pub fn credentials_are_set_and_loaded(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let (file, folder) = (case.dir().join("secret"), case.dir().join("given"));
    std::fs::write(&file, "from file")?;
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("named"), "from name")?;
    let script = "cd $CREDENTIALS_DIRECTORY; stat -c '%a %u:%g %n' . *; cat a; od -An -tx1 b; cat c d; touch x 2>/dev/null || echo ro; \
                  grep credentials /proc/self/mountinfo | cut -d' ' -f6";
    let load = format!("--load-credential=c:{}", file.display());
    let options = ["--set-credential=a:one\\n", "--set-credential=b:\\x00\\xff", &load, "--load-credential=d:named"];
    for users in ["--private-users=pick", "--private-users=no"] {
        let run = tree.spawn(case, &options).arg(users).env("CREDENTIALS_DIRECTORY", folder.as_os_str());
        let said = run.args(["sh", "-c", script]).run().expect_code(0).stdout;
        let listing = ".\n400 0:0 a\n400 0:0 b\n400 0:0 c\n400 0:0 d\n";
        let flags = "ro,nosuid,nodev,noexec,relatime";
        assert_eq!(said, format!("500 0:0 {listing}one\n 00 ff\nfrom filefrom namero\n{flags}\n"), "{users}");
    }
    // A payload of another user can read them only where nothing is gained by it: no new privileges.
    let read = |more: &[&str]| {
        let run = tree.spawn(case, &["-u", "user", "--set-credential=a:one"]).args(more);
        let run = run.args(["sh", "-c", "cat /run/host/credentials/a"]).run();
        (run.status.code(), run.stdout)
    };
    assert_eq!(read(&["--no-new-privileges=yes"]), (Some(0), "one".to_owned()));
    assert_eq!(read(&[]), (Some(1), String::new()));
    let run = tree.spawn(case, &["--load-credential=d:named"]).arg("true").run().expect_code(125);
    assert_says(&run, "cannot load the credential d");
    let run = tree.spawn(case, &["--load-credential=d:/no/such"]).arg("true").run().expect_code(125);
    assert_says(&run, "cannot load the credential d from /no/such: No such file or directory (ENOENT)");
    Ok(())
}

/// Values of credentials and variables are in no message and in no record.
pub fn secrets_show_nowhere(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let options = ["-v", "-E", "TOKEN=hush1", "--set-credential=a:hush2", "-M", "secretive"];
    for how in ["--dry-run", "--dry-run=json"] {
        let run = tree.spawn(case, &options).arg(how).arg("true").run().expect_code(0);
        assert_silent_about(&run, "hush");
        assert!(run.stdout.contains("TOKEN") && run.stdout.contains('a'), "{run}");
    }
    let script = "touch /ready; while :; do sleep 1; done";
    let container = Background::start(&tree.spawn(case, &options).args(["sh", "-c", script]), &tree.path.join("ready"));
    let found = crate::common::Program::new("grep").args(["-rl", "-D", "skip", "hush", "/run/spawn"]).run();
    assert_eq!((found.status.code(), found.stdout.as_str()), (Some(1), ""));
    drop(container);
    let run = tree.spawn(case, &options).arg("none").run().expect_code(127);
    assert_silent_about(&run, "hush");
    let run =
        tree.spawn(case, &options).args(["-E", "=hush3", "--set-credential=a:hush4", "true"]).run().expect_code(125);
    assert_silent_about(&run, "hush");
    Ok(())
}

pub fn resolv_conf_modes(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let host = std::fs::read_to_string("/etc/resolv.conf")?;
    let fresh = |mode: &str, more: &[&str]| {
        tree.write("etc/resolv.conf", "old\n")?;
        let run = tree.spawn(case, &[mode]).args(more).args(["cat", "/etc/resolv.conf"]).run().expect_code(0);
        Ok::<_, Reason>((run.stdout, tree.read("etc/resolv.conf")?))
    };
    assert_eq!(fresh("--resolv-conf=off", &[])?, ("old\n".into(), "old\n".into()));
    assert_eq!(fresh("--resolv-conf=auto", &[])?, (host.clone(), host.clone()));
    assert_eq!(fresh("--resolv-conf=copy-host", &[])?, (host.clone(), host.clone()));
    assert_eq!(fresh("--resolv-conf=auto", &["--private-network"])?, ("old\n".into(), "old\n".into()));
    assert_eq!(fresh("--resolv-conf=auto", &["--read-only"])?, (host.clone(), "old\n".into()));
    assert_eq!(fresh("--resolv-conf=auto", &["-x"])?, (host.clone(), "old\n".into()));
    assert_eq!(fresh("--resolv-conf=auto", &["--volatile=overlay"])?, (host.clone(), "old\n".into()));
    assert_eq!(fresh("--resolv-conf=replace-host", &[])?, (host.clone(), host.clone()));
    assert_eq!(fresh("--resolv-conf=bind-host", &[])?, (host.clone(), "old\n".into()));
    // A link: copying leaves it alone, replacing replaces it, mounting follows it within the image.
    let at = tree.path.join("etc/resolv.conf");
    let linked = |mode: &str| {
        std::fs::remove_file(&at)?;
        std::os::unix::fs::symlink("/run/elsewhere", &at)?;
        let script = "readlink /etc/resolv.conf; cat /etc/resolv.conf 2>/dev/null; true";
        Ok::<_, Reason>(tree.script(case, &[mode], script))
    };
    assert_eq!(linked("--resolv-conf=copy-host")?, "/run/elsewhere\n");
    assert_eq!(linked("--resolv-conf=replace-host")?, host);
    assert_eq!(linked("--resolv-conf=delete")?, "");
    assert!(at.symlink_metadata().is_err());
    tree.script(case, &["--resolv-conf=bind-host"], "true");
    assert_eq!(at.metadata()?.len(), 0);
    Ok(())
}

pub fn timezone_modes(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    std::fs::create_dir_all(tree.path.join("usr/share/zoneinfo/Etc"))?;
    let link = std::fs::read_link("/etc/localtime").map(|l| l.to_string_lossy().into_owned()).unwrap_or_default();
    let Some((_, zone)) = link.split_once("zoneinfo/") else {
        return crate::common::skip("the host's /etc/localtime is not a link to a zone");
    };
    let at = tree.path.join("etc/localtime");
    let now = || std::fs::read_link(&at).map(|l| l.to_string_lossy().into_owned()).unwrap_or_default();
    tree.script(case, &["--timezone=off"], "true");
    assert!(!at.exists());
    tree.script(case, &["--timezone=copy"], "true");
    assert_eq!(std::fs::read(&at)?, std::fs::read("/etc/localtime")?);
    assert_eq!(now(), "");
    // The zone is not in the image: a copy is all that helps.
    tree.script(case, &["--timezone=auto"], "true");
    assert_eq!(now(), "");
    let file = tree.path.join("usr/share/zoneinfo").join(zone);
    std::fs::create_dir_all(file.parent().expect("a folder"))?;
    std::fs::copy("/etc/localtime", file)?;
    tree.script(case, &["--timezone=auto"], "true");
    assert_eq!(now(), format!("../usr/share/zoneinfo/{zone}"));
    // The same link written otherwise is left, one that leads nowhere does not keep the zone from being set.
    std::fs::remove_file(&at)?;
    std::os::unix::fs::symlink(format!("/usr/share/zoneinfo/{zone}"), &at)?;
    tree.script(case, &["--timezone=auto"], "true");
    assert_eq!(now(), format!("/usr/share/zoneinfo/{zone}"));
    tree.script(case, &["--timezone=delete"], "true");
    assert!(at.symlink_metadata().is_err());
    let aside = tree.path.join("usr/share/aside");
    std::fs::rename(tree.path.join("usr/share/zoneinfo"), &aside)?;
    for nowhere in ["../usr/share/zoneinfo/No/Where", "/tmp"] {
        std::os::unix::fs::symlink(nowhere, &at)?;
        tree.script(case, &["--timezone=auto"], "true");
        assert_eq!((now(), std::fs::read(&at)?), (String::new(), std::fs::read("/etc/localtime")?), "{nowhere}");
        std::fs::remove_file(&at)?;
    }
    std::fs::rename(&aside, tree.path.join("usr/share/zoneinfo"))?;
    tree.script(case, &["--timezone=symlink"], "true");
    assert_eq!(now(), format!("../usr/share/zoneinfo/{zone}"));
    std::fs::remove_file(&at)?;
    let shown = tree.script(case, &["--timezone=bind"], "wc -c </etc/localtime");
    assert_eq!(shown.trim(), std::fs::metadata("/etc/localtime")?.len().to_string());
    assert_eq!((now(), at.metadata()?.len()), (String::new(), 0));
    Ok(())
}

pub fn a_network_of_its_own_has_lo_up(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    for users in ["--private-users=pick", "--private-users=no"] {
        let script = "ls /sys/class/net; cat /sys/class/net/lo/flags; ip -4 addr show lo | grep -c 127.0.0.1/8; \
                      echo 1 >/proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward";
        let said = tree.script(case, &["--private-network", users], script);
        assert_eq!(said, "lo\n0x9\n1\n1\n", "{users}");
    }
    before.assert_unchanged();
    Ok(())
}
