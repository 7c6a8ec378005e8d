// SPDX-License-Identifier: LGPL-2.1-or-later
//! A machined that does not answer in time.

use crate::common::{Case, HostState, Outcome, Program, Reason};
use crate::guest::{BOOT, BUSYBOX, Guest, SOON, name_for, until};
use crate::machined::{is_listed, machinectl};
use rustix::process::{Pid, Signal};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{ChildStdin, Stdio};
use std::time::{Duration, Instant};

/// machined does not run on as long as this lives.
struct StoppedMachined(Pid);

impl StoppedMachined {
    fn make() -> Result<Self, Reason> {
        // The first call starts it.
        machinectl(["list"]).run().expect_code(0);
        let show = ["show", "--value", "-p", "MainPID", "systemd-machined.service"];
        let pid = Program::new("systemctl").args(show).run().stdout.trim().parse()?;
        let pid = Pid::from_raw(pid).unwrap_or_else(|| panic!("machined does not run"));
        rustix::process::kill_process(pid, Signal::STOP)?;
        Ok(Self(pid))
    }
}

impl Drop for StoppedMachined {
    fn drop(&mut self) {
        // One that is gone needs nothing.
        let _ = rustix::process::kill_process(self.0, Signal::CONT);
    }
}

/// A container whose payload reads what it shall do.
struct Told {
    guest: Guest,
    stdin: ChildStdin,
    said: PathBuf,
}

impl Told {
    fn start(case: &Case, options: &[&str], script: &str) -> Result<Self, Reason> {
        let (name, said) = (name_for(case), case.dir().join("said"));
        let file = fs::File::create(&said)?;
        let args = [&format!("--machine={name}"), "--console=pipe", "--directory", BUSYBOX, "sh", "-c", script];
        let mut command = case.spawn().args(options).args(args).command();
        command.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().expect("it is piped");
        Ok(Self { guest: Guest::of(child, &name), stdin, said })
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    #[track_caller]
    fn wait_said(&self, times: usize, what: &str) {
        until(what, BOOT, || self.said().matches(what).count() == times);
    }

    /// Registered late, it is what machined shows, and it is unregistered at the end all the same.
    fn end_registered(mut self) -> Outcome {
        until("machined knows it", SOON, || is_listed(&self.guest.name));
        assert_eq!(self.guest.show("Unit"), self.guest.scope());
        let group = format!("/sys/fs/cgroup/machine.slice/{}/payload/cgroup.procs", self.guest.scope());
        let leader = self.guest.leader().to_string();
        assert!(fs::read_to_string(group)?.lines().any(|pid| pid == leader), "{leader} is its first process");
        self.wait_said(1, "is now registered");
        self.guest.signal(Signal::TERM)?;
        self.guest.end(SOON);
        assert!(!is_listed(&self.guest.name), "unregistered at exit");
        Ok(())
    }
}

pub fn a_machined_that_answers_late_gets_to_know_the_machine(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let stopped = StoppedMachined::make()?;
    let mut told = Told::start(case, &[], "echo up; read word; echo $word; sleep 60")?;
    told.wait_said(1, "up\n");
    assert!(told.said().contains("it is tried again meanwhile"), "{}", told.said());
    // A call to machined is under way for four seconds; the console must not wait for it.
    let asked = Instant::now();
    told.stdin.write_all(b"echoed\n")?;
    told.wait_said(1, "echoed\n");
    assert!(asked.elapsed() < Duration::from_secs(2), "the console waited for {:?}", asked.elapsed());
    std::thread::sleep(Duration::from_secs(2));
    drop(stopped);
    told.end_registered()?;
    before.assert_unchanged();
    Ok(())
}

/// The registration of a boot that has ended must neither come through for the next one nor stand in its way.
pub fn a_reboot_while_machined_does_not_answer(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let shared = case.dir().join("shared");
    fs::create_dir(&shared)?;
    let bind = format!("--bind={}:/mnt", shared.display());
    let script = "echo up; while ! rm /mnt/go 2>/dev/null; do sleep 0.1; done; reboot -f; sleep 60";
    for was_registered in [false, true] {
        let early = (!was_registered).then(StoppedMachined::make).transpose()?;
        let told = Told::start(case, &["--private-users=no", &bind], script)?;
        told.wait_said(1, "up\n");
        let late = was_registered.then(|| {
            told.guest.wait_registered();
            StoppedMachined::make()
        });
        let stopped = [early, late.transpose()?];
        fs::write(shared.join("go"), "")?;
        told.wait_said(2, "up\n");
        drop(stopped);
        told.end_registered()?;
    }
    before.assert_unchanged();
    Ok(())
}

pub fn an_end_while_machined_does_not_answer(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let mut told = Told::start(case, &[], "echo up; sleep 60")?;
    told.wait_said(1, "up\n");
    told.guest.wait_registered();
    let stopped = StoppedMachined::make()?;
    told.guest.signal(Signal::TERM)?;
    told.guest.end(SOON);
    assert!(told.said().contains("cannot unregister"), "{}", told.said());
    drop(stopped);
    until("machined has seen its end", SOON, || !is_listed(&told.guest.name));
    before.assert_unchanged();
    Ok(())
}

/// A machined that does not answer is a failure for who insists.
pub fn a_silent_machined_and_register_yes(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    let stopped = StoppedMachined::make()?;
    let name = format!("--machine={}", name_for(case));
    let run = case.spawn().args(["--register=yes", &name, "--directory", BUSYBOX, "echo", "runs"]).run();
    let run = run.expect_code(125);
    assert!(!run.stdout.contains("runs") && run.stderr.contains("E0604") && run.stderr.contains("4 s"), "{run}");
    drop(stopped);
    until("machined goes on", SOON, || !is_listed(&name_for(case)));
    before.assert_unchanged();
    Ok(())
}
