// SPDX-License-Identifier: LGPL-2.1-or-later
//! Trees on a file system that a program serves: FUSE, by bindfs. It has no idmapped mounts.

use crate::common::{Case, HostState, Outcome, Output, Program, Reason, skip};
use crate::support::*;
use std::path::{Path, PathBuf};

/// A busybox tree shown elsewhere by a program, until dropped.
struct Served {
    place: PathBuf,
}

impl Served {
    /// With `options` of bindfs, as started by `launcher`.
    fn new(case: &Case, tree: &Path, launcher: &[&str], options: &[&str]) -> Result<Self, Reason> {
        let found = Program::new("sh").args(["-c", "test -c /dev/fuse && command -v bindfs"]).run();
        if !found.status.success() {
            return skip("no /dev/fuse, or bindfs is not installed");
        }
        let place = case.dir().join("served");
        std::fs::create_dir_all(&place)?;
        let mut words = [launcher, &["bindfs"], options].concat().into_iter();
        let program = Program::new(words.next().unwrap_or_default()).args(words);
        program.arg(tree).arg(&place).run().expect_code(0);
        Ok(Served { place })
    }

    fn spawn(&self, case: &Case, options: &[&str]) -> Output {
        let program = case.spawn().arg("-D").arg(&self.place).args(options);
        program.args(["sh", "-c", "echo $(cat /proc/self/uid_map); echo written >/file"]).run()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The program ends with its mount.
        Program::new("umount").arg("-l").arg(&self.place).run();
    }
}

/// Without a word there is one notice that names it and no user namespace; asked for, there is one error.
pub fn a_tree_of_fuse_starts_without_a_user_namespace(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let served = Served::new(case, &tree.path, &[], &[])?;
    let before = HostState::take(case.dir());
    let named = format!("the owners on {} (fuse) cannot be mapped", served.place.display());
    for options in [&[][..], &["--network-veth"], &["--as-pid2"]] {
        let run = served.spawn(case, options).expect_code(0);
        assert_eq!(run.stdout, "0 0 4294967295\n");
        let notice = format!("{named}: the container runs without a user namespace, its root is the host's root");
        assert_eq!(run.stderr.matches(&notice).count(), 1, "{run}");
        assert_eq!(tree.read("file")?, "written\n");
        std::fs::remove_file(served.place.join("file"))?;
    }
    served.spawn(case, &["--ephemeral"]).expect_code(0);
    assert!(!tree.path.join("file").exists());
    let run = served.spawn(case, &["--private-users=no"]).expect_code(0);
    assert_silent_about(&run, "fuse");
    let run = served.spawn(case, &["-U"]).expect_code(125);
    let wanted = format!(
        "spawn: cannot map the owners of the tree {} [E1002]\n  asked for by -U\n  {named}\n  help: use \
         --private-users=no, or a tree on another file system\n",
        served.place.display()
    );
    assert_eq!(run.stderr, wanted);
    before.assert_unchanged();
    Ok(())
}

/// FUSE keeps everybody out but the user who has mounted it, root and the container's root too.
pub fn a_tree_of_fuse_that_keeps_us_out(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let privately = ["--no-allow-other"];
    let served = Served::new(case, &tree.path, &[], &privately)?;
    let run = served.spawn(case, &["--private-users=1048576"]).expect_code(125);
    assert_says(&run, "Permission denied (EACCES)");
    assert_says(&run, &format!("root is user 1048576 of this machine, whom {} must let in", served.place.display()));
    drop(served);

    // A user who may open /dev/fuse and mount, as fusermount3 lets users do.
    let powers = "+sys_admin,+dac_override";
    let user = ["setpriv", "--reuid=1000", "--clear-groups", "--inh-caps", powers, "--ambient-caps", powers];
    std::os::unix::fs::chown(case.dir().join("served"), Some(1000), None)?;
    let served = Served::new(case, &tree.path, &user, &privately)?;
    let run = served.spawn(case, &[]).expect_code(125);
    let wanted = format!(
        "spawn: cannot open the tree {}: Permission denied (EACCES) [E0201]\n  asked for by -D {0}\n  help: let root \
         in: mount it with allow_other or allow_root (FUSE), export it with no_root_squash (NFS)\n",
        served.place.display()
    );
    assert_eq!(run.stderr, wanted);
    Ok(())
}

/// The program that served the tree is gone and the mount is still there.
pub fn a_tree_whose_server_is_gone(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let served = Served::new(case, &tree.path, &[], &[])?;
    let server = Program::new("pgrep").args(["-f", "-x"]).arg(format!("bindfs .* {}", served.place.display()));
    let pid: i32 = server.run().expect_code(0).stdout.trim().parse()?;
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL)?;
    let gone = || std::fs::metadata(&served.place).is_err();
    eventually("the end of the server", gone);
    let run = served.spawn(case, &[]).expect_code(125);
    let wanted = format!(
        "spawn: cannot open the tree {}: Transport endpoint is not connected (ENOTCONN) [E0201]\n  asked for by -D \
         {0}\n  help: what serves this file system is gone: unmount it and mount it again\n",
        served.place.display()
    );
    assert_eq!(run.stderr, wanted);
    Ok(())
}
