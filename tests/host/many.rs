// SPDX-License-Identifier: LGPL-2.1-or-later
//! Many containers, and many boots of one.

use crate::common::{Case, HostState, Outcome, Program, Pty, pty};
use crate::guest::{BOOT, BUSYBOX, Guest, SOON, name_for, rounds, until};
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// Counts its boots in the tree and says what must stay the same.
const REBOOTS: &str = r#"
n=$(cat /boots); n=$((n+1)); echo $n >/boots
{ cat /run/host/container-uuid /proc/self/uid_map /proc/sys/kernel/hostname; tty; } | tr -s '\n ' '  ' >>/facts
echo >>/facts
[ $n -lt $LAST ] || poweroff -f
reboot -f
"#;

pub fn reboots_in_a_row(case: &mut Case) -> Outcome {
    let boots = rounds("SPAWN_REBOOTS", 15);
    let before = HostState::take(case.dir());
    let tree = case.busybox_tree("tree")?;
    fs::write(tree.join("boots"), "0")?;
    let last = format!("--setenv=LAST={boots}");
    let args = ["--directory", &tree.to_string_lossy(), "--private-users=pick", "--console=passive", &last];
    let mut guest = Guest::start(case, args.iter().copied().chain(["--quiet", "sh", "-c", REBOOTS]));
    let count = || fs::read_to_string(tree.join("boots")).map_or(0, |n| n.trim().parse().unwrap_or(0));
    until("the first boot", SOON, || count() > 0);
    // Nobody can take the name in between.
    let mut tries = 0;
    while guest.is_running() {
        let thief =
            case.spawn().arg(format!("--machine={}", guest.name)).args(["-x", "-D", BUSYBOX, "echo", "mine"]).run();
        if guest.is_running() {
            assert!(!thief.stdout.contains("mine") && thief.stderr.contains("in use"), "try {tries}: {thief}");
            tries += 1;
        }
    }
    assert_eq!(guest.end(SOON).code(), Some(0), "after a poweroff");
    assert_eq!(count(), boots);
    assert!(tries > 0);
    let facts = fs::read_to_string(tree.join("facts"))?;
    let lines: Vec<&str> = facts.lines().collect();
    assert_eq!(lines.len(), boots, "{facts}");
    let different: BTreeSet<&&str> = lines.iter().collect();
    assert_eq!(different.len(), 1, "id, ids of users, name and console stay: {different:?}");
    assert!(facts.contains("/dev/console") || facts.contains("/dev/pts/0"), "{facts}");
    before.assert_unchanged();
    Ok(())
}

pub fn the_terminal_stays_across_a_reboot(case: &mut Case) -> Outcome {
    let tree = case.busybox_tree("tree")?;
    fs::write(tree.join("boots"), "0")?;
    let script = "n=$(cat /boots); echo $((n+1)) >/boots; echo boot-$n-up; stty size; read x; echo got-$x; \
                  [ $n = 0 ] && reboot -f; poweroff -f";
    let mut terminal = Pty::open()?;
    terminal.resize(91, 37)?;
    let settings = format!("{:?}", terminal.settings()?);
    let program = case.spawn().args(["-q", "-M", &name_for(case), "-D"]).arg(&tree).args(["sh", "-c", script]);
    let mut child = terminal.start(&program)?;
    terminal.expect("boot-0-up", SOON);
    terminal.expect("37 91", SOON);
    assert_ne!(format!("{:?}", terminal.settings()?), settings, "raw while it runs");
    terminal.send("one\r")?;
    terminal.expect("got-one", SOON);
    terminal.expect("boot-1-up", SOON);
    terminal.expect("37 91", SOON);
    terminal.send("two\r")?;
    terminal.expect("got-two", SOON);
    assert_eq!(pty::wait(&mut child, SOON).code(), Some(0));
    assert_eq!(format!("{:?}", terminal.settings()?), settings, "as before");
    Ok(())
}

pub fn one_hundred_in_a_loop(case: &mut Case) -> Outcome {
    let before = HostState::take(case.dir());
    for n in 0..rounds("SPAWN_LOOP", 100) {
        let run = case.spawn().args(["-M", &name_for(case), "-D", BUSYBOX, "true"]).run();
        assert!(run.status.success() && run.stderr.is_empty(), "start {n}: {run}");
    }
    before.assert_unchanged();
    Ok(())
}

pub fn one_hundred_at_once(case: &mut Case) -> Outcome {
    let many = rounds("SPAWN_AT_ONCE", 100);
    let before = HostState::take(case.dir());
    let name = |n: usize| format!("{}-{n}", name_for(case));
    let mut guests: Vec<Guest> = (0..many)
        .map(|n| {
            let options = ["-x", "--quiet", "-D", BUSYBOX];
            let program = case.spawn().arg(format!("--machine={}", name(n))).args(options).args(["sleep", "600"]);
            Guest::of(program.start(), &name(n))
        })
        .collect();
    let list = || Program::new("machinectl").args(["list", "--no-legend", "--no-pager"]).run().stdout;
    until("all are registered", BOOT * 2, || {
        let listed = list();
        let missing = guests.iter().any(|g| !listed.lines().any(|l| l.split_whitespace().next() == Some(&g.name)));
        for guest in guests.iter_mut().filter(|_| missing) {
            assert!(guest.is_running(), "{} has ended early", guest.name);
        }
        !missing
    });
    let scopes: Vec<String> = guests.iter().map(Guest::scope).collect();
    Program::new("systemctl").arg("stop").args(&scopes).limit(BOOT * 2).run().expect_code(0);
    for guest in &mut guests {
        // sleep(1) does not listen to the signal that asks: PID 1 kills it.
        let status = guest.end(Duration::from_secs(30));
        assert_eq!(status.code(), Some(137), "{}", guest.name);
    }
    before.assert_unchanged();
    Ok(())
}
