// SPDX-License-Identifier: LGPL-2.1-or-later
//! The figures as Markdown and as JSON.

use crate::launchers::Bench;
use crate::measure::Samples;
use std::fmt::Write;
use std::process::Command;

/// The values of one launcher in one row.
pub struct Figure {
    key: String,
    what: String,
    who: String,
    unit: &'static str,
    samples: Samples,
}

impl Figure {
    /// `key` is the row's in `--rows=`.
    pub fn new(key: &str, what: &str, who: &str, unit: &'static str, samples: &Samples) -> Self {
        Self { key: key.into(), what: what.into(), who: who.into(), unit, samples: samples.clone() }
    }
}

struct Ratio {
    what: String,
    pair: String,
    value: f64,
    spread: (f64, f64),
    must: String,
}

/// Everything that was measured.
#[derive(Default)]
pub struct Table {
    figures: Vec<Figure>,
    ratios: Vec<Ratio>,
}

impl Table {
    /// Adds a launcher's values.
    pub fn figure(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// Adds a comparison: the ratio of the medians, with the spread of the ratios of each round. `must` is what the
    /// project holds itself to, with what it aims at in brackets.
    pub fn ratio(&mut self, what: &str, pair: &str, ours: &Samples, theirs: &Samples, must: &str) {
        let mut each = Samples::default();
        ours.values().iter().zip(theirs.values()).for_each(|(a, b)| each.push(a / b));
        self.ratios.push(Ratio {
            what: what.into(),
            pair: pair.into(),
            value: ours.median() / theirs.median(),
            spread: (each.quantile(0.1), each.quantile(0.9)),
            must: must.into(),
        });
    }

    /// The tables, as they stand in the README.
    pub fn markdown(&self, bench: &Bench) -> String {
        let mut out = String::new();
        let mut line = |text: String| writeln!(out, "{text}").expect("a string takes text");
        line(format!("{}; {} rounds, launchers interleaved.", conditions(bench).join("; "), bench.rounds));
        line("Ratios are of medians, with the 10th and 90th percentile of the single rounds.".into());
        line("CPU time is that of the launcher and of all its processes, without PID 1, machined and the bus. A capability that the host lacks is asked for by none.".into());
        line(String::new());
        line("| what | launchers | ratio | p10–p90 | must (aim) |".into());
        line("|---|---|---|---|---|".into());
        for r in &self.ratios {
            let digits = if r.value.abs() < 0.1 { 3 } else { 2 };
            line(format!(
                "| {} | {} | {:.digits$} | {:.digits$}–{:.digits$} | {} |",
                r.what, r.pair, r.value, r.spread.0, r.spread.1, r.must
            ));
        }
        line(String::new());
        line("| what | launcher | unit | median | p10–p90 |".into());
        line("|---|---|---|---|---|".into());
        for f in &self.figures {
            let digits = if f.samples.median() >= 100.0 { 0 } else { 2 };
            line(format!(
                "| {} | {} | {} | {:.digits$} | {:.digits$}–{:.digits$} |",
                f.what,
                f.who,
                f.unit,
                f.samples.median(),
                f.samples.quantile(0.1),
                f.samples.quantile(0.9),
            ));
        }
        out
    }

    /// Every value.
    pub fn json(&self, bench: &Bench) -> String {
        let figures: Vec<_> = self
            .figures
            .iter()
            .map(|f| {
                serde_json::json!({ "row": f.key, "what": f.what, "launcher": f.who, "unit": f.unit,
                    "median": f.samples.median(), "count": f.samples.len(), "values": f.samples.values() })
            })
            .collect();
        let ratios: Vec<_> = self
            .ratios
            .iter()
            .map(|r| {
                serde_json::json!({ "what": r.what, "launchers": r.pair, "ratio": r.value,
                    "p10": r.spread.0, "p90": r.spread.1, "must": r.must })
            })
            .collect();
        let all = serde_json::json!({ "conditions": conditions(bench), "rounds": bench.rounds, "ratios": ratios, "figures": figures });
        serde_json::to_string_pretty(&all).expect("plain data") + "\n"
    }
}

/// Machine, kernel and versions.
fn conditions(bench: &Bench) -> Vec<String> {
    let first_line = |program: &std::ffi::OsStr, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok()?;
        String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ")).map(|(_, m)| m.to_owned());
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut all = vec![
        format!("{count} × {}", model.unwrap_or_else(|| std::env::consts::ARCH.into())),
        format!("Linux {}", kernel.trim_end()),
        format!("load {} at the end", load.split(' ').next().unwrap_or("unknown")),
    ];
    let programs: [(&std::ffi::OsStr, &str); 4] = [
        (bench.spawn.as_os_str(), "--version"),
        ("systemctl".as_ref(), "--version"),
        ("crun".as_ref(), "--version"),
        ("bwrap".as_ref(), "--version"),
    ];
    all.extend(programs.iter().filter_map(|(program, argument)| first_line(program, argument)));
    all
}
