// SPDX-License-Identifier: LGPL-2.1-or-later
//! Launching as root on a machine without systemd. `tests/check` runs this in namespaces of its own.

#[path = "../common/mod.rs"]
mod common;
mod faults;

use common::runner::{self, cases};
use common::{Case, HostState, Outcome, Pty, skip};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    runner::main(
        needs,
        cases![
            harness::busybox_tree_has_a_shell,
            harness::host_state_sees_a_mount,
            harness::pty_talks,
            faults::every_call_fails_closed_without_user_namespace[300],
            faults::every_call_fails_closed_with_user_namespace[300],
            faults::every_call_fails_closed_with_stub_and_user[300],
            faults::killed_supervisor_leaves_nothing[300],
            faults::killed_supervisor_leaves_no_link[300],
            faults::supervisor_and_keeper_killed,
            faults::supervisor_and_keeper_killed_with_link,
            faults::killed_keeper_is_replaced,
            faults::hup_quit_and_term_are_orderly,
            faults::hundred_at_once[300],
            faults::tree_in_use,
            faults::name_in_use,
            faults::not_a_tree,
            faults::read_only_host,
            faults::tree_without_idmap,
        ],
    )
}

fn needs() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return skip("needs root");
    }
    Ok(())
}

/// The harness itself: a tree, the picture of the host, a terminal.
mod harness {
    use super::*;
    use crate::common::{Program, pty};

    pub fn busybox_tree_has_a_shell(case: &mut Case) -> Outcome {
        let tree = case.busybox_tree("tree")?;
        let output =
            Program::new("/usr/sbin/chroot").arg(&tree).args(["/bin/sh", "-c", "cat; exit 7"]).stdin("in").run();
        assert_eq!(output.expect_code(7).stdout, "in");
        Ok(())
    }

    pub fn host_state_sees_a_mount(case: &mut Case) -> Outcome {
        let before = HostState::take(case.dir());
        before.assert_unchanged();
        let mount = Program::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(case.dir()).run();
        if !mount.status.success() {
            return skip(format!("cannot mount here: {}", mount.stderr));
        }
        let after = HostState::take(case.dir());
        Program::new("umount").arg(case.dir()).run().expect_code(0);
        assert_ne!(before, after);
        before.assert_unchanged();
        Ok(())
    }

    pub fn pty_talks(case: &mut Case) -> Outcome {
        let tree = case.busybox_tree("tree")?;
        let mut terminal = Pty::open()?;
        terminal.resize(101, 33)?;
        let shell = Program::new(tree.join("usr/bin/busybox")).args(["sh", "-c", "tty; stty size; read x; exit $x"]);
        let mut child = terminal.start(&shell)?;
        terminal.expect("/dev/pts/", Duration::from_secs(5));
        terminal.expect("33 101", Duration::from_secs(5));
        terminal.send("3\n")?;
        assert_eq!(pty::wait(&mut child, Duration::from_secs(5)).code(), Some(3));
        Ok(())
    }
}
