// SPDX-License-Identifier: LGPL-2.1-or-later
//! A case for each group of command lines, and the last one, which knows what all of them have needed.

use super::facts::Facts;
use super::lines::{self, Line};
use super::{accepted, compare, run};
use crate::common::{Case, Outcome, Program, Reason, fail, skip};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

const NSPAWN: &str = "/usr/bin/systemd-nspawn";

pub fn start(case: &mut Case) -> Outcome {
    compare_all(case, lines::START)
}
pub fn identity(case: &mut Case) -> Outcome {
    compare_all(case, lines::IDENTITY)
}
pub fn powers(case: &mut Case) -> Outcome {
    compare_all(case, lines::POWERS)
}
pub fn limits(case: &mut Case) -> Outcome {
    compare_all(case, lines::LIMITS)
}
pub fn mounts(case: &mut Case) -> Outcome {
    compare_all(case, lines::MOUNTS)
}
pub fn network(case: &mut Case) -> Outcome {
    let _links = HostLinks::make();
    compare_all(case, lines::NETWORK)
}

/// Links of the host that lines name: a cable, a bridge and a network namespace, as long as this lives.
struct HostLinks;

impl HostLinks {
    fn make() -> Self {
        let made = Self;
        for words in
            ["link add compat0 type veth peer name compat1", "link add compat-bridge type bridge", "netns add compat"]
        {
            Program::new("/usr/sbin/ip").args(words.split(' ')).run().expect_code(0);
        }
        made
    }
}

impl Drop for HostLinks {
    fn drop(&mut self) {
        for words in ["link del compat0", "link del compat-bridge", "netns del compat"] {
            // One that is missing has failed the case already.
            let _gone = Program::new("/usr/sbin/ip").args(words.split(' ')).run();
        }
    }
}
pub fn users(case: &mut Case) -> Outcome {
    compare_all(case, lines::USERS)
}
pub fn streams(case: &mut Case) -> Outcome {
    compare_all(case, lines::STREAMS)
}
pub fn units(case: &mut Case) -> Outcome {
    compare_all(case, lines::UNITS)
}
pub fn ends(case: &mut Case) -> Outcome {
    compare_all(case, lines::ENDS)
}
pub fn not_built(case: &mut Case) -> Outcome {
    compare_all(case, lines::NOT_BUILT)
}
pub fn files(case: &mut Case) -> Outcome {
    let _links = HostLinks::make();
    compare_all(case, lines::FILES)
}
pub fn refused(case: &mut Case) -> Outcome {
    compare_all(case, lines::REFUSED)
}

/// The static probe, compiled by `tests/check` beside the test binaries, or here where there is a compiler.
pub fn probe() -> Result<PathBuf, Reason> {
    let exe = std::env::current_exe()?;
    let Some(target) = exe.parent().and_then(Path::parent) else { return fail("the test binary is in no folder") };
    let path = target.join("compat-probe");
    if path.exists() { Ok(path) } else { skip(format!("{} is not compiled; tests/check does it", path.display())) }
}

pub fn version() -> Result<u32, Reason> {
    let said = Program::new("systemctl").arg("--version").run().expect_code(0).stdout;
    Ok(said.split_whitespace().nth(1).unwrap_or_default().split('.').next().unwrap_or_default().parse()?)
}

fn compare_all(case: &mut Case, lines: &[Line]) -> Outcome {
    run::prepare_sources(case, &probe()?)?;
    let (suite, version) = (Case::suite()?, version()?);
    // Called by this name.
    drop(case.spawn_as_nspawn()?);
    let ours = case.dir().join("systemd-nspawn");
    let dump = std::env::var_os("SPAWN_COMPAT_DUMP").map(PathBuf::from);
    let (mut open, mut used) = (Vec::new(), BTreeSet::new());
    for line in lines {
        let name = line.name();
        if line.since > version {
            println!("not compared: {name}: systemd {version} does not know it, {} is the first", line.since);
            continue;
        }
        let nspawn = run::run(case, line, Path::new(NSPAWN))?;
        let spawn = run::run(case, line, &ours)?;
        let found = compare::differences(&name, &nspawn, &spawn);
        if let Some(dump) = &dump {
            write_dump(dump, &suite, &found)?;
        }
        let (still_open, needed) = compare::judge(found, &suite);
        if !still_open.is_empty() {
            open.push(report(&name, &still_open, &nspawn, &spawn));
        }
        used.extend(needed);
    }
    remember(&case.name, &used)?;
    if open.is_empty() {
        return Ok(());
    }
    fail(format!(
        "{} of {} command lines differ in what is not accepted:\n{}",
        open.len(),
        lines.len(),
        open.join("\n")
    ))
}

fn report(name: &str, open: &[compare::Difference], nspawn: &Facts, spawn: &Facts) -> String {
    let mut text = format!("{name}\n");
    for d in open {
        text += &format!("    {}\n        nspawn: {}\n        spawn:  {}\n", d.field, d.nspawn, d.spawn);
    }
    text + &format!("    nspawn said {}\n    spawn said {}\n", nspawn.said, spawn.said)
}

/// All differences, for whoever works on the accepted ones.
fn write_dump(to: &Path, suite: &str, found: &[compare::Difference]) -> Result<(), Reason> {
    let mut file = fs::File::options().create(true).append(true).open(to)?;
    for d in found {
        writeln!(file, "{suite}\t{}\t{}\t{}\t{}", d.line, d.field, d.nspawn, d.spawn)?;
    }
    Ok(())
}

/// Cases are processes of their own: what they have in common is beside the case's folder, named after the runner.
fn memory() -> PathBuf {
    let runner = match std::env::args().nth(1).as_deref() {
        Some("--run-one-case") => rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get()),
        _ => rustix::process::getpid().as_raw_nonzero().get(),
    };
    PathBuf::from(format!("/run/spawn-compat-{runner}"))
}

fn remember(topic: &str, used: &BTreeSet<usize>) -> Result<(), Reason> {
    let mut file = fs::File::options().create(true).append(true).open(memory())?;
    writeln!(file, "topic {topic}")?;
    used.iter().try_for_each(|row| writeln!(file, "row {row}"))?;
    Ok(())
}

/// Removes what the cases have in common.
pub fn forget() {
    if std::env::args().nth(1).as_deref() == Some("--run-one-case") {
        return;
    }
    // A run of cases that compare nothing has not made it.
    let _ = fs::remove_file(memory());
}

/// An accepted difference that is none any more must go.
pub fn every_accepted_row_is_needed(_: &mut Case) -> Outcome {
    let text = fs::read_to_string(memory()).unwrap_or_default();
    let topics = text.lines().filter(|l| l.starts_with("topic ")).count();
    let all = lines::ALL.len();
    if topics < all {
        return skip(format!("only {topics} of {all} groups of command lines were compared to their end"));
    }
    let used: BTreeSet<usize> = text.lines().filter_map(|l| l.strip_prefix("row ")?.parse().ok()).collect();
    let suite = Case::suite()?;
    let idle: Vec<String> = accepted::rows()
        .enumerate()
        .filter(|(n, row)| row.applies_to(&suite) && !used.contains(n))
        .map(|(n, row)| format!("row {n}: {} · {}: {}", row.lines, row.fields, row.reason))
        .collect();
    assert!(idle.is_empty(), "accepted, but not met on {suite}:\n{}", idle.join("\n"));
    Ok(())
}
