// SPDX-License-Identifier: LGPL-2.1-or-later
//! The same command lines run by systemd-nspawn and by spawn under that name; what payload and host see is compared.

#[path = "../common/mod.rs"]
mod common;

use common::runner::{self, cases};
use common::{Case, Outcome, skip};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    runner::main(needs, cases![harness::nspawn_agrees_with_itself, harness::probe_sees_a_difference])
}

fn needs() -> Outcome {
    if !Path::new("/run/systemd/system").is_dir() {
        return skip("systemd is not PID 1 here; make check runs this in nested hosts");
    }
    Ok(())
}

/// Comparing works: equal command lines show nothing, different ones do.
mod harness {
    use super::*;

    const PROBE: &str = "id -u; pwd; hostname; cat /proc/self/status | grep -E '^(Cap|Seccomp|NoNewPrivs)'";

    fn probe(case: &Case, options: &[&str]) -> Result<String, crate::common::Reason> {
        let tree = case.dir().join("tree");
        if !tree.exists() {
            case.busybox_tree("tree")?;
        }
        let program = case.nspawn()?.arg("--quiet").arg("--directory").arg(&tree).args(options);
        Ok(program.args(["sh", "-c", PROBE]).run().expect_code(0).stdout)
    }

    pub fn nspawn_agrees_with_itself(case: &mut Case) -> Outcome {
        assert_eq!(probe(case, &[])?, probe(case, &[])?);
        Ok(())
    }

    pub fn probe_sees_a_difference(case: &mut Case) -> Outcome {
        assert_ne!(probe(case, &[])?, probe(case, &["--drop-capability=CAP_CHOWN"])?);
        Ok(())
    }
}
