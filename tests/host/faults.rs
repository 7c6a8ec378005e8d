// SPDX-License-Identifier: LGPL-2.1-or-later
//! Faults and things in use where the container is a scope that is registered with machined.

use crate::common::background::Background;
use crate::common::faults::sweep;
use crate::common::{Case, HostState, Outcome, Program, in_use, leftovers, skip};
use rustix::process::Signal;
use std::time::Duration;

const START: Duration = Duration::from_secs(20);
const MEANWHILE: &str = "echo up; sleep 600";

/// The same code runs in every suite: one suite fails its calls, all of them when told `SPAWN_FAULTS=full`.
pub fn d57_d58_every_call_fails_closed_in_a_scope(case: &mut Case) -> Outcome {
    if Case::suite()? != "trixie" && std::env::var_os("SPAWN_FAULTS").is_none() {
        return skip("one suite is enough; SPAWN_FAULTS=full runs it in all");
    }
    sweep(case, &["--private-users=1879048192:65536", "--network-veth"])
}

/// A unit of that name that is not ours stays as it is.
pub fn name_of_a_foreign_unit(case: &mut Case) -> Outcome {
    leftovers::adopt_orphans()?;
    let tree = case.busybox_tree("tree")?;
    let foreign = Program::new("systemd-run").args(["--quiet", "--scope", "--unit=taken.scope", "sh", "-c", MEANWHILE]);
    let mut foreign = Background::start(&foreign, case.dir(), "foreign")?;
    foreign.expect("up", START)?;
    let during = HostState::take(case.dir());
    let run = case.spawn().arg("-D").arg(&tree).args(["-M", "taken", "echo", "wrong"]).run();
    in_use::one_error(run, &["E0204", "taken.scope"])?;
    during.assert_unchanged();
    foreign.signal(Signal::TERM)?;
    foreign.wait(START)?;
    Program::new("systemctl").args(["stop", "taken.scope"]).run();
    leftovers::processes(Duration::from_secs(5));
    Ok(())
}

/// Whoever comes second finds the tree locked, and by whom.
pub fn tree_in_use_by_the_other_launcher(case: &mut Case) -> Outcome {
    leftovers::adopt_orphans()?;
    let tree = case.busybox_tree("tree")?;
    let nspawn = |name: &str| {
        let nspawn = case.nspawn().map(|p| p.args(["--quiet", "--pipe", "-M", name, "-D"]).arg(&tree));
        nspawn.map(|p| p.args(["sh", "-c", MEANWHILE]))
    };
    let spawn = |name: &str| case.spawn().args(["-M", name, "-D"]).arg(&tree).args(["sh", "-c", MEANWHILE]);

    let mut first = Background::start(&nspawn("theirs")?, case.dir(), "theirs")?;
    first.expect("up", START)?;
    let holder = format!("process {}", first.pid().as_raw_nonzero());
    in_use::one_error(spawn("ours").run(), &["E0203", &tree.to_string_lossy(), "systemd-nspawn", &holder])?;
    Program::new("machinectl").args(["terminate", "theirs"]).run();
    first.wait(START)?;

    let mut first = Background::start(&spawn("ours"), case.dir(), "ours")?;
    first.expect("up", START)?;
    let refused = nspawn("theirs")?.run();
    assert!(!refused.status.success() && refused.stderr.contains("currently busy"), "{refused}");
    first.signal(Signal::TERM)?;
    first.wait(START)?;
    leftovers::processes(Duration::from_secs(5));
    Ok(())
}
