// SPDX-License-Identifier: LGPL-2.1-or-later
//! SELinux with a policy: what is labelled, and with what. The machine boots permissive; a case makes it enforcing for
//! as long as it runs.

use crate::common::{Case, Outcome, Program, Reason, skip, tree};
use crate::{PATIENCE, spawn};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Categories have a comma of their own, as the options of a mount have.
const PAYLOAD: &str = "system_u:system_r:container_t:s0:c1,c2";
const FILES: &str = "system_u:object_r:container_file_t:s0:c1,c2";
const ENFORCE: &str = "/sys/fs/selinux/enforce";

pub fn in_force() -> bool {
    Path::new(ENFORCE).exists()
}

pub fn needs() -> Outcome {
    if !Path::new("/vm/spawn").exists() {
        return skip("this is not one of our virtual machines; tests/check vm makes them");
    }
    Ok(())
}

/// spawn where systemd-nspawn's policy is for it too, so that both run with the same label.
fn both(case: &Case) -> Result<[Program; 2], Reason> {
    let ours = case.dir().join("spawn");
    fs::copy(Case::spawn_path(), &ours)?;
    chcon(&["--reference=/usr/bin/systemd-nspawn"], &ours);
    Ok([case.nspawn()?, Program::new(&ours)].map(|program| program.limit(PATIENCE).args(["--quiet", "--console=pipe"])))
}

fn chcon(how: &[&str], path: &Path) {
    Program::new("chcon").limit(PATIENCE).args(how).arg(path).run().expect_code(0);
}

/// A tree that belongs to the container by label.
fn labelled(case: &Case) -> PathBuf {
    let path = case.dir().join("tree");
    tree::copy(Path::new("/var/lib/machines/busybox"), &path);
    chcon(&["-R", FILES], &path);
    path
}

/// Enforcing until dropped.
struct Enforcing;

impl Enforcing {
    fn start() -> Result<Self, Reason> {
        fs::write(ENFORCE, "1")?;
        Ok(Self)
    }
}

impl Drop for Enforcing {
    fn drop(&mut self) {
        // The next case fails when this has.
        let _ = fs::write(ENFORCE, "0");
    }
}

/// `context=` of the mounts, by where they are.
fn contexts(mountinfo: &str) -> BTreeMap<String, (String, Option<String>)> {
    let row = |line: &str| {
        let (mount, fs) = line.split_once(" - ")?;
        let context = fs.split_once("context=").map(|(_, rest)| match rest.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next().unwrap_or_default().to_owned(),
            None => rest.split(',').next().unwrap_or_default().to_owned(),
        });
        Some((mount.split(' ').nth(4)?.to_owned(), (fs.split(' ').next()?.to_owned(), context)))
    };
    mountinfo.lines().filter_map(row).collect()
}

pub fn what_is_labelled_is_what_systemd_nspawn_labels(case: &mut Case) -> Outcome {
    let tree = labelled(case);
    let ways: [&[&str]; 3] = [
        &["--private-users=no", "--tmpfs=/mnt", "--set-credential=one:eins"],
        &["--private-users=pick", "--private-network"],
        &["--private-users=no", "--volatile=yes", "--register=no"],
    ];
    for options in ways {
        let mut told = Vec::new();
        for program in both(case)? {
            let program = program.arg("-D").arg(&tree).args(["-M", "labels", "-Z", PAYLOAD, "-L", FILES]).args(options);
            let run = program.args(["cat", "/proc/self/attr/current", "/proc/self/mountinfo"]).run().expect_code(0);
            let (label, mounts) = run.stdout.split_once('\0').unwrap_or_default();
            assert_eq!(label, PAYLOAD, "{run}");
            told.push(contexts(mounts));
        }
        let (nspawn, ours) = (&told[0], &told[1]);
        // The host's own, which several containers may see, stay as they are.
        let shared = ["/run/host/incoming", "/run/host/unix-export"];
        for (place, (fs, context)) in ours {
            let expected = match fs.as_str() {
                "tmpfs" if shared.contains(&place.as_str()) => None,
                "tmpfs" | "devpts" | "ramfs" => Some(FILES),
                _ => None,
            };
            assert_eq!(context.as_deref(), expected, "{options:?} {place}");
            // A program that is kept from a ramfs cannot read its credentials, which systemd-nspawn does not label.
            if let Some((_, theirs)) = nspawn.get(place).filter(|_| fs != "ramfs") {
                assert_eq!(context, theirs, "{options:?} {place}");
            }
        }
        assert!(["/dev", "/dev/pts", "/run", "/tmp"].iter().all(|place| ours.contains_key(*place)), "{ours:?}");
    }
    Ok(())
}

pub fn without_options_the_labels_are_those_of_systemd_nspawn(case: &mut Case) -> Outcome {
    let script = "cat /proc/self/attr/current; echo; touch /tmp/new /run/new; ls -dZ / /proc /sys /sys/fs/selinux /dev \
                  /dev/null /dev/shm /dev/mqueue /dev/pts /run /run/new /run/host /run/host/container-uuid \
                  /run/host/incoming /tmp /tmp/new; grep selinuxfs /proc/self/mounts; echo 0 >/sys/fs/selinux/enforce; \
                  /run/selinuxenabled; echo selinuxenabled $?";
    for options in [&["--private-users=no"][..], &["--private-users=no", "--private-network"]] {
        let mut told = Vec::new();
        for program in both(case)? {
            let program = program.args(["-D", "/var/lib/machines/debian", "-M", "plain"]).args(options);
            let program = program.arg("--bind-ro=/usr/sbin/selinuxenabled:/run/selinuxenabled");
            let run = program.args(["/bin/sh", "-c", script]).run();
            assert!(run.stdout.contains("selinuxfs /sys/fs/selinux selinuxfs ro,"), "{run}");
            assert!(run.stderr.contains("Read-only file system"), "{run}");
            // What looks at SELinux in the container takes it for being off: it cannot change labels there.
            assert!(run.stdout.ends_with("selinuxenabled 1\n"), "{run}");
            assert!(run.stdout.starts_with("system_u:system_r:systemd_nspawn_t:s0"), "{run}");
            told.push(run.stdout);
        }
        assert_eq!(told[0], told[1], "{options:?}");
    }
    Ok(())
}

/// Where systemd-nspawn's overlay has the label of any file in memory.
pub fn the_top_of_a_copy_is_labelled_as_the_tree(case: &mut Case) -> Outcome {
    for option in ["--ephemeral", "--volatile=overlay"] {
        let program = case.spawn().limit(PATIENCE).args(["-D", "/var/lib/machines/debian", "--console=pipe", option]);
        let run = program.args(["/bin/ls", "-dZ", "/", "/usr"]).run().expect_code(0);
        let labels: Vec<&str> = run.stdout.split_whitespace().step_by(2).collect();
        assert_eq!(labels, ["system_u:object_r:var_lib_t:s0"; 2], "{run}");
    }
    Ok(())
}

pub fn a_label_that_the_policy_lacks_is_refused_before_anything_is_touched(case: &mut Case) -> Outcome {
    let (_, tree) = spawn(case, "refused")?;
    let options = ["-Z", "system_u:system_r:nobody_t:s0", "--selinux-apifs-context=x"];
    for more in [&["true"][..], &["--dry-run", "true"]] {
        let run = spawn(case, "refused")?.0.args(options).args(more).run().expect_code(125);
        let lines: Vec<&str> = run.stderr.lines().filter(|line| !line.starts_with("  help: ")).collect();
        assert_eq!(
            lines,
            [
                "spawn: the loaded SELinux policy has no label \"system_u:system_r:nobody_t:s0\" [E0103]",
                "  asked for by -Z system_u:system_r:nobody_t:s0",
                "spawn: the loaded SELinux policy has no label \"x\" [E0103]",
                "  asked for by --selinux-apifs-context=x",
            ],
            "{run}"
        );
        assert!(!Path::new("/run/spawn/refused").exists());
    }
    // Where nobody may ask the kernel, it tells when the label is set.
    let ask = "mount --bind /dev/null /sys/fs/selinux/context && exec \"$@\"";
    for (option, step) in
        [("-Zx", "cannot set the SELinux label of the program"), ("-Lx", "cannot label the tmpfs of /tmp")]
    {
        let run = Program::new("unshare").limit(PATIENCE).args(["--mount", "sh", "-c", ask, "sh"]);
        let run = run.arg(Case::spawn_path()).arg("-D").arg(&tree).args(["-M", "refused", option, "true"]).run();
        let run = run.expect_code(125);
        assert!(run.stderr.contains(step), "{run}");
        assert!(run.stderr.contains(&format!("asked for by {option}")), "{run}");
        assert!(!Path::new("/run/spawn/refused").exists());
    }
    Ok(())
}

/// The policy lets what is started here turn into container_t, and that into nothing (`start_containers` of selinux.sh).
pub fn an_enforced_policy_lets_the_payload_have_what_is_its_own(case: &mut Case) -> Outcome {
    let tree = labelled(case);
    let start = |options: &[&str]| {
        let program = case.spawn().limit(PATIENCE).arg("-D").arg(&tree).args(["-M", "enforced", "--console=pipe"]);
        program.args(["-Z", PAYLOAD, "-L", FILES, "--set-credential=one:eins"]).args(options)
    };
    let ways: [&[&str]; 6] = [
        &["--private-users=no"],
        &["--private-users=pick"],
        &["--private-users=no", "--as-pid2"],
        &["--ephemeral"],
        &["--private-network", "--volatile=overlay"],
        &["--keep-unit", "--register=no"],
    ];
    let script =
        "cat /proc/self/attr/current /run/host/credentials/one && echo >/tmp/x && echo >/dev/shm/x && echo >/run/x";
    let _enforcing = Enforcing::start()?;
    for options in ways {
        let run = start(options).args(["sh", "-c", script]).run().expect_code(0);
        assert_eq!(run.stdout, format!("{PAYLOAD}\0eins"), "{options:?} {run}");
    }
    // No rule lets the label change with no_new_privs, and none lets a login program's be had this way.
    let forbidden: [&[&str]; 2] = [&["--no-new-privileges=yes"], &["-Z", "system_u:system_r:getty_t:s0"]];
    for options in forbidden {
        let run = start(options).arg("true").run().expect_code(126);
        assert!(run.stderr.contains("asked for by -Z system_u:system_r:"), "{run}");
        assert!(run.stderr.contains("see whether the policy forbids it"), "{run}");
    }
    Ok(())
}
