// SPDX-License-Identifier: LGPL-2.1-or-later
//! Many containers at once.

use super::background::Background;
use super::{Case, HostState, Outcome, leftovers};
use rustix::process::Signal;
use std::time::Duration;

const MANY: usize = 100;
const LIMIT: Duration = Duration::from_secs(120);
/// More than any of them needs.
const DESCRIPTORS: usize = 48;

/// A hundred starts at once, then a hundred stops: none fails, none leaks.
pub fn hundred_at_once(case: &mut Case) -> Outcome {
    leftovers::adopt_orphans()?;
    let tree = case.busybox_tree("tree")?;
    let named = |name: &str, script: &str| {
        let program = case.spawn().arg("-D").arg(&tree);
        program.args(["--read-only", "--kill-signal=SIGTERM", "-M", name, "sh", "-c", script])
    };
    let notices = named("crowd", "true").run().expect_code(0).stderr;
    let before = HostState::take(case.dir());
    let script = "trap 'exit 0' TERM; echo up; sleep 600 & wait";
    let mut all = Vec::new();
    for n in 0..MANY {
        all.push(Background::start(&named(&format!("crowd-{n}"), script), case.dir(), &format!("crowd-{n}"))?);
    }
    for one in &mut all {
        one.expect("up", LIMIT)?;
    }
    let descriptors: Vec<usize> = all.iter().map(Background::descriptors).collect();
    let (least, most) = (descriptors.iter().min().copied(), descriptors.iter().max().copied());
    println!("descriptors of a supervisor: {least:?} to {most:?}");
    assert!(least == most && most < Some(DESCRIPTORS), "{descriptors:?}");
    for one in &all {
        one.signal(Signal::TERM)?;
    }
    for one in &mut all {
        let status = one.wait(LIMIT)?;
        assert_eq!(status.code(), Some(0), "{}", one.stderr());
        assert_eq!(one.stderr(), notices, "no more to say than one alone has");
    }
    assert_eq!(leftovers::processes(Duration::from_secs(2)), Vec::<String>::new());
    assert_eq!(leftovers::locks(&tree), Vec::<String>::new());
    before.assert_unchanged();
    Ok(())
}
