// SPDX-License-Identifier: LGPL-2.1-or-later
//! What is mounted because it was asked for.

use crate::common::{Case, HostState, Outcome, Program, Reason};
use crate::support::*;
use std::path::PathBuf;

const FLAGS: &str = "awk '$5 == \"/target\" {print $6}' /proc/self/mountinfo";

/// A folder of the host with a file and a mount below it; gone when dropped.
struct Source {
    path: PathBuf,
}

impl Source {
    fn new(case: &Case) -> Result<Self, Reason> {
        let path = case.dir().join("source");
        std::fs::create_dir_all(path.join("below"))?;
        std::fs::write(path.join("file"), "text\n")?;
        std::os::unix::fs::chown(path.join("file"), Some(1000), Some(1000))?;
        Program::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(path.join("below")).run().expect_code(0);
        std::fs::write(path.join("below/inner"), "")?;
        Ok(Source { path })
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        Program::new("umount").arg("-l").arg(self.path.join("below")).run();
    }
}

pub fn binds_and_their_options(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let source = Source::new(case)?;
    let at = source.path.display();
    let seen = |option: &str, script: &str| tree.script(case, &[option], script);
    let list = "ls /target; ls /target/below; (touch /target/x 2>&1 | grep -o 'Read-only'); stat -c %u:%g /target/file";
    assert_eq!(seen(&format!("--bind={at}:/target"), list), "below\nfile\ninner\n65534:65534\n");
    assert_eq!(seen(&format!("--bind={at}:/target:norbind"), list), "below\nfile\n65534:65534\n");
    assert_eq!(seen(&format!("--bind={at}:/target:rbind"), list), "below\nfile\ninner\n65534:65534\n");
    assert_eq!(seen(&format!("--bind-ro={at}:/target"), list), "below\nfile\ninner\nRead-only\n65534:65534\n");
    assert_eq!(seen(&format!("--bind={at}:/target:norbind,idmap"), list), "below\nfile\n1000:1000\n");
    let below = "touch /target/below/y 2>&1 | grep -o Read-only";
    assert_eq!(seen(&format!("--bind-ro={at}:/target"), below), "Read-only\n");
    let file = format!("{at}/file");
    let same = "cat \"$0\"";
    let run = tree.spawn(case, &[&format!("--bind={file}")]).args(["sh", "-c", same, &file]).run().expect_code(0);
    assert_eq!(run.stdout, "text\n");
    let flags = seen(&format!("--bind-ro={at}:/target"), FLAGS);
    assert_eq!(flags, "ro,relatime\n");
    // A colon in a name is written with a backslash.
    std::fs::write(source.path.join("a:b"), "colon\n")?;
    assert_eq!(seen(&format!("--bind={at}/a\\:b:/colon"), "cat /colon"), "colon\n");
    Ok(())
}

/// A mount below the source that cannot be mapped is an error that names the bind and the way out.
pub fn an_idmap_that_cannot_be_is_refused(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let source = case.dir().join("ram");
    std::fs::create_dir(&source)?;
    Program::new("mount").args(["-t", "ramfs", "ramfs"]).arg(&source).run().expect_code(0);
    let before = HostState::take(case.dir());
    let option = format!("--bind={}:/target:idmap", source.display());
    let run = tree.spawn(case, &[&option]).arg("true").run();
    before.assert_unchanged();
    Program::new("umount").arg(&source).run().expect_code(0);
    let run = run.expect_code(125);
    assert_says(&run, &format!("cannot map the owners of {}", source.display()));
    assert_says(&run, &option);
    Ok(())
}

/// `+` is resolved inside the root: a link of the image to a host path leads nowhere else.
pub fn d01_sources_inside_the_image_stay_inside(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let canary = case.dir().join("canary");
    std::fs::write(&canary, "host")?;
    std::fs::create_dir(tree.path.join("inner"))?;
    tree.write("inner/file", "image\n")?;
    std::os::unix::fs::symlink(&canary, tree.path.join("link"))?;
    std::os::unix::fs::symlink("/inner/../../../inner/file", tree.path.join("dots"))?;
    for name in BOTH {
        let cat =
            |bind: &str, file: &str| Ok::<_, Reason>(tree.called(case, name, &["-P", bind])?.args(["cat", file]).run());
        assert_eq!(cat("--bind=+/inner:/target", "/target/file")?.expect_code(0).stdout, "image\n");
        assert_says(&cat("--bind=+/link:/third", "/third")?.expect_code(failure(name)), "/link");
        assert_eq!(cat("--bind=+/dots:/second", "/second")?.expect_code(0).stdout, "image\n");
    }
    Ok(())
}

pub fn targets_are_made_and_must_fit(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let source = Source::new(case)?;
    let at = source.path.display();
    let script = "cat /new/place/file; stat -c '%a %u:%g' /new /new/place /new/file; cat /new/file";
    let options = [format!("--bind={at}:/new/place"), format!("--bind={at}/file:/new/file")];
    let run = tree.spawn(case, &[]).args(&options).args(["sh", "-c", script]).run().expect_code(0);
    assert!(run.stdout.starts_with("text\n755 0:0\n"), "{run}");
    let run = tree.spawn(case, &[&format!("--bind={at}/file:/home")]).arg("true").run().expect_code(125);
    assert_says(&run, "which is of another type");
    let run = tree.spawn(case, &[&format!("--bind={at}:/etc/passwd")]).arg("true").run().expect_code(125);
    assert_says(&run, "/etc/passwd");
    let run = tree.spawn(case, &["--bind=/no/such:/x"]).arg("true").run().expect_code(125);
    assert_says(&run, "cannot bind /no/such: No such file or directory (ENOENT)");
    assert_says(&run, "asked for by --bind=/no/such:/x");
    Ok(())
}

pub fn a_source_that_is_not_named_is_temporary(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    let said = tree.script(case, &["--bind=:/scratch"], "touch /scratch/x && ls /scratch; stat -c '%a %u:%g' /scratch");
    assert_eq!(said, "x\n755 0:0\n");
    before.assert_unchanged();
    Ok(())
}

pub fn tmpfs_and_its_options(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    tree.write("home/file", "")?;
    for users in ["--private-users=pick", "--private-users=no"] {
        let script = "ls /home; stat -c '%a %u:%g' /home; grep ' /home ' /proc/self/mountinfo | cut -d' ' -f6";
        let said = tree.script(case, &[users, "--tmpfs=/home"], script);
        assert_eq!(said, "755 0:0\nrw,nodev\n", "{users}");
        let said = tree.script(
            case,
            &[users, "--tmpfs=/home:mode=1700,size=64k"],
            "stat -c '%a %u:%g' /home; df -k /home | tail -n1 | awk '{print $2}'",
        );
        assert_eq!(said, "1700 0:0\n64\n", "{users}");
        let flags = [users, "--tmpfs=/home:rw,nosuid,dev,noexec,noatime,mode=711"];
        assert_eq!(tree.script(case, &flags, script), "711 0:0\nrw,nosuid,noexec,noatime\n", "{users}");
    }
    let run = tree.spawn(case, &["--tmpfs=/home:nonsense=1"]).arg("true").run().expect_code(125);
    assert_says(&run, "nonsense=1");
    Ok(())
}

pub fn d24_inaccessible_paths(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    Program::new("mkfifo").arg(tree.path.join("pipe")).run().expect_code(0);
    for (name, users) in [
        (Name::Spawn, "--private-users=pick"),
        (Name::Spawn, "--private-users=no"),
        (Name::Nspawn, "--private-users=pick"),
        (Name::Nspawn, "--private-users=no"),
    ] {
        let options = ["-P", users, "--inaccessible=/home", "--inaccessible=/etc/passwd", "--inaccessible=/pipe"];
        let script = "stat -c '%a %F' /home /etc/passwd /pipe; ls -A /home | wc -l; wc -c </etc/passwd 2>/dev/null; umount /home 2>/dev/null && echo undone";
        let said = tree.called(case, name, &options)?.args(["sh", "-c", script]).run().stdout;
        let expected = "0 directory\n0 regular empty file\n0 fifo\n0\n";
        assert!(said.starts_with(expected), "{users}: {said}");
        assert_eq!(said.contains("undone"), users.ends_with("no"), "{said}");
    }
    let run = tree.spawn(case, &["--inaccessible=/none"]).arg("true").run().expect_code(125);
    assert_says(&run, "/none");
    Ok(())
}

pub fn read_only_trees(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "touch /x 2>&1 | grep -o Read-only; touch /tmp/x /run/x && echo tmp; (mount -o remount,bind,rw / && touch /x) >/dev/null 2>&1 && echo undone; true";
    assert_eq!(tree.script(case, &["--read-only"], script), "Read-only\ntmp\n");
    assert!(!tree.path.join("x").exists());
    // Binds keep their own flags.
    let source = Source::new(case)?;
    let bind = format!("--bind={}:/mnt", source.path.display());
    std::fs::set_permissions(&source.path, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
    assert_eq!(tree.script(case, &["--read-only", &bind], "touch /mnt/y && echo rw"), "rw\n");
    // Without the mount point there is one error, not a half made container.
    let run = tree.spawn(case, &["--read-only", "--tmpfs=/none"]).arg("true").run().expect_code(125);
    assert_says(&run, "cannot make the mount point /none in the image: Read-only file system (EROFS)");
    Ok(())
}

/// `--bind` of a device node lets the container use it; `--bind-ro` does not let it write.
pub fn bound_devices_are_allowed(case: &mut Case) -> Outcome {
    use std::os::unix::fs::FileTypeExt;
    let tree = Tree::new(case)?;
    let disk = std::fs::read_dir("/dev")?
        .filter_map(Result::ok)
        .find(|e| e.file_type().is_ok_and(|t| t.is_block_device()) && std::fs::File::open(e.path()).is_ok());
    let Some(disk) = disk.map(|d| d.path()) else {
        return crate::common::skip("there is no block device that can be read here");
    };
    let option = format!("--bind-ro={}:/disk", disk.display());
    let script = "(exec 3</disk) 2>/dev/null && echo open; (exec 3>>/disk) 2>/dev/null && echo writable; true";
    let run = tree.spawn(case, &["--private-users=no", &option]).args(["sh", "-c", script]).run().expect_code(0);
    if run.stderr.contains("no device policy") {
        return crate::common::skip("the kernel takes no device policy here");
    }
    assert_eq!(run.stdout, "open\n", "{}", disk.display());
    Ok(())
}
