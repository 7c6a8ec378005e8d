// SPDX-License-Identifier: LGPL-2.1-or-later
//! The undo list, the keeper and the record, on a real kernel: what is left when processes are killed.

mod occupy;
mod scenes;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use spawn::error::Code;
use spawn::sys::ofd_lock::{LockKind, OfdLock};
use spawn::sys::termios::TermState;
use spawn::undo::{Control, Keeper, PathRelease, ProcessId, Release, RuntimeDir, Undo};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(2);

/// A scratch directory that is removed with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("spawn-undo-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

/// This test program run again as a supervisor that plays `scene` in `dir`.
struct Supervisor {
    child: Child,
    /// What it said: `word number` lines up to `ready`.
    said: Vec<(String, i32)>,
}

impl Supervisor {
    fn start(scene: &str, dir: &Path, terminal: Option<&Path>) -> Self {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        let mut command = Command::new("unshare");
        command.arg("--net").arg(std::env::current_exe().unwrap());
        command.args(["--exact", "scenes::as_supervisor", "--ignored", "--nocapture"]);
        command.env("SCENE", scene).env("DIR", dir).env("TERMINAL", terminal.unwrap_or(Path::new("")));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if line == "ready" {
                return Self { child, said };
            }
            if let Some((word, number)) = line.split_once(' ')
                && let Ok(number) = number.parse()
            {
                said.push((word.into(), number));
            }
        }
        panic!("the supervisor ended early: {:?}", child.wait());
    }

    fn pid_of(&self, word: &str) -> i32 {
        self.said.iter().find(|(said, _)| said == word).unwrap().1
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ended = (self.child.kill(), self.child.wait());
    }
}

fn within(patience: Duration, what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within {patience:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process has ended. It is reaped: orphans of the supervisor are this process's children.
fn gone(pid: i32) -> bool {
    if let Some(pid) = Pid::from_raw(pid) {
        // Refused as long as it is somebody else's child.
        let _reaped = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
    }
    ProcessId::of(pid).is_none_or(|process| !process.is_alive())
}

fn is_mounted(path: &Path) -> bool {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&format!(" {} ", path.display()))
}

fn cgroup2() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    Some(line.split(' ').nth(4)?.into())
}

/// Whether tests that need root can run here; says so when not.
fn can_run() -> bool {
    let can = rustix::process::geteuid().is_root() && cgroup2().is_some();
    if !can {
        eprintln!("skipped: needs root and a mounted cgroup2");
    }
    can
}

fn group_of(dir: &Path) -> PathBuf {
    cgroup2().unwrap().join(dir.file_name().unwrap())
}

fn run(command: &[&str]) {
    assert!(Command::new(command[0]).args(&command[1..]).status().unwrap().success(), "{command:?}");
}

#[allow(clippy::zombie_processes, reason = "whether it outlives the supervisor is what is tested")]
fn sleeper(in_group: Option<&Path>) -> Child {
    let script = match in_group {
        Some(group) => format!("echo $$ >{}/cgroup.procs && exec sleep 300", group.display()),
        None => "exec sleep 300".into(),
    };
    Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).spawn().unwrap()
}

fn pidfd(child: &Child) -> OwnedFd {
    ProcessId::of(child.id() as i32).unwrap().open().unwrap()
}

#[test]
fn a_killed_supervisor_leaves_nothing() {
    if !can_run() {
        return;
    }
    let scratch = Scratch::new("everything");
    let pty = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&pty).unwrap();
    rustix::pty::unlockpt(&pty).unwrap();
    let name = PathBuf::from(rustix::pty::ptsname(&pty, Vec::new()).unwrap().into_string().unwrap());
    let before = TermState::read(&pty).unwrap().to_bytes();
    let mut supervisor = Supervisor::start("everything", &scratch.0, Some(&name));
    assert!(is_mounted(&scratch.at("mount")) && scratch.at("tree/a/b/file").exists());
    assert_ne!(TermState::read(&pty).unwrap().to_bytes(), before);
    let namespace = std::fs::File::open(format!("/proc/{}/ns/net", supervisor.child.id())).unwrap();
    let link = || {
        use std::os::fd::AsRawFd;
        let path = format!("--net=/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
        let mut show = Command::new("nsenter");
        show.args([&path, "ip", "link", "show", "ve-test"]).stdout(Stdio::null()).stderr(Stdio::null());
        show.status().unwrap().success()
    };
    assert!(link());
    let keeper = supervisor.pid_of("keeper");
    look_at_the_keeper(keeper, supervisor.child.id() as i32);

    supervisor.kill();
    within(PATIENCE, "the keeper's end", || gone(keeper));
    for word in ["alone", "grouped"] {
        assert!(gone(supervisor.pid_of(word)), "{word}");
    }
    assert!(!is_mounted(&scratch.at("mount")));
    for name in ["mount", "tree", "file"] {
        assert!(std::fs::symlink_metadata(scratch.at(name)).is_err(), "{name}");
    }
    assert!(scratch.at("kept").exists(), "a forgotten release is not run");
    assert!(Path::new("/etc/passwd").exists(), "links are not followed");
    assert!(!group_of(&scratch.0).exists());
    assert!(!link());
    assert_eq!(TermState::read(&pty).unwrap().to_bytes(), before);
    OfdLock::try_at(&scratch.at("lock"), LockKind::Exclusive).unwrap();
}

fn look_at_the_keeper(pid: i32, supervisor: i32) {
    let file = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).unwrap();
    assert_eq!(file("comm"), b"(spawn-keeper)\n");
    assert_eq!(file("cmdline"), b"(spawn-keeper)\0");
    assert_eq!(file("environ"), b"");
    assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
    let process = Pid::from_raw(pid).unwrap();
    assert_eq!(rustix::process::getsid(Some(process)).unwrap(), process, "a session of its own");
    // The connection, the supervisor's pidfd; lock, terminal, group and process of the list.
    let fds = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    within(PATIENCE, "the arrival of every descriptor", || fds() >= 2 + 4);
    assert_eq!(fds(), 2 + 4);
    for name in ["mnt", "pid", "net", "user"] {
        let inode = |of| std::fs::metadata(format!("/proc/{of}/ns/{name}")).unwrap().ino();
        assert_eq!(inode(pid), inode(supervisor));
    }
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1] {
        kill_process(process, signal).unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    assert!(!gone(pid), "only SIGKILL ends it");
    let memory = String::from_utf8(file("smaps_rollup")).unwrap();
    let private: u32 = memory
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .map(|line| line.split_whitespace().nth(1).unwrap().parse::<u32>().unwrap())
        .sum();
    println!("the keeper's private memory: {private} kB");
    assert!(private < 50, "{private} kB");
}

#[test]
fn a_full_list_says_so_and_is_run_whole() {
    if !can_run() {
        return;
    }
    let scratch = Scratch::new("many");
    let mut supervisor = Supervisor::start("many", &scratch.0, None);
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 256);
    supervisor.kill();
    within(PATIENCE, "the keeper's end", || gone(supervisor.pid_of("keeper")));
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 0);
}

#[test]
fn killed_at_any_moment_nothing_is_left() {
    if !can_run() {
        return;
    }
    let scratch = Scratch::new("restless");
    for round in 0..40u64 {
        let mut supervisor = Supervisor::start("restless", &scratch.0, None);
        std::thread::sleep(Duration::from_micros(round * 1371 % 20_000));
        supervisor.kill();
        let empty = || std::fs::read_dir(&scratch.0).unwrap().count() == 0;
        within(PATIENCE, "the removal of every file", empty);
        gone(supervisor.pid_of("keeper"));
    }
}

#[test]
fn supervisor_and_keeper_killed_the_next_start_cleans_up() {
    if !can_run() {
        return;
    }
    let scratch = Scratch::new("recorded");
    let base = scratch.at("run");
    let mut supervisor = Supervisor::start("recorded", &scratch.0, None);
    assert_eq!(std::fs::metadata(base.join("foo")).unwrap().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(&base).unwrap().mode() & 0o777, 0o755);
    let busy = RuntimeDir::claim(&base, "foo", &mut Undo::unkept()).unwrap_err();
    assert_eq!(busy.code(), Code::NameBusy);
    assert!(busy.to_string().contains(&format!("process {} (", supervisor.child.id())), "{busy}");
    assert!(base.join("foo/record").exists(), "who is refused touches nothing");

    kill_process(Pid::from_raw(supervisor.pid_of("keeper")).unwrap(), Signal::KILL).unwrap();
    supervisor.kill();
    assert!(!gone(supervisor.pid_of("alone")) && is_mounted(&base.join("foo/root")));
    let mut undo = Undo::unkept();
    let (runtime, stale) = RuntimeDir::claim(&base, "foo", &mut undo).unwrap();
    let stale = stale.unwrap();
    assert_eq!(stale.scope.as_deref(), Some("foo.scope"));
    assert!(stale.failures.is_empty(), "{:?}", stale.failures);
    for word in ["alone", "grouped"] {
        assert!(gone(supervisor.pid_of(word)), "{word}");
    }
    assert!(!is_mounted(&base.join("foo/root")) && !group_of(&scratch.0).exists());
    assert!(!runtime.path().join("plan.json").exists());
    assert!(undo.run().is_empty());
    assert!(!base.join("foo").exists());
}

#[test]
fn a_name_whose_supervisor_was_just_killed_can_be_taken() {
    if !can_run() {
        return;
    }
    let scratch = Scratch::new("justkilled");
    let mut supervisor = Supervisor::start("recorded", &scratch.0, None);
    supervisor.kill();
    let mut undo = Undo::unkept();
    RuntimeDir::claim(&scratch.at("run"), "foo", &mut undo).unwrap();
    assert!(gone(supervisor.pid_of("alone")) && !group_of(&scratch.0).exists());
}

#[test]
fn an_orderly_end_leaves_no_keeper_and_reports_what_failed() {
    let scratch = Scratch::new("orderly");
    let keeper = Keeper::start().unwrap();
    let pid = keeper.process_id().unwrap().pid;
    let mut undo = Undo::kept_by(keeper);
    let order = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    for i in [1, 2] {
        let order = order.clone();
        undo.push(
            Release::Call(Box::new(move || {
                order.borrow_mut().push(i);
                Ok(())
            })),
            "a call",
        )
        .unwrap();
    }
    std::fs::create_dir_all(scratch.at("full/x")).unwrap();
    undo.push(PathRelease::RemoveDir(scratch.at("full")), "the directory").unwrap();
    undo.push(PathRelease::RemoveFile(scratch.at("was never made")), "a file").unwrap();
    undo.push(PathRelease::Unmount(scratch.0.clone()), "no mount").unwrap();
    undo.push(PathRelease::DeleteLink("ve-nowhere".into()), "no link").unwrap();
    let failures = undo.run();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].code(), Code::ReleaseFailed);
    let expected = format!(
        "cannot remove the directory {}: Directory not empty (ENOTEMPTY) [E0403]\n  the directory may be left over",
        scratch.at("full").display()
    );
    assert_eq!(failures[0].to_string(), expected);
    assert_eq!(*order.borrow(), [2, 1]);
    assert!(ProcessId::of(pid).is_none(), "reaped");
}

#[test]
fn a_keeper_that_was_killed_is_noticed_and_can_be_replaced() {
    let scratch = Scratch::new("replaced");
    let keeper = Keeper::start().unwrap();
    let process = Pid::from_raw(keeper.process_id().unwrap().pid).unwrap();
    let mut undo = Undo::kept_by(keeper);
    undo.push(PathRelease::RemoveFile(scratch.at("one")), "one").unwrap();
    kill_process(process, Signal::KILL).unwrap();
    within(PATIENCE, "the keeper's end", || gone(process.as_raw_nonzero().get()));
    std::fs::write(scratch.at("two"), "").unwrap();
    let refused = undo.push(PathRelease::RemoveFile(scratch.at("two")), "two").unwrap_err();
    assert_eq!(refused.code(), Code::Prepare);
    assert!(!scratch.at("two").exists());
    undo.replace_keeper(Keeper::start().unwrap()).unwrap();
    undo.push(PathRelease::RemoveFile(scratch.at("two")), "two").unwrap();
    assert!(undo.run().is_empty());
}

#[test]
fn the_control_socket_answers() {
    let scratch = Scratch::new("control");
    let mut undo = Undo::unkept();
    let (runtime, _) = RuntimeDir::claim(&scratch.at("run"), "foo", &mut undo).unwrap();
    // The machine has been rebooted once.
    drop(Control::listen(&runtime).unwrap());
    let mut control = Control::listen(&runtime).unwrap();
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType};
    let caller = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    rustix::net::connect(&caller, &SocketAddrUnix::new(runtime.path().join("control")).unwrap()).unwrap();
    let mut ask = |request: &[u8]| {
        rustix::net::send(&caller, request, SendFlags::empty()).unwrap();
        for _ in 0..2 {
            control.serve(|| json!({"state": "running"})).unwrap();
        }
        let mut answer = [0; 512];
        let (length, _) = rustix::net::recv(&caller, &mut answer[..], RecvFlags::DONTWAIT).unwrap();
        String::from_utf8(answer[..length].to_vec()).unwrap()
    };
    assert_eq!(ask(br#"{"version":1,"method":"Status"}"#), r#"{"result":{"state":"running"},"version":1}"#);
    for wrong in [
        &br#"{"version":2,"method":"Status"}"#[..],
        br#"{"version":1,"method":"X"}"#,
        br#"[1,"Status"]"#,
        b"{",
        &[b'x'; 5000],
    ] {
        assert!(ask(wrong).contains(r#""error":"#));
    }
    assert!(control.as_fd().try_clone_to_owned().is_ok());
}

#[test]
fn a_directory_without_a_record_is_taken_over() {
    let scratch = Scratch::new("recordless");
    for (content, failures) in [(None, 0), (Some("{\"version\":77}"), 1)] {
        std::fs::create_dir_all(scratch.at("run/foo")).unwrap();
        if let Some(content) = content {
            std::fs::File::create(scratch.at("run/foo/record")).unwrap().write_all(content.as_bytes()).unwrap();
        }
        let mut undo = Undo::unkept();
        let (_, stale) = RuntimeDir::claim(&scratch.at("run"), "foo", &mut undo).unwrap();
        assert_eq!(stale.unwrap().failures.len(), failures);
    }
}

/// A mount that could not be taken away when its container ended does not block the name for ever.
#[test]
fn a_directory_with_a_mount_left_in_it_is_taken_over() {
    if !can_run() {
        return;
    }
    let scratch = Scratch::new("mounted");
    let dir = scratch.at("run/foo");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("netns"), "").unwrap();
    rustix::mount::mount_bind("/proc/self/ns/net", dir.join("netns")).unwrap();
    let mut undo = Undo::unkept();
    RuntimeDir::claim(&scratch.at("run"), "foo", &mut undo).unwrap();
    assert!(!dir.join("netns").exists());
    assert!(undo.run().is_empty());
    assert!(!dir.exists());
}
