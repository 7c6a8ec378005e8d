// SPDX-License-Identifier: LGPL-2.1-or-later
//! A terminal to run programs on, and a way to talk with them over it.

use super::{Program, Reason};
use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{Termios, Winsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A pseudo terminal: this side, and all that was ever shown on it.
pub struct Pty {
    master: File,
    slave: OwnedFd,
    screen: Arc<Screen>,
    /// Everything before this offset has been matched by `expect`.
    seen: usize,
}

#[derive(Default)]
struct Screen {
    bytes: Mutex<Vec<u8>>,
    changed: Condvar,
}

impl Pty {
    /// A new terminal of 80 columns and 25 rows.
    pub fn open() -> Result<Self, Reason> {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let slave = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        let master = File::from(master);
        let screen = Arc::new(Screen::default());
        let (reader, filled) = (master.try_clone()?, Arc::clone(&screen));
        thread::spawn(move || fill(reader, &filled));
        let pty = Pty { master, slave, screen, seen: 0 };
        pty.resize(80, 25)?;
        Ok(pty)
    }

    /// Starts a program with this terminal as stdin, stdout, stderr and controlling terminal of a new session.
    pub fn start(&self, program: &Program) -> Result<Child, Reason> {
        // setsid does not fork here, so the child that is returned is the program itself.
        let inner = program.command();
        let mut command = std::process::Command::new("setsid");
        command.args(["--ctty", "--wait", "--"]).arg(inner.get_program()).args(inner.get_args()).env_clear();
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(dir) = inner.get_current_dir() {
            command.current_dir(dir);
        }
        command.stdin(self.slave.try_clone()?).stdout(self.slave.try_clone()?).stderr(self.slave.try_clone()?);
        Ok(command.spawn()?)
    }

    /// Types `text`.
    pub fn send(&mut self, text: &str) -> Result<(), Reason> {
        Ok(self.master.write_all(text.as_bytes())?)
    }

    /// Waits for `text` to show up after what earlier calls have matched; panics after `limit`.
    #[track_caller]
    pub fn expect(&mut self, text: &str, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut bytes = self.screen.bytes.lock().expect("the reader does not panic");
        loop {
            let found = bytes[self.seen..].windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(offset) = found {
                self.seen += offset + text.len();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let shown = String::from_utf8_lossy(&bytes[self.seen..]).into_owned();
                drop(bytes);
                panic!("{text:?} did not show up within {limit:?}; there was {shown:?}");
            }
            bytes = self.screen.changed.wait_timeout(bytes, left).expect("the reader does not panic").0;
        }
    }

    /// All that was shown so far.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.bytes.lock().expect("the reader does not panic")).into_owned()
    }

    /// All that was shown by programs that have ended by now.
    pub fn settled(&mut self) -> Result<String, Reason> {
        const MARK: &str = "<settled>";
        rustix::io::write(&self.slave, MARK.as_bytes())?;
        self.expect(MARK, Duration::from_secs(10));
        let shown = self.shown();
        Ok(shown.strip_suffix(MARK).unwrap_or(&shown).to_owned())
    }

    pub fn resize(&self, columns: u16, rows: u16) -> Result<(), Reason> {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(&self.master, size)?)
    }

    /// The line settings, to compare before and after.
    pub fn settings(&self) -> Result<Termios, Reason> {
        Ok(rustix::termios::tcgetattr(&self.slave)?)
    }
}

/// Waits for a child; panics after `limit`, having killed it.
#[track_caller]
pub fn wait(child: &mut Child, limit: Duration) -> ExitStatus {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("our own child can be waited for") {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("our own child can be killed");
    panic!("process {} is not done after {limit:?}", child.id());
}

fn fill(mut master: File, screen: &Screen) {
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = master.read(&mut chunk) {
        screen.bytes.lock().expect("nobody panics with the lock").extend(&chunk[..count]);
        screen.changed.notify_all();
    }
}
