// SPDX-License-Identifier: LGPL-2.1-or-later
//! Container trees.

use super::{Program, Reason, skip};
use std::path::Path;

/// The same script that the beds are made with.
const BUSYBOX_TREE: &str = include_str!("../bed/busybox-tree.sh");

/// Makes a tree of about 2 MB at `tree`, which must not exist.
pub fn make_busybox(tree: &Path) -> Result<(), Reason> {
    let output = Program::new("/bin/sh").args(["-c", BUSYBOX_TREE, "busybox-tree"]).arg(tree).run();
    match output.status.success() {
        true => Ok(()),
        false => skip(output.stderr),
    }
}

/// A copy of `from` at `to`, sharing blocks where the file system can.
pub fn copy(from: &Path, to: &Path) {
    Program::new("cp").args(["-a", "--reflink=auto", "--"]).arg(from).arg(to).run().expect_code(0);
}
