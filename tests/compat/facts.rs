// SPDX-License-Identifier: LGPL-2.1-or-later
//! What was seen of one run, as keys and values that two runs of the same command line share.

use std::collections::BTreeMap;
use std::path::Path;

/// Marks around what the probe says.
pub const BEGIN: &str = "<<<facts\n";
pub const END: &str = ">>>facts";

/// Key → value, all that was seen.
#[derive(Debug, Default, Clone)]
pub struct Facts {
    pub fields: BTreeMap<String, String>,
    /// What was said to a person, for reports: it is not compared.
    pub said: String,
}

impl Facts {
    /// Adds a fact. What is seen twice (a mount above another, a variable that is set again) is counted, and the later one
    /// holds, as it does for the payload.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        if self.fields.insert(key.to_owned(), value.into()).is_some() {
            let again = self.fields.entry(format!("{key}#times")).or_insert_with(|| "1".to_owned());
            *again = format!("{}", again.parse::<u32>().unwrap_or(1) + 1);
        }
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str)
    }
}

/// What differs from run to run and from place to place, and the word for it.
pub struct Masks {
    words: Vec<(String, &'static str)>,
    ids: Vec<String>,
    namespaces: BTreeMap<String, String>,
}

impl Masks {
    /// `ids` are the 128-bit ids that are meant, all others are random.
    pub fn new(tree: &Path, dir: &Path, launcher: &Path, ids: &[&str]) -> Self {
        let words = vec![
            (launcher.display().to_string(), "<launcher>"),
            (tree.display().to_string(), "<tree>"),
            (dir.display().to_string(), "<dir>"),
        ];
        let namespaces = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"]
            .iter()
            .filter_map(|name| {
                let target = std::fs::read_link(format!("/proc/self/ns/{name}")).ok()?;
                Some((format!("ns.{name}"), target.display().to_string()))
            })
            .collect();
        let mut ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        ids.extend(read_line("/etc/machine-id"));
        Self { words, ids, namespaces }
    }

    /// The value without what is random.
    pub fn apply(&self, key: &str, value: &str) -> String {
        if let Some(host) = self.namespaces.get(key) {
            return if host == value { "the host's" } else { "its own" }.to_owned();
        }
        if key == "boot-id" && read_line("/proc/sys/kernel/random/boot_id").as_deref() == Some(value) {
            return "the host's".to_owned();
        }
        // Signals 32 and 33 are the C library's own: whether a caller's ignoring of them is inherited depends on its version.
        if key == "status.SigIgn"
            && let Ok(mask) = u64::from_str_radix(value, 16)
        {
            return format!("{:016x}", mask & !(0b11 << 31));
        }
        let mut text = value.to_owned();
        for (word, mask) in &self.words {
            text = text.replace(word.as_str(), mask);
        }
        self.mask_ids(&without_suffixes(&text))
    }

    fn mask_ids(&self, text: &str) -> String {
        let mut masked = String::new();
        let is_id = |c: char| c.is_ascii_hexdigit() || c == '-';
        let mut rest = text;
        while let Some(start) = rest.find(is_id) {
            masked.push_str(&rest[..start]);
            let run = &rest[start..];
            let end = run.find(|c| !is_id(c)).unwrap_or(run.len());
            let word = &run[..end];
            let digits: String = word.chars().filter(char::is_ascii_hexdigit).collect();
            let known = self.ids.iter().any(|id| id.replace('-', "") == digits);
            let shaped = matches!((digits.len(), word.len()), (32, 32 | 36));
            masked.push_str(if shaped && !known { "<id>" } else { word });
            rest = &run[end..];
        }
        masked + rest
    }
}

/// Names of temporary files end in 16 random hexadecimal digits.
fn without_suffixes(text: &str) -> String {
    let Some((before, rest)) = text.split_once(".#") else { return text.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    let stem = name.len().checked_sub(16).and_then(|at| name.get(..at)).unwrap_or(name);
    format!("{before}.#{stem}<random>{after}")
}

fn read_line(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// Takes the probe's lines out of an output; the rest of the output.
pub fn take_probe(output: &str, masks: &Masks, facts: &mut Facts) -> String {
    // A terminal that is not raw adds its own carriage returns to those of the container's.
    let text = output.replace('\r', "");
    let Some((before, rest)) = text.split_once(BEGIN) else { return text };
    let (inside, after) = rest.split_once(END).unwrap_or((rest, ""));
    for line in inside.lines() {
        match line.split_once('=') {
            Some((key, value)) => facts.add(key, masks.apply(key, value)),
            None => facts.add("probe.line", line),
        }
    }
    format!("{before}{}", after.strip_prefix('\n').unwrap_or(after))
}

/// What kind of text a stream carried: what a person reads is worded differently, whether there is any is not.
pub fn class(text: &str) -> &'static str {
    let mut visible = String::new();
    let mut chars = text.chars();
    let mut escapes = false;
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            visible.push(c);
            continue;
        }
        escapes = true;
        match chars.next() {
            // CSI: up to its final byte.
            Some('[') => drop(chars.by_ref().find(|c| ('@'..='~').contains(c))),
            // OSC and its like: up to BEL or ST.
            Some(']' | 'P' | '_') => drop(chars.by_ref().find(|c| *c == '\x07' || *c == '\\')),
            _ => {}
        }
    }
    match (visible.trim().is_empty(), escapes) {
        (true, false) => "nothing",
        (true, true) => "control sequences",
        (false, _) => "words",
    }
}
