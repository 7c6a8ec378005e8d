// SPDX-License-Identifier: LGPL-2.1-or-later
//! Running a program with an environment made from nothing and a limit on its time.

use rustix::process::{Pid, Signal};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A program about to be run.
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    stdin: Vec<u8>,
    limit: Duration,
}

/// How a program ended and what it said.
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub elapsed: Duration,
    shown: String,
}

impl Program {
    pub fn new(path: impl AsRef<Path>) -> Self {
        Program {
            path: path.as_ref().to_owned(),
            args: Vec::new(),
            env: [
                ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
                ("LANG", "C.UTF-8"),
                ("HOME", "/root"),
                ("TERM", "dumb"),
            ]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
            dir: None,
            stdin: Vec::new(),
            limit: Duration::from_secs(30),
        }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Bytes for standard input, which then ends. Without this it is empty.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// 30 seconds unless told.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The same command line for `std`, with nothing said about stdio.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.args).env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    /// Starts it in the background: no input, output to the case's log.
    pub fn start(&self) -> Child {
        let mut command = self.command();
        command.stdin(Stdio::null());
        command.spawn().unwrap_or_else(|error| panic!("cannot run {self}: {error}"))
    }

    /// Runs it to its end. Panics when it cannot be started or takes longer than its limit.
    pub fn run(&self) -> Output {
        let started = Instant::now();
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {self}: {error}"));

        let mut pipe = child.stdin.take().expect("stdin is piped");
        let bytes = self.stdin.clone();
        // A program that does not read all of its input is fine.
        thread::spawn(move || pipe.write_all(&bytes));
        let stdout = read_all(child.stdout.take().expect("stdout is piped"));
        let stderr = read_all(child.stderr.take().expect("stderr is piped"));

        let status = loop {
            if let Some(status) = child.try_wait().expect("our own child can be waited for") {
                break status;
            }
            if started.elapsed() > self.limit {
                // Gone in the meantime is as good.
                let _ = rustix::process::kill_process_group(Pid::from_child(&child), Signal::KILL);
                let (out, err) = (collect(&stdout), collect(&stderr));
                panic!("{self}: not done after {:?}\nstdout: {out}\nstderr: {err}", self.limit);
            }
            thread::sleep(Duration::from_millis(2));
        };
        let elapsed = started.elapsed();
        let (stdout, stderr) = (collect(&stdout), collect(&stderr));
        Output { status, stdout, stderr, elapsed, shown: self.to_string() }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", arg.to_string_lossy()))
    }
}

/// Reads a pipe in the background. A process that outlives the program may hold it open: see `collect`.
fn read_all(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut chunk = [0; 16384];
        while let Ok(count @ 1..) = pipe.read(&mut chunk) {
            if sender.send(chunk[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Everything up to the end of the pipe, or to two seconds of silence.
fn collect(receiver: &mpsc::Receiver<Vec<u8>>) -> String {
    let mut bytes = Vec::new();
    while let Ok(chunk) = receiver.recv_timeout(Duration::from_secs(2)) {
        bytes.extend(chunk);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Output {
    /// Panics unless it exited with this status; what it said is part of the message.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "exit status of {self}");
        self
    }

    /// Panics unless it died of this signal.
    #[track_caller]
    pub fn expect_signal(self, signal: i32) -> Self {
        assert_eq!(self.status.signal(), Some(signal), "signal that ended {self}");
        self
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\nstdout: {}\nstderr: {}", self.shown, self.status, self.stdout, self.stderr)
    }
}
