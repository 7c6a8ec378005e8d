// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault injection over the system calls of a start without systemd.

use crate::common::faults::sweep;
use crate::common::{Case, Outcome};

pub fn d51_d58_every_call_fails_closed_without_user_namespace(case: &mut Case) -> Outcome {
    sweep(case, &["--private-users=no"])
}

pub fn d51_d58_every_call_fails_closed_with_user_namespace(case: &mut Case) -> Outcome {
    sweep(case, &["--private-users=1879048192:65536"])
}

pub fn every_call_fails_closed_with_stub_and_user(case: &mut Case) -> Outcome {
    sweep(case, &["--private-users=pick", "--as-pid2", "--user=user", "--private-network", "--read-only"])
}
