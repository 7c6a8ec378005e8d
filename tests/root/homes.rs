// SPDX-License-Identifier: LGPL-2.1-or-later
//! The home of `-u` that the image lacks.

use crate::common::{Case, Outcome, Reason};
use crate::support::*;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

const USERS: &str = "root:x:0:0:root:/root:/bin/sh
user:x:1000:1000:user:/home/user:/bin/sh
deep:x:1001:1002:deep:/new/deep/home:/bin/sh
link:x:1003:1003:link:/link/home:/bin/sh
homeless:x:1004:1004::/nonexistent:/bin/sh
device:x:1005:1005::/dev/null:/bin/sh
file:x:1006:1006::/etc/passwd/home:/bin/sh
";

/// A tree with these users, without any home.
fn tree(case: &Case) -> Result<Tree, Reason> {
    let tree = Tree::new(case)?;
    tree.write("etc/passwd", USERS)?;
    std::fs::remove_dir(tree.path.join("home/user"))?;
    Ok(tree)
}

/// Mode and owner of a path of the tree, as on disk.
fn seen(tree: &Tree, path: &str) -> String {
    match std::fs::symlink_metadata(tree.path.join(path)) {
        Ok(meta) => format!("{:o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid()),
        Err(error) => error.kind().to_string(),
    }
}

/// nspawn-setuid.c, `change_uid_gid()`.
pub fn a_missing_home_is_made(case: &mut Case) -> Outcome {
    let show = ["stat", "-c", "%a %u:%g", "/new", "/new/deep", "/new/deep/home"];
    for name in BOTH {
        for users in ["--private-users=no", "-U"] {
            let tree = tree(case)?;
            let run = tree.called(case, name, &[users, "--pipe", "-u", "deep"])?.args(show).run().expect_code(0);
            assert_eq!(run.stdout, "775 0:0\n775 0:0\n755 1001:1002\n", "{name:?} {users}");
            assert_silent_about(&run, "cannot make");
            assert_eq!(seen(&tree, "new/deep/home"), "755 1001:1002", "{name:?} {users}");
            assert_eq!(seen(&tree, "new/deep"), "775 0:0", "{name:?} {users}");
            // Below the small init too, and the shell that nobody named starts in it.
            let run = tree
                .called(case, name, &[users, "--pipe", "-a", "-u", "user"])?
                .stdin("pwd\nexit 3\n")
                .run()
                .expect_code(3);
            assert_eq!(run.stdout, "/home/user\n", "{run}");
            assert_eq!(seen(&tree, "home/user"), "755 1000:1000");
            std::fs::remove_dir_all(&tree.path)?;
        }
    }
    Ok(())
}

pub fn a_home_that_is_there_is_left_alone(case: &mut Case) -> Outcome {
    let tree = tree(case)?;
    std::fs::create_dir(tree.path.join("home/user"))?;
    std::fs::set_permissions(tree.path.join("home/user"), std::os::unix::fs::PermissionsExt::from_mode(0o711))?;
    for name in BOTH {
        for user in ["user", "root", "device"] {
            let run = tree.called(case, name, &["-u", user])?.arg("true").run().expect_code(0);
            assert_silent_about(&run, "cannot make");
        }
        assert_eq!((&*seen(&tree, "home/user"), &*seen(&tree, "root")), ("711 0:0", "700 0:0"));
    }
    // It must not exist, says Debian, whose users without a home have it.
    tree.spawn(case, &["-u", "homeless"]).arg("true").run().expect_code(0);
    assert_eq!(seen(&tree, "nonexistent"), "entity not found");
    tree.called(case, Name::Nspawn, &["-u", "homeless"])?.arg("true").run().expect_code(0);
    assert_eq!(seen(&tree, "nonexistent"), "755 1004:1004");
    Ok(())
}

pub fn a_home_is_made_where_it_is_seen(case: &mut Case) -> Outcome {
    let tree = tree(case)?;
    let outside = case.dir().join("outside");
    std::fs::create_dir(&outside)?;
    let show = ["stat", "-c", "%a %u:%g", "/home/user"];
    for name in BOTH {
        for users in ["--private-users=no", "-U"] {
            for options in [
                &["--pipe", "--tmpfs=/home", "-u", "user"][..],
                &["--pipe", "--read-only", "--tmpfs=/home", "-u", "user"],
            ] {
                let run = tree.called(case, name, options)?.arg(users).args(show).run().expect_code(0);
                assert_eq!(run.stdout, "755 1000:1000\n", "{name:?} {options:?}");
            }
        }
        // The container's root has no rights on what the host's root owns and is not mapped.
        let bind = format!("--bind={}:/home", outside.display());
        let refused = tree.called(case, name, &["-U", &bind, "-u", "user"])?.arg("true").run();
        let status = if name == Name::Spawn { 0 } else { 1 };
        assert_says(
            &refused.expect_code(status),
            "cannot make the home directory /home/user of user: Permission denied",
        );
        assert_eq!(std::fs::read_dir(&outside)?.count(), 0);
    }
    assert_eq!(seen(&tree, "home/user"), "entity not found");
    Ok(())
}

/// The image says where the home is, so the path is not to be trusted.
pub fn a_home_is_never_made_outside(case: &mut Case) -> Outcome {
    let tree = tree(case)?;
    let outside = case.dir().join("outside");
    std::fs::create_dir(&outside)?;
    for users in ["--private-users=no", "-U"] {
        for name in BOTH {
            for target in [
                outside.as_path(),
                Path::new("../../../../../../var/tmp"),
                Path::new("/proc/self/cwd"),
                &outside.join("x"),
            ] {
                let link = tree.path.join("link");
                let _absent = std::fs::remove_file(&link);
                symlink(target, &link)?;
                tree.called(case, name, &[users, "-u", "link"])?.arg("true").run();
                assert_eq!(std::fs::read_dir(&outside)?.count(), 0, "{name:?} {users} {target:?}");
                assert!(!Path::new("/var/tmp/home").exists(), "{name:?} {users} {target:?}");
            }
        }
    }
    // Inside it was followed.
    assert_eq!(seen(&tree, "var/tmp/home"), "755 1003:1003");
    // A link that leads nowhere is somebody's choice.
    symlink("/gone/away", tree.path.join("home/user"))?;
    for name in BOTH {
        tree.called(case, name, &["-u", "user"])?.arg("true").run().expect_code(0);
    }
    assert_eq!(seen(&tree, "gone"), "entity not found");
    Ok(())
}

pub fn a_home_that_cannot_be_made_is_told(case: &mut Case) -> Outcome {
    let tree = tree(case)?;
    for (options, user, home, why) in [
        (&["--read-only"][..], "user", "/home/user", "Read-only file system (EROFS) [E0502]"),
        (&["--volatile=state"], "deep", "/new/deep/home", "Read-only file system (EROFS) [E0502]"),
        (&[], "file", "/etc/passwd/home", "Not a directory (ENOTDIR) [E0502]"),
    ] {
        let words = format!("cannot make the home directory {home} of {user}: {why}");
        let run = tree.spawn(case, options).args(["-u", user, "id", "-u"]).run().expect_code(0);
        assert_says(&run, &words);
        assert_says(&run, "asked for by -u");
        assert_says(&run, "the start goes on: the program runs without a home");
        let run = tree.called(case, Name::Nspawn, options)?.args(["-u", user, "id", "-u"]).run().expect_code(1);
        assert_says(&run, &words);
        assert_eq!(run.stdout, "");
    }
    // Where changes are thrown away, so is the home.
    for option in ["--volatile=overlay", "-x"] {
        for name in BOTH {
            tree.called(case, name, &[option, "-u", "user"])?.args(["test", "-O", "/home/user"]).run().expect_code(0);
        }
    }
    assert_eq!(seen(&tree, "home/user"), "entity not found");
    let plan = tree.spawn(case, &["--dry-run", "-u", "user"]).arg("true").run().expect_code(0);
    assert!(plan.stdout.contains("user, whose home is made if it is missing"), "{plan}");
    Ok(())
}
