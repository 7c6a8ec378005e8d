// SPDX-License-Identifier: LGPL-2.1-or-later
//! Makes `.nspawn` files out of a seed: mostly lines that nearly make sense.

use super::settings_pools::*;
use spawn::config::{Invocation, Section, keys};
use std::fmt::Write as _;

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
    pub fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }
}

/// A value that suits the key more often than not.
fn value(random: &mut Random, key: &str) -> String {
    let pool: &[&str] = match key {
        _ if random.one_in(6) => random.pick(&[BOOLS, PATHS, NUMBERS, NAMES, MODES, WORDS, ODD, RANGES]),
        "Boot" | "ProcessTwo" | "Ephemeral" | "NotifyReady" | "NoNewPrivileges" | "SuppressSync" | "ReadOnly"
        | "Private" | "VirtualEthernet" | "PrivateUsersChown" => BOOLS,
        "Parameters" | "Environment" => WORDS,
        "User" | "Hostname" | "Bridge" | "Zone" | "BindUser" => NAMES,
        "Capability" | "AmbientCapability" | "DropCapability" => CAPABILITIES,
        "KillSignal" => SIGNALS,
        "MachineID" => IDS,
        "PrivateUsers" => random.pick(&[RANGES, BOOLS, MODES]),
        "SystemCallFilter" => CALLS,
        "RestrictAddressFamilies" => FAMILIES,
        "CPUAffinity" => CPUS,
        "Interface" | "MACVLAN" | "IPVLAN" | "VirtualEthernetExtra" => LINKS,
        "Port" => PORTS,
        "OOMScoreAdjust" | "PrivateUsersDelegate" => NUMBERS,
        "BindUserShell" => random.pick(&[BOOLS, PATHS]),
        _ if key.starts_with("Limit") => NUMBERS,
        "ResolvConf" | "LinkJournal" | "Timezone" | "Volatile" | "Personality" | "PrivateUsersOwnership" => {
            random.pick(&[MODES, MODES, BOOLS])
        }
        _ => PATHS,
    };
    let mut text = random.pick(pool).to_owned();
    match random.below(12) {
        0 => text = format!("{text} {}", random.pick(pool)),
        1 => text = format!("{text}:{}", random.pick(pool)),
        2 => text = format!("{text}{}", random.pick(ODD)),
        _ => {}
    }
    text
}

/// A whole file.
pub fn file(random: &mut Random) -> Vec<u8> {
    let table: Vec<(Section, &str)> = keys::all()
        .filter_map(|key| key.in_files_of(Invocation::SystemdNspawn))
        .map(|file| (file.section, file.name))
        .collect();
    let mut text = String::new();
    if random.one_in(40) {
        text.push('\u{feff}');
    }
    // Links that are wrong end the file, so not every file has any.
    let links = random.one_in(4);
    let mut section = None;
    for _ in 0..5 + random.below(40) {
        let (wanted, key) = table[random.below(table.len())];
        if matches!(key, "Interface" | "MACVLAN" | "IPVLAN") && !links {
            continue;
        }
        if section != Some(wanted) && !random.one_in(30) {
            // Writing to a String cannot fail.
            let _ = write!(text, "[{}]{}", wanted.name(), end(random));
            section = Some(wanted);
        }
        let value = value(random, key);
        line(random, &mut text, key, &value);
        if random.one_in(60) {
            let odd = random.pick(&[
                "[Foo]", "[X-Foo]", "[Exec", "[Ex ec]", "[exec]", "[Exec]]", "[x y]", "[Ex\"ec]", " [Exec]", "[Exec] ",
            ]);
            let _ = write!(text, "{odd}{}", end(random));
            section = None;
        }
    }
    let mut bytes = text.into_bytes();
    if random.one_in(30) && !bytes.is_empty() {
        let at = random.below(bytes.len());
        bytes[at] = [0, 0xff, b'\r', b'\\', 0xc3, b'\n', b'\t'][random.below(7)];
    }
    bytes
}

fn end(random: &mut Random) -> &'static str {
    match random.below(40) {
        0 => "\r\n",
        1 => "\n\n",
        2 => "\\\n",
        3 => " \n",
        4 => "\n\r",
        _ => "\n",
    }
}

fn line(random: &mut Random, text: &mut String, key: &str, value: &str) {
    let key = match random.below(50) {
        0 => key.to_lowercase(),
        1 => format!("X-{key}"),
        2 => format!("{key}x"),
        3 => format!("  {key}"),
        4 => format!("{key} "),
        5 => String::new(),
        6 => format!("# {key}"),
        7 => format!("{key}\\\n  "),
        _ => key.into(),
    };
    let equals = random.pick(&["=", "=", "=", "=", "=", " = ", "=\t", "==", "", "=\\\n", "= \\\n# comment\n"]);
    let _ = write!(text, "{key}{equals}{value}{}", end(random));
}
