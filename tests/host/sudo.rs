// SPDX-License-Identifier: LGPL-2.1-or-later
//! Under sudo(8), which by default runs its command on a pseudo-terminal of its own (sudoers(5), `use_pty`): then a
//! command whose output is a pipe begins in that terminal's background.

use crate::common::pty::{self, Pty};
use crate::common::{Case, Outcome, Program, Reason, skip};
use crate::guest::{BUSYBOX, SOON, name_for};
use std::fs;
use std::path::Path;
use std::time::Duration;

const SUDOERS: &str = "/etc/sudoers.d/spawn-test";

/// The two ways; each is in force until the next or until this is dropped.
struct Ways;

impl Ways {
    const ALL: [&str; 2] = ["use_pty", "!use_pty"];

    fn new() -> Result<Self, Reason> {
        match Path::new("/usr/bin/sudo").exists() {
            true => Ok(Self),
            false => skip("there is no sudo"),
        }
    }

    fn set(&self, way: &str) -> Outcome {
        fs::write(SUDOERS, format!("Defaults {way}\n"))?;
        println!("with {way}");
        Ok(())
    }
}

impl Drop for Ways {
    fn drop(&mut self) {
        let _ = fs::remove_file(SUDOERS);
    }
}

/// `sudo spawn` on the small tree, as a shell reads it.
fn line(case: &Case, script: &str) -> String {
    let (spawn, name) = (Case::spawn_path(), name_for(case));
    format!("sudo {} -M {name} -D {BUSYBOX} sh -c '{script}'", spawn.display())
}

fn shell(line: &str) -> Program {
    Program::new("sh").args(["-c", line])
}

pub fn the_terminal_works_and_is_restored(case: &mut Case) -> Outcome {
    let ways = Ways::new()?;
    for way in Ways::ALL {
        ways.set(way)?;
        let mut pty = Pty::open()?;
        pty.resize(91, 31)?;
        let before = pty.settings()?;
        let script = "stty size; stty -echo; echo ready; read x; echo got-$x; tty; exit 7";
        let mut child = pty.start(&shell(&format!("exec {}", line(case, script))))?;
        pty.expect("31 91", SOON);
        pty.expect("ready", SOON);
        pty.send("hello\r")?;
        pty.expect("got-hello", SOON);
        pty.expect("/dev/", SOON);
        assert_eq!(pty::wait(&mut child, SOON).code(), Some(7), "{way}: {}", pty.shown());
        assert_eq!(format!("{before:?}"), format!("{:?}", pty.settings()?), "{way}");
    }
    Ok(())
}

/// The keyboard reaches a payload whose output is a pipe, as that of any other program: `sudo spawn … | less`.
pub fn the_keyboard_reaches_a_payload_with_piped_output(case: &mut Case) -> Outcome {
    let ways = Ways::new()?;
    for way in Ways::ALL {
        ways.set(way)?;
        let mut pty = Pty::open()?;
        let before = pty.settings()?;
        let script = "echo ready >&2; read x; echo got-$x";
        let mut child = pty.start(&shell(&format!("{} | tr a-z A-Z; echo end", line(case, script))))?;
        pty.expect("ready", SOON);
        pty.send("hello\r")?;
        pty.expect("GOT-HELLO", SOON);
        pty.expect("end", SOON);
        assert_eq!(pty::wait(&mut child, SOON).code(), Some(0), "{way}: {}", pty.shown());
        assert_eq!(format!("{before:?}"), format!("{:?}", pty.settings()?), "{way}");
    }
    Ok(())
}

/// Started with `&` from a shell with job control: it runs on, and the shell keeps the terminal; brought to the
/// foreground it takes what is typed.
pub fn in_the_background_it_runs_on(case: &mut Case) -> Outcome {
    let ways = Ways::new()?;
    for way in Ways::ALL {
        ways.set(way)?;
        let mut pty = Pty::open()?;
        let script = "echo up; read x; echo got-$x; sleep 1; echo done; exit 7";
        let mut child =
            pty.start(&Program::new("bash").args(["--norc", "--noediting", "-i"]).env("PS1", "prompt> "))?;
        pty.expect("prompt> ", SOON);
        pty.send(&format!("{} &\r", line(case, script)))?;
        pty.expect("up\r", SOON);
        pty.send("echo she$((1+1))ll\r")?;
        pty.expect("she2ll", SOON);
        pty.send("jobs\r")?;
        pty.expect("Running", SOON);
        pty.send("fg\r")?;
        pty.expect("spawn", SOON);
        std::thread::sleep(Duration::from_secs(1));
        pty.send("hello\r")?;
        pty.expect("got-hello", SOON);
        pty.expect("done", SOON);
        pty.expect("prompt> ", SOON);
        pty.send("echo status-$?-end\r")?;
        pty.expect("status-7-end", SOON);
        pty.send("exit\r")?;
        pty::wait(&mut child, SOON);
    }
    Ok(())
}
