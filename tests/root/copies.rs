// SPDX-License-Identifier: LGPL-2.1-or-later
//! Copies of trees: templates, and `-x` where an overlay cannot be.

use crate::common::{Case, HostState, Outcome, Program, Reason, skip};
use crate::support::*;
use std::path::{Path, PathBuf};

/// Names of copies in a directory.
fn copies(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.map(|e| e.file_name().to_string_lossy().into_owned());
    names.filter(|n| n.starts_with(".#spawn-copy-")).collect()
}

/// A tree that somebody writes to is copied; the copy is gone at the end, however the end comes.
pub fn a_tree_in_use_is_copied(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    let wait = "touch /ready; while :; do sleep 1; done";
    let writer = Background::start(&tree.spawn(case, &[]).args(["sh", "-c", wait]), &tree.path.join("ready"));
    for users in ["--private-users=pick", "--private-users=no"] {
        let script = "ls /ready; stat -c %u:%g /home/user; rm -r /home; echo x >/made; ls / | grep -c made";
        assert_eq!(tree.script(case, &["-x", users], script), "/ready\n1000:1000\n1\n", "{users}");
        assert!(tree.path.join("home/user").exists() && !tree.path.join("made").exists(), "{users}");
        assert_eq!(copies(case.dir()), [""; 0], "{users}");
    }
    let up = case.dir().join("up");
    std::fs::create_dir(&up)?;
    let bind = format!("--bind={}:/up", up.display());
    let deep = "cd /; i=0; while [ $i -lt 60 ]; do mkdir d; cd d; touch f; i=$((i+1)); done; touch /up/ready; while :; do sleep 1; done";
    let run = tree.spawn(case, &["-x", "--private-users=no", &bind]).args(["sh", "-c", deep]);
    let container = Background::start(&run, &up.join("ready"));
    assert_eq!(copies(case.dir()).len(), 1);
    container.signal(rustix::process::Signal::KILL)?;
    eventually("the copy is gone", || copies(case.dir()).is_empty());
    drop((container, writer));
    before.assert_unchanged();
    Ok(())
}

/// A missing tree is made after the template; one that is there stays as it is.
pub fn trees_are_made_from_templates(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    tree.write("etc/of-the-template", "1\n")?;
    let new = case.dir().join("new");
    let option = format!("--template={}", tree.path.display());
    let start = |more: &[&str], script: &str| case.spawn().arg(&option).args(more).args(["sh", "-c", script]).run();
    let at = new.display().to_string();
    let dry = start(&["-D", &at, "--dry-run"], "true").expect_code(0);
    assert!(dry.stdout.contains("the tree is made after") && !new.exists(), "{dry}");
    let run = start(&["-D", &at], "cat /etc/of-the-template; stat -c %u:%g /home/user; echo 2 >/etc/of-the-template");
    assert_eq!(run.expect_code(0).stdout, "1\n1000:1000\n");
    assert_eq!((tree.read("etc/of-the-template")?, copies(case.dir())), ("1\n".into(), vec![]));
    let run = start(&["-D", &at], "cat /etc/of-the-template").expect_code(0);
    assert_eq!(run.stdout, "2\n");
    assert_says(&run, "is there already");
    // In the machine directories, under the machine's name.
    let name = format!("template-{}", std::process::id());
    let machine = Path::new("/var/lib/machines").join(&name);
    std::fs::create_dir_all("/var/lib/machines")?;
    let run = start(&["-M", &name], "cat /etc/of-the-template; hostname");
    let made = machine.join("etc/of-the-template").exists();
    Program::new("rm").arg("-rf").arg(&machine).run().expect_code(0);
    assert_eq!((run.expect_code(0).stdout, made), (format!("1\n{name}\n"), true));
    // Thrown away at once.
    let run = start(&["-x"], "cat /etc/of-the-template; echo 3 >/etc/of-the-template").expect_code(0);
    assert_eq!((run.stdout.as_str(), tree.read("etc/of-the-template")?.as_str()), ("1\n", "1\n"));
    // What is no operating system is not copied, and a copy that fails leaves nothing.
    let run = case.spawn().args(["--template=/no/such", "-D"]).arg(case.dir().join("x")).arg("true").run();
    assert_says(&run.expect_code(125), "/no/such");
    let run = start(&["-D", &format!("{}/no/where", case.dir().display())], "true").expect_code(125);
    assert_says(&run, "E0207");
    assert_eq!(copies(case.dir()), [""; 0]);
    Ok(())
}

/// A file system of btrfs in a file; unmounted when dropped.
struct Btrfs {
    path: PathBuf,
}

impl Btrfs {
    fn new(case: &Case) -> Result<Self, Reason> {
        let (image, path) = (case.dir().join("btrfs.img"), case.dir().join("btrfs"));
        std::fs::create_dir(&path)?;
        std::fs::File::create(&image)?.set_len(300 << 20)?;
        let script = "command -v mkfs.btrfs >/dev/null || { echo 'there is no mkfs.btrfs' >&2; exit 1; }; mkfs.btrfs -q \"$0\" >/dev/null && mount -o loop \"$0\" \"$1\"";
        let made = Program::new("sh").args(["-c", script]).arg(&image).arg(&path).run();
        match made.status.success() {
            true => Ok(Btrfs { path }),
            false => skip(format!("btrfs cannot be had here: {}", made.stderr.trim())),
        }
    }
}

impl Drop for Btrfs {
    fn drop(&mut self) {
        Program::new("umount").arg("-l").arg(&self.path).run();
    }
}

/// On btrfs a subvolume is snapshotted, also while somebody writes to it, and without a copy of what is in it.
pub fn subvolumes_are_snapshotted(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let btrfs = Btrfs::new(case)?;
    let subvolume = btrfs.path.join("tree");
    let btrfs_tool =
        |words: &[&str], path: &Path| Program::new("btrfs").args(words).arg(path).run().expect_code(0).stdout;
    btrfs_tool(&["subvolume", "create"], &subvolume);
    Program::new("cp").args(["-a", "--"]).arg(tree.path.join(".")).arg(&subvolume).run().expect_code(0);
    std::fs::set_permissions(&btrfs.path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let listed = || btrfs_tool(&["subvolume", "list"], &btrfs.path).lines().count();
    let spawn = |options: &[&str]| case.spawn().arg("-D").arg(&subvolume).args(options);
    let wait = "touch /ready; while :; do sleep 1; done";
    let writer = Background::start(&spawn(&[]).args(["sh", "-c", wait]), &subvolume.join("ready"));
    let up = case.dir().join("up");
    std::fs::create_dir(&up)?;
    let bind = format!("--bind={}:/up", up.display());
    for users in ["--private-users=pick", "--private-users=no"] {
        let script = "stat -f -c %t /; stat -c %u:%g /home/user; rm -r /home; touch /made";
        let run = spawn(&["-x", users]).args(["sh", "-c", script]).run().expect_code(0);
        assert_eq!(run.stdout, "9123683e\n1000:1000\n", "{users}");
        assert!(subvolume.join("home/user").exists() && !subvolume.join("made").exists(), "{users}");
        assert_eq!((listed(), copies(&btrfs.path)), (1, vec![]), "{users}");
    }
    let script = "touch /up/ready; while :; do sleep 1; done";
    let run = spawn(&["-x", "--private-users=no", &bind]).args(["sh", "-c", script]);
    let container = Background::start(&run, &up.join("ready"));
    assert_eq!(listed(), 2);
    container.signal(rustix::process::Signal::KILL)?;
    eventually("the snapshot is gone", || listed() == 1);
    drop((container, writer));
    // A tree after a template is a subvolume of its own.
    let option = format!("--template={}", subvolume.display());
    case.spawn().arg(&option).arg("-D").arg(btrfs.path.join("second")).arg("true").run().expect_code(0);
    assert_eq!((listed(), copies(&btrfs.path)), (2, vec![]));
    // The mount point itself is one, too: the snapshot is inside of it.
    Program::new("cp").args(["-a", "--"]).arg(tree.path.join(".")).arg(&btrfs.path).run().expect_code(0);
    let run =
        case.spawn().args(["-x", "-D"]).arg(&btrfs.path).args(["sh", "-c", "touch /made; ls /usr >/dev/null"]).run();
    run.expect_code(0);
    assert!(!btrfs.path.join("made").exists());
    assert_eq!((listed(), copies(&btrfs.path)), (2, vec![]));
    Ok(())
}
