// SPDX-License-Identifier: LGPL-2.1-or-later
//! Starting on the suite's own kernel, which may lack what newer ones have.

use crate::common::{Case, Outcome, Program};
use crate::{PATIENCE, Running, spawn, wait_within};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

pub fn as_every_user_namespace_asks_for(case: &mut Case) -> Outcome {
    let starts: [(&[&str], &str); 6] = [
        (&[], "shifted"),
        (&["--private-users=no"], "0 0 4294967295"),
        (&["--private-users=identity"], "0 0 65536"),
        (&["--private-users=pick"], "shifted"),
        (&["--private-users=1000000:65536"], "0 1000000 65536"),
        (&["-U", "--private-network"], "shifted"),
    ];
    for (options, want) in starts {
        let (program, _) = spawn(case, "users")?;
        let run = program.args(options).args(["sh", "-c", "echo $(cat /proc/self/uid_map)"]).run().expect_code(0);
        let map: Vec<&str> = run.stdout.split_whitespace().collect();
        match want {
            "shifted" => {
                assert_eq!((map[0], map[2]), ("0", "65536"), "{run}");
                let first: u32 = map[1].parse()?;
                assert!(first >= 0x80000 && first.is_multiple_of(0x10000), "{run}");
            }
            _ => assert_eq!(map.join(" "), want, "{run}"),
        }
    }
    Ok(())
}

pub fn an_idmapped_root_on_ext4_keeps_the_owners(case: &mut Case) -> Outcome {
    let (program, tree) = spawn(case, "mapped")?;
    let script = "stat -c %u:%g /usr && touch /made && chown 7:8 /made && stat -c %u:%g /made";
    let program = program.args(["--private-users=pick", "--private-users-ownership=map", "sh", "-c", script]);
    assert_eq!(program.run().expect_code(0).stdout, "0:0\n7:8\n");
    let made = fs::metadata(tree.join("made"))?;
    assert_eq!((made.uid(), made.gid()), (7, 8));
    assert_eq!(fs::metadata(tree.join("usr"))?.uid(), 0);
    Ok(())
}

pub fn by_every_way_to_run_a_program(case: &mut Case) -> Outcome {
    let ways: [&[&str]; 9] = [
        &[],
        &["--as-pid2"],
        &["--ephemeral"],
        &["--read-only"],
        &["--volatile=no", "--network-veth"],
        &["--register=no"],
        &["--keep-unit", "--register=no"],
        &["--console=pipe"],
        &["--bind=/etc:/mnt", "--tmpfs=/opt", "--inaccessible=/home"],
    ];
    for options in ways {
        let (program, _) = spawn(case, "ways")?;
        let run = program.args(options).args(["sh", "-c", "echo pid $$; exit 7"]).run();
        let pid = if options == ["--as-pid2"] { "pid 2\n" } else { "pid 1\n" };
        let run = run.expect_code(7);
        assert_eq!(run.stdout, pid, "{run}");
    }
    Ok(())
}

pub fn a_debian_tree_boots_reboots_and_powers_off(case: &mut Case) -> Outcome {
    let program = case.spawn().args(["--boot", "--machine=booted", "-D", "/var/lib/machines/debian", "--ephemeral"]);
    let mut running = Running::start(case, &program)?;
    // systemctl waits for the guest's bus, which comes late in its boot.
    let ask = |program: &str| Program::new(program).limit(PATIENCE);
    let state = || ask("systemctl").args(["-M", "booted", "is-system-running"]).run().stdout;
    // Not -P, which the machinectl of systemd 252 does not know.
    let leader = || ask("machinectl").args(["show", "booted", "--value", "-p", "Leader"]).run().stdout;
    let booting = Duration::from_secs(180);
    wait_within(booting, "the boot", || matches!(state().trim(), "running" | "degraded"));
    let first = leader();
    assert_ne!(first.trim(), "", "machined knows the leader");
    ask("machinectl").args(["reboot", "booted"]).run().expect_code(0);
    wait_within(booting, "the reboot", || !matches!(leader(), again if again == first || again.is_empty()));
    wait_within(booting, "the second boot", || matches!(state().trim(), "running" | "degraded"));
    ask("machinectl").args(["poweroff", "booted"]).run().expect_code(0);
    assert_eq!(running.end(), Some(0), "{}", running.said());
    Ok(())
}

pub fn nothing_is_left(_: &mut Case) -> Outcome {
    let scopes = Program::new("systemctl").args(["list-units", "--all", "--plain", "--no-legend", "*.scope"]).run();
    let ours = |line: &&str| !line.starts_with("init.scope") && !line.starts_with("session-");
    assert_eq!(scopes.stdout.lines().filter(ours).collect::<Vec<_>>(), [""; 0]);
    let list = Program::new("machinectl").args(["list", "--no-legend"]).run().expect_code(0);
    assert_eq!(list.stdout, "");
    let log = Program::new("journalctl").args(["--dmesg", "--output=cat", "--grep=BUG:|Oops|segfault"]);
    let kernel = log.limit(Duration::from_secs(60)).run();
    assert!(!kernel.stdout.contains("spawn"), "{kernel}");
    Ok(())
}
