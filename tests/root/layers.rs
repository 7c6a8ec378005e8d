// SPDX-License-Identifier: LGPL-2.1-or-later
//! Overlays, volatile systems and moved roots.

use crate::common::{Case, HostState, Outcome, Program, Reason};
use crate::support::*;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

const USERS: [&str; 2] = ["--private-users=pick", "--private-users=no"];

/// Two lower folders and an upper one.
struct Layers {
    dir: PathBuf,
}

impl Layers {
    fn new(case: &Case) -> Result<Self, Reason> {
        let dir = case.dir().join("layers");
        for name in ["low", "high", "up"] {
            std::fs::create_dir_all(dir.join(name))?;
        }
        for (path, text) in
            [("low/both", "low\n"), ("low/only-low", "l\n"), ("high/both", "high\n"), ("up/mine", "u\n")]
        {
            std::fs::write(dir.join(path), text)?;
        }
        std::os::unix::fs::chown(dir.join("low/only-low"), Some(1000), Some(1000))?;
        Ok(Layers { dir })
    }

    fn at(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Names below a directory, sorted.
    fn names(&self, path: &str) -> Vec<String> {
        names(&self.dir.join(path))
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The later lower one is above the earlier; changes go to the upper one as the container's users have made them.
pub fn overlays_take_changes(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let layers = Layers::new(case)?;
    let before = HostState::take(case.dir());
    for users in USERS {
        let option = format!("--overlay={}:{}:{}:/new/target", layers.at("low"), layers.at("high"), layers.at("up"));
        let script = "cd /new/target; ls; cat both; stat -c %u:%g only-low both .; echo n >new; rm both; \
                      echo more >>only-low; mv mine moved; chown 7:8 new; grep ' /new/target ' /proc/self/mountinfo | cut -d' ' -f6";
        let said = tree.script(case, &[users, &option], script);
        let expected = "both\nmine\nonly-low\nhigh\n1000:1000\n0:0\n0:0\nrw,relatime\n";
        assert_eq!(said, expected, "{users}");
        let up = layers.dir.join("up");
        assert_eq!(layers.names("up"), ["both", "moved", "new", "only-low"], "{users}");
        let owner = |name: &str| up.join(name).metadata().map(|m| (m.uid(), m.gid()));
        assert_eq!((owner("new")?, owner("only-low")?), ((7, 8), (1000, 1000)), "{users}");
        assert_eq!(std::fs::read_to_string(up.join("only-low"))?, "l\nmore\n");
        assert_eq!(std::fs::read_to_string(layers.dir.join("low/only-low"))?, "l\n");
        assert_eq!((layers.names("low").len(), layers.names("high").len()), (2, 1));
        assert_eq!(names(&layers.dir), ["high", "low", "up"], "the kernel's work directory is gone");
        std::fs::remove_dir_all(&up)?;
        std::fs::create_dir(&up)?;
        std::fs::write(up.join("mine"), "u\n")?;
    }
    before.assert_unchanged();
    Ok(())
}

/// Two paths, no upper one, read-only, an upper one that is made, names with the kernel's own separators.
pub fn forms_of_overlays(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let layers = Layers::new(case)?;
    let low = layers.at("low");
    for users in USERS {
        let two = format!("--overlay={low}:{}", layers.at("up"));
        let said = tree.script(case, &[users, &two], &format!("ls {}", layers.at("up")));
        assert_eq!(said, "both\nmine\nonly-low\n", "{users}");
        let none = format!("--overlay={low}::/mnt");
        let script = "touch /mnt/x && ls /mnt && stat -c '%a %u:%g' /mnt";
        assert_eq!(tree.script(case, &[users, &none], script), "both\nonly-low\nx\n755 0:0\n", "{users}");
        let fixed = format!("--overlay-ro={low}:{}:/mnt", layers.at("high"));
        let script = "cat /mnt/both; touch /mnt/x 2>&1 | grep -o Read-only; (mount -o remount,rw /mnt && touch /mnt/x) 2>/dev/null; true";
        assert_eq!(tree.script(case, &[users, &fixed], script), "high\nRead-only\n", "{users}");
        assert_eq!(layers.names("high"), ["both"]);
        // The upper layer is empty and temporary, so that there is a single one with files.
        let single = format!("--overlay-ro={low}::/mnt");
        let script = "ls /mnt; touch /mnt/x 2>&1 | grep -o Read-only";
        assert_eq!(tree.script(case, &[users, &single], script), "both\nonly-low\nRead-only\n", "{users}");
    }
    let odd = layers.dir.join("o:d,d\\");
    std::fs::create_dir(&odd)?;
    std::fs::write(odd.join("odd"), "")?;
    let escaped = |name: &str| format!("{}/o\\:d,d\\\\{name}", layers.dir.display());
    let option = format!("--overlay={}:{}:/mnt", escaped(""), escaped("/../ne\\:w"));
    assert_eq!(tree.script(case, &[&option], "ls /mnt; echo x >/mnt/made"), "odd\n");
    assert_eq!(layers.names("ne:w"), ["made"]);
    assert_eq!(layers.dir.join("ne:w").metadata()?.mode() & 0o7777, 0o755);
    Ok(())
}

/// `+` is resolved inside the root, and what is below it belongs to the container.
pub fn d01_layers_inside_the_image_stay_inside(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let canary = case.dir().join("canary");
    std::fs::create_dir(&canary)?;
    std::fs::write(canary.join("secret"), "")?;
    for users in USERS {
        let said =
            tree.script(case, &[users, "--overlay=+/etc::/etc"], "rm /etc/passwd; ls /etc/passwd /etc/group; true");
        assert_eq!(said, "/etc/group\n", "{users}");
        assert!(tree.path.join("etc/passwd").exists());
        tree.script(case, &[users, "--overlay=+/usr/lib:+/upper/dir:/mnt"], "echo x >/mnt/made; chown 5:6 /mnt/made");
        assert_eq!(names(&tree.path.join("upper")), ["dir"], "{users}");
        let made = tree.path.join("upper/dir/made").metadata()?;
        assert_eq!((made.uid(), made.gid()), (5, 6), "{users}");
        std::fs::remove_dir_all(tree.path.join("upper"))?;
    }
    symlink(&canary, tree.path.join("link"))?;
    for option in ["--overlay=+/link::/mnt", "--overlay-ro=+/link:/usr:/mnt"] {
        let run = tree.spawn(case, &[option]).args(["ls", "/mnt"]).run().expect_code(125);
        assert_says(&run, "cannot open a layer of the overlay on /mnt");
        assert_says(&run, &format!("asked for by {option}"));
    }
    // A link as upper one is made inside, if at all.
    let run = tree.spawn(case, &["--overlay=+/usr:+/link:/mnt"]).args(["touch", "/mnt/x"]).run();
    assert!(!run.status.success());
    assert_eq!(names(&canary), ["secret"]);
    Ok(())
}

pub fn d42_overlays_that_cannot_be(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let layers = Layers::new(case)?;
    let before = HostState::take(case.dir());
    let (low, up) = (layers.at("low"), layers.at("up"));
    let refused = |option: String, says: &str| {
        let run = tree.spawn(case, &[&option]).arg("true").run().expect_code(125);
        assert_says(&run, says);
        assert_says(&run, &option);
    };
    refused(format!("--overlay=/no/such:{up}:/mnt"), "cannot use /no/such as a layer of an overlay");
    refused(format!("--overlay={low}/both:{up}:/mnt"), "Not a directory");
    refused(format!("--overlay={low}:{low}/both:/mnt"), "cannot make the upper directory");
    refused(format!("--overlay={low}:{up}:/etc/passwd"), "of another type");
    Program::new("mount").args(["-t", "tmpfs", "tmpfs", &up]).run().expect_code(0);
    let run = tree.spawn(case, &[&format!("--overlay={low}:{up}:/mnt")]).arg("true").run();
    Program::new("umount").arg(&up).run().expect_code(0);
    assert_says(&run.expect_code(125), "name a directory inside of it");
    assert_eq!(names(&layers.dir), ["high", "low", "up"]);
    // One that is only read has no work directory to be made.
    let fixed = format!("--overlay-ro={low}:{}:/mnt", layers.at("high"));
    let script = "touch /ready; while :; do sleep 1; done";
    let container =
        Background::start(&tree.spawn(case, &[&fixed]).args(["sh", "-c", script]), &tree.path.join("ready"));
    assert_eq!(names(&layers.dir), ["high", "low", "up"]);
    drop(container);
    before.assert_unchanged();
    Ok(())
}

/// A killed supervisor leaves no work directory, on the host or in the image.
pub fn a_killed_overlay_leaves_nothing(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let layers = Layers::new(case)?;
    let before = HostState::take(case.dir());
    let outside = format!("--overlay={}:{}:/mnt", layers.at("low"), layers.at("up"));
    let options = [&outside, "--overlay=+/usr/lib:+/var/upper:/opt"];
    let script = "touch /mnt/x /opt/x; touch /ready; while :; do sleep 1; done";
    let container = Background::start(&tree.spawn(case, &options).args(["sh", "-c", script]), &tree.path.join("ready"));
    let hidden = |dir: &Path| names(dir).iter().filter(|n| n.starts_with(".#spawn")).count();
    assert_eq!((hidden(&layers.dir), hidden(&tree.path.join("var"))), (1, 1));
    container.signal(rustix::process::Signal::KILL)?;
    eventually("the work directories are gone", || hidden(&layers.dir) + hidden(&tree.path.join("var")) == 0);
    drop(container);
    before.assert_unchanged();
    Ok(())
}

/// Every mode leaves the tree as it is, and shows what it should.
pub fn volatile_modes(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    tree.write("etc/in-the-image", "")?;
    tree.write("var/in-the-image", "")?;
    let untouched = || (names(&tree.path), names(&tree.path.join("etc")), names(&tree.path.join("var")));
    let files = untouched();
    let before = HostState::take(case.dir());
    let script = "for d in / /etc /usr /var; do touch $d/made 2>/dev/null && echo rw || echo ro; done; \
                  ls /etc/in-the-image /var/in-the-image 2>/dev/null; stat -c '%a %u:%g' / /etc /usr /var; readlink /bin";
    for users in USERS {
        for (mode, expected) in [
            ("--volatile", "rw\nrw\nro\nrw\n755 0:0\n755 0:0\n755 0:0\n755 0:0\nusr/bin\n"),
            ("--volatile=state", "ro\nro\nro\nrw\n/etc/in-the-image\n755 0:0\n755 0:0\n755 0:0\n755 0:0\nusr/bin\n"),
            (
                "--volatile=overlay",
                "rw\nrw\nrw\nrw\n/etc/in-the-image\n/var/in-the-image\n755 0:0\n755 0:0\n755 0:0\n755 0:0\nusr/bin\n",
            ),
        ] {
            assert_eq!(tree.script(case, &[users, "--timezone=off", mode], script), expected, "{users} {mode}");
            assert_eq!(untouched(), files, "{users} {mode}");
        }
    }
    before.assert_unchanged();
    std::fs::remove_file(tree.path.join("bin"))?;
    symlink("usr/bin", tree.path.join("old"))?;
    std::fs::create_dir(tree.path.join("bin"))?;
    let run = tree.spawn(case, &["--volatile"]).arg("true").run().expect_code(125);
    assert_says(&run, "keeps programs outside of /usr");
    Ok(())
}

/// A directory of the tree as root, the rest of it gone or below.
pub fn a_directory_of_the_tree_becomes_the_root(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    let inner = tree.path.join("deploy/inner");
    std::fs::create_dir_all(inner.parent().expect("it has one"))?;
    case.busybox_tree("inner")?;
    std::fs::rename(case.dir().join("inner"), &inner)?;
    std::fs::write(inner.join("here"), "")?;
    std::fs::create_dir(inner.join("sysroot"))?;
    symlink("/deploy/inner", tree.path.join("current"))?;
    for users in USERS {
        let said =
            tree.script(case, &[users, "--pivot-root=/deploy/inner"], "ls /here; ls /sysroot; stat -c %u:%g /here");
        assert_eq!(said, "/here\n0:0\n", "{users}");
        let script = "ls -d /here /sysroot/deploy /sysroot/deploy/inner/here; touch /sysroot/deploy/x";
        let said = tree.script(case, &[users, "--pivot-root=/current:/sysroot"], script);
        assert_eq!(said, "/here\n/sysroot/deploy\n/sysroot/deploy/inner/here\n", "{users}");
        std::fs::remove_file(tree.path.join("deploy/x"))?;
        let script = "touch /x /sysroot/x 2>/dev/null || echo ro";
        let said = tree.script(case, &[users, "--read-only", "--pivot-root=/deploy/inner:/sysroot"], script);
        assert_eq!(said, "ro\n", "{users}");
    }
    symlink("/etc", tree.path.join("away"))?;
    let run = tree.spawn(case, &["--pivot-root=/none"]).arg("true").run().expect_code(125);
    assert_says(&run, "has no directory /none");
    let run = tree.spawn(case, &["--pivot-root=/away"]).arg("true").run().expect_code(125);
    assert_says(&run, "has no /usr");
    let run = tree.spawn(case, &["--pivot-root=/deploy/inner:/none"]).arg("true").run().expect_code(125);
    assert_says(&run, "/none");
    before.assert_unchanged();
    Ok(())
}

/// The source's owner is seen as the container's root, or as the owner of what it is mounted on.
pub fn owners_of_binds(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let source = case.dir().join("source");
    std::fs::create_dir(&source)?;
    for (name, id) in [(".", 1000), ("owned", 1000), ("other", 1001)] {
        let path = source.join(name);
        if name != "." {
            std::fs::write(&path, "")?;
        }
        std::os::unix::fs::chown(path, Some(id), Some(id))?;
    }
    std::fs::create_dir(tree.path.join("place"))?;
    std::os::unix::fs::chown(tree.path.join("place"), Some(33), Some(33))?;
    let script = "for f in $0 $0/owned $0/other; do stat -c %u:%g $f; done; touch $0/made && stat -c %u:%g $0/made";
    let at = source.display();
    for users in USERS {
        for (target, word, seen) in
            [("/place", "rootidmap", 0), ("/place", "owneridmap", 33), ("/new/place", "owneridmap", 0)]
        {
            let option = format!("--bind={at}:{target}:{word}");
            // Without the id of a user namespace's root nobody can make files there.
            let as_owner = if word == "owneridmap" && seen != 0 { "chmod 777 $0; " } else { "" };
            let run =
                tree.spawn(case, &[users, &option]).args(["sh", "-c", &format!("{as_owner}{script}"), target]).run();
            let head = format!("{seen}:{seen}\n{seen}:{seen}\n65534:65534\n");
            assert!(run.stdout.starts_with(&head), "{users} {option}: {run}");
            if seen == 0 {
                assert_eq!(run.stdout, format!("{head}0:0\n"), "{users} {option}");
                assert_eq!(source.join("made").metadata()?.uid(), 1000);
                std::fs::remove_file(source.join("made"))?;
            }
        }
    }
    Ok(())
}
