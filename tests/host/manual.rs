// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every example of the manual does what it is there for.

use crate::common::{Case, HostState, Outcome, Program, fail};
use crate::guest::{BOOT, Folder, Guest, debian_copy};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const SPAWN_1: &str = include_str!("../../man/spawn.1");
const SPAWN_JOURNAL_7: &str = include_str!("../../man/spawn-journal.7");

/// The commands of a page's section EXAMPLES.
fn examples(page: &str) -> Vec<String> {
    let section = page.split(".SH EXAMPLES\n").nth(1).unwrap_or_default();
    let section = section.split("\n.SH ").next().unwrap_or_default();
    let commands = section.lines().filter_map(|line| line.strip_prefix("    "));
    commands.map(|line| line.replace("\\-", "-").replace("\\e", "\\")).collect()
}

/// Runs a line with a shell, `spawn` being the program under test and nobody at the keyboard.
fn shell(case: &Case, line: &str) -> Program {
    let path = format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", case.dir().display());
    Program::new("/bin/sh").args(["-c", &format!("exec {line}")]).env("PATH", path).limit(BOOT)
}

fn boots(line: &str) -> bool {
    let mut words = line.split(' ');
    words.any(|word| word == "-b" || word == "--boot") && !line.contains("--dry-run")
}

pub fn every_example_works(case: &mut Case) -> Outcome {
    let of_spawn = examples(SPAWN_1);
    let of_journal = examples(SPAWN_JOURNAL_7);
    assert!(of_spawn.len() >= 5 && of_journal.len() >= 5, "{of_spawn:#?} {of_journal:#?}");
    if Path::new("/var/lib/machines/deb").exists() || Path::new("/srv/data").exists() {
        return fail("the names of the examples are taken here");
    }
    let _tree = debian_copy("deb")?;
    let data = Folder("/srv/data".into());
    fs::create_dir_all(&data.0)?;
    symlink(Case::spawn_path(), case.dir().join("spawn"))?;
    let before = HostState::take(case.dir());
    for line in &of_spawn {
        assert!(line.starts_with("spawn "), "not a command of ours: {line}");
        if boots(line) {
            let mut guest = Guest::of(shell(case, line).start(), "deb");
            guest.wait_booted();
            Program::new("machinectl").args(["poweroff", "deb"]).run().expect_code(0);
            assert_eq!(guest.end(BOOT).code(), Some(0), "{line}");
        } else {
            let run = shell(case, line).run().expect_code(0);
            let says = if line.contains("uname") { "Linux deb " } else { "" };
            let plan = if line.contains("--dry-run") { "/var/lib/machines/deb" } else { "" };
            assert!(run.stdout.contains(says) && run.stdout.contains(plan), "{run}");
        }
        before.assert_unchanged();
    }
    // The journal has something to show by now, but for failures.
    shell(case, "spawn -D /var/lib/machines/deb /no/such/program").run().expect_code(127);
    Program::new("journalctl").arg("--sync").run();
    for line in &of_journal {
        assert!(line.starts_with("journalctl "), "not a command of this page: {line}");
        let run = shell(case, &format!("{line} --no-pager")).run().expect_code(0);
        assert!(run.stdout.contains("deb") && !run.stdout.contains("No entries"), "{run}");
    }
    Ok(())
}
