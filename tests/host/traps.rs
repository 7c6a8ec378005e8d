// SPDX-License-Identifier: LGPL-2.1-or-later
//! Traps of systemd-nspawn's with systemd at hand; names begin with their numbers in `docs/differences.md`.

use crate::common::{Case, HostState, Outcome, fail};
use crate::guest::name_for;
use std::os::unix::fs::symlink;

/// Nothing of a start that fails late stays: no scope, no machine, no link, and the name can be had again.
pub fn d57_an_image_that_cannot_be_mounted_on_leaves_no_scope(case: &mut Case) -> Outcome {
    let tree = case.busybox_tree("tree")?;
    let before = HostState::take(case.dir());
    let name = name_for(case);
    for path in ["proc", "sys", "dev"] {
        let at = tree.join(path);
        for trap in ["file", "link"] {
            if at.is_dir() {
                std::fs::remove_dir(&at)?;
            }
            match trap {
                "file" => std::fs::write(&at, "")?,
                _ => symlink("/usr", &at)?,
            }
            for nspawn in [false, true] {
                let spawn = if nspawn { case.spawn_as_nspawn()? } else { case.spawn() };
                let run =
                    spawn.args(["-P", "-n", "-M", &name, "-D"]).arg(&tree).args(["/usr/bin/busybox", "true"]).run();
                if run.stderr.contains("panicked") || (trap == "file" && run.status.success()) {
                    return fail(format!("{path} is a {trap}: {run}"));
                }
                before.assert_unchanged();
            }
            std::fs::remove_file(&at)?;
        }
        std::fs::create_dir(&at)?;
    }
    case.spawn().args(["-M", &name, "-D"]).arg(&tree).arg("true").run().expect_code(0);
    before.assert_unchanged();
    Ok(())
}
