// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a filter costs. Figures, not limits: run with `--release -- --ignored --nocapture`.

use super::*;
use std::time::Instant;

#[test]
#[ignore = "prints figures"]
fn time_to_compile() {
    for posture in [Posture::Spawn, Posture::SystemdNspawn] {
        for machine in Machine::ALL {
            let request = FilterRequest { machine, ..request(posture) };
            let first = Instant::now();
            let length = compile(&request).unwrap().program.len();
            let first = first.elapsed();
            let many = Instant::now();
            (0..1000).for_each(|_| drop(std::hint::black_box(compile(&request))));
            let each = many.elapsed() / 1000;
            println!("{posture:?} {machine:?}: {length} instructions, first {first:?}, then {each:?}");
        }
    }
}
