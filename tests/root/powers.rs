// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the payload may do and how much of it: capabilities, users, limits, scheduling.

use crate::common::{Case, Outcome, Reason};
use crate::support::*;

/// The bounding set of systemd-nspawn(1), `--capability=`.
const DEFAULT: &[u32] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 18, 19, 21, 22, 23, 24, 26, 27, 28, 29, 30, 31];

const KILL: u32 = 5;
const NET_BIND_SERVICE: u32 = 10;
const NET_ADMIN: u32 = 12;
const NET_RAW: u32 = 13;
const SYS_TIME: u32 = 25;
const MKNOD: u32 = 27;
const SYS_RESOURCE: u32 = 24;

fn hex(caps: impl IntoIterator<Item = u32>) -> String {
    format!("{:016x}", caps.into_iter().fold(0u64, |set, c| set | 1 << c))
}

fn default_but(without: &[u32], with: &[u32]) -> String {
    hex(DEFAULT.iter().copied().filter(|c| !without.contains(c)).chain(with.iter().copied()))
}

/// Bounding, permitted, effective, inheritable, ambient.
fn sets(facts: &Facts) -> [String; 5] {
    ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"].map(|n| facts[format!("status.{n}").as_str()].to_owned())
}

/// What this machine does not let even its root have is not to be had without a user namespace either; CAP_MKNOD is
/// withheld where there is no device policy.
fn check(case: &Case, tree: &Tree, options: &[&str], expected: [String; 5]) {
    let run = tree.spawn(case, options).arg("/probe").run().expect_code(0);
    let mut possible = u64::MAX;
    if options.contains(&"--private-users=no") {
        possible &= own_bounding_set();
    }
    if run.stderr.contains("may not make device nodes") {
        possible &= !(1 << MKNOD);
    }
    let cut = |text: String| format!("{:016x}", u64::from_str_radix(&text, 16).unwrap_or(0) & possible);
    assert_eq!(sets(&Facts::of(&run.stdout)), expected.map(cut), "{options:?}");
}

fn own_bounding_set() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("CapBnd:")).unwrap_or_default();
    u64::from_str_radix(line.trim(), 16).unwrap_or(0)
}

fn root(set: String) -> [String; 5] {
    [set.clone(), set.clone(), set.clone(), set, hex([])]
}

pub fn capabilities_of_root(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let no_users = "--private-users=no";
    check(case, &tree, &[no_users], root(default_but(&[], &[])));
    // Ports of the host are not for a user namespace.
    check(case, &tree, &[], root(default_but(&[NET_BIND_SERVICE], &[])));
    check(case, &tree, &["--private-network"], root(default_but(&[], &[NET_ADMIN])));
    check(case, &tree, &["--private-network", "--drop-capability=NET_ADMIN"], root(default_but(&[], &[])));
    check(case, &tree, &["--capability=CAP_NET_BIND_SERVICE"], root(default_but(&[], &[])));
    check(
        case,
        &tree,
        &[no_users, "--capability=sys_time,CAP_NET_ADMIN"],
        root(default_but(&[], &[SYS_TIME, NET_ADMIN])),
    );
    check(case, &tree, &[no_users, "--drop-capability=CAP_KILL,MKNOD"], root(default_but(&[KILL, MKNOD], &[])));
    check(case, &tree, &["--drop-capability=all"], root(hex([])));
    let ambient = hex([KILL, NET_RAW]);
    let mut expected = root(default_but(&[], &[]));
    expected[4] = ambient;
    check(case, &tree, &[no_users, "--ambient-capability=CAP_KILL,CAP_NET_RAW"], expected);
    let last: u32 = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap")?.trim().parse()?;
    check(case, &tree, &["--capability=all"], root(hex(0..=last)));
    Ok(())
}

pub fn capabilities_of_another_user(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let none = hex([]);
    let bounding = default_but(&[], &[]);
    for user in ["user", "1000"] {
        let options = ["--private-users=no", "-u", user];
        check(case, &tree, &options, [bounding.clone(), none.clone(), none.clone(), none.clone(), none.clone()]);
        let ambient = hex([KILL]);
        let options = ["--private-users=no", "-u", user, "--ambient-capability=CAP_KILL"];
        // execve(2) puts what is ambient in force.
        check(case, &tree, &options, [bounding.clone(), ambient.clone(), ambient.clone(), ambient.clone(), ambient]);
    }
    Ok(())
}

pub fn the_stub_has_no_power_that_its_program_lacks(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/1/status >/tmp/1; grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status | diff /tmp/1 - && echo same";
    let said = tree.script(case, &["-a", "--drop-capability=CAP_KILL", "--no-new-privileges=yes"], script);
    assert_eq!(said, "same\n");
    Ok(())
}

pub fn what_the_caller_lacks_is_one_warning(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let drop = ["--bounding-set=-sys_time,-lease", "--inh-caps=-sys_time,-lease", "--"];
    let run = |options: &[&str]| {
        let spawn = tree.spawn(case, options).arg("/probe").command();
        let words = spawn.get_args().map(|a| a.to_owned()).collect::<Vec<_>>();
        crate::common::Program::new("setpriv").args(drop).arg(Case::spawn_path()).args(words).run().expect_code(0)
    };
    let output = run(&["--private-users=no", "--capability=CAP_SYS_TIME"]);
    assert_eq!(output.stderr.matches("CAP_SYS_TIME").count(), 1, "{output}");
    assert_eq!(output.stderr.matches("CAP_LEASE").count(), 1, "{output}");
    let facts = Facts::of(&output.stdout);
    assert_eq!(u64::from_str_radix(&facts["status.CapBnd"], 16)? & (1 << SYS_TIME | 1 << 28), 0);
    // A user namespace has them all.
    let output = run(&[]);
    assert_silent_about(&output, "CAP_LEASE");
    Ok(())
}

pub fn no_new_privileges_and_filter(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let facts = tree.probe(case, &[]);
    assert_eq!(
        (&facts["status.NoNewPrivs"], &facts["status.Seccomp"], &facts["status.Seccomp_filters"]),
        ("0", "2", "1")
    );
    assert_eq!(&tree.probe(case, &["--no-new-privileges=yes"])["status.NoNewPrivs"], "1");
    let run = tree.spawn(case, &[]).env("SYSTEMD_SECCOMP", "0").arg("/probe").run().expect_code(0);
    assert_eq!(&Facts::of(&run.stdout)["status.Seccomp"], "0");
    // A wrong value is a mistake that is said.
    let run = tree.spawn(case, &["--system-call-filter=no_such_call_at_all"]).arg("/probe").run();
    assert_says(&run, "no_such_call_at_all");
    let script = "mkdir /d 2>&1; echo $?";
    assert_eq!(tree.script(case, &[], script), "0\n");
    std::fs::remove_dir(tree.path.join("d"))?;
    let said = tree.script(case, &["--system-call-filter=~mkdir mkdirat"], script);
    assert_eq!(said, "mkdir: can't create directory '/d': Operation not permitted\n1\n");
    Ok(())
}

/// It would run with what was to be refused; systemd-nspawn takes no notice.
pub fn a_mistyped_refusal_is_an_error(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let run = tree.spawn(case, &["--system-call-filter=~mkdir mkdrat"]).arg("true").run().expect_code(125);
    for part in ["no system call is named mkdrat", "--system-call-filter=~mkdir mkdrat", "-mkdrat"] {
        assert_says(&run, part);
    }
    for (name, list) in [(Name::Spawn, "~mkdir mkdirat -mkdrat"), (Name::Nspawn, "~mkdir mkdirat mkdrat")] {
        let filter = format!("--system-call-filter={list}");
        let program = tree.called(case, name, &[&filter])?.args(["sh", "-c", "mkdir /x 2>/dev/null || echo refused"]);
        let run = program.run().expect_code(0);
        assert_eq!(run.stdout.trim(), "refused", "{name:?}");
        assert_eq!(run.stderr.contains("no system call is named mkdrat"), name == Name::Nspawn, "{run}");
    }
    Ok(())
}

fn users(case: &Case, tree: &Tree, user: &str) -> Result<[String; 5], Reason> {
    let facts = tree.probe(case, &["-u", user]);
    Ok(["uid", "euid", "gid", "groups", "env.HOME"].map(|k| facts[k].to_owned()))
}

pub fn users_are_those_of_the_image(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    tree.write("etc/group", "root:x:0:\ndaemon:x:1:user\nuser:x:1000:\nwheel:x:10:user,other\n")?;
    assert_eq!(users(case, &tree, "root")?, ["0", "0", "0", "", "/root"]);
    assert_eq!(users(case, &tree, "0")?, ["0", "0", "0", "", "/root"]);
    let user = ["1000", "1000", "1000", "1,10", "/home/user"];
    let shown = users(case, &tree, "user")?;
    let mut groups: Vec<u32> = shown[3].split(',').filter_map(|g| g.parse().ok()).collect();
    groups.retain(|g| *g != 1000);
    groups.sort_unstable();
    assert_eq!(groups, [1, 10]);
    assert_eq!([&shown[0], &shown[1], &shown[2], &shown[4]], [user[0], user[1], user[2], user[4]]);
    assert_eq!(users(case, &tree, "1000")?, shown);
    // A number without an entry is that number.
    let shown = users(case, &tree, "4242")?;
    assert_eq!(shown[..2], ["4242", "4242"]);
    let run = tree.spawn(case, &["-u", "stranger"]).arg("/probe").run().expect_code(125);
    assert_says(&run, "stranger");
    assert_says(&run, "asked for by");
    Ok(())
}

fn infinity(n: u64) -> i64 {
    if n == u64::MAX { -1 } else { n as i64 }
}

/// nspawn.c, `settings_load`: what nobody sets, clamped to the caller's own hard limits.
pub fn limits_that_nobody_sets(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let nr_open: u64 = std::fs::read_to_string("/proc/sys/fs/nr_open")?.trim().parse()?;
    let pid1 = std::fs::read_to_string("/proc/1/limits")?;
    let row = |name: &str| -> Option<String> {
        let line = pid1.lines().find(|l| l.starts_with(name))?;
        let words: Vec<&str> = line.get(26..)?.split_whitespace().collect();
        let value = |w: &str| if w == "unlimited" { "-1".to_owned() } else { w.to_owned() };
        Some(format!("{}:{}", value(words[0]), value(words[1])))
    };
    let none = || format!("{0}:{0}", infinity(u64::MAX));
    let powerful = own_bounding_set() & 1 << SYS_RESOURCE != 0;
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let files = format!("1024:{}", nr_open.min(512 * 1024).min(if powerful { u64::MAX } else { own }));
    let expected = [
        ("CPU", none()),
        ("FSIZE", none()),
        ("DATA", none()),
        ("STACK", "8388608:-1".to_owned()),
        ("CORE", "0:-1".to_owned()),
        ("RSS", none()),
        ("NPROC", row("Max processes").unwrap_or_default()),
        ("NOFILE", files),
        ("MEMLOCK", "8388608:8388608".to_owned()),
        ("AS", none()),
        ("LOCKS", none()),
        ("SIGPENDING", row("Max pending signals").unwrap_or_default()),
        ("MSGQUEUE", "819200:819200".to_owned()),
        ("NICE", "0:0".to_owned()),
        ("RTPRIO", "0:0".to_owned()),
        ("RTTIME", none()),
    ];
    // A caller that is allowed less: nothing of it leaks in.
    let facts = tree.probe(case, &[]);
    let script = "ulimit -S -n 99; ulimit -S -c 0; ulimit -S -s 2048; exec \"$0\" -D \"$1\" /probe";
    let run = crate::common::Program::new("/bin/sh").args(["-c", script]).arg(Case::spawn_path()).arg(&tree.path).run();
    for facts in [facts, Facts::of(&run.expect_code(0).stdout)] {
        for (name, value) in &expected {
            assert_eq!(&facts[format!("limit.{name}").as_str()], value, "{name}");
        }
    }
    Ok(())
}

pub fn limits_that_are_set(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let options =
        ["--rlimit=NOFILE=100:200", "--rlimit=RLIMIT_CORE=infinity", "--rlimit=MSGQUEUE=5:6", "--rlimit=NOFILE=64"];
    for more in ["--settings=no", "--settings=override"] {
        let facts = tree.probe(case, &[options[0], options[1], options[2], options[3], more]);
        let shown = ["NOFILE", "CORE", "MSGQUEUE", "STACK"].map(|n| facts[format!("limit.{n}").as_str()].to_owned());
        assert_eq!(shown, ["64:64", "-1:-1", "5:6", "8388608:-1"], "{more}");
    }
    Ok(())
}

pub fn oom_affinity_personality(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let oom = |options: &[&str]| tree.script(case, options, "cat /proc/self/oom_score_adj /proc/self/oom_score_adj");
    assert_eq!(oom(&["--oom-score-adjust=321"]), "321\n321\n");
    for users in ["--private-users=pick", "--private-users=no"] {
        if own_bounding_set() & 1 << SYS_RESOURCE != 0 {
            assert_eq!(oom(&[users, "--oom-score-adjust=-7"]), "-7\n-7\n");
        } else {
            let run = tree.spawn(case, &[users, "--oom-score-adjust=-7"]).arg("true").run().expect_code(125);
            assert_says(&run, "CAP_SYS_RESOURCE");
        }
    }
    assert_eq!(oom(&[]), "0\n0\n");
    let facts = tree.probe(case, &["--cpu-affinity=0"]);
    assert_eq!((&facts["cpus"], &facts["status.Cpus_allowed_list"]), ("1", "0"));
    let run = tree.spawn(case, &["--cpu-affinity=8000"]).arg("/probe").run().expect_code(125);
    assert_says(&run, "--cpu-affinity=8000");
    assert_eq!(&facts["personality"], "0");
    if cfg!(target_arch = "x86_64") {
        assert_eq!(&tree.probe(case, &["--personality=x86"])["personality"], "8");
        assert_eq!(&tree.probe(case, &["--personality=x86-64"])["personality"], "0");
    }
    Ok(())
}

pub fn working_directory(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    assert_eq!(&tree.probe(case, &["--chdir=/home/user"])["cwd"], "/home/user");
    let run = tree.spawn(case, &["--chdir=/no/such"]).arg("/probe").run().expect_code(125);
    assert_says(&run, "cannot enter the working directory /no/such: No such file or directory (ENOENT)");
    tree.spawn(case, &["--chdir=/proc"]).arg("/probe").run().expect_code(125);
    Ok(())
}

/// Nothing of the caller's mood: umask, ignored and blocked signals, keyring.
pub fn umask_signals_and_keyring_are_fresh(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let script = "umask 0777; trap '' INT QUIT USR1 PIPE HUP; exec \"$0\" -D \"$@\" /probe";
    for options in [&[][..], &["-a"], &["-u", "user"], &["--private-users=no"]] {
        let run = crate::common::Program::new("/bin/sh").args(["-c", script]).arg(Case::spawn_path()).arg(&tree.path);
        let facts = Facts::of(&run.args(options).run().expect_code(0).stdout);
        assert_eq!(&facts["umask"], "0022", "{options:?}");
        for set in ["SigBlk", "SigIgn", "SigPnd", "ShdPnd"] {
            assert_eq!(&facts[format!("status.{set}").as_str()], "0000000000000000", "{set} {options:?}");
        }
        let keyring = &facts["keyring"];
        assert!(!keyring.contains("_uid.0"), "{options:?}: {keyring}");
        assert_eq!(&facts["deathsig"], "9", "{options:?}");
    }
    Ok(())
}

/// `sync` and its kin succeed without doing anything: also on what cannot be synced.
pub fn syncs_do_nothing_when_suppressed(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    // A pipe cannot be synced (fsync(2), EINVAL).
    let script = "dd if=/dev/zero bs=1 count=1 conv=fsync 2>/dev/null | cat >/dev/null; \
                  (dd if=/dev/zero bs=1 count=1 conv=fsync 2>&1 | grep -c Invalid); \
                  dd if=/dev/zero of=/x bs=1 count=1 oflag=dsync 2>/dev/null || echo refused; true";
    let without = tree.script(case, &[], script);
    let with = tree.script(case, &["--suppress-sync=yes"], script);
    assert_eq!((without.lines().next(), with.lines().next()), (Some("1"), Some("0")), "{without} {with}");
    let by_variable = tree.spawn(case, &[]).env("SYSTEMD_SUPPRESS_SYNC", "1").args(["sh", "-c", script]).run();
    assert_eq!(by_variable.expect_code(0).stdout, with);
    Ok(())
}
