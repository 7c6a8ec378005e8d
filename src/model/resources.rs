// SPDX-License-Identifier: LGPL-2.1-or-later
//! Resources of the payload, filters, ports.

use super::words::number;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A signal by number, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Signal(pub(super) u8);

impl Signal {
    /// The kernel's number.
    pub fn number(self) -> i32 {
        self.0.into()
    }
}

/// The resources of setrlimit(2), in the kernel's numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct RlimitResource(pub(super) u8);

impl RlimitResource {
    /// The kernel's number.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// `NAME=SOFT[:HARD]` of `--rlimit=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rlimit {
    /// Which.
    pub resource: RlimitResource,
    /// `u64::MAX` is infinity.
    pub soft: u64,
    /// `u64::MAX` is infinity. Never below `soft`.
    pub hard: u64,
}

/// CPUs of `--cpu-affinity=`: a bit each, in words as sched_setaffinity(2) has them; the last word is not 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuList(Vec<u64>);

impl CpuList {
    /// The CPUs' numbers, in order.
    pub fn cpus(&self) -> impl Iterator<Item = u32> {
        let words = (0u32..).zip(&self.0);
        words.flat_map(|(at, word)| (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| at * 64 + bit))
    }
    /// The bits as sched_setaffinity(2) takes them.
    pub fn mask(&self) -> &[u64] {
        &self.0
    }
    /// Those of both.
    pub fn union(mut self, other: &Self) -> Self {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(word, more)| *word |= more);
        self
    }
    /// Adds all from `first` to `last`.
    fn add(&mut self, first: u32, last: u32) {
        let (low, high) = ((first / 64) as usize, (last / 64) as usize);
        self.0.resize(self.0.len().max(high + 1), 0);
        for at in low..=high {
            let from = if at == low { u64::MAX << (first % 64) } else { u64::MAX };
            let to = if at == high { u64::MAX >> (63 - last % 64) } else { u64::MAX };
            self.0[at] |= from & to;
        }
    }
}

/// As a list of numbers.
impl Serialize for CpuList {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.cpus())
    }
}

/// `--personality=`: a value for personality(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Personality(pub(super) u64);

impl Personality {
    /// The value for personality(2).
    pub fn raw(self) -> u64 {
        self.0
    }
}

/// One value of `--system-call-filter=` or `--restrict-address-families=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilterWords {
    /// Introduced by `~`.
    pub deny: bool,
    /// Names, `@groups`, address families or `none`.
    pub words: Vec<String>,
}

/// Transport protocol of a forwarded port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

/// `[PROTO:]HOST[:CONTAINER]` of `--port=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct PortForward {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port on the host.
    pub host: u16,
    /// Port in the container.
    pub container: u16,
}

/// More than any kernel can be built for (8192 on the largest).
const CPUS_MAX: u32 = 1 << 13;

impl FromStr for CpuList {
    type Err = String;
    /// Numbers and ranges with commas or blanks between them.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("must be CPUs and ranges below {CPUS_MAX}, as in 0-3,7");
        let mut cpus = Self::default();
        for word in text.split([',', ' ', '\t', '\n']).filter(|w| !w.is_empty()) {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let cpu = |text| number(text).and_then(|n| u32::try_from(n).ok());
            let first = cpu(first).ok_or_else(bad)?;
            let last = cpu(last).filter(|n| (first..CPUS_MAX).contains(n)).ok_or_else(bad)?;
            cpus.add(first, last);
        }
        if cpus.0.is_empty() { Err(bad()) } else { Ok(cpus) }
    }
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus: Vec<u32> = self.cpus().collect();
        let runs = cpus.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
            [one] => one.to_string(),
            run => format!("{}-{}", run[0], run[run.len() - 1]),
        });
        f.write_str(&runs.collect::<Vec<_>>().join(" "))
    }
}

const PER_LINUX: u64 = 0;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const PER_LINUX32: u64 = 8;

/// The names of the native and of the 32-bit architecture that the kernel can show (personality(2)).
const PERSONALITIES: &[(&str, u64)] = &[
    #[cfg(target_arch = "x86_64")]
    ("x86-64", PER_LINUX),
    #[cfg(target_arch = "x86_64")]
    ("x86", PER_LINUX32),
    #[cfg(target_arch = "aarch64")]
    ("arm64", PER_LINUX),
    #[cfg(target_arch = "aarch64")]
    ("arm", PER_LINUX32),
    #[cfg(target_arch = "riscv64")]
    ("riscv64", PER_LINUX),
    #[cfg(target_arch = "s390x")]
    ("s390x", PER_LINUX),
    #[cfg(target_arch = "powerpc64")]
    (if cfg!(target_endian = "little") { "ppc64-le" } else { "ppc64" }, PER_LINUX),
];

impl FromStr for Personality {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        PERSONALITIES.iter().find(|(name, _)| *name == text).map(|(_, raw)| Self(*raw)).ok_or_else(|| {
            let names: Vec<_> = PERSONALITIES.iter().map(|(name, _)| *name).collect();
            format!("must be one of {}", names.join(", "))
        })
    }
}

impl fmt::Display for Personality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PERSONALITIES.iter().find(|(_, raw)| *raw == self.0).map_or("unknown", |(name, _)| name))
    }
}

impl FromStr for FilterWords {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (deny, list) = match text.strip_prefix('~') {
            Some(list) => (true, list),
            None => (false, text),
        };
        let words: Vec<String> = list.split_ascii_whitespace().map(str::to_string).collect();
        let plain = |w: &String| w.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-@:".contains(&b));
        match words.iter().find(|w| !plain(w)) {
            Some(word) => Err(format!("'{word}' cannot be a name; names are separated by blanks")),
            None => Ok(Self { deny, words }),
        }
    }
}

impl fmt::Display for FilterWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.deny { "~" } else { "" }, self.words.join(" "))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl FromStr for PortForward {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "must be [tcp:|udp:]HOST[:CONTAINER] with ports from 1 to 65535".to_string();
        let (protocol, ports) = match (text.strip_prefix("tcp:"), text.strip_prefix("udp:")) {
            (Some(ports), _) => (Protocol::Tcp, ports),
            (_, Some(ports)) => (Protocol::Udp, ports),
            _ => (Protocol::Tcp, text),
        };
        let port = |t: &str| {
            let number = number(t).filter(|_| !t.starts_with([' ', '\t']));
            number.and_then(|n| u16::try_from(n).ok()).filter(|p| *p > 0).ok_or_else(bad)
        };
        let (host, container) = ports.split_once(':').unwrap_or((ports, ports));
        Ok(Self { protocol, host: port(host)?, container: port(container)? })
    }
}

impl fmt::Display for PortForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.protocol, self.host, self.container)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus() {
        let list = |text: &str| text.parse::<CpuList>().unwrap();
        let numbers = |list: &CpuList| list.cpus().collect::<Vec<_>>();
        assert_eq!(numbers(&list("7, 0-2 1")), [0, 1, 2, 7]);
        assert_eq!(numbers(&list("62-65 191")), [62, 63, 64, 65, 191]);
        assert_eq!(numbers(&list("0-8191")), (0..8192).collect::<Vec<_>>());
        assert_eq!(list("1").union(&list("130")), list("130 1"));
        assert_eq!(list("130").union(&list("1")).to_string(), "1 130");
        for bad in ["", ",", "a", "3-1", "0-65536", "-1", "1-", "0-4294967295"] {
            assert!(bad.parse::<CpuList>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!("80".parse(), Ok(PortForward { protocol: Protocol::Tcp, host: 80, container: 80 }));
        assert_eq!("udp:53:5353".parse(), Ok(PortForward { protocol: Protocol::Udp, host: 53, container: 5353 }));
        for bad in ["", "0", "65536", "sctp:1", "tcp:", "1:", "1:2:3"] {
            assert!(bad.parse::<PortForward>().is_err(), "{bad}");
        }
    }
}
