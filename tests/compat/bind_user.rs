// SPDX-License-Identifier: LGPL-2.1-or-later
//! Users of the host in the container: records and homes as both launchers make them, byte by byte.

use super::{run, topics};
use crate::common::{Case, Outcome, Program};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const NSPAWN: &str = "/usr/bin/systemd-nspawn";
/// What there is below `/run/host/userdb` and `/run/host/home`.
const SHOW: &str = "b=/usr/bin/busybox; cd /run/host/userdb; $b stat -c '%n %A %u:%g' .; \
    for f in *; do $b stat -c '%N %A %u:%g' $f; cat $f; done; \
    cd /run/host/home; $b find . | $b sort | while read f; do $b stat -c '%n %A %u:%g' $f; done; \
    cat /proc/mounts | \
    $b grep /run/host/home | $b cut -d' ' -f2,4 | $b sort -u";

/// Users of the host as long as this lives.
struct Users(PathBuf);

impl Users {
    fn make(homes: &Path) -> Self {
        let made = Self(homes.into());
        for (name, id, password) in [("one-compat", "4711", "$6$salt$hash"), ("two-compat", "4712", "!")] {
            Program::new("/usr/sbin/useradd")
                .args(["--uid", id, "--user-group", "--no-create-home", "--shell", "/bin/false", "--password"])
                .args([password, "--home-dir"])
                .arg(homes.join(name))
                .arg(name)
                .run()
                .expect_code(0);
            let script = "umask 077; mkdir -p \"$1/below\"; echo x >\"$1/file\"; chown -R \"$2:$2\" \"$1\"; echo >\"$1/of-root\"";
            Program::new("sh").args(["-euc", script, "sh"]).arg(homes.join(name)).arg(id).run().expect_code(0);
        }
        made
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        for name in ["one-compat", "two-compat"] {
            // One that is missing has failed the case already.
            let _gone = Program::new("/usr/sbin/userdel").arg(name).run();
        }
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

pub fn records_and_homes(case: &mut Case) -> Outcome {
    run::prepare_sources(case, &topics::probe()?)?;
    let version = topics::version()?;
    let _users = Users::make(&case.dir().join("homes"));
    drop(case.spawn_as_nspawn()?);
    let ours = case.dir().join("systemd-nspawn");
    for (since, options) in [
        (249, "-U --bind-user=one-compat"),
        (249, "--private-users=pick --bind-user=two-compat --bind-user=one-compat --bind-user=two-compat"),
        (262, "--bind-user=one-compat"),
        (258, "-U --bind-user=one-compat --bind-user-shell=yes"),
        (258, "-U --bind-user=one-compat --bind-user-shell=no"),
        (
            259,
            "-U --bind-user=one-compat --bind-user=two-compat --bind-user-shell=/bin/sh --bind-user-group=staff --bind-user-group=wheel",
        ),
    ] {
        if since > version {
            println!("not compared: {options}: systemd {version} does not know it");
            continue;
        }
        let nspawn = shown(case, Path::new(NSPAWN), options);
        let mut spawn = shown(case, &ours, options);
        assert!(nspawn.contains("{\"userName\":\"one-compat\",\"uid\":6051"), "{options}\n{nspawn}");
        if version < 259 {
            // The list of groups is as old as --bind-user-group=.
            spawn = spawn.replace(",\"memberOf\":[]", "");
        }
        assert_eq!(masked(&nspawn), masked(&spawn), "{options}");
    }
    // Its home belongs to the program that runs as such a user.
    let made = "/usr/bin/busybox id -u; cd; pwd; echo >made";
    let options = ["--quiet", "--pipe", "-U", "--bind-user=one-compat", "-u", "one-compat", "--directory"];
    let run = Program::new(&ours).args(options).arg(case.dir().join("pristine")).args(["sh", "-c", made]).run();
    assert_eq!(run.expect_code(0).stdout, "60514\n/run/host/home/one-compat\n");
    let made = std::fs::metadata(case.dir().join("homes/one-compat/made"))?;
    assert_eq!((made.uid(), made.gid()), (4711, 4711));
    for options in ["-U --bind-user=root", "-U --bind-user=daemon", "-U --bind-user=no-compat"] {
        for launcher in [Path::new(NSPAWN), &ours] {
            start(case, launcher, options).run().expect_code(1);
        }
    }
    Ok(())
}

/// How a mount is mapped is its kernel's word for it, and older systemds map another way.
fn masked(text: &str) -> String {
    text.replace(",idmapped", "")
}

fn start(case: &Case, launcher: &Path, options: &str) -> Program {
    let tree = case.dir().join("pristine");
    let words = ["--quiet", "--pipe", "--directory"];
    Program::new(launcher).args(words).arg(tree).args(options.split(' ')).args(["sh", "-c", SHOW])
}

fn shown(case: &Case, launcher: &Path, options: &str) -> String {
    start(case, launcher, options).run().expect_code(0).stdout
}
