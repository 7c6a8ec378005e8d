// SPDX-License-Identifier: LGPL-2.1-or-later
//! Makes one chosen system call of one chosen process of a container's start fail.
//!
//! As with `strace -e inject=…:when=N` the kernel returns the errno and does not do the call; unlike there, calls are
//! counted for each role, so that the stager's third can fail while the supervisor's third does not.

mod netlink;
mod notify;
mod roles;

use super::program::Program;
use notify::{Event, Listener};
use roles::Roles;
pub use roles::Who;
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
pub use syscalls::Sysno;

/// One system call of a start, by the role of its process and how many of that role came before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub who: Who,
    pub call: Sysno,
    pub nth: usize,
    /// The path that it was about in the clean run; only for people.
    pub about: String,
    /// The kind of message that it sends to the kernel by netlink(7), as of the clean run.
    pub request: Option<u16>,
}

/// What is made to happen to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails without being done.
    Fails(Errno),
    /// It is done, but the kernel does not do what it asks for by netlink(7), and answers so.
    Refused,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}#{} {}", self.who, self.call.name(), self.nth + 1, self.about)?;
        self.request.map_or(Ok(()), |kind| write!(f, "netlink {kind}"))
    }
}

/// How a run ended.
pub struct Run {
    /// `None`: it was not done within the limit and was killed.
    pub status: Option<ExitStatus>,
    pub stdout: String,
    pub stderr: String,
    pub elapsed: Duration,
    /// Every watched call of everything but the payload, in order.
    pub calls: Vec<Place>,
    /// Whether the call came that was to fail.
    pub fired: bool,
}

/// Runs the program; `executable` is the program under test, by which roles are told apart, `dir` is for its output.
pub fn run(
    program: &Program,
    executable: &Path,
    dir: &Path,
    watched: &[Sysno],
    fault: Option<(&Place, Fault)>,
    limit: Duration,
) -> io::Result<Run> {
    let started = Instant::now();
    let (out, err) = (dir.join("stdout"), dir.join("stderr"));
    let mut command = program.command();
    command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?).process_group(0);
    let (send_listener, listener) = mpsc::channel();
    let (send_child, child) = mpsc::channel();
    let watched = watched.to_owned();
    // The filter is the thread's and what it starts has it too; its own calls wait for our answers as well.
    let starter = thread::spawn(move || {
        // Both channels stay open until we have what is sent.
        let _ = send_listener.send(notify::watch(&watched));
        let _ = send_child.send(command.spawn());
    });
    let listener = listener.recv().map_err(io::Error::other)??;
    let mut server = Server {
        listener,
        roles: Roles::new(executable)?,
        counts: HashMap::new(),
        fault,
        calls: Vec::new(),
        fired: false,
    };
    let mut child: Child = loop {
        server.serve(Duration::from_millis(10))?;
        match child.try_recv() {
            Ok(child) => break child?,
            Err(mpsc::TryRecvError::Empty) => {}
            Err(e) => return Err(io::Error::other(e)),
        }
    };
    starter.join().map_err(|_| io::Error::other("the starting thread panicked"))?;
    let (mut status, mut elapsed) = (None, None);
    loop {
        let alive = server.serve(Duration::from_millis(10))?;
        if elapsed.is_none() {
            status = child.try_wait()?;
            elapsed = status.map(|_| started.elapsed());
        }
        // What outlives the program (its keeper) is still answered.
        if elapsed.is_some() && !alive {
            break;
        }
        if started.elapsed() > limit {
            if elapsed.is_none() {
                // Gone in the meantime is as good.
                let _ = rustix::process::kill_process_group(Pid::from_child(&child), Signal::KILL);
                let until = Instant::now() + Duration::from_secs(5);
                while child.try_wait()?.is_none() && Instant::now() < until {
                    server.serve(Duration::from_millis(10))?;
                }
            }
            break;
        }
    }
    let text = |path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let Server { calls, fired, .. } = server;
    let elapsed = elapsed.unwrap_or_else(|| started.elapsed());
    Ok(Run { status, stdout: text(&out)?, stderr: text(&err)?, elapsed, calls, fired })
}

struct Server<'a> {
    listener: Listener,
    roles: Roles,
    counts: HashMap<(Who, Sysno), usize>,
    fault: Option<(&'a Place, Fault)>,
    calls: Vec<Place>,
    fired: bool,
}

impl Server<'_> {
    /// Answers what comes within that time; `false` when there is nobody left to ask.
    fn serve(&mut self, patience: Duration) -> io::Result<bool> {
        loop {
            let waiting = match self.listener.next(patience)? {
                Event::Call(waiting) => waiting,
                Event::Nothing => return Ok(true),
                Event::End => return Ok(false),
            };
            let mut fault = None;
            if let Some(call) = waiting.call()
                && let Some(who) = self.roles.of(waiting.pid())
            {
                let count = self.counts.entry((who, call)).or_default();
                let nth = *count;
                *count += 1;
                let hit = self.fault.filter(|(place, _)| (place.who, place.call, place.nth) == (who, call, nth));
                self.fired |= hit.is_some();
                match hit {
                    Some((_, Fault::Fails(errno))) => fault = Some(errno),
                    Some((_, Fault::Refused)) => netlink::spoil(&waiting)?,
                    None => {}
                }
                let (mut about, mut request) = (String::new(), None);
                if self.fault.is_none() {
                    (about, request) = (roles::about(&waiting), netlink::request(&waiting));
                }
                self.calls.push(Place { who, call, nth, about, request });
            }
            self.listener.answer(waiting, fault);
        }
    }
}
