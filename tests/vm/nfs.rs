// SPDX-License-Identifier: LGPL-2.1-or-later
//! A tree on NFS, served by the same kernel. NFS has no idmapped mounts.

use crate::common::{Case, Outcome, Program, Reason};
use crate::{PATIENCE, spawn};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Of an export (linux/nfsd/export.h): INSECURE_PORT, ASYNC, NOSUBTREECHECK, FSID.
const EXPORT: u32 = 0x2 | 0x10 | 0x400 | 0x2000;
const ROOT_SQUASH: u32 = 0x4;
const NFSD: &str = "/proc/fs/nfsd";
const FOREVER: &str = "2147483647";

/// The server, with one export for this machine alone.
struct Served {
    place: PathBuf,
}

impl Served {
    fn new(case: &Case, tree: &Path, flags: u32) -> Result<Self, Reason> {
        let run = |words: &[&str]| Program::new(words[0]).args(&words[1..]).limit(PATIENCE).run().expect_code(0);
        run(&["modprobe", "-a", "nfsd", "nfsv4"]);
        if !Path::new(NFSD).join("threads").exists() {
            run(&["mount", "-t", "nfsd", "nfsd", NFSD]);
        }
        // What rpc.mountd would answer when the kernel asks (exports(5) as numbers).
        let tree = tree.display();
        for (cache, entry) in [
            ("auth.unix.ip", format!("nfsd 127.0.0.1 {FOREVER} here")),
            ("nfsd.export", format!("here {tree} {FOREVER} {flags} 65534 65534 0")),
            ("nfsd.fh", format!("here 1 \\x00000000 {FOREVER} {tree}")),
        ] {
            fs::write(format!("/proc/net/rpc/{cache}/channel"), entry + "\n")?;
        }
        let place = case.dir().join("nfs");
        fs::create_dir_all(&place)?;
        let served = Served { place };
        // Version 3 would need a portmapper.
        for (file, text) in
            [("versions", "-3 +4\n"), ("nfsv4leasetime", "10\n"), ("nfsv4gracetime", "10\n"), ("threads", "1\n")]
        {
            fs::write(Path::new(NFSD).join(file), text)?;
        }
        // Some kernels refuse; then the first open waits ten seconds.
        let _ended = fs::write(Path::new(NFSD).join("v4_end_grace"), "Y\n");
        let options = "vers=4.2,addr=127.0.0.1,clientaddr=127.0.0.1,proto=tcp,port=2049,sec=sys";
        let mount = Program::new("mount").args(["-i", "-t", "nfs4", "-o", options, "127.0.0.1:/"]);
        mount.arg(&served.place).limit(PATIENCE).run().expect_code(0);
        Ok(served)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        Program::new("umount").arg("-l").arg(&self.place).limit(PATIENCE).run();
        // An error shows at the next start.
        let _stopped = fs::write(Path::new(NFSD).join("threads"), "0\n");
        for cache in ["nfsd.fh", "nfsd.export", "auth.unix.ip"] {
            let _forgotten = fs::write(format!("/proc/net/rpc/{cache}/flush"), format!("{FOREVER}\n"));
        }
    }
}

/// Without a word there is one notice that names it and no user namespace; asked for, there is one error.
pub fn a_tree_on_nfs_starts_without_a_user_namespace(case: &mut Case) -> Outcome {
    let (_, tree) = spawn(case, "unused")?;
    let served = Served::new(case, &tree, EXPORT)?;
    let start = |options: &[&str]| {
        let program = case.spawn().limit(PATIENCE).arg("-D").arg(&served.place).arg("--register=no").args(options);
        program.args(["sh", "-c", "echo $(cat /proc/self/uid_map); echo written >/file"]).run()
    };
    let named = format!("the owners on {} (nfs4) cannot be mapped", served.place.display());
    let run = start(&[]).expect_code(0);
    assert_eq!(run.stdout, "0 0 4294967295\n");
    let notice = format!("spawn: {named}: the container runs without a user namespace, its root is the host's root\n");
    assert_eq!(run.stderr, notice);
    assert_eq!(fs::read_to_string(tree.join("file"))?, "written\n");
    let run = start(&["-U"]).expect_code(125);
    let wanted = format!(
        "spawn: cannot map the owners of the tree {} [E1002]\n  asked for by -U\n  {named}\n  help: use \
         --private-users=no, or a tree on another file system\n",
        served.place.display()
    );
    assert_eq!(run.stderr, wanted);
    Ok(())
}

/// The server takes root for nobody, and the tree is root's alone.
pub fn a_tree_on_nfs_that_keeps_root_out(case: &mut Case) -> Outcome {
    let (_, tree) = spawn(case, "unused")?;
    fs::set_permissions(&tree, PermissionsExt::from_mode(0o700))?;
    let served = Served::new(case, &tree, EXPORT | ROOT_SQUASH)?;
    let run = case.spawn().limit(PATIENCE).arg("-D").arg(&served.place).arg("true").run().expect_code(125);
    assert!(run.stderr.contains(&served.place.display().to_string()), "{run}");
    assert!(run.stderr.contains("Permission denied (EACCES)"), "{run}");
    assert!(run.stderr.contains("export it with no_root_squash (NFS)"), "{run}");
    Ok(())
}
