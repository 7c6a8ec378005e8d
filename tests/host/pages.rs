// SPDX-License-Identifier: LGPL-2.1-or-later
//! The examples of the manual pages, as a reader sees them.

/// What stands between `.nf` and `.fi`, but for the synopsis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The file that the text before it names.
    pub path: Option<String>,
    /// Without the margin.
    pub lines: Vec<String>,
}

/// What an example shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Commands, one a line.
    Commands,
    /// A settings file.
    File,
    /// What spawn says.
    Message,
}

impl Example {
    pub fn kind(&self) -> Kind {
        match self.lines.first() {
            Some(line) if line.starts_with('[') => Kind::File,
            Some(line) if line.starts_with("spawn: ") => Kind::Message,
            _ => Kind::Commands,
        }
    }

    pub fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

const MARGIN: &str = "    ";

/// Every example of a page, in order. Panics when something with a margin is in none.
pub fn examples(page: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let (mut section, mut path, mut block) = ("", None, None);
    for line in page.lines() {
        if let Some(name) = line.strip_prefix(".SH ") {
            (section, path) = (name, None);
        } else if line == ".nf" && section != "SYNOPSIS" {
            block = Some(Vec::new());
        } else if line == ".fi" {
            found.extend(block.take().map(|lines| Example { path: path.take(), lines }));
        } else if let Some(lines) = &mut block {
            let text = if line.is_empty() { "" } else { line.strip_prefix(MARGIN).expect("examples have a margin") };
            lines.push(plain(text));
        } else if let Some(file) = line.strip_prefix(".I").and_then(|words| words.split(' ').nth(1)) {
            path = Some(plain(file)).filter(|file| file.starts_with('/')).or(path);
        } else {
            assert!(section == "SYNOPSIS" || !line.starts_with(MARGIN), "an example without .nf: {line}");
        }
    }
    found
}

/// Roff's escapes as characters.
fn plain(line: &str) -> String {
    ["\\fI", "\\fB", "\\fR", "\\&"]
        .into_iter()
        .fold(line.to_owned(), |line, escape| line.replace(escape, ""))
        .replace("\\-", "-")
        .replace("\\(ti", "~")
        .replace("\\(ha", "^")
        .replace("\\e", "\\")
}
