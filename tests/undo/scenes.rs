// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a supervisor does before it is killed; run in a process of its own.

use super::{group_of, pidfd, run, sleeper};
use spawn::error::Code;
use spawn::sys::ofd_lock::{LockKind, OfdLock};
use spawn::sys::termios::TermState;
use spawn::undo::{Group, Keeper, PathRelease, ProcessId, Record, Release, RuntimeDir, Undo};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Not a test: what a supervisor does, run by the tests below in a process of its own.
#[test]
#[ignore = "run by the other tests"]
fn as_supervisor() {
    let Ok(scene) = std::env::var("SCENE") else { return };
    let dir = PathBuf::from(std::env::var_os("DIR").unwrap());
    let mut undo = Undo::kept_by(Keeper::start().unwrap());
    println!("\nkeeper {}", undo.keeper().unwrap().process_id().unwrap().pid);
    match scene.as_str() {
        "everything" => acquire_everything(&dir, &mut undo),
        "recorded" => acquire_recorded(&dir, &mut undo),
        "many" => acquire_many(&dir, &mut undo),
        "restless" => {
            println!("ready");
            for i in 0u32.. {
                let file = dir.join(format!("f{i}"));
                let ticket = undo.push(PathRelease::RemoveFile(file.clone()), "a file").unwrap();
                std::fs::write(&file, "").unwrap();
                if i % 3 == 0 {
                    undo.release(ticket).unwrap();
                }
                if i % 300 == 299 {
                    assert!(undo.run().is_empty());
                    undo = Undo::kept_by(Keeper::start().unwrap());
                }
            }
        }
        other => panic!("{other}"),
    }
    println!("ready");
    std::thread::sleep(Duration::from_secs(60));
}

#[allow(clippy::zombie_processes, reason = "as in sleeper")]
fn acquire_everything(dir: &Path, undo: &mut Undo) {
    let lock = OfdLock::try_at(&dir.join("lock"), LockKind::Exclusive).unwrap();
    undo.push(Release::Unlock(lock), "the lock").unwrap();
    let tree = dir.join("tree");
    undo.push(PathRelease::RemoveTree(tree.clone()), "the tree").unwrap();
    std::fs::create_dir_all(tree.join("a/b")).unwrap();
    std::fs::write(tree.join("a/b/file"), "").unwrap();
    std::os::unix::fs::symlink("/etc", tree.join("link")).unwrap();
    let mount = dir.join("mount");
    undo.push(PathRelease::RemoveDir(mount.clone()), "the mount point").unwrap();
    std::fs::create_dir(&mount).unwrap();
    undo.push(PathRelease::Unmount(mount.clone()), "the mount").unwrap();
    run(&["mount", "-t", "tmpfs", "none", mount.to_str().unwrap()]);
    let file = dir.join("file");
    undo.push(PathRelease::RemoveFile(file.clone()), "the file").unwrap();
    std::fs::write(&file, "").unwrap();
    // Cannot be undone: the others must be all the same.
    undo.push(PathRelease::RemoveDir(dir.into()), "a directory that is not empty").unwrap();
    undo.push(PathRelease::DeleteLink("ve-test".into()), "the link").unwrap();
    run(&["ip", "link", "add", "ve-test", "type", "bridge"]);

    let terminal = std::fs::OpenOptions::new().read(true).write(true).open(std::env::var("TERMINAL").unwrap()).unwrap();
    let attributes = TermState::read(&terminal).unwrap();
    undo.push(Release::RestoreTerminal { terminal: terminal.try_clone().unwrap().into(), attributes }, "it").unwrap();
    let mut raw = rustix::termios::tcgetattr(&terminal).unwrap();
    raw.make_raw();
    rustix::termios::tcsetattr(&terminal, rustix::termios::OptionalActions::Now, &raw).unwrap();

    let group = group_of(dir);
    undo.push(PathRelease::RemoveCgroup(group.clone()), "the group").unwrap();
    std::fs::create_dir_all(group.join("below/deeper")).unwrap();
    undo.push(Release::KillCgroup(std::fs::File::open(&group).unwrap().into()), "the group's processes").unwrap();
    println!("grouped {}", sleeper(Some(&group.join("below"))).id());

    // The payload has our end of the keeper's connection: only our death tells the keeper that we are gone.
    let leaked = rustix::io::dup(undo.keeper().unwrap().connection()).unwrap();
    let alone = sleeper(None);
    drop(leaked);
    undo.push(Release::KillProcess(pidfd(&alone)), "the process").unwrap();
    println!("alone {}", alone.id());
    // Kept alive by nobody: not killed with us, and not undone.
    let forgotten = undo.push(PathRelease::RemoveFile(dir.join("kept")), "a file to keep").unwrap();
    std::fs::write(dir.join("kept"), "").unwrap();
    undo.forget(forgotten);
}

#[allow(clippy::zombie_processes, reason = "as in sleeper")]
fn acquire_recorded(dir: &Path, undo: &mut Undo) {
    let (runtime, stale) = RuntimeDir::claim(&dir.join("run"), "foo", undo).unwrap();
    assert!(stale.is_none());
    let mount = runtime.path().join("root");
    undo.push(PathRelease::Unmount(mount.clone()), "the mount").unwrap();
    std::fs::create_dir(&mount).unwrap();
    run(&["mount", "-t", "tmpfs", "none", mount.to_str().unwrap()]);
    let group = group_of(dir);
    undo.push(PathRelease::RemoveCgroup(group.clone()), "the group").unwrap();
    std::fs::create_dir(&group).unwrap();
    undo.push(Release::KillCgroup(std::fs::File::open(&group).unwrap().into()), "its processes").unwrap();
    let (alone, grouped) = (sleeper(None), sleeper(Some(&group)));
    undo.push(Release::KillProcess(pidfd(&alone)), "the process").unwrap();
    println!("alone {}\ngrouped {}", alone.id(), grouped.id());
    let mut record = Record::of_this_process().unwrap();
    record.keeper = undo.keeper().unwrap().process_id();
    record.scope = Some("foo.scope".into());
    record.group = Some(Group::at(&group).unwrap());
    record.leader = ProcessId::of(alone.id() as i32);
    record.undo = undo.recordable();
    runtime.write_record(&record).unwrap();
    runtime.write_plan("{}").unwrap();
}

fn acquire_many(dir: &Path, undo: &mut Undo) {
    let long = "x".repeat(200);
    let mut first = None;
    for i in 0..256 {
        let file = dir.join(format!("{long}{i}"));
        std::fs::write(&file, "").unwrap();
        let ticket = undo.push(PathRelease::RemoveFile(file), "a file").unwrap();
        first = first.or(Some(ticket));
    }
    std::fs::write(dir.join("one too many"), "").unwrap();
    let refused = undo.push(PathRelease::RemoveFile(dir.join("one too many")), "a file").unwrap_err();
    assert_eq!(refused.code(), Code::Prepare, "{refused}");
    assert!(!dir.join("one too many").exists(), "what cannot be kept is released at once");
    undo.release(first.unwrap()).unwrap();
    std::fs::write(dir.join("again room"), "").unwrap();
    undo.push(PathRelease::RemoveFile(dir.join("again room")), "a file").unwrap();
}
