// SPDX-License-Identifier: LGPL-2.1-or-later
//! SIGKILL of the supervisor, with and without its keeper, and orderly signals.

use super::background::Background;
use super::{Case, HostState, Outcome, Program, Reason, fail, leftovers};
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

/// Within this everything of a killed container is gone.
const GONE: Duration = Duration::from_secs(2);
const START: Duration = Duration::from_secs(20);
const NAME: &str = "doomed";

/// Asks for no signal at its parent's death, starts a session of its own and ignores what can be ignored.
const STUBBORN: &str = "trap '' HUP INT QUIT TERM; setsid sh -c 'trap \"\" HUP INT QUIT TERM; while :; do sleep 1; done' & \
                        echo up; while :; do sleep 1; done";

/// The containers that are killed: options and command.
struct Scene {
    options: Vec<String>,
    words: Vec<String>,
    /// Called as systemd-nspawn.
    nspawn: bool,
}

/// A tree that runs the host's programs: setpriv(1) is needed, which busybox's cannot replace.
fn tree(case: &Case) -> Result<PathBuf, Reason> {
    let tree = case.busybox_tree("tree")?;
    std::os::unix::fs::symlink("usr/lib64", tree.join("lib64"))?;
    let folder = tree.join("opt");
    fs::create_dir(&folder)?;
    fs::copy(tree.join("usr/bin/busybox"), folder.join("sleep"))?;
    fs::copy(tree.join("usr/bin/busybox"), folder.join("sh"))?;
    fs::set_permissions(folder.join("sleep"), fs::Permissions::from_mode(0o4755))?;
    Ok(tree)
}

fn scenes(options: &[&str]) -> Vec<Scene> {
    let scene = |more: &[&str], words: &[&str]| Scene {
        options: options.iter().chain(more).map(|s| s.to_string()).collect(),
        words: words.iter().map(|s| s.to_string()).collect(),
        nspawn: false,
    };
    let setpriv = ["/usr/bin/setpriv", "--pdeathsig", "clear", "sh", "-c", STUBBORN];
    vec![
        scene(&[], &["sh", "-c", "echo up; sleep 600"]),
        scene(&["--bind-ro=/usr"], &setpriv),
        scene(&["--user=user"], &["/opt/sh", "-c", "echo up; exec /opt/sleep 600"]),
        Scene { nspawn: true, ..scene(&["--as-pid2", "--pipe"], &["sh", "-c", "echo up; sleep 600"]) },
    ]
}

fn program(case: &Case, tree: &Path, scene: &Scene) -> Result<Program, Reason> {
    let program = if scene.nspawn { case.spawn_as_nspawn()? } else { case.spawn() };
    Ok(program.arg("-D").arg(tree).args(["-M", NAME]).args(&scene.options).args(&scene.words))
}

/// Everything of it must be gone soon.
fn assert_gone(before: &HostState, tree: &Path, what: &str) -> Outcome {
    let started = Instant::now();
    let mut left = leftovers::processes(GONE);
    left.extend(before.difference());
    left.extend(leftovers::locks(tree));
    let took = started.elapsed();
    if !left.is_empty() || took > GONE {
        return fail(format!("{what}: after {took:?} is left: {}", left.join(", ")));
    }
    Ok(())
}

/// A link to the host is one more thing to be left behind.
const LINKED: &[&str] = &["--network-veth"];

pub fn d14_supervisor_leaves_nothing(case: &mut Case) -> Outcome {
    supervisor(case, &[])
}

pub fn d56_supervisor_leaves_no_link(case: &mut Case) -> Outcome {
    supervisor(case, LINKED)
}

pub fn supervisor_and_keeper(case: &mut Case) -> Outcome {
    both(case, &[])
}

pub fn supervisor_and_keeper_with_link(case: &mut Case) -> Outcome {
    both(case, LINKED)
}

/// Kills the supervisor at random moments.
pub fn supervisor(case: &mut Case, options: &[&str]) -> Outcome {
    leftovers::adopt_orphans()?;
    let tree = tree(case)?;
    let scenes = scenes(options);
    for scene in &scenes {
        let mut first = Background::start(&program(case, &tree, scene)?, case.dir(), "first")?;
        first.expect("up", START)?;
        first.signal(Signal::TERM)?;
        // The stubborn one is killed in the end.
        first.signal(Signal::KILL)?;
        first.wait(START)?;
        leftovers::processes(GONE);
    }
    let before = HostState::take(case.dir());
    let rounds: u32 = env::var("SPAWN_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(32);
    let seed = std::process::id();
    let mut random = seed;
    println!("{rounds} rounds, seed {seed}");
    for round in 0..rounds {
        let scene = &scenes[round as usize % scenes.len()];
        // Numerical Recipes' generator: enough to spread moments.
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moment = Duration::from_micros(u64::from(random >> 16) * 2);
        let mut running = Background::start(&program(case, &tree, scene)?, case.dir(), "doomed")?;
        if round % 3 == 2 {
            running.expect("up", START)?;
        }
        thread::sleep(moment);
        running.signal(Signal::KILL)?;
        running.wait(START)?;
        assert_gone(&before, &tree, &format!("round {round}, {moment:?} after the start, {:?}", scene.words))?;
    }
    Ok(())
}

/// Kills supervisor and keeper; the next start of that name cleans up.
pub fn both(case: &mut Case, options: &[&str]) -> Outcome {
    leftovers::adopt_orphans()?;
    let tree = tree(case)?;
    for (n, scene) in scenes(options).iter().enumerate() {
        let next = || {
            case.spawn().arg("-D").arg(&tree).args(["-M", NAME]).args(&scene.options).args([
                "/bin/sh",
                "-c",
                "echo again",
            ])
        };
        next().run().expect_code(0);
        leftovers::processes(GONE);
        let before = HostState::take(case.dir());
        let mut running = Background::start(&program(case, &tree, scene)?, case.dir(), &format!("both{n}"))?;
        running.expect("up", START)?;
        // Stopped, it cannot start another keeper.
        running.signal(Signal::STOP)?;
        let keepers = running.await_children("(spawn-keeper)", 1);
        assert_eq!(keepers.len(), 1, "the keepers of scene {n}");
        rustix::process::kill_process(keepers[0], Signal::KILL)?;
        running.signal(Signal::KILL)?;
        running.wait(START)?;
        assert_eq!(next().run().expect_code(0).stdout, "again\n");
        assert_gone(&before, &tree, &format!("scene {n}"))?;
    }
    Ok(())
}

/// A keeper that is killed is replaced, and the new one does its work.
pub fn keeper_is_replaced(case: &mut Case) -> Outcome {
    leftovers::adopt_orphans()?;
    let tree = tree(case)?;
    let scene = &scenes(&[])[1];
    let before = HostState::take(case.dir());
    let mut running = Background::start(&program(case, &tree, scene)?, case.dir(), "keeper")?;
    running.expect("up", START)?;
    let old = running.await_children("(spawn-keeper)", 1);
    assert_eq!(old.len(), 1);
    rustix::process::kill_process(old[0], Signal::KILL)?;
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let new = running.children("(spawn-keeper)");
        if new.len() == 1 && new != old {
            break;
        }
        if Instant::now() >= deadline {
            return fail(format!("no new keeper: {}", running.stderr()));
        }
        thread::sleep(Duration::from_millis(5));
    }
    running.signal(Signal::KILL)?;
    running.wait(START)?;
    // Empty folders of the machines stay after their first use.
    leftovers::processes(GONE);
    assert_gone(&before, &tree, "with the second keeper")
}

/// SIGHUP, SIGQUIT and SIGTERM ask the payload to stop and leave nothing.
pub fn hup_quit_and_term_are_orderly(case: &mut Case) -> Outcome {
    leftovers::adopt_orphans()?;
    let tree = tree(case)?;
    let listening = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done";
    let scene = |script: &str| Scene {
        options: Vec::new(),
        words: ["sh", "-c", script].map(String::from).into(),
        nspawn: false,
    };
    program(case, &tree, &scene("true"))?.run().expect_code(0);
    let before = HostState::take(case.dir());
    for signal in [Signal::HUP, Signal::QUIT, Signal::TERM] {
        let mut running = Background::start(&program(case, &tree, &scene(listening))?, case.dir(), "orderly")?;
        running.expect("up", START)?;
        running.signal(signal)?;
        let status = running.wait(Duration::from_secs(5))?;
        assert_eq!(
            (status.code(), running.stdout().as_str()),
            (Some(3), "up\nbye\n"),
            "{signal:?} {}",
            running.stderr()
        );
        assert_gone(&before, &tree, &format!("{signal:?}"))?;

        let mut deaf = Background::start(&program(case, &tree, &scene("echo up; sleep 600"))?, case.dir(), "deaf")?;
        deaf.expect("up", START)?;
        deaf.signal(signal)?;
        deaf.wait(Duration::from_secs(5))?;
        assert_gone(&before, &tree, &format!("{signal:?}, nobody listens"))?;
    }
    Ok(())
}
