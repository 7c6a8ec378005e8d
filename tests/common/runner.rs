// SPDX-License-Identifier: LGPL-2.1-or-later
//! Runs a list of cases, each in a process of its own with a limit on its time.
//!
//! A case is run by this binary calling itself. Whatever the case leaves running becomes a child of the runner, is
//! killed, and makes the case fail.

use super::{Case, Outcome, Reason};
use rustix::process::{Pid, Signal};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

const RUN_ONE: &str = "--run-one-case";
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);
/// Exit status of a case that skips itself; automake's number for it.
const SKIPPED: u8 = 77;

/// A function with its name and time limit; made by `cases!`.
pub struct Entry {
    pub name: &'static str,
    pub run: fn(&mut Case) -> Outcome,
    pub limit_seconds: Option<u64>,
}

/// The list of a binary's cases. `slow[300]` may take 300 seconds.
macro_rules! cases {
    ($($path:path $([$limit:literal])?),* $(,)?) => {
        &[$($crate::common::runner::Entry {
            name: stringify!($path),
            run: $path,
            limit_seconds: [$(Some($limit),)? None][0],
        }),*]
    };
}
pub(crate) use cases;

enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Entry point of a test binary. `needs` says why no case of it can run here.
pub fn main(needs: fn() -> Outcome, entries: &[Entry]) -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some(RUN_ONE) => return run_here(&args[1], Path::new(&args[2]), entries),
        Some("--list") => {
            entries.iter().for_each(|entry| println!("{}", clean_name(entry)));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let chosen = entries
        .iter()
        .filter(|entry| filters.is_empty() || filters.iter().any(|filter| clean_name(entry).contains(filter.as_str())));
    let unmet = needs().err();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for entry in chosen {
        let name = clean_name(entry);
        let started = Instant::now();
        let verdict = match &unmet {
            Some(Reason::Skip(why)) => Verdict::Skipped(why.clone()),
            Some(Reason::Fail(why)) => Verdict::Failed(why.clone()),
            None => run_apart(entry).unwrap_or_else(|error| Verdict::Failed(format!("runner: {error}"))),
        };
        let took = started.elapsed().as_secs_f32();
        match verdict {
            Verdict::Passed => {
                passed += 1;
                println!("ok {name} ({took:.1} s)");
            }
            Verdict::Failed(why) => {
                failed += 1;
                println!("FAILED {name} ({took:.1} s)\n{}", indent(&why));
            }
            Verdict::Skipped(why) => {
                skipped += 1;
                println!("skipped {name}: {}", why.trim().replace('\n', " "));
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `stringify!` may put blanks around `::`, depending on the compiler.
fn clean_name(entry: &Entry) -> String {
    entry.name.replace(' ', "")
}

fn indent(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// In the child: the case itself.
fn run_here(name: &str, dir: &Path, entries: &[Entry]) -> ExitCode {
    let Some(entry) = entries.iter().find(|entry| clean_name(entry) == name) else {
        eprintln!("no case {name}");
        return ExitCode::FAILURE;
    };
    match (entry.run)(&mut Case::new(name, dir.to_owned())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Reason::Fail(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
        Err(Reason::Skip(why)) => {
            let written = fs::write(dir.join(".skipped"), why);
            if written.is_ok() { ExitCode::from(SKIPPED) } else { ExitCode::FAILURE }
        }
    }
}

fn run_apart(entry: &Entry) -> io::Result<Verdict> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let dir = make_case_dir()?;
    let log_path = dir.with_extension("log");
    let log = fs::File::create(&log_path)?;
    let mut child = Command::new(env::current_exe()?)
        .args([RUN_ONE, &clean_name(entry)])
        .arg(&dir)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;

    let limit = entry.limit_seconds.map_or(DEFAULT_LIMIT, Duration::from_secs);
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= deadline {
            let group = Pid::from_child(&child);
            // It may be gone by now; the wait below tells.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let left = kill_descendants()?;

    let text = String::from_utf8_lossy(&fs::read(&log_path)?).into_owned();
    let verdict = match status {
        None => {
            Verdict::Failed(format!("not done after {} s, still there: {}\n{text}", limit.as_secs(), left.join(", ")))
        }
        Some(status) if status.code() == Some(SKIPPED.into()) => {
            Verdict::Skipped(fs::read_to_string(dir.join(".skipped"))?)
        }
        Some(status) if !status.success() => {
            let signal = status.signal().map(|number| format!("killed by signal {number}\n"));
            Verdict::Failed(signal.unwrap_or_default() + &text)
        }
        Some(_) if !left.is_empty() => Verdict::Failed(format!("processes left behind: {}\n{text}", left.join(", "))),
        Some(_) => Verdict::Passed,
    };
    remove(&dir)?;
    fs::remove_file(&log_path)?;
    Ok(verdict)
}

fn make_case_dir() -> io::Result<PathBuf> {
    let base = env::var_os("SPAWN_TEST_TMP").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
    for number in 0.. {
        let dir = base.join(format!("spawn-test-{}-{number}", std::process::id()));
        match fs::create_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => return done.map(|()| dir),
        }
    }
    unreachable!("an endless range ended")
}

/// Removes a folder but nothing that is (still) mounted below it.
fn remove(dir: &Path) -> io::Result<()> {
    let status = Command::new("rm").args(["-rf", "--one-file-system", "--"]).arg(dir).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("cannot remove {}", dir.display()))) }
}

/// Kills and reaps what the case has left, and says what that was.
fn kill_descendants() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for _ in 0..500 {
        let children = fs::read_to_string("/proc/thread-self/children")?;
        let pids: Vec<i32> = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        if pids.is_empty() {
            return Ok(names);
        }
        for pid in pids.into_iter().filter_map(Pid::from_raw) {
            let number = pid.as_raw_nonzero();
            let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            // A zombie had ended by itself and only lost its parent.
            if !stat.contains(") Z ") {
                let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
                names.push(format!("{} ({number})", name.trim()));
                // Gone in the meantime is as good.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            // Only the reaping matters: it may take another round.
            let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
        }
        thread::sleep(Duration::from_millis(10));
    }
    names.push("(and some cannot be killed)".to_owned());
    Ok(names)
}
