// SPDX-License-Identifier: LGPL-2.1-or-later
//! What is run, with which words, and the status that it ends with.

use crate::common::{Case, HostState, Outcome};
use crate::support::*;
use rustix::process::{Pid, Signal, kill_process};

pub fn the_payloads_exit_status_is_spawns(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    for name in BOTH {
        // Signals are what podman and env(1) start from 125 for; a payload may use those numbers itself.
        for status in [0, 1, 7, 125, 126, 127, 255] {
            let run = tree.called(case, name, &[])?.args(["sh", "-c", &format!("exit {status}")]).run();
            assert_eq!(run.expect_code(status).stdout, "", "{name:?}");
        }
    }
    before.assert_unchanged();
    Ok(())
}

pub fn d16_status_133_is_kept_but_by_nspawn(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    tree.spawn(case, &[]).args(["sh", "-c", "exit 133"]).run().expect_code(133);
    tree.called(case, Name::Nspawn, &[])?.args(["sh", "-c", "exit 133"]).run().expect_code(1);
    Ok(())
}

pub fn death_by_signal_is_128_plus_n(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    for (name, signal, status) in [(Name::Spawn, Signal::KILL, 137), (Name::Nspawn, Signal::KILL, 1)] {
        let ready = tree.path.join("ready");
        let payload = tree.called(case, name, &[])?.args(["sh", "-c", "touch /ready; while :; do sleep 1; done"]);
        let container = Background::start(&payload, &ready);
        let leader = Pid::from_raw(container.leader()).expect("a pid");
        kill_process(leader, signal)?;
        assert_eq!(container.wait(), Some(status), "{name:?} {signal:?}");
        std::fs::remove_file(ready)?;
    }
    before.assert_unchanged();
    Ok(())
}

pub fn d16_below_a_stub_death_by_signal_is_128_plus_n(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    tree.spawn(case, &["-a"]).args(["sh", "-c", "kill -SEGV $$; sleep 9"]).run().expect_code(139);
    for (name, status) in [(Name::Spawn, 143), (Name::Nspawn, 255)] {
        tree.called(case, name, &["-a"])?.args(["sh", "-c", "kill -TERM $$; sleep 9"]).run().expect_code(status);
    }
    Ok(())
}

pub fn d43_own_failures_are_125_to_127(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    tree.write("plain", "no program")?;
    let before = HostState::take(case.dir());
    let missing = case.dir().join("nowhere");
    let run = case.spawn().arg("-D").arg(&missing).arg("true").run().expect_code(125);
    assert_says(&run, &format!("cannot open the tree {}", missing.display()));
    let run = tree.spawn(case, &[]).arg("/plain").run().expect_code(126);
    assert_says(&run, "cannot execute /plain: Permission denied (EACCES) [E0504]");
    let run = tree.spawn(case, &[]).arg("/etc").run().expect_code(126);
    assert_says(&run, "cannot execute /etc");
    for absent in ["/none", "none"] {
        let run = tree.spawn(case, &[]).arg(absent).run().expect_code(127);
        assert_says(
            &run,
            &format!("cannot find {absent} in the container: No such file or directory (ENOENT) [E0503]"),
        );
    }
    let run = tree.spawn(case, &["--nonsense"]).arg("true").run().expect_code(125);
    assert_says(&run, "--nonsense");
    for word in ["/plain", "/none", "none"] {
        tree.called(case, Name::Nspawn, &[])?.arg(word).run().expect_code(1);
    }
    tree.called(case, Name::Nspawn, &["--nonsense"])?.arg("true").run().expect_code(1);
    case.spawn_as_nspawn()?.arg("-D").arg(&missing).arg("true").run().expect_code(1);
    before.assert_unchanged();
    Ok(())
}

pub fn a_script_without_its_interpreter_is_not_found(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    tree.write("script", "#!/no/such/interpreter\n")?;
    std::fs::set_permissions(tree.path.join("script"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let run = tree.spawn(case, &[]).arg("/script").run().expect_code(127);
    assert_says(&run, "check that its interpreter is there too");
    Ok(())
}

pub fn one_program_is_pid_1_and_leads_its_session(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let run = tree.spawn(case, &[]).args(["/probe", "a b", "", "exit=5"]).run().expect_code(5);
    let facts = Facts::of(&run.stdout);
    assert_eq!((&facts["pid"], &facts["ppid"], &facts["sid"], &facts["pgid"]), ("1", "0", "1", "1"));
    assert_eq!((&facts["argc"], &facts["arg.0"], &facts["arg.1"], &facts["arg.2"]), ("4", "/probe", "a b", ""));
    assert_eq!(&facts["cwd"], "/");
    Ok(())
}

/// Bytes that are not UTF-8 pass through unchanged.
pub fn words_are_bytes(case: &mut Case) -> Outcome {
    use std::os::unix::ffi::OsStrExt;
    let tree = Tree::new(case)?;
    let word = std::ffi::OsStr::from_bytes(b"\xff\xfe\t'\"\\ \xc3");
    let run = tree.spawn(case, &[]).args(["sh", "-c", "printf %s \"$1\" | od -An -tx1", "sh"]).arg(word).run();
    assert_eq!(run.expect_code(0).stdout.trim(), "ff fe 09 27 22 5c 20 c3");
    Ok(())
}

pub fn as_pid_2_a_stub_reaps_and_forwards(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let facts = Facts::of(&tree.spawn(case, &["-a"]).args(["/probe", "exit=7"]).run().expect_code(7).stdout);
    assert_eq!((&facts["pid"], &facts["ppid"], &facts["sid"]), ("2", "1", "2"));
    // An orphan becomes the stub's child and does not stay as a zombie.
    let script = "(sleep 0.1 & ) ; sleep 0.5; grep -l '^State:.Z' /proc/[0-9]*/status; \
                  echo stub=$(cat /proc/1/comm) env=$(tr '\\0' ' ' </proc/1/environ)";
    let said = tree.script(case, &["-a", "--uuid=01020304050607080900010203040506"], script);
    assert_eq!(
        said,
        "stub=(spawn-init) env=container=systemd-nspawn container_uuid=01020304050607080900010203040506\n"
    );
    Ok(())
}

/// systemd.1: SIGRTMIN+4 asks for power off; the stub asks its program with SIGTERM.
pub fn the_stub_hands_on_a_request_to_power_off(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "trap '' HUP; trap 'touch /asked; exit 0' TERM; touch /ready; while :; do sleep 0.1; done";
    let payload = tree.spawn(case, &["-a", "--kill-signal=RTMIN+4"]).args(["sh", "-c", script]);
    let container = Background::start(&payload, &tree.path.join("ready"));
    container.signal(Signal::TERM)?;
    assert_eq!(container.wait(), Some(0));
    assert!(tree.path.join("asked").exists());
    Ok(())
}

pub fn boot_runs_the_init_of_the_tree(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    std::fs::remove_file(tree.path.join("usr/sbin/init"))?;
    std::os::unix::fs::symlink("/probe", tree.path.join("usr/sbin/init"))?;
    let run = tree.spawn(case, &["-b"]).args(["--", "--show-status", "FOO-BAR=baz", "systemd.unit=y", "3"]).run();
    let facts = Facts::of(&run.expect_code(0).stdout);
    assert_eq!((&facts["pid"], &facts["arg.0"]), ("1", "/sbin/init"));
    // Words that look like variables are variables, those with a dot in the name are options of the kernel's kind.
    assert_eq!(&facts["env.FOO_BAR"], "baz");
    assert_eq!(
        (&facts["argc"], &facts["arg.1"], &facts["arg.2"], &facts["arg.3"]),
        ("4", "--show-status", "systemd.unit=y", "3")
    );
    assert_eq!(facts.get("env.LANG"), None);
    for path in ["usr/lib/os-release", "etc/os-release"] {
        std::fs::remove_file(tree.path.join(path))?;
    }
    assert_says(&tree.spawn(case, &["-b"]).run().expect_code(125), "has no os-release file");
    Ok(())
}

pub fn without_words_a_login_shell_runs(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    tree.write("etc/profile", "PROFILE=read\n")?;
    let run = tree.spawn(case, &[]).stdin("echo $0 $PWD $HOME $PROFILE $$\nexit 3\n").run().expect_code(3);
    assert_eq!(run.stdout, "-sh /root /root read 1\n");
    let run = tree.spawn(case, &["-u", "user"]).stdin("echo $PWD $HOME $USER $(id -u)\n").run().expect_code(0);
    assert_eq!(run.stdout, "/home/user /home/user user 1000\n");
    Ok(())
}

/// Orderly stop without a kill signal, and with one that the payload answers.
pub fn d15_termination_signals_end_it(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    let ready = tree.path.join("ready");
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let script = "trap 'exit 9' USR1; touch /ready; while :; do sleep 0.05; done";
        let payload = tree.spawn(case, &["--kill-signal=SIGUSR1"]).args(["sh", "-c", script]);
        let container = Background::start(&payload, &ready);
        container.signal(signal)?;
        assert_eq!(container.wait(), Some(9), "{signal:?}");
        std::fs::remove_file(&ready)?;
        let payload = tree.spawn(case, &[]).args(["sh", "-c", "touch /ready; while :; do sleep 1; done"]);
        let container = Background::start(&payload, &ready);
        container.signal(signal)?;
        let status = container.wait();
        assert!(matches!(status, Some(0 | 137 | 143)), "{signal:?}: {status:?}");
        std::fs::remove_file(&ready)?;
    }
    before.assert_unchanged();
    Ok(())
}

/// `spawn -M x true` a hundred times in a shell loop never fails.
pub fn a_hundred_starts_in_a_shell_loop(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let machines = std::path::Path::new("/run/machines");
    std::fs::create_dir_all(machines)?;
    let link = machines.join("loop");
    std::os::unix::fs::symlink(&tree.path, &link)?;
    let before = HostState::take(case.dir());
    let script =
        "i=0; while [ $i -lt 100 ]; do \"$0\" -q -M loop true || { echo failed at $i: $?; exit 1; }; i=$((i+1)); done";
    let run = crate::common::Program::new("/bin/sh").args(["-c", script]).arg(Case::spawn_path());
    let run = run.limit(std::time::Duration::from_secs(100)).run();
    std::fs::remove_file(link)?;
    assert_eq!(run.expect_code(0).stdout, "");
    before.assert_unchanged();
    Ok(())
}
