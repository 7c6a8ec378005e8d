// SPDX-License-Identifier: LGPL-2.1-or-later
//! Standard input, output and error; the console.

use crate::common::{Case, HostState, Outcome, Program, Pty, Reason, leftovers, pty};
use crate::support::*;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

pub fn stdio_is_passed_through_without_a_terminal(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    assert_eq!(tree.spawn(case, &[]).arg("cat").stdin("hi\n").run().expect_code(0).stdout, "hi\n");
    assert_eq!(
        tree.spawn(case, &[]).args(["wc", "-c"]).stdin(vec![0xff; 300_000]).run().expect_code(0).stdout,
        "300000\n"
    );
    let run = tree.spawn(case, &["-q"]).args(["sh", "-c", "echo out; echo err >&2"]).run().expect_code(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("out\n", "err\n"));
    // systemd-nspawn's default without a terminal is a console that is only read.
    let run = tree.called(case, Name::Nspawn, &["-q"])?.args(["sh", "-c", "tty; echo hi"]).run().expect_code(0);
    assert_eq!(run.stdout.replace('\r', ""), "/dev/pts/0\nhi\n");
    Ok(())
}

pub fn the_hosts_null_device_is_not_handed_in(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let script = "exec \"$0\" -D \"$1\" sh -c 'stat -L -c %d /dev/fd/0 /dev/null' </dev/null";
    let run = Program::new("/bin/sh").args(["-c", script]).arg(Case::spawn_path()).arg(&tree.path).run().expect_code(0);
    let devices: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(devices[0], devices[1], "standard input is not the container's own null device");
    Ok(())
}

pub fn only_0_to_2_reach_the_payload(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    for options in [&[][..], &["-a"], &["--console=read-only"]] {
        let script = "exec 3</etc/passwd 4</ 9>/dev/null; exec \"$0\" -D \"$@\" /probe";
        let run = Program::new("/bin/sh").args(["-c", script]).arg(Case::spawn_path()).arg(&tree.path).args(options);
        let facts = Facts::of(&run.run().expect_code(0).stdout.replace('\r', ""));
        let fds: Vec<&str> = facts.below("fd.").map(|(n, _)| n).collect();
        assert_eq!(fds, ["0", "1", "2"], "{options:?}");
    }
    Ok(())
}

pub fn d27_passed_sockets_arrive_with_number_and_name(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let paths = [case.spawn(), case.spawn_as_nspawn()?].map(|program| program.command().get_program().to_owned());
    for (path, (options, pid)) in paths.iter().flat_map(|path| [(path, (&[][..], "1")), (path, (&["-a"], "2"))]) {
        let script = "exec 3</etc/passwd 4</dev/null 5</; export LISTEN_FDS=2 LISTEN_PID=$$ LISTEN_FDNAMES=a:b; \
             exec \"$0\" -P -D \"$@\" /probe";
        let run = Program::new("/bin/sh").args(["-c", script]).arg(path).arg(&tree.path).args(options);
        let facts = Facts::of(&run.run().expect_code(0).stdout);
        assert_eq!(&facts["env.LISTEN_FDNAMES"], "a:b", "{path:?} {options:?}");
        let fds: Vec<&str> = facts.below("fd.").map(|(n, _)| n).collect();
        assert_eq!(fds, ["0", "1", "2", "3", "4"]);
        assert_eq!((&facts["env.LISTEN_FDS"], &facts["env.LISTEN_PID"]), ("2", pid));
    }
    Ok(())
}

/// Under our own name; systemd-nspawn passes on whatever it gets.
pub fn a_directory_from_socket_activation_is_refused(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let started = |name: Name, redirections: &str, count: u32| {
        let script = format!("exec {redirections}; export LISTEN_FDS={count} LISTEN_PID=$$; exec \"$@\" /probe");
        let command = tree.called(case, name, &[])?.command();
        let run = Program::new("/bin/sh").args(["-c", &script, "sh"]).arg(command.get_program());
        Ok::<_, Reason>(run.args(command.get_args()).run())
    };
    let before = HostState::take(case.dir());
    let run = started(Name::Spawn, "3</etc/passwd 4</", 3)?.expect_code(125);
    for part in ["descriptor 4 is a directory", "descriptor 5 is not open", "$LISTEN_FDS", "or start without"] {
        assert_says(&run, part);
    }
    before.assert_unchanged();
    let run = started(Name::Nspawn, "3</etc/passwd 4</", 2)?.expect_code(0);
    assert_eq!(Facts::of(&run.stdout.replace('\r', ""))["env.LISTEN_FDS"], *"2");
    Ok(())
}

pub fn a_directory_on_0_to_2_is_refused(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    for redirection in ["</", "1</", "2</", "0</ 1</"] {
        let script = format!("(exec \"$0\" -D \"$1\" true {redirection}) >\"$2\" 2>\"$3\"; echo $?");
        let files = ["out", "err"].map(|n| case.dir().join(n));
        let run =
            Program::new("/bin/sh").args(["-c", &script]).arg(Case::spawn_path()).arg(&tree.path).args(&files).run();
        assert_eq!(run.expect_code(0).stdout, "125\n", "{redirection}");
        let said = files.map(|f| std::fs::read_to_string(f).unwrap_or_default()).concat();
        if !redirection.contains('2') {
            assert!(said.contains("directory"), "{redirection}: {said}");
        }
    }
    before.assert_unchanged();
    Ok(())
}

pub fn a_directory_is_refused_with_all_other_mistakes(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "exec \"$0\" -D \"$1\" --property=Nonsense=1 --ambient-capability=SYS_TIME true </";
    let run =
        Program::new("/bin/sh").args(["-c", script]).arg(Case::spawn_path()).arg(&tree.path).run().expect_code(125);
    for part in ["CAP_SYS_TIME", "Nonsense", "directory"] {
        assert_says(&run, part);
    }
    Ok(())
}

pub fn a_terminal_is_relayed_and_restored(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let mut terminal = Pty::open()?;
    terminal.resize(101, 33)?;
    let before = terminal.settings()?;
    let script = "/probe; read line; echo \"got:$line\"; stty size; exit 6";
    let mut child = terminal.start(&tree.spawn(case, &[]).args(["sh", "-c", script]))?;
    for part in ["tty=yes", "ctty=foreground", "winsize=101x33"] {
        terminal.expect(part, SOON);
    }
    terminal.resize(77, 22)?;
    std::thread::sleep(Duration::from_millis(200));
    terminal.send("word\r")?;
    terminal.expect("got:word", SOON);
    terminal.expect("22 77", SOON);
    assert_eq!(pty::wait(&mut child, SOON).code(), Some(6));
    let after = terminal.settings()?;
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    // The caller's terminal itself is not in the container.
    assert!(terminal.shown().contains("fd.0=/dev/pts/0"), "{}", terminal.shown());
    Ok(())
}

pub fn three_escapes_end_it(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let host = HostState::take(case.dir());
    let mut terminal = Pty::open()?;
    let before = terminal.settings()?;
    let mut child = terminal.start(&tree.spawn(case, &[]).args(["sh", "-c", "echo up; while :; do sleep 1; done"]))?;
    terminal.expect("up", SOON);
    terminal.send("\x1d\x1d\x1d")?;
    let status = pty::wait(&mut child, SOON);
    assert!(matches!(status.code(), Some(1 | 137)), "{status:?}");
    assert_eq!(format!("{before:?}"), format!("{:?}", terminal.settings()?));
    host.assert_unchanged();
    Ok(())
}

/// Started with `&` in a shell with job control: it runs, is not stopped by SIGTTOU, and the shell keeps its terminal.
pub fn in_the_background_it_runs_on(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let mut terminal = Pty::open()?;
    let shell = Program::new("/bin/bash").args(["--norc", "-i"]).env("PS1", "prompt> ");
    let mut child = terminal.start(&shell)?;
    terminal.expect("prompt> ", SOON);
    let command = format!(
        "{} -q -D {} sh -c 'sleep 0.3; echo in-container' &\r",
        Case::spawn_path().display(),
        tree.path.display()
    );
    terminal.send(&command)?;
    terminal.expect("in-container", SOON);
    terminal.send("wait; jobs; echo left=$?\r")?;
    terminal.expect("left=0", SOON);
    terminal.send("exit 4\r")?;
    assert_eq!(pty::wait(&mut child, SOON).code(), Some(4));
    assert!(!terminal.shown().contains("Stopped"), "{}", terminal.shown());
    Ok(())
}

pub fn every_console_mode(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let plain = |mode: &str| {
        let run = tree.spawn(case, &[mode]).arg("/probe").stdin("x").run().expect_code(0);
        Facts::of(&run.stdout.replace('\r', ""))
    };
    for mode in ["--console=pipe", "-P", "--console=autopipe"] {
        let facts = plain(mode);
        assert_eq!((&facts["tty"], &facts["ctty"]), ("no", "no"), "{mode}");
        assert!(facts["fd.1"].starts_with("pipe:"), "{mode}: {}", &facts["fd.1"]);
    }
    let facts = plain("--console=read-only");
    assert_eq!((&facts["tty"], &facts["ctty"], &facts["fd.0"]), ("yes", "foreground", "/dev/pts/0"));
    let run =
        tree.spawn(case, &["--console=passive"]).args(["sh", "-c", "tty >/tty; echo unseen"]).run().expect_code(0);
    assert_eq!((run.stdout.as_str(), tree.read("tty")?.as_str()), ("", "/dev/pts/0\n"));
    // In a terminal pipe still passes no terminal in; output is relayed.
    let mut terminal = Pty::open()?;
    let mut child = terminal.start(&tree.spawn(case, &["--console=pipe"]).arg("/probe"))?;
    terminal.expect("tty=no", SOON);
    assert_eq!(pty::wait(&mut child, SOON).code(), Some(0));
    let mut child = terminal.start(&tree.spawn(case, &["--console=interactive"]).arg("/probe"))?;
    terminal.expect("tty=yes", SOON);
    assert_eq!(pty::wait(&mut child, SOON).code(), Some(0));
    Ok(())
}

/// The keeper gives the caller's terminal back when the supervisor cannot.
pub fn a_killed_supervisor_leaves_the_terminal_as_it_was(case: &mut Case) -> Outcome {
    leftovers::adopt_orphans()?;
    let tree = Tree::new(case)?;
    for name in BOTH {
        let mut pty = Pty::open()?;
        let before = format!("{:?}", pty.settings()?);
        let script = "echo up; read x; echo got-$x; sleep 60";
        let mut child = pty.start(&tree.called(case, name, &[])?.args(["sh", "-c", script]))?;
        pty.expect("up", SOON);
        pty.send("typed\r")?;
        pty.expect("got-typed", SOON);
        assert_ne!(format!("{:?}", pty.settings()?), before, "{name:?} has not made it raw");
        child.kill()?;
        assert_eq!(pty::wait(&mut child, SOON).signal(), Some(9), "{name:?}");
        eventually("the terminal is as before", || pty.settings().is_ok_and(|now| format!("{now:?}") == before));
        // The keeper has the rest to do then.
        assert_eq!(leftovers::processes(SOON), Vec::<String>::new(), "{name:?}");
    }
    Ok(())
}

pub fn quiet_leaves_only_warnings_and_errors(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let run = tree.spawn(case, &["--console=read-only"]).arg("true").run().expect_code(0);
    assert_says(&run, "there is no systemd to ask");
    let run = tree.spawn(case, &["--console=read-only", "-q"]).arg("true").run().expect_code(0);
    assert_eq!(run.stderr, "");
    let run = tree.spawn(case, &["-q"]).arg("none").run().expect_code(127);
    assert_says(&run, "cannot find none");
    Ok(())
}
