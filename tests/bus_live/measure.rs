// SPDX-License-Identifier: LGPL-2.1-or-later
//! How long the exchanges of a start take.

use super::*;

#[test]
#[ignore = "a measurement, not a test"]
fn measure() {
    let mut rows: [(&str, Vec<f64>); 4] =
        [("connect", vec![]), ("scope, back to back", vec![]), ("scope, after 0.5 s", vec![]), ("register", vec![])];
    let (unit, name) = ("bus-test-measure.scope", "bus-test-measure");
    for round in 0..40 {
        let spaced = round >= 20;
        if spaced {
            std::thread::sleep(Duration::from_millis(500));
        }
        let leader = Leader::new();
        let mut at = Instant::now();
        let mut lap = |row: usize| {
            rows[row].1.push(at.elapsed().as_secs_f64() * 1e3);
            at = Instant::now();
        };
        let mut bus = bus();
        lap(0);
        start(&mut bus, unit, &leader);
        lap(1 + usize::from(spaced));
        register(Some(&mut bus), &machine(name, &leader)).unwrap();
        lap(3);
        unregister(Some(&mut bus), name).unwrap();
        bus.stop_scope(unit).unwrap();
        bus.wait_unit_gone(unit).unwrap();
    }
    for (what, mut times) in rows {
        times.sort_by(f64::total_cmp);
        let n = times.len();
        println!(
            "{what:20} median {:.2} ms, 10 % {:.2}, 90 % {:.2} ({n})",
            times[n / 2],
            times[n / 10],
            times[n * 9 / 10]
        );
    }
}
