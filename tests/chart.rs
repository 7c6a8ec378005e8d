// SPDX-License-Identifier: LGPL-2.1-or-later
//! The picture of the bench's ratios that the README shows is that of the table below it.

#[path = "../benches/startup/chart.rs"]
mod chart;

use std::path::Path;

const README: &str = include_str!("../README.md");

#[test]
fn the_readme_shows_the_picture_of_its_table() {
    assert!(README.contains("](benches/startup.svg)"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/startup.svg");
    let drawn = chart::svg(README);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        return std::fs::write(path, drawn).unwrap();
    }
    let shipped = std::fs::read_to_string(path).unwrap();
    assert!(shipped == drawn, "benches/startup.svg is not that of README.md: UPDATE_EXPECT=1 cargo test --test chart");
}

#[test]
fn a_bar_is_as_long_as_its_ratio() {
    let table = "| what | launchers | ratio | p10–p90 | must (aim) |\n|---|---|---|---|---|\n\
                 | boot, <wall> | spawn / systemd-nspawn | 0.25 | 0.20–0.30 | 0.33 (0.20) |\n\
                 | boot, <wall> | spawn --private-users=no / crun --systemd-cgroup run | 5.00 | 4.00–6.00 |  |\n\
                 | boot, <wall> | spawn / spawn --private-users=no | 1.30 | 1.00–1.40 | 1.3 (1.1) |\n\
                 | what | launcher | unit | median | p10–p90 |\n";
    let svg = chart::svg(table);
    assert_eq!(svg.matches("<rect class=").count(), 2, "the program is not its own peer: {svg}");
    assert!(svg.contains("<rect class=\"fast\" x=\"320\" y=\"82.0\" width=\"50.0\" height=\"12\"/>"), "{svg}");
    // What is larger than the picture ends at its border and says so.
    assert!(svg.contains("<rect class=\"slow\" x=\"320\" y=\"102.0\" width=\"400.0\" height=\"12\"/>"), "{svg}");
    assert!(svg.contains(">5.00 →<") && svg.contains(">0.25<"), "{svg}");
    assert!(svg.contains("boot, &lt;wall&gt;") && svg.contains("spawn --private-users=no / crun<"), "{svg}");
    assert_eq!(svg, chart::svg(table));
}
