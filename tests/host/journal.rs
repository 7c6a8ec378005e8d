// SPDX-License-Identifier: LGPL-2.1-or-later
//! What journald gets to know: our own messages, the console that nobody watches, the guest's journal.

use crate::common::{Case, HostState, Outcome, Program, fail};
use crate::guest::{BOOT, BUSYBOX, Folder, Guest, SOON, debian_copy, name_for, until};
use serde_json::Value;
use spawn::log::MessageId;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const HOST_JOURNAL: &str = "/var/log/journal";

/// Entries of the journal with these matches.
fn entries(matches: &[&str]) -> Vec<Value> {
    Program::new("journalctl").arg("--sync").run();
    let shown = Program::new("journalctl").args(["--no-pager", "--all", "-o", "json"]).args(matches).run();
    shown.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn of_machine(name: &str) -> Vec<Value> {
    entries(&[&format!("SPAWN_MACHINE={name}")])
}

fn with_id(entries: &[Value], id: MessageId) -> Vec<&Value> {
    entries.iter().filter(|entry| entry["MESSAGE_ID"] == id.as_str()).collect()
}

pub fn own_messages_have_fields(case: &mut Case) -> Outcome {
    let name = name_for(case);
    let run = case.spawn().args(["-M", &name, "-D", BUSYBOX, "true"]).run().expect_code(0);
    assert_eq!(run.stderr, "", "nothing that a person needs to know");
    let all = of_machine(&name);
    for id in [MessageId::Started, MessageId::Registered, MessageId::Exited, MessageId::Consumed] {
        let found = with_id(&all, id);
        assert_eq!(found.len(), 1, "{id:?} in {all:#?}");
        let entry = found[0];
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "spawn");
        assert_eq!(entry["PRIORITY"], "6");
        assert!(entry["CODE_FILE"].as_str().is_some_and(|f| f.starts_with("src/launch/")), "{entry}");
        assert!(entry["CODE_LINE"].is_string() && entry["CODE_FUNC"].is_string(), "{entry}");
        let leader = entry["SPAWN_LEADER"].as_str().unwrap_or_default();
        assert!(leader.parse::<u32>().is_ok_and(|pid| pid > 1), "{entry}");
    }
    assert_eq!(with_id(&all, MessageId::Registered)[0]["SPAWN_STEP"], "register");
    Ok(())
}

/// Works, in a child that nobody waits for, and says how long: user and system time as times(1p) shows them.
const WORK: &str = "trap '' CHLD; (i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; times) & wait; true";

/// The first line of times(1p), in seconds.
fn told_time(shown: &str) -> f64 {
    let part = |part: &str| {
        let (minutes, seconds) = part.strip_suffix('s')?.split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    let first = shown.lines().next().unwrap_or_default();
    first.split_whitespace().map(|p| part(p).unwrap_or_else(|| panic!("{p:?} in {shown:?}"))).sum()
}

/// Hundredths of a second are what times(1p) knows; the rest is the start's own.
fn assert_consumed(case: &Case, program: Program, name: &str) -> Outcome {
    let run = program.args(["-v", "-M", name, "-D", BUSYBOX, "sh", "-c", WORK]).run().expect_code(0);
    let all = of_machine(name);
    let message = with_id(&all, MessageId::Consumed)[0]["MESSAGE"].as_str().unwrap_or_default().to_owned();
    assert!(run.stderr.contains(&message), "{message} with -v in {run}");
    assert!(!run.stderr.contains("is killed"), "it has ended by itself: {run}");
    let seconds = message.strip_prefix(&format!("{name} consumed ")).and_then(|rest| rest.split(' ').next());
    let seconds: f64 = seconds.unwrap_or_default().parse()?;
    let worked = told_time(&run.stdout);
    assert!(worked > 0.02, "{worked} s are too few to tell, in {}", case.name);
    assert!(seconds > worked - 0.02 && seconds < worked + 0.3, "{worked} s, and {message}");
    Ok(())
}

pub fn the_end_says_what_was_consumed(case: &mut Case) -> Outcome {
    assert_consumed(case, case.spawn(), &name_for(case))
}

/// systemd would remove the emptied group while its figures are not read yet.
pub fn what_was_consumed_is_told_however_late_it_is_read(case: &mut Case) -> Outcome {
    let late = ["-o", "/dev/null", "-P", "pids.peak", "-e", "inject=openat:delay_enter=500000"];
    assert_consumed(case, Program::new("strace").args(late).arg(Case::spawn_path()), &name_for(case))
}

pub fn failures_have_their_code(case: &mut Case) -> Outcome {
    let name = name_for(case);
    let run = case.spawn().args(["-M", &name, "-D", BUSYBOX, "/no/such/program"]).run().expect_code(127);
    assert!(run.stderr.contains("E0503"), "{run}");
    let all = of_machine(&name);
    let failed = with_id(&all, MessageId::Failed);
    assert_eq!(failed.len(), 1, "{all:#?}");
    assert_eq!((&failed[0]["SPAWN_CODE"], &failed[0]["PRIORITY"]), (&"E0503".into(), &"3".into()));
    Ok(())
}

pub fn no_secret_is_seen_anywhere(case: &mut Case) -> Outcome {
    let secrets = ["tell-nobody-1", "tell-nobody-2", "tell-nobody-3", "tell-nobody-4"];
    let args = [
        "-E".to_owned(),
        format!("A={}", secrets[0]),
        format!("--setenv=B={}", secrets[1]),
        format!("--set-credential=c:{}", secrets[2]),
        "--set-credential".to_owned(),
        format!("d:{}", secrets[3]),
    ];
    let words = ["--directory", BUSYBOX, "sh", "-c", "test $A = tell-nobody-$((0+1)) && sleep 60"];
    let guest = Guest::start(case, args.iter().map(String::as_str).chain(words));
    guest.wait_registered();
    let credential = format!("/proc/{}/root/run/host/credentials/d", guest.leader());
    assert_eq!(fs::read_to_string(credential)?, secrets[3]);
    let ps = Program::new("ps").args(["-eo", "args", "ww"]).run().expect_code(0).stdout;
    let runtime = format!("/run/spawn/{}", guest.name);
    let plan = fs::read_to_string(format!("{runtime}/plan.json"))?;
    let record = fs::read_to_string(format!("{runtime}/record"))?;
    let name = guest.name.clone();
    drop(guest);
    Program::new("journalctl").arg("--sync").run();
    let by_machine = format!("SPAWN_MACHINE={name}");
    let journal = Program::new("journalctl").args(["--no-pager", "--all", "-o", "verbose", &by_machine]).run().stdout;
    assert!(journal.contains("_CMDLINE=") && journal.contains("--setenv=B=xxx"), "{journal}");
    for secret in secrets {
        for (place, text) in [("ps", &ps), ("plan", &plan), ("record", &record), ("journal", &journal)] {
            assert!(!text.contains(secret), "{secret} in {place}: {text}");
        }
    }
    Ok(())
}

/// Console lines of the machine, as the journal has them.
fn console(name: &str, line: &str) -> Vec<Value> {
    let all = entries(&["-t", name]);
    all.into_iter().filter(|e| e["MESSAGE"].as_str().is_some_and(|m| m.contains(line))).collect()
}

pub fn a_console_that_nobody_watches_is_there_once(case: &mut Case) -> Outcome {
    let name = name_for(case);
    let script = "printf 'mark-\\033[31mred\\033[0m-\\007\\n'; printf 'mark-unfinished'";
    for (mode, shown) in [("--console=passive", false), ("--console=read-only", true)] {
        let name = format!("{name}{}", mode.len());
        let run = case.spawn().args(["-q", mode, "-M", &name, "-D", BUSYBOX, "sh", "-c", script]).run();
        let run = run.expect_code(0);
        assert_eq!(run.stdout.contains("mark-"), shown, "{run}");
        for line in ["mark-red-\\x07", "mark-unfinished"] {
            let found = console(&name, line);
            assert_eq!(found.len(), 1, "{line} of {mode}");
            assert_eq!(found[0]["MESSAGE"], line);
            assert_eq!(found[0]["SPAWN_MACHINE"].as_str(), Some(name.as_str()));
        }
    }
    Ok(())
}

pub fn as_a_unit_the_console_is_there_once(case: &mut Case) -> Outcome {
    let name = name_for(case);
    let token = format!("token-{}", std::process::id());
    Program::new("systemd-run")
        .args(["--quiet", "--wait", "--collect", "--property=Delegate=yes"])
        .arg(Case::spawn_path())
        .args(["--quiet", "--keep-unit", "--console=read-only", "-M", &name, "-D", BUSYBOX, "sh", "-c"])
        .arg(format!("printf 'token-%s\\033[1m!\\n' {}", std::process::id()))
        .run()
        .expect_code(0);
    let found: Vec<Value> = entries(&["--since=-60s"])
        .into_iter()
        .filter(|e| e["MESSAGE"].as_str().is_some_and(|m| m.starts_with(&token)))
        .collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["SYSLOG_IDENTIFIER"].as_str(), Some(name.as_str()));
    assert_eq!(found[0]["MESSAGE"], format!("{token}!"));
    Ok(())
}

/// The host keeps a persistent journal for as long as this lives.
struct Persistent(bool);

impl Persistent {
    fn make() -> Result<Self, std::io::Error> {
        let there = Path::new(HOST_JOURNAL).is_dir();
        if !there {
            fs::create_dir(HOST_JOURNAL)?;
        }
        Ok(Self(there))
    }
}

impl Drop for Persistent {
    fn drop(&mut self) {
        if !self.0 {
            let _ = fs::remove_dir_all(HOST_JOURNAL);
        }
    }
}

/// A link that the case has made or caused.
struct Link(PathBuf);

impl Drop for Link {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn try_guest_with(case: &Case, users: &str) -> Outcome {
    let name = name_for(case);
    let tree = debian_copy(&name)?;
    let _persistent = Persistent::make()?;
    let mut guest = Guest::start(case, ["--boot", "--quiet", "--console=passive", "--link-journal=try-guest", users]);
    guest.wait_booted();
    let id = guest.show("Id");
    let link = Link(Path::new(HOST_JOURNAL).join(&id));
    assert_eq!(fs::read_link(&link.0)?, tree.0.join("var/log/journal").join(&id));
    until("the guest's journal is read from the host", SOON, || {
        let read = Program::new("journalctl").args(["--no-pager", "-o", "cat", "-M", &name]).run();
        read.stdout.contains("systemd-journald") || read.stdout.contains("Journal")
    });
    let merged = || {
        let by_id = format!("_MACHINE_ID={id}");
        Program::new("journalctl").args(["--no-pager", "-o", "cat", "--merge", &by_id]).run().stdout
    };
    until("it is there among all journals", SOON, || !merged().trim().is_empty());
    Program::new("machinectl").args(["poweroff", &name]).run().expect_code(0);
    assert_eq!(guest.end(BOOT).code(), Some(0));
    // It outlives the run.
    assert!(merged().contains("Shut") || merged().contains("shut"), "{}", merged());
    Ok(())
}

pub fn try_guest_lets_the_host_read(case: &mut Case) -> Outcome {
    try_guest_with(case, "--private-users=no")
}

pub fn try_guest_lets_the_host_read_a_user_namespace(case: &mut Case) -> Outcome {
    try_guest_with(case, "--private-users=pick")
}

fn tree_with_id(case: &Case, id: &str) -> Result<PathBuf, crate::common::Reason> {
    let tree = case.busybox_tree("tree")?;
    fs::write(tree.join("etc/machine-id"), format!("{id}\n"))?;
    Ok(tree)
}

const ID: &str = "5e5e5e5e5e5e4e5e8e5e5e5e5e5e5e5e";

pub fn no_and_auto_make_no_link(case: &mut Case) -> Outcome {
    let _persistent = Persistent::make()?;
    let tree = tree_with_id(case, ID)?;
    let before = HostState::take(case.dir());
    for mode in ["--link-journal=no", "--link-journal=auto"] {
        case.spawn().args([mode, "-M", &name_for(case), "-D"]).arg(&tree).arg("true").run().expect_code(0);
        assert!(!Path::new(HOST_JOURNAL).join(ID).exists(), "{mode}");
        assert!(!tree.join("var/log/journal").exists(), "{mode}");
    }
    before.assert_unchanged();
    Ok(())
}

pub fn auto_uses_the_hosts_directory(case: &mut Case) -> Outcome {
    let _persistent = Persistent::make()?;
    let tree = tree_with_id(case, ID)?;
    let host = Folder(Path::new(HOST_JOURNAL).join(ID));
    fs::create_dir(&host.0)?;
    for users in ["--private-users=no", "--private-users=pick"] {
        let script = format!("echo $$ >/var/log/journal/{ID}/from-the-guest");
        case.spawn()
            .args([users, "-M", &name_for(case), "-D"])
            .arg(&tree)
            .args(["sh", "-c", &script])
            .run()
            .expect_code(0);
        assert_eq!(fs::read_to_string(host.0.join("from-the-guest"))?, "1\n", "{users}");
        fs::remove_file(host.0.join("from-the-guest"))?;
        assert_eq!(fs::read_dir(tree.join("var/log/journal").join(ID))?.count(), 0);
    }
    Ok(())
}

/// The group that may read the host's journals is not nobody inside, with and without a user namespace.
pub fn d12_groups_of_a_linked_journal_are_seen(case: &mut Case) -> Outcome {
    let _persistent = Persistent::make()?;
    let tree = tree_with_id(case, ID)?;
    let host = Folder(Path::new(HOST_JOURNAL).join(ID));
    fs::create_dir(&host.0)?;
    std::os::unix::fs::chown(&host.0, Some(0), Some(998))?;
    let linked = format!("/var/log/journal/{ID}");
    for users in ["--private-users=no", "--private-users=pick"] {
        for nspawn in [false, true] {
            let spawn = if nspawn { case.spawn_as_nspawn()? } else { case.spawn() };
            let run = spawn.args([users, "-P", "--link-journal=host", "-M", &name_for(case), "-D"]).arg(&tree);
            let run = run.args(["stat", "-c", "%u:%g", &linked]).run().expect_code(0);
            assert_eq!(run.stdout, "0:998\n", "{users} {nspawn}");
        }
    }
    Ok(())
}

/// What is asked for is made, or the start ends; with `try-` it goes on.
pub fn host_and_guest_are_made_or_refused(case: &mut Case) -> Outcome {
    let tree = tree_with_id(case, ID)?;
    let place = Path::new(HOST_JOURNAL).join(ID);
    let start = |mode: &str, more: &[&str]| {
        let script = format!("echo $$ >/var/log/journal/{ID}/from-the-guest");
        let program = case.spawn().args([mode, "--quiet", "-M", &name_for(case), "-D"]).arg(&tree);
        program.args(more).args(["sh", "-c", &script]).run()
    };
    if !Path::new(HOST_JOURNAL).is_dir() {
        assert!(start("--link-journal=host", &[]).expect_code(125).stderr.contains("the host has no"));
        start("--link-journal=try-host", &[]);
    }
    let _persistent = Persistent::make()?;
    let folder = Folder(place.clone());
    for users in ["--private-users=no", "--private-users=pick"] {
        for mode in ["--link-journal=host", "--link-journal=try-host"] {
            start(mode, &[users]).expect_code(0);
            assert_eq!(fs::read_to_string(folder.0.join("from-the-guest"))?, "1\n", "{users} {mode}");
            fs::remove_file(folder.0.join("from-the-guest"))?;
        }
    }
    // Where /var is in memory nothing is made in the tree.
    fs::remove_dir_all(tree.join("var/log/journal"))?;
    for volatile in [&["--volatile=state"][..], &["--volatile=yes", "--uuid", ID], &["--volatile=overlay"]] {
        start("--link-journal=host", volatile).expect_code(0);
        fs::remove_file(folder.0.join("from-the-guest"))?;
        assert!(!tree.join("var/log/journal").exists(), "{volatile:?}");
    }
    let run = start("--link-journal=host", &["--read-only"]).expect_code(125);
    assert!(run.stderr.contains("its tree is read-only") && run.stderr.contains("E1101"), "{run}");
    fs::write(folder.0.join("old"), "")?;
    let run = start("--link-journal=guest", &[]).expect_code(125);
    assert!(run.stderr.contains("holds a journal already") && run.stderr.contains("E1101"), "{run}");
    drop(folder);
    let link = Link(place);
    start("--link-journal=guest", &["--private-users=pick"]).expect_code(0);
    assert_eq!(fs::read_link(&link.0)?, tree.join("var/log/journal").join(ID));
    assert_eq!(fs::read_to_string(link.0.join("from-the-guest"))?, "1\n");
    let run = start("--link-journal=host", &[]).expect_code(125);
    assert!(run.stderr.contains("remove the link first"), "{run}");
    Ok(())
}

pub fn a_clash_of_ids_is_told(case: &mut Case) -> Outcome {
    let _persistent = Persistent::make()?;
    let tree = tree_with_id(case, ID)?;
    let other = case.dir().join("other");
    fs::create_dir(&other)?;
    let link = Link(Path::new(HOST_JOURNAL).join(ID));
    symlink(&other, &link.0)?;
    let name = name_for(case);
    let start = || {
        let run = case.spawn().args(["--console=read-only", "--link-journal=try-guest", "-M", &name, "-D"]);
        run.arg(&tree).arg("true").run().expect_code(0)
    };
    let run = start();
    assert!(run.stderr.contains("is not linked") && run.stderr.contains("another machine"), "{run}");
    assert_eq!(fs::read_link(&link.0)?, other);
    assert_eq!(with_id(&of_machine(&name), MessageId::JournalNotLinked).len(), 1);
    // The host's own id is the worst of all.
    fs::copy("/etc/machine-id", tree.join("etc/machine-id"))?;
    let run = start();
    assert!(run.stderr.contains("machine id of the host"), "{run}");
    Ok(())
}

pub fn d48_a_failed_start_takes_the_link_back(case: &mut Case) -> Outcome {
    let _persistent = Persistent::make()?;
    let tree = tree_with_id(case, ID)?;
    let run = case.spawn().args(["--link-journal=try-guest", "-M", &name_for(case), "-D"]).arg(&tree);
    run.arg("/no/such/program").run().expect_code(127);
    let link = Path::new(HOST_JOURNAL).join(ID);
    if link.is_symlink() {
        fs::remove_file(&link)?;
        return fail("the link is still there");
    }
    assert!(!tree.join("var/log/journal").exists());
    Ok(())
}

pub fn a_restart_of_journald_is_survived(case: &mut Case) -> Outcome {
    let script = "while [ ! -e /go ]; do sleep 0.1; done; echo after-the-restart";
    let tree = case.busybox_tree("tree")?;
    let args = ["--console=passive", "--directory", &tree.to_string_lossy(), "sh", "-c", script];
    let mut guest = Guest::start(case, args);
    guest.wait_registered();
    Program::new("systemctl").args(["restart", "systemd-journald.service"]).run().expect_code(0);
    fs::write(tree.join("go"), "")?;
    assert_eq!(guest.end(SOON).code(), Some(0));
    until("the last line is in the journal", SOON, || console(&guest.name, "after-the-restart").len() == 1);
    assert_eq!(with_id(&of_machine(&guest.name), MessageId::Consumed).len(), 1);
    Ok(())
}
