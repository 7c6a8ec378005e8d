// SPDX-License-Identifier: LGPL-2.1-or-later
//! Before anything is started: names, trees in use, `--dry-run`; and throw-away copies.

use crate::common::{Case, HostState, Outcome, Program, Reason};
use crate::support::*;
use std::path::{Path, PathBuf};

const WAIT: &str = "touch /tmp/up; echo up >/ready; while :; do sleep 1; done";

/// Every file of the tree with mode, owner, size and time of change.
fn fingerprint(tree: &Path) -> String {
    let find = Program::new("find").arg(tree).args(["-printf", "%P %m %U:%G %s %C@ %T@\n"]).run().expect_code(0).stdout;
    let mut lines: Vec<&str> = find.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

pub fn a_dry_run_touches_nothing(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let locks = || std::fs::read_dir("/run/systemd/nspawn/locks").map(|d| d.count()).unwrap_or(0);
    let (before, files, count) = (HostState::take(case.dir()), fingerprint(&tree.path), locks());
    for how in ["--dry-run", "--dry-run=json"] {
        for options in [&[][..], &["-x"], &["-U", "--private-network", "--bind=/etc:/new"]] {
            let run = tree.spawn(case, options).arg(how).args(["echo", "hi"]).run().expect_code(0);
            assert!(run.stdout.contains("tree") && run.stdout.contains("/proc/sys"), "{run}");
        }
    }
    before.assert_unchanged();
    assert_eq!((fingerprint(&tree.path), locks()), (files, count));
    assert!(!Path::new("/run/spawn/tree").exists());
    Ok(())
}

pub fn a_dry_run_as_json_is_the_plan(case: &mut Case) -> Outcome {
    use std::os::unix::ffi::OsStrExt;
    let tree = Tree::new(case)?;
    let word = std::ffi::OsStr::from_bytes(b"a\xffb");
    let options =
        ["--dry-run=json", "-M", "planned", "--private-users=65536", "--drop-capability=CAP_KILL", "--bind=/etc:/x"];
    let run =
        tree.spawn(case, &options).args(["--rlimit=NOFILE=5", "-E", "A=b", "echo"]).arg(word).run().expect_code(0);
    let plan: serde_json::Value = serde_json::from_str(&run.stdout)?;
    assert_eq!(plan["machine"], "planned");
    assert_eq!(plan["tree"]["path"], tree.path.to_str().unwrap_or_default());
    assert_eq!(plan["process"]["argv"], serde_json::json!(["echo", "a\\xffb"]));
    assert_eq!(plan["user_namespace"]["fixed"]["range"]["base"], 65536);
    assert_eq!(plan["process"]["extra_environment"], serde_json::json!(["A"]));
    let empty = Vec::new();
    let steps = plan["steps"].as_array().unwrap_or(&empty);
    let bind = steps.iter().find(|s| s["target"] == "/x" || s["mount"]["target"] == "/x");
    let bind = bind.unwrap_or_else(|| panic!("no step for the bind in {steps:#?}"));
    assert!(bind["origin"].to_string().contains("--bind=/etc:/x"), "{bind}");
    assert!(!plan["capabilities"]["bounding"].to_string().contains("CAP_KILL"), "{}", plan["capabilities"]);
    let filter = &plan["filter"];
    assert!(filter["instructions"].as_u64().is_some_and(|n| n > 100), "{filter}");
    Ok(())
}

pub fn d46_names_come_from_the_directory(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    for (directory, name) in [("plain", "plain"), ("With_Odd..chars-", "Withodd.chars"), ("v1.2", "v1.2")] {
        let path = case.dir().join(directory);
        std::os::unix::fs::symlink(&tree.path, &path)?;
        std::fs::remove_file(&path)?;
        std::fs::rename(&tree.path, &path)?;
        let run = case.spawn().arg("-D").arg(&path).arg("hostname").run();
        std::fs::rename(&path, &tree.path)?;
        let said = run.expect_code(0).stdout;
        assert_eq!(said.trim().to_lowercase(), name.to_lowercase(), "{directory}");
    }
    // Without -D and -M the current directory is the tree.
    let run = case.spawn().dir(&tree.path).arg("hostname").run().expect_code(0);
    assert_eq!(run.stdout, "tree\n");
    let run = case.spawn().args(["-M", "no/name"]).arg("true").run().expect_code(125);
    assert_says(&run, "no/name");
    Ok(())
}

pub fn machines_are_found_by_name(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let run = case.spawn().args(["-M", "findme", "true"]).run().expect_code(125);
    assert_says(&run, "findme");
    std::fs::create_dir_all("/run/machines")?;
    let link = Path::new("/run/machines/findme");
    std::os::unix::fs::symlink(&tree.path, link)?;
    let run = case.spawn().args(["-M", "findme", "hostname"]).run();
    std::fs::remove_file(link)?;
    assert_eq!(run.expect_code(0).stdout, "findme\n");
    Ok(())
}

pub fn missing_and_odd_trees_are_one_error(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let empty = case.dir().join("empty");
    std::fs::create_dir(&empty)?;
    let file = case.dir().join("file");
    std::fs::write(&file, "")?;
    for (path, says) in [(&empty, "has no /usr directory"), (&file, "cannot open the tree")] {
        let run = case.spawn().arg("-D").arg(path).arg("true").run().expect_code(125);
        assert_says(&run, says);
        assert_says(&run, &path.display().to_string());
        assert_eq!(run.stderr.matches("[E").count(), 1, "{run}");
    }
    let run = case.spawn().args(["-D", "/", "true"]).run().expect_code(125);
    assert_says(&run, "-x");
    // Nothing is named, and what looks like a verb is a program.
    let verb = "\"ps\" is taken as the program to run: verbs are not built yet";
    for (dir, why) in [(&empty, "has no /usr"), (&PathBuf::from("/"), "is the host's own root")] {
        for (word, note) in [("ps", true), ("true", false)] {
            let run = case.spawn().arg(word).dir(dir).run().expect_code(125);
            for says in ["no tree was named: the current directory", why, "-D DIRECTORY", "-M NAME"] {
                assert_says(&run, says);
            }
            assert_eq!(run.stderr.contains(verb), note, "{run}");
            assert_eq!(run.stderr.matches("[E").count(), 1, "{run}");
        }
        let run = case.spawn_as_nspawn()?.arg("ps").dir(dir).run().expect_code(1);
        assert_silent_about(&run, "verbs");
    }
    before.assert_unchanged();
    Ok(())
}

/// All mistakes of a command line at once, each naming its option.
pub fn all_mistakes_are_said_at_once(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    let options = ["--property=NoSuchThing=1", "--property=MemoryMax=many", "--ambient-capability=SYS_TIME"];
    let run = tree.spawn(case, &options).arg("true").run().expect_code(125);
    for says in ["NoSuchThing", "MemoryMax", "CAP_SYS_TIME"] {
        assert_says(&run, says);
    }
    assert_eq!(run.stderr.matches("there is no unit property").count(), 1, "said once: {run}");
    before.assert_unchanged();
    Ok(())
}

pub fn a_name_in_use_is_refused(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let other = case.busybox_tree("other")?;
    let container =
        Background::start(&tree.spawn(case, &["-M", "twice"]).args(["sh", "-c", WAIT]), &tree.path.join("ready"));
    let run = case.spawn().arg("-D").arg(&other).args(["-M", "twice", "true"]).run().expect_code(125);
    assert_says(&run, "E0204");
    assert_says(&run, "twice");
    assert_says(&run, &container.child.id().to_string());
    drop(container);
    case.spawn().arg("-D").arg(&other).args(["-M", "twice", "true"]).run().expect_code(0);
    Ok(())
}

pub fn a_tree_in_use_is_refused(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let container = Background::start(&tree.spawn(case, &[]).args(["sh", "-c", WAIT]), &tree.path.join("ready"));
    for options in [&["-M", "second"][..], &["-M", "second", "--read-only"]] {
        let run = tree.spawn(case, options).arg("true").run().expect_code(125);
        assert_says(&run, "E0203");
        assert_says(&run, &tree.path.display().to_string());
    }
    tree.spawn(case, &["-M", "second"]).env("SYSTEMD_NSPAWN_LOCK", "0").arg("true").run().expect_code(0);
    drop(container);
    tree.spawn(case, &["-M", "second"]).arg("true").run().expect_code(0);
    Ok(())
}

/// Nothing of it stays, two run at once, the tree is as it was; one that writes is kept out by the shared lock.
pub fn throw_away_copies(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let files = fingerprint(&tree.path);
    let before = HostState::take(case.dir());
    for users in ["--private-users=pick", "--private-users=no"] {
        let script =
            "echo new >/made; rm /etc/passwd; chmod 700 /usr/lib; cat /made; hostname; stat -c %u:%g /home/user /made";
        let said = tree.script(case, &["-x", users], script);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!((lines[0], &lines[2..]), ("new", &["1000:1000", "0:0"][..]), "{users}: {said}");
        assert!(lines[1].starts_with("tree-") && lines[1].len() == "tree-".len() + 16, "{said}");
        assert_eq!(fingerprint(&tree.path), files, "{users}");
    }
    before.assert_unchanged();
    let up = case.dir().join("up");
    std::fs::create_dir(&up)?;
    let bind = format!("--bind={}:/up", up.display());
    let start = |name: &str| {
        let script = format!("touch /up/{name}; while :; do sleep 1; done");
        Background::start(
            &tree.spawn(case, &["-x", "--private-users=no", &bind]).args(["sh", "-c", &script]),
            &up.join(name),
        )
    };
    let (first, second) = (start("first"), start("second"));
    let run = tree.spawn(case, &["-M", "writer"]).arg("true").run().expect_code(125);
    assert_says(&run, "E0203");
    tree.spawn(case, &["-M", "reader", "--read-only"]).arg("true").run().expect_code(0);
    drop((first, second));
    assert_eq!(fingerprint(&tree.path), files);
    before.assert_unchanged();
    Ok(())
}

/// What is not built is refused by name, never ignored.
pub fn what_is_not_built_is_refused(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    for option in ["--image=/x", "--private-users=managed", "--private-users-ownership=foreign"] {
        let program =
            if option.starts_with("--image") { case.spawn().arg(option) } else { tree.spawn(case, &[option]) };
        let run = program.arg("true").run().expect_code(125);
        assert_says(&run, "is not built yet");
        assert_says(&run, option.split('=').next().unwrap_or_default());
    }
    Ok(())
}

/// Without systemd: one notice, a group of its own, and nothing of it stays.
pub fn d38_without_systemd_there_is_one_notice(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    let run = tree.spawn(case, &[]).args(["cat", "/proc/self/cgroup"]).run().expect_code(0);
    assert_eq!(run.stderr.matches("no systemd").count(), 1, "{run}");
    assert_eq!(run.stdout.lines().filter(|l| l.starts_with("0::")).collect::<Vec<_>>(), ["0::/"]);
    let insists = |option: &str, says: &str| -> Result<(), Reason> {
        let run = tree.spawn(case, &[option]).arg("true").run().expect_code(125);
        assert_says(&run, says);
        Ok(())
    };
    insists("--scope=require", "bus")?;
    insists("--register=yes", "bus")?;
    before.assert_unchanged();
    Ok(())
}

/// Removes what a dead container has left, and nothing else; starts nothing.
pub fn cleanup_removes_leftovers(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    for name in BOTH {
        // As a start leaves it that was killed before it had anything.
        std::fs::create_dir_all("/run/spawn/tree")?;
        tree.called(case, name, &["--cleanup"])?.run().expect_code(0);
        assert!(!Path::new("/run/spawn/tree").exists(), "{name:?}");
    }
    before.assert_unchanged();
    let container = Background::start(&tree.spawn(case, &[]).args(["sh", "-c", WAIT]), &tree.path.join("ready"));
    assert_says(&tree.spawn(case, &["--cleanup"]).run().expect_code(125), "E0204");
    drop(container);
    before.assert_unchanged();
    Ok(())
}
