// SPDX-License-Identifier: LGPL-2.1-or-later
//! From inside: what a hostile payload finds of the host, and what it can undo.

use super::attack::{self, WAYS, expect, findings};
use crate::common::{Case, Outcome, Program, Pty, fail, pty, skip};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

const WITH_USERS: [&[&str]; 2] = [WAYS[0], WAYS[1]];
const WITHOUT_USERS: [&[&str]; 2] = [WAYS[2], WAYS[3]];

/// Descriptors 0 to 2 and no other, whatever the caller had open.
pub fn only_the_first_three_descriptors(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    // Not close-on-exec, as a careless caller leaves it.
    let stray = rustix::fs::open("/", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())?;
    rustix::io::fcntl_setfd(&stray, rustix::io::FdFlags::empty())?;
    assert!(stray.as_raw_fd() > 2);
    expect(case, &tree, &WAYS, &[("fds", "0:fifo 1:fifo 2:fifo")])
}

/// Neither environment nor binary of spawn is seen through PID 1, the stub's included.
pub fn d03_d53_pid_1_shows_nothing_of_the_caller(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    for (way, nspawn) in WAYS.iter().flat_map(|way| [(way, false), (way, true)]) {
        let spawn = if nspawn { case.spawn_as_nspawn()? } else { case.spawn() };
        let spawn = spawn.env("SECRET_OF_THE_CALLER", "canary-7461");
        let found = findings(spawn, &tree, way, &["show=/proc/1/environ", "link=/proc/1/exe", "show=/proc/1/cmdline"]);
        assert!(!found.concat().contains("canary-7461") && !found.concat().contains("SECRET"), "{way:?}: {found:?}");
        assert!(found[0].contains("container="), "{way:?}: {found:?}");
        let exe = if way.contains(&"--as-pid2") { "/memfd:spawn-init (deleted)" } else { "/attack" };
        assert_eq!(found[1], format!("link=/proc/1/exe {exe}"), "{way:?}");
    }
    Ok(())
}

/// A program, an interpreter and a loader named /proc/self/exe never lead to spawn's binary (CVE-2019-5736).
pub fn d53_self_exe_is_not_spawn(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    std::os::unix::fs::symlink("/proc/self/exe", tree.join("self"))?;
    let script = tree.join("script");
    std::fs::write(&script, "#!/proc/self/exe\n")?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    for way in WITHOUT_USERS {
        for (program, nspawn) in [("/self", false), ("/script", false), ("/self", true), ("/script", true)] {
            let spawn = if nspawn { case.spawn_as_nspawn()?.arg("-P") } else { case.spawn() };
            let output = spawn.arg("-D").arg(&tree).args(way).args([program, "--version"]).run();
            // The sealed program that stands there takes nobody's words.
            assert_eq!((output.status.code(), output.stdout.as_str()), (Some(255), ""), "{program} {way:?}: {output}");
            assert!(output.stderr.contains("a link to /proc/self/exe"), "{program} {way:?}: {output}");
        }
    }
    // With a user namespace root of the container cannot write to it, and the image has no loader for it.
    for way in WITH_USERS {
        let output = case.spawn().arg("-D").arg(&tree).args(way).args(["/self", "--version"]).run();
        assert_ne!(output.status.code(), Some(0), "{output}");
        assert_eq!(output.stdout, "");
    }
    Ok(())
}

/// What was mounted before the container ran cannot be undone, moved, made writable or looked below.
pub fn mounts_cannot_be_undone(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let host = case.dir().join("host");
    std::fs::create_dir(&host)?;
    std::fs::create_dir(tree.join("covered"))?;
    let bind = format!("--bind-ro={}:/bound", host.display());
    for mode in ["--private-network", "--hostname=x"] {
        let more = [&bind, mode, "--inaccessible=/covered", "--set-credential=c:x"];
        let ways = WITH_USERS.map(|way| way.iter().copied().chain(more).collect::<Vec<_>>());
        let ways: Vec<&[&str]> = ways.iter().map(Vec::as_slice).collect();
        let expected = [
            ("undo=umount", "none"),
            ("undo=move", "none"),
            ("undo=remount", "none"),
            ("undo=setattr", "none"),
            ("undo=bind", "none"),
            ("undo=tree", "none"),
            ("create=/bound/x", "EROFS"),
            ("create=/run/host/x", "EROFS"),
            ("create=/sys/x", "EROFS"),
            ("pids", "own"),
        ];
        expect(case, &tree, &ways, &expected)?;
    }
    Ok(())
}

/// New namespaces of the container's own show no less masked proc or sysfs; a tmpfs is fine.
pub fn new_namespaces_reveal_nothing(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let fresh = [("fresh=proc", "EPERM"), ("fresh=sysfs", "EPERM"), ("fresh=tmpfs", "ok")];
    expect(case, &tree, &WAYS, &fresh)?;
    let mounts = [
        ("mount=proc", "EPERM"),
        ("mount=sysfs", "EPERM"),
        ("mount=devtmpfs", "EPERM"),
        ("mount=debugfs", "EPERM"),
        ("mount=securityfs", "EPERM"),
        ("mount=ext4", "EPERM"),
    ];
    expect(case, &tree, &WITH_USERS, &mounts)
}

/// chroot(2), pivot_root(2) and file handles end at the container's own root.
pub fn no_way_out_of_the_root(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    expect(case, &tree, &WAYS, &[("chroot", "own root"), ("pivot", "own root"), ("by-handle", "EPERM")])
}

/// core_pattern, sysctl, sysrq and their like refuse where the payload has ids of its own.
pub fn kernel_settings_refuse(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let refused = ["ENOENT", "EACCES", "EROFS"];
    let paths = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/sysrq",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/drop_caches",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/uevent_helper",
        "/sys/kernel/mm/ksm/run",
        "/sys/power/state",
        "/sys/fs/cgroup/cgroup.max.depth",
        "/sys/fs/cgroup/cgroup.freeze",
        "/sys/fs/cgroup/memory.max",
    ];
    let verbs: Vec<String> = paths.iter().map(|path| format!("open-write={path}")).collect();
    let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
    for way in WITH_USERS {
        for line in findings(case.spawn(), &tree, way, &verbs) {
            assert!(refused.iter().any(|errno| line.ends_with(&format!(" {errno}"))), "{way:?}: {line}");
        }
        // Root may open what is covered, but finds nothing in it.
        for line in
            findings(case.spawn(), &tree, way, &["show=/proc/kallsyms", "show=/proc/keys", "show=/proc/timer_list"])
        {
            let none = [" []", " ENOENT", " EACCES"];
            assert!(none.iter().any(|end| line.ends_with(end)), "{way:?}: {line}");
        }
    }
    // Without one, root of the container is root of the host to these files, but sees them read-only.
    for way in WITHOUT_USERS {
        for line in findings(case.spawn(), &tree, way, &verbs[..7]) {
            assert!(refused.iter().any(|errno| line.ends_with(&format!(" {errno}"))), "{way:?}: {line}");
        }
    }
    Ok(())
}

/// Calls that reach beyond a container.
pub fn d31_system_calls_that_reach_the_host_are_refused(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let everywhere = [
        ("bpf", "EPERM"),
        ("kexec", "EPERM"),
        ("init-module", "EPERM"),
        ("delete-module", "EPERM"),
        ("settimeofday", "EPERM"),
        ("swapon", "EPERM"),
        ("acct", "EPERM"),
        ("syslog", "EPERM"),
        ("perf", "EPERM"),
        ("ioperm", "EPERM"),
        ("iopl", "EPERM"),
        ("cad", "EINVAL"),
        ("personality", "ok"),
        ("io-uring", "ENOSYS"),
        ("userfaultfd", "ENOSYS"),
        ("pkey", "ENOSYS"),
        ("vsock", "EAFNOSUPPORT"),
        ("tiocsti=0", "ENOTTY"),
        ("pids", "own"),
    ];
    if !cfg!(target_arch = "x86_64") {
        return skip("the table of expected results is the one of x86-64");
    }
    expect(case, &tree, &WAYS, &everywhere)?;
    // Asked for, they are there again.
    let asked =
        ["--system-call-filter=io_uring_setup userfaultfd @keyring", "--restrict-address-families=AF_VSOCK AF_UNIX"];
    let asked: Vec<&str> = asked.into_iter().chain(["--private-users=no"]).collect();
    let found = findings(case.spawn(), &tree, &asked, &["io-uring", "userfaultfd", "keyctl"]);
    assert_eq!(found, ["io-uring EFAULT", "userfaultfd EINVAL", "keyctl ok"]);
    // Under the other name they are as systemd-nspawn has them.
    let found =
        findings(case.spawn_as_nspawn()?, &tree, &[], &["io-uring", "userfaultfd", "keyctl", "by-handle", "bpf"]);
    assert_eq!(found, ["io-uring EFAULT", "userfaultfd EINVAL", "keyctl ok", "by-handle EPERM", "bpf EPERM"]);
    Ok(())
}

/// Keys of the host's root are neither seen nor made.
pub fn d30_keyrings_of_the_host_are_out_of_reach(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    expect(case, &tree, &WITHOUT_USERS, &[("keyctl", "ENOSYS"), ("add-key", "ENOSYS")])?;
    expect(case, &tree, &WITH_USERS, &[("keyctl", "ok"), ("show=/proc/keys", "[]")])
}

/// Nodes of the host's devices are not made and not opened.
pub fn devices_of_the_host_are_refused(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let disk = std::fs::metadata("/")?.dev();
    let disk = format!("device=b,{},{}", rustix::fs::major(disk), rustix::fs::minor(disk));
    let nodes = [(disk.as_str(), "mknod EPERM"), ("device=c,1,1", "mknod EPERM"), ("device=c,10,130", "mknod EPERM")];
    expect(case, &tree, &WAYS, &nodes)?;
    // Nodes that the image holds ready.
    let node = |name: &str, major, minor| {
        let made = rustix::fs::mknodat(
            rustix::fs::CWD,
            tree.join(name),
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::from_raw_mode(0o666),
            rustix::fs::makedev(major, minor),
        );
        made.and_then(|()| rustix::fs::chmod(tree.join(name), rustix::fs::Mode::from_raw_mode(0o666)))
    };
    node("kmsg-node", 1, 11)?;
    node("null-node", 1, 3)?;
    expect(case, &tree, &WAYS, &[("open-read=/kmsg-node", "EPERM"), ("open-write=/null-node", "ok")])
}

/// Processes of the host: not seen, not signalled, not traced.
pub fn processes_of_the_host_are_out_of_reach(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let me = std::process::id() + 50_000;
    let (kill, peek) = (format!("kill={me}"), format!("peek={me}"));
    expect(case, &tree, &WAYS, &[("pids", "own"), (&kill, "ESRCH"), (&peek, "ESRCH")])
}

/// A private network has no abstract sockets of the host.
pub fn abstract_sockets_of_the_host_are_out_of_reach(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    use std::os::linux::net::SocketAddrExt;
    let name = format!("spawn-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name)?;
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address)?;
    let verb = format!("abstract={name}");
    for users in [["--private-users=pick"], ["--private-users=no"]] {
        expect(case, &tree, &[&users], &[(&verb, "ok")])?;
        expect(case, &tree, &[&[users[0], "--private-network"]], &[(&verb, "ECONNREFUSED")])?;
    }
    Ok(())
}

/// What leads out of a container is refused as descriptor 0 to 2; a terminal is never handed in.
pub fn d52_directories_and_terminals_are_not_handed_in(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let mut program = case.spawn().arg("-D").arg(&tree).args(["--console=pipe", "/attack", "fds"]).command();
    let child = program.stdin(std::fs::File::open("/")?).stderr(std::process::Stdio::piped()).output()?;
    assert_eq!(child.status.code(), Some(125));
    let text = String::from_utf8_lossy(&child.stderr).into_owned();
    assert!(text.contains("standard input (fd 0) is a directory"), "{text}");

    for way in WAYS {
        let mut terminal = Pty::open()?;
        let spawn = case.spawn().arg("-D").arg(&tree).args(way);
        let mut child = terminal.start(&spawn.args(["--console=pipe", "/attack", "fds", "tiocsti=0", "tiocsti=1"]))?;
        terminal.expect("fds 0:fifo 1:fifo 2:fifo", Duration::from_secs(20));
        terminal.expect("tiocsti=0 ENOTTY", Duration::from_secs(5));
        terminal.expect("tiocsti=1 ENOTTY", Duration::from_secs(5));
        assert_eq!(pty::wait(&mut child, Duration::from_secs(10)).code(), Some(0));
    }
    Ok(())
}

/// What is pushed into the container's own terminal stays there.
pub fn input_pushed_into_the_console_stays_inside(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let mut terminal = Pty::open()?;
    let before = terminal.settings()?;
    let spawn = case.spawn().arg("-D").arg(&tree).args([
        "--console=interactive",
        "/attack",
        "fds",
        "tiocsti=0",
        "link=/proc/self/fd/0",
    ]);
    let mut child = terminal.start(&spawn)?;
    terminal.expect("fds 0:char/tty 1:char/tty 2:char/tty", Duration::from_secs(20));
    terminal.expect("link=/proc/self/fd/0 /dev/pts/0", Duration::from_secs(5));
    assert_eq!(pty::wait(&mut child, Duration::from_secs(10)).code(), Some(0));
    assert_eq!(terminal.settings()?.local_modes, before.local_modes);
    Ok(())
}

/// A flood of notifications does not keep the supervisor from a stop signal, nor let its memory grow.
pub fn a_notify_flood_is_bounded(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let spawn = case.spawn().arg("-D").arg(&tree).args(["--console=pipe", "/attack", "flood-notify"]);
    let mut child = spawn.start();
    std::thread::sleep(Duration::from_secs(3));
    let grown = resident(child.id()).expect("it runs");
    assert!(grown < 64 << 10, "{grown} KiB");
    let asked = Instant::now();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .expect("it runs");
    pty::wait(&mut child, Duration::from_secs(10));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    Ok(())
}

/// Output that nobody reads fast enough is held back, not kept.
pub fn a_console_flood_is_bounded(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let terminal = Pty::open()?;
    let spawn = case.spawn().arg("-D").arg(&tree).args(["--console=interactive", "/attack", "flood-console=32"]);
    let mut child = terminal.start(&spawn)?;
    let mut most = 0;
    let deadline = Instant::now() + Duration::from_secs(50);
    loop {
        if let Some(status) = child.try_wait()? {
            assert_eq!(status.code(), Some(0));
            break;
        }
        for pid in std::iter::once(child.id()).chain(children(child.id())) {
            most = most.max(resident(pid).unwrap_or(0));
        }
        if Instant::now() > deadline {
            child.kill()?;
            return fail("the flood did not end");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(most > 0 && most < 64 << 10, "{most} KiB");
    assert!(terminal.shown().ends_with("flooded\r\n"));
    Ok(())
}

/// Control groups that the payload nests deeply are removed with the rest.
pub fn deep_control_groups_are_removed(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let before = crate::common::HostState::take(case.dir());
    for way in [WAYS[0], WAYS[2]] {
        let found = findings(case.spawn(), &tree, way, &["deep-groups=60"]);
        if found == ["deep-groups=60 ENOENT"] {
            return skip("no cgroup2 in the container");
        }
        assert_eq!(found, ["deep-groups=60 ok"]);
        before.assert_unchanged();
    }
    Ok(())
}

/// What spawn keeps at run time is its user's alone.
pub fn runtime_files_are_private(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let spawn = case.spawn().arg("-D").arg(&tree).args(["-M", "private-files", "--console=pipe", "/bin/sleep", "20"]);
    let mut child = spawn.start();
    let dir = std::path::Path::new("/run/spawn/private-files");
    let deadline = Instant::now() + Duration::from_secs(15);
    while !dir.join("control").exists() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mode = |path: &std::path::Path| std::fs::symlink_metadata(path).map(|m| (m.mode() & 0o7777, m.uid()));
    let found = (mode(dir), mode(&dir.join("record")), mode("/run/spawn".as_ref()));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .expect("it runs");
    pty::wait(&mut child, Duration::from_secs(15));
    assert_eq!((found.0?, found.1?, found.2?), ((0o700, 0), (0o600, 0), (0o755, 0)));
    Ok(())
}

/// KiB of memory that a process holds.
fn resident(pid: u32) -> std::io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0))
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The probe itself can see what it looks for: run outside of any container.
pub fn the_probe_sees_what_is_there(case: &mut Case) -> Outcome {
    let tree = attack::tree(case)?;
    let dir = std::fs::File::open(case.dir())?;
    rustix::io::fcntl_setfd(&dir, rustix::io::FdFlags::empty())?;
    let me = format!("kill={}", std::process::id());
    let found = Program::new(tree.join("attack"))
        .args(["fds", "show=/etc/hostname", "io-uring", &me, "create=/proc/x", "fresh=tmpfs"])
        .run()
        .expect_code(0);
    let lines: Vec<&str> = found.stdout.lines().collect();
    assert!(lines[0].contains(&format!("{}:dir", dir.as_raw_fd())), "{found}");
    assert_eq!(lines[2..4], ["io-uring EFAULT".to_owned(), format!("{me} ok")], "{found}");
    Ok(())
}
