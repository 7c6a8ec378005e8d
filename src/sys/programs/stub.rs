// SPDX-License-Identifier: LGPL-2.1-or-later
//! The stub: PID 1 of a container whose program runs as PID 2 (`--as-pid2`).
//!
//! Arguments: its own name, the pid of the program, optionally the word `nspawn` for the behaviour of systemd-nspawn's
//! stub. The program runs already, and may even have ended; every signal should be blocked so that none was lost.
//! It reaps every child and ends as the program does: with its status, or with 128 + n when signal n killed it (with
//! `nspawn`: 255). Signals that ask an init for a power off or a reboot (systemd(1), "Signals") are carried out; others
//! that are meant for a program are passed on to it, or ignored with `nspawn`.
#![no_std]
#![no_main]

#[path = "calls.rs"]
mod calls;
#[path = "rt.rs"]
mod rt;

use calls::*;

/// How long the program may take to end when it was asked to.
const PATIENCE_MS: u64 = 90_000;
const POWER_OFF: usize = 0x4321fedc;
const AUTOBOOT: usize = 0x01234567;

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Spawn,
    Nspawn,
}

struct Stub {
    program: i32,
    manner: Manner,
    /// How to end the namespace, and when at the latest.
    shutdown: Option<(usize, u64)>,
}

fn main(arguments: rt::Arguments) -> i32 {
    let blocked = block_signals();
    // An ignored SIGCHLD, inherited, would make the kernel throw the program's status away.
    let reset = default_signal(SIGCHLD);
    let hidden = set_undumpable();
    if let Some(name) = arguments.get(0) {
        set_name(name);
    }
    let program = arguments.get(1).and_then(|text| number(text.to_bytes()));
    let (Some(program), Ok(_), Ok(_), Ok(_)) = (program, blocked, reset, hidden) else { return 255 };
    let manner = if arguments.get(2) == Some(c"nspawn") { Manner::Nspawn } else { Manner::Spawn };
    detach_from_files();
    let mut stub = Stub { program, manner, shutdown: None };
    loop {
        if let Some(status) = stub.reap_all() {
            return stub.end(status);
        }
        let wait = match stub.shutdown {
            None => None,
            Some((_, deadline)) => match deadline.saturating_sub(now()) {
                0 => return stub.end(255),
                left => Some(Time::milliseconds(left)),
            },
        };
        if let Ok(signal) = next_signal(wait) {
            stub.handle(signal);
        }
    }
}

impl Stub {
    /// Reaps every child that has ended. The program's exit status when it, or the last child, was among them.
    fn reap_all(&self) -> Option<i32> {
        loop {
            match reap() {
                Ok(Some((pid, status))) if pid == self.program => return Some(self.exit_status(status)),
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(EINTR) => {}
                // No child at all: the program cannot be waited for.
                Err(_) => return Some(255),
            }
        }
    }

    fn exit_status(&self, wait_status: i32) -> i32 {
        match wait_status & 0x7f {
            0 => wait_status >> 8 & 0xff,
            signal if self.manner == Manner::Spawn => 128 + signal,
            _ => 255,
        }
    }

    fn handle(&mut self, signal: i32) {
        const RT: i32 = SIGRTMIN;
        let how = match signal - RT {
            3 | 4 | 13 | 14 => POWER_OFF,
            5 | 6 | 15 | 16 => AUTOBOOT,
            _ if signal == SIGINT => AUTOBOOT,
            _ => return self.pass_on(signal),
        };
        self.shutdown = Some((how, now().saturating_add(PATIENCE_MS)));
        // The program may be gone already; then there is nobody to tell.
        for signal in [SIGTERM, SIGCONT, SIGHUP] {
            let _told = kill(self.program, signal);
        }
    }

    fn pass_on(&self, signal: i32) {
        let meant = matches!(signal, SIGTERM | SIGHUP | SIGQUIT | SIGUSR1 | SIGUSR2 | SIGWINCH);
        if meant && self.manner == Manner::Spawn {
            // As above.
            let _told = kill(self.program, signal);
        }
    }

    /// Ends the namespace as was asked for; where that is refused, the exit status has to do.
    fn end(&self, status: i32) -> i32 {
        if let Some((how, _)) = self.shutdown {
            let _refused = reboot(how);
        }
        status
    }
}

/// A decimal process id.
fn number(text: &[u8]) -> Option<i32> {
    core::str::from_utf8(text).ok()?.parse().ok().filter(|pid| *pid > 0)
}

/// Lets go of every file; 0 to 2 become `/dev/null` where there is one.
fn detach_from_files() {
    let null = open(AT_FDCWD, c"/dev/null", O_RDWR);
    for fd in 0..3 {
        // A container without /dev/null gets a stub without open files: it uses none.
        let _done = match null {
            Ok(null) if null == fd => continue,
            Ok(null) => dup3(null, fd),
            Err(_) => close(fd),
        };
    }
    let _closed = close_from(3);
}
