// SPDX-License-Identifier: LGPL-2.1-or-later
//! Trees and names that cannot be had: one error that names the path and who holds it, nothing touched.

use super::background::Background;
use super::{Case, HostState, Outcome, Output, Program, fail, leftovers};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::time::Duration;

const START: Duration = Duration::from_secs(20);

/// It failed with exactly one error, which holds all these words.
pub fn one_error(output: Output, words: &[&str]) -> Outcome {
    let output = output.expect_code(125);
    let errors = output.stderr.lines().filter(|line| line.contains(" [E")).count();
    if errors != 1 || !words.iter().all(|word| output.stderr.contains(word)) {
        return fail(format!("{errors} errors, expected one with {words:?}:\n{output}"));
    }
    Ok(())
}

/// A tree is one container's at a time, unless all only read it.
pub fn tree(case: &mut Case) -> Outcome {
    leftovers::adopt_orphans()?;
    let tree = case.busybox_tree("tree")?;
    let on = |name: &str, more: &[&str], script: &str| {
        let program = case.spawn().arg("-D").arg(&tree).args(["-M", name]).args(more);
        program.args(["sh", "-c", script])
    };
    on("first", &[], "true").run().expect_code(0);
    let before = HostState::take(case.dir());
    let mut first = Background::start(&on("first", &[], "echo up; sleep 600"), case.dir(), "first")?;
    first.expect("up", START)?;
    let during = HostState::take(case.dir());
    let holder = format!("process {}", first.pid().as_raw_nonzero());
    one_error(on("second", &[], "echo wrong").run(), &["E0203", &tree.to_string_lossy(), &holder])?;
    one_error(on("second", &["--read-only"], "echo wrong").run(), &["E0203", &holder])?;
    during.assert_unchanged();
    first.signal(Signal::TERM)?;
    first.wait(START)?;

    let mut first = Background::start(&on("first", &["--read-only"], "echo up; sleep 600"), case.dir(), "first")?;
    first.expect("up", START)?;
    let second = on("second", &["--read-only"], "echo both read").run().expect_code(0);
    assert_eq!(second.stdout, "both read\n");
    first.signal(Signal::TERM)?;
    first.wait(START)?;
    leftovers::processes(START);
    before.assert_unchanged();
    Ok(())
}

/// A machine name is one container's at a time.
pub fn name(case: &mut Case) -> Outcome {
    leftovers::adopt_orphans()?;
    let (one, other) = (case.busybox_tree("one")?, case.busybox_tree("other")?);
    let on =
        |tree: &Path, script: &str| case.spawn().arg("-D").arg(tree).args(["-M", "same"]).args(["sh", "-c", script]);
    on(&one, "true").run().expect_code(0);
    let before = HostState::take(case.dir());
    let mut first = Background::start(&on(&one, "echo up; sleep 600"), case.dir(), "first")?;
    first.expect("up", START)?;
    let during = HostState::take(case.dir());
    let holder = format!("process {}", first.pid().as_raw_nonzero());
    one_error(on(&other, "echo wrong").run(), &["E0204", "same", &holder])?;
    during.assert_unchanged();
    assert_eq!(leftovers::locks(&other).iter().filter(|lock| lock.contains("other")).count(), 0);
    first.signal(Signal::TERM)?;
    first.wait(START)?;
    leftovers::processes(START);
    before.assert_unchanged();
    assert_eq!(on(&other, "echo free").run().expect_code(0).stdout, "free\n");
    Ok(())
}

/// What is no tree is refused by name and stays as it was.
pub fn not_a_tree(case: &mut Case) -> Outcome {
    let dir = case.dir().to_owned();
    fs::create_dir(dir.join("empty"))?;
    fs::write(dir.join("file"), "x")?;
    std::os::unix::fs::symlink("nowhere", dir.join("dangling"))?;
    std::os::unix::fs::symlink("loop", dir.join("loop"))?;
    fs::create_dir(dir.join("linked"))?;
    std::os::unix::fs::symlink("/usr", dir.join("linked/usr"))?;
    fs::create_dir_all(dir.join("no-release/usr/bin"))?;
    rustix::fs::mknodat(rustix::fs::CWD, dir.join("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)?;
    let list = || Program::new("find").arg(&dir).args(["-printf", "%P %y %m %T@ %C@\n"]).run().stdout;
    let (before, content) = (HostState::take(&dir), list());
    let long = "x".repeat(300);
    for (name, option, words) in [
        ("missing", "--quiet", &["E0201", "ENOENT"]),
        ("file", "--quiet", &["E0201", "ENOTDIR"]),
        ("fifo", "--quiet", &["E0201", "ENOTDIR"]),
        ("dangling", "--quiet", &["E0201", "ENOENT"]),
        ("loop", "--quiet", &["E0201", "ELOOP"]),
        (long.as_str(), "--quiet", &["E0201", "ENAMETOOLONG"]),
        ("empty", "--quiet", &["E0202", "/usr"]),
        ("linked", "--quiet", &["E0206", "usr: Too many symbolic links"]),
        ("no-release", "--boot", &["E0202", "os-release"]),
    ] {
        let tree = dir.join(name);
        let run = case.spawn().arg("-D").arg(&tree).args(["-M", "none", option]).run();
        let mut words = words.to_vec();
        let shown = tree.to_string_lossy();
        words.push(&shown);
        one_error(run, &words)?;
    }
    assert_eq!(list(), content);
    before.assert_unchanged();
    Ok(())
}

/// Parts of the host that cannot be written to, in a mount namespace that has them so.
pub fn read_only_host(case: &mut Case) -> Outcome {
    let tree = case.busybox_tree("tree")?;
    let spawn = Case::spawn_path();
    for (folder, remount) in [
        ("/", "mount --rbind / / && mount -o remount,bind,ro /"),
        ("/etc", "mount --rbind /etc /etc && mount -o remount,bind,ro /etc"),
        ("/var", "mount --rbind /var /var && mount -o remount,bind,ro /var"),
        ("the tree", "mount --bind \"$2\" \"$2\" && mount -o remount,bind,ro \"$2\""),
    ] {
        let before = HostState::take(case.dir());
        let script =
            format!("{remount} || exit 77; cd \"$2\"; spawn=$1 tree=$2; shift 2; exec \"$spawn\" -D \"$tree\" \"$@\"");
        let run = Program::new("unshare").args(["-m", "--propagation", "private", "sh", "-c", &script, "sh"]);
        let run = run.arg(&spawn).arg(&tree).args(["-M", "readonly", "sh", "-c", "echo ran"]).run();
        match run.status.code() {
            Some(0) => assert_eq!(run.stdout, "ran\n"),
            Some(125) => {
                println!("{folder} read-only: {}", run.stderr.trim());
                one_error(run, &[])?;
            }
            _ => return fail(format!("{folder} read-only: {run}")),
        }
        before.assert_unchanged();
    }
    Ok(())
}

/// A tree whose owners cannot be mapped: it starts with a notice, or there is one error that names it.
pub fn tree_without_idmap(case: &mut Case) -> Outcome {
    let tree = case.busybox_tree("tree")?;
    let before = HostState::take(case.dir());
    let script = "mkdir \"$2\" && mount -t ramfs ramfs \"$2\" && cp -a \"$3/.\" \"$2/\" || exit 77
        exec \"$1\" -D \"$2\" -M unmapped sh -c 'echo ran; cat /proc/self/uid_map'";
    let place = case.dir().join("ramfs");
    let run = Program::new("unshare").args(["-m", "--propagation", "private", "sh", "-c", script, "sh"]);
    let run = run.arg(Case::spawn_path()).arg(&place).arg(&tree).run();
    println!("{run}");
    match run.status.code() {
        Some(0) => {
            assert!(run.stdout.starts_with("ran\n"));
            assert!(!run.stderr.is_empty(), "it says that there is no user namespace");
        }
        _ => one_error(run, &[&place.to_string_lossy()])?,
    }
    before.assert_unchanged();
    Ok(())
}
