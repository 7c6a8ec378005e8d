// SPDX-License-Identifier: LGPL-2.1-or-later
//! Makes `.nspawn` files out of a seed: mostly lines that nearly make sense.

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

/// Keys that younger releases have first.
const YOUNG: &[(&str, u32)] =
    &[("BindUserShell", 258), ("NamespacePath", 259), ("PrivateUsersDelegate", 260), ("RestrictAddressFamilies", 261)];

const BOOLS: &[&str] =
    &["yes", "no", "true", "False", "1", "0", "on", "OFF", "y", "t", "", "maybe", "-1", "2", "yes no"];
const PATHS: &[&str] = &[
    "/", "/a", "/a/b", "//a", "/a/", "/a/./b", "/a/../b", "a", "./a", "+/a", "+a", "", "/a b", "/proc/x", "/ä", "~",
    "/a\\:b", "/a:b", ":", "::", "/a:", ":/a",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "+1",
    "00",
    "01",
    "1000",
    "-1000",
    "1001",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "1K",
    "1.5G",
    "1M2K",
    "5%",
    "infinity",
    "inf",
    "0x10",
    " 1",
    "1 ",
    "1:2",
    "2:1",
    "1:infinity",
    "infinity:1",
    "1:2:3",
    ":1",
    "1:",
    "1s",
    "1min",
    "1h 30min",
    "5us",
    "20",
    "40",
    "41",
    "-20",
    "-21",
    "+19",
    "+20",
    "",
    "0b1",
    "0o7",
    "1e3",
    "1s:1min",
    "1d:1h",
];
const SIGNALS: &[&str] = &[
    "SIGTERM",
    "TERM",
    "term",
    "15",
    "0",
    "64",
    "65",
    "-1",
    "RTMIN",
    "SIGRTMIN+3",
    "RTMIN+30",
    "RTMIN+31",
    "RTMIN+",
    "RTMAX",
    "RTMAX-3",
    "RTMAX+1",
    "SIG",
    "SIGIOT",
    "IOT",
    "CLD",
    "POLL",
    "UNUSED",
    "SIG15",
    "33",
    "32",
    "",
];
const CAPABILITIES: &[&str] = &[
    "all",
    "CAP_CHOWN",
    "cap_chown",
    "chown",
    "CAP_FOO",
    "0",
    "40",
    "41",
    "62",
    "63",
    "64",
    "-1",
    "05",
    "CAP_",
    "CAP_CHOWN,CAP_KILL",
    "\"CAP_KILL\"",
    "CAP\\_KILL",
    "ALL",
    "cap_0",
    "0x5",
];
const NAMES: &[&str] = &[
    "root",
    "a",
    "a-b",
    "a_b",
    "-a",
    "a-",
    "a.b",
    ".a",
    "a.",
    "a..b",
    "1a",
    "1",
    "a b",
    "ä",
    "a:b",
    "a/b",
    "a@b",
    "a!b",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaaa",
    "all",
    "default",
    ".",
    "..",
    "%i",
    "a%b",
    "\"a\"",
    "a\\b",
    "A",
    "host0",
    "localhost.localdomain",
    "a$",
    "_a",
    "aaaaaaaaaaaa",
    "aaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "a\tb",
    "",
];
const MODES: &[&str] = &[
    "auto",
    "copy-host",
    "copy-static",
    "replace-stub",
    "bind-uplink",
    "delete",
    "off",
    "copy",
    "bind",
    "symlink",
    "host",
    "guest",
    "try-host",
    "try-guest",
    "state",
    "overlay",
    "chown",
    "map",
    "pick",
    "identity",
    "managed",
    "foreign",
    "Auto",
    "x86",
    "x86-64",
    "arm64",
    "i386",
    "native",
];
const FAMILIES: &[&str] = &[
    "AF_INET",
    "AF_INET6",
    "AF_UNIX",
    "AF_LOCAL",
    "af_inet",
    "INET",
    "none",
    "~none",
    "AF_FOO",
    "AF_NETLINK",
    "2",
    "~",
    "AF_ROUTE",
];
const CALLS: &[&str] = &["@mount", "mount", "@foo", "bpf", "~bpf", "no_such_call", "42", "@", "\"a b\"", "'a"];
const LINKS: &[&str] = &[
    "a",
    "a:b",
    "a:",
    ":b",
    "a:b:c",
    "eth0:host0",
    "a/b",
    "a:b/c",
    "aaaaaaaaaaaaaaaaa:b",
    "1",
    "a:1",
    "a:aaaaaaaaaaaaaaaaaaa",
];
const PORTS: &[&str] = &[
    "80",
    "80:81",
    "tcp:80",
    "udp:80:90",
    "icmp:1",
    "tcp:",
    "0",
    "65535",
    "65536",
    "tcp:0",
    "80:0",
    "80:81:82",
    "TCP:80",
    "tcp:udp:80",
    " 80",
    "080",
    "+80",
    "0x50",
];
const IDS: &[&str] = &[
    "0123456789abcdef0123456789abcdef",
    "01234567-89ab-cdef-0123-456789abcdef",
    "00000000000000000000000000000000",
    "0123456789ABCDEF0123456789ABCDEF",
    "0123456789abcdef0123456789abcde",
    "0123456789abcdef0123456789abcdeg",
    "012345678-9ab-cdef-0123-456789abcdef",
    "",
];
const RANGES: &[&str] = &[
    "0",
    "1",
    "2",
    "65535",
    "65536",
    "65536:65536",
    "5:0",
    "4294967295",
    "4294967294:1",
    "4294967293:1",
    "1:x",
    ":1",
    "1:",
    "x",
    "1:2:3",
    "-1",
    "01",
    "+5",
    " 5",
    "5:05",
    "5:+5",
    "0x10",
];
const CPUS: &[&str] =
    &["0", "0-3", "0,2", "0 1", "3-1", "x", "", "0-", "-1", "8191", "8192", "0-3,x", "\"0 1\"", "00", "1,,2", "+1"];
const WORDS: &[&str] = &[
    "A=b",
    "A=b C=d",
    "'A=b c' D=e",
    "\"A=b\" 'x",
    "A=\\\"",
    "A=b\\ c",
    "A='b c'd",
    "A=",
    "-x --y",
    "''",
    "\"\"",
    "\\",
    "a\\\\",
    "A=ä",
    "A=\u{7f}",
    "A=\u{1}",
];
const ODD: &[&str] = &[
    "\u{feff}",
    "\u{fffe}",
    "\u{fdd0}",
    "\u{10ffff}",
    "\u{7f}",
    "\u{1}",
    "=",
    "[x]",
    "#",
    ";",
    "\"",
    "'",
    "\\",
    "\\\\",
];

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

/// A whole file for this release of systemd.
pub fn file(random: &mut Random, release: u32) -> Vec<u8> {
    let known = |name: &str| YOUNG.iter().all(|(young, since)| *young != name || release >= *since);
    let table: Vec<(Section, &str)> = keys::all()
        .filter_map(|key| key.in_files_of(Invocation::SystemdNspawn))
        .map(|file| (file.section, file.name))
        .filter(|(_, name)| known(name))
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
            let _ = write!(text, "[{}]{}", wanted.name(), section_end(random, release));
            section = Some(wanted);
        }
        let value = value(random, key);
        if release < 258 && differs_in_old_releases(key, &value) {
            continue;
        }
        line(random, &mut text, key, &value);
        if random.one_in(60) {
            let odd = random.pick(&[
                "[Foo]", "[X-Foo]", "[Exec", "[Ex ec]", "[exec]", "[Exec]]", "[x y]", "[Ex\"ec]", " [Exec]", "[Exec] ",
            ]);
            let _ = write!(text, "{odd}{}", section_end(random, release));
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

/// Up to 257 bad CPUs end the file, a backslash ends it in names of links, and two modes are not known.
fn differs_in_old_releases(key: &str, value: &str) -> bool {
    match key {
        "CPUAffinity" => !value.bytes().all(|b| b.is_ascii_digit()),
        "Interface" | "MACVLAN" | "IPVLAN" => value.contains('\\'),
        "PrivateUsers" | "PrivateUsersOwnership" => value.contains("managed") || value.contains("foreign"),
        _ => false,
    }
}

/// Up to 257 a header that the next line continues is one of a section that is not known.
fn section_end(random: &mut Random, release: u32) -> &'static str {
    let end = end(random);
    if release < 258 && end.starts_with('\\') { "\n" } else { end }
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
