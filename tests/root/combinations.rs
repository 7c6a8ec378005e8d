// SPDX-License-Identifier: LGPL-2.1-or-later
//! Settings that get into each other's way: what random starts have found.

use crate::common::{Case, Outcome};
use crate::support::*;

const USERS: [&str; 2] = ["--private-users=no", "-U"];

/// What hides paths comes from `/run/host`, wherever that is seen by then.
pub fn run_may_be_covered(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "wc -c </etc/passwd; test -e /run/host; echo $?";
    for name in BOTH {
        for users in USERS {
            for cover in ["--tmpfs=/run", "--bind=/etc:/run/host"] {
                let options = ["--pipe", users, cover, "--private-network", "--inaccessible=/etc/passwd"];
                let run = tree.called(case, name, &options)?.args(["/bin/sh", "-c", script]).run().expect_code(0);
                let there = if cover == "--tmpfs=/run" { "1" } else { "0" };
                assert_eq!(run.stdout, format!("0\n{there}\n"), "{name:?} {options:?}: {run}");
            }
        }
    }
    Ok(())
}

pub fn the_root_cannot_be_covered(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    std::os::unix::fs::symlink("/", tree.path.join("away"))?;
    for option in ["--inaccessible=/away", "--tmpfs=/away", "--bind=/etc:/away", "--overlay=+/etc::/away"] {
        for users in USERS {
            let run = tree.spawn(case, &[users, option]).arg("true").run().expect_code(125);
            assert_says(&run, " on /away: it is the root directory: Device or resource busy (EBUSY) [E0206]");
            assert_says(&run, &format!("asked for by {option}"));
            assert_says(&run, "help: choose another place");
        }
    }
    Ok(())
}

/// A program that opens nothing runs without a single descriptor.
pub fn no_descriptors_are_enough(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    for name in BOTH {
        for users in USERS {
            for options in [&["--rlimit=NOFILE=0"][..], &["--rlimit=NOFILE=0", "-a"], &["--rlimit=NOFILE=3:5", "-a"]] {
                tree.called(case, name, options)?.arg(users).arg("/usr/bin/true").run().expect_code(0);
                let missing = tree.called(case, name, options)?.arg(users).arg("/missing").run();
                assert_says(&missing, "cannot find /missing in the container");
            }
        }
    }
    Ok(())
}

pub fn a_filter_that_stops_the_start_is_named(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    for (option, what) in [
        ("--system-call-filter=~@process", "cannot set the capabilities"),
        ("--system-call-filter=~setresuid", "cannot become the user"),
        ("--system-call-filter=~execve execveat", "cannot execute the program"),
    ] {
        for users in USERS {
            let run = tree.spawn(case, &[users, option]).arg("true").run().expect_code(125);
            assert_says(&run, &format!("{what}: Operation not permitted (EPERM) [E0502]"));
            assert_says(&run, &format!("asked for by {option}"));
            assert_says(&run, "help: leave capset");
        }
    }
    Ok(())
}

pub fn a_console_that_is_covered_is_told(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    for users in USERS {
        for option in ["--tmpfs=/dev", "--bind=/etc:/dev/pts"] {
            let run = tree.spawn(case, &[users, "--console=read-only", option]).arg("true").run().expect_code(125);
            assert_says(&run, "cannot open the console: No such file or directory (ENOENT) [E0502]");
            assert_says(&run, &format!("asked for by {option}"));
            assert_says(&run, "leave /dev of the container as it is");
        }
        let run = tree.spawn(case, &[users, "--tmpfs=/proc/x"]).arg("true").run().expect_code(125);
        assert_says(&run, "choose another place: that file system lets nobody make directories");
    }
    Ok(())
}

/// Without a user namespace there are all ids, else those of the range.
pub fn a_user_outside_of_the_range_is_refused(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    tree.write("etc/group", "root:x:0:\nfar:x:70000:user\n")?;
    for name in BOTH {
        for user in ["70000", "4294967294", "user"] {
            let run = tree.called(case, name, &["--private-users=no", "-u", user])?.args(["id", "-u"]).run();
            run.expect_code(0);
            let run = tree.called(case, name, &["-U", "-u", user])?.arg("true").run();
            let run = run.expect_code(if name == Name::Spawn { 125 } else { 1 });
            assert_says(&run, &format!("cannot run the program as the user {user}: "));
            assert_says(&run, " is not among the container's ids, which are 0 to 65535 [E1002]");
            assert_says(&run, "asked for by -u");
        }
    }
    Ok(())
}
