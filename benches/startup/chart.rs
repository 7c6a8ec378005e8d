// SPDX-License-Identifier: LGPL-2.1-or-later
//! The table of ratios as a picture: a bar for each comparison with another launcher. It is drawn from the Markdown, so
//! that the picture in the README shows the numbers beside it and no others.

use std::fmt::Write as _;

/// Where bars begin, in pixels; labels are to the left of it.
const LEFT: f64 = 320.0;
/// Pixels for a ratio of 1.
const UNIT: f64 = 200.0;
/// The largest ratio that is drawn in full.
const LIMIT: f64 = 2.0;
const WIDTH: f64 = LEFT + LIMIT * UNIT + 90.0;
const LINE: f64 = 20.0;
/// Height of what stands above the first row.
const TOP: f64 = 58.0;

/// A row of the first table.
struct Bar<'a> {
    what: &'a str,
    ours: &'a str,
    peer: &'a str,
    ratio: f64,
    /// As the table has it.
    number: &'a str,
    spread: (f64, f64),
}

/// The picture of the ratios in the text of the report. Comparisons of the program with itself are left out.
pub fn svg(markdown: &str) -> String {
    let bars: Vec<Bar> = markdown.lines().filter_map(bar).collect();
    let mut headings: Vec<&str> = Vec::new();
    for bar in &bars {
        if !headings.contains(&bar.what) {
            headings.push(bar.what);
        }
    }
    let mut body = String::new();
    let mut y = TOP;
    for heading in headings {
        text(&mut body, 10.0, y + 14.0, "head", heading);
        y += LINE;
        for bar in bars.iter().filter(|bar| bar.what == heading) {
            draw(&mut body, y, bar);
            y += LINE;
        }
        y += 6.0;
    }
    let bottom = y + 6.0;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {0}\" width=\"{WIDTH}\" height=\"{0}\">\n\
         <!-- SPDX-License-Identifier: LGPL-2.1-or-later; drawn by benches/startup/chart.rs -->\n\
         <style>text {{ font: 12px sans-serif; fill: #222 }} .head {{ font-weight: bold }} .title {{ font-size: 15px }} \
         .fast {{ fill: #2a7f62 }} .slow {{ fill: #c2703d }} .number {{ paint-order: stroke; stroke: #fff; stroke-width: 4 }} .line {{ stroke: #222; stroke-width: 1 }}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>",
        bottom + 10.0
    );
    text(&mut out, 10.0, 24.0, "title", "Time and memory of spawn in proportion to other launchers: shorter is better");
    text(&mut out, LEFT + UNIT - 26.0, TOP - 8.0, "scale", "the same");
    let _ = writeln!(
        out,
        "<path class=\"line\" stroke-dasharray=\"3 3\" d=\"M{0} {1}V{bottom}\"/>",
        LEFT + UNIT,
        TOP - 4.0
    );
    out + &body + "</svg>\n"
}

/// `| what | ours / theirs | ratio | p10–p90 | must |`
fn bar(line: &str) -> Option<Bar<'_>> {
    let cells: Vec<&str> = line.strip_prefix("| ")?.split(" | ").collect();
    let [what, pair, ratio, spread, _] = cells[..] else { return None };
    let (ours, peer) = pair.split_once(" / ")?;
    let (low, high) = spread.split_once('–')?;
    let is_ours = peer == "spawn" || peer.starts_with("spawn ");
    let bar = Bar {
        what,
        ours,
        peer,
        ratio: ratio.parse().ok()?,
        number: ratio,
        spread: (low.parse().ok()?, high.parse().ok()?),
    };
    (!is_ours).then_some(bar)
}

fn draw(out: &mut String, y: f64, bar: &Bar) {
    let at = |ratio: f64| LEFT + ratio.min(LIMIT) * UNIT;
    let middle = y + LINE / 2.0;
    // What is left of the options when there is room for no more.
    let ours = if bar.ours.chars().count() > 30 { "spawn without scope" } else { bar.ours };
    let label = format!("{ours} / {}", bar.peer.split(' ').next().unwrap_or(bar.peer));
    text(out, 24.0, middle + 4.0, "label", &label);
    let class = if bar.ratio <= 1.0 { "fast" } else { "slow" };
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\"/>",
        middle - 6.0,
        at(bar.ratio) - LEFT
    );
    let (low, high) = (at(bar.spread.0), at(bar.spread.1));
    let _ = writeln!(out, "<path class=\"line\" d=\"M{low:.1} {middle:.1}H{high:.1}\"/>");
    let beyond = if bar.ratio > LIMIT { " →" } else { "" };
    text(out, at(bar.ratio).max(high) + 8.0, middle + 4.0, "number", &format!("{}{beyond}", bar.number));
}

fn text(out: &mut String, x: f64, y: f64, class: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}
