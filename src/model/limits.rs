// SPDX-License-Identifier: LGPL-2.1-or-later
//! Resource limits (setrlimit(2)) in the grammar of systemd.exec(5).

use super::units::{TIMES, size, with_units};
use super::words::number;
use super::{Rlimit, RlimitResource};
use std::fmt;
use std::str::FromStr;

/// How the numbers of a resource are written.
#[derive(Clone, Copy, PartialEq)]
enum Unit {
    Count,
    Size,
    Seconds,
    Microseconds,
    Nice,
}

/// In the kernel's numbering of all architectures but MIPS, SPARC and Alpha (asm-generic/resource.h).
const RESOURCES: [(&str, Unit); 16] = [
    ("CPU", Unit::Seconds),
    ("FSIZE", Unit::Size),
    ("DATA", Unit::Size),
    ("STACK", Unit::Size),
    ("CORE", Unit::Size),
    ("RSS", Unit::Size),
    ("NPROC", Unit::Count),
    ("NOFILE", Unit::Count),
    ("MEMLOCK", Unit::Size),
    ("AS", Unit::Size),
    ("LOCKS", Unit::Count),
    ("SIGPENDING", Unit::Count),
    ("MSGQUEUE", Unit::Size),
    ("NICE", Unit::Nice),
    ("RTPRIO", Unit::Count),
    ("RTTIME", Unit::Microseconds),
];

impl RlimitResource {
    /// Every resource, in the kernel's order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..RESOURCES.len() as u8).map(Self)
    }

    /// Its name without `RLIMIT_`.
    pub fn name(self) -> &'static str {
        RESOURCES[usize::from(self.0)].0
    }

    fn unit(self) -> Unit {
        RESOURCES[usize::from(self.0)].1
    }

    /// One of the two numbers of a limit, `u64::MAX` for infinity.
    fn parse_number(self, text: &str) -> Result<u64, String> {
        if text == "infinity" && self.unit() != Unit::Nice {
            return Ok(u64::MAX);
        }
        let (value, allowed) = match self.unit() {
            Unit::Count => (number(text), "a number"),
            Unit::Size => (size(text), "a size in bytes, with K, M, G or T for more"),
            Unit::Seconds => (
                with_units(text, TIMES, 1_000_000).map(|us| us.div_ceil(1_000_000)),
                "a time span in seconds or with a unit",
            ),
            Unit::Microseconds => (with_units(text, TIMES, 1), "a time span in microseconds or with a unit"),
            Unit::Nice => (parse_nice(text), "a nice level (-20 to +19, with its sign) or a number from 0 to 40"),
        };
        value.filter(|n| *n < u64::MAX).ok_or_else(|| {
            format!("{} must be {allowed}{}", self.name(), if self.unit() == Unit::Nice { "" } else { ", or infinity" })
        })
    }
}

/// A signed number is a nice level, one without sign is in the kernel's unit (`rlimit_parse_nice` of systemd).
fn parse_nice(text: &str) -> Option<u64> {
    if let Some(level) = text.strip_prefix('+') {
        return number(level).filter(|n| *n < 20).map(|n| 20 - n);
    }
    if let Some(level) = text.strip_prefix('-') {
        return number(level).filter(|n| *n <= 20).map(|n| 20 + n);
    }
    number(text).filter(|n| *n <= 40)
}

impl FromStr for RlimitResource {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("RLIMIT_").or(text.strip_prefix("Limit")).unwrap_or(text);
        let at = RESOURCES.iter().position(|(known, _)| *known == name);
        at.map(|n| Self(n as u8)).ok_or_else(|| {
            let names: Vec<_> = Self::all().map(Self::name).collect();
            format!("'{text}' is not a resource; there are {}", names.join(", "))
        })
    }
}

impl fmt::Display for RlimitResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Rlimit {
    /// `SOFT[:HARD]` of a known resource, as the keys `Limit…=` of a file hold it.
    pub fn parse_for(resource: RlimitResource, text: &str) -> Result<Self, String> {
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        // Nothing after a second colon is nothing at all.
        let hard = if text.contains(':') { hard.strip_suffix(':').unwrap_or(hard) } else { hard };
        let (soft, hard) = (resource.parse_number(soft)?, resource.parse_number(hard)?);
        if soft > hard {
            return Err("the soft limit must not be above the hard limit".into());
        }
        Ok(Self { resource, soft, hard })
    }
}

impl FromStr for Rlimit {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("must be NAME=SOFT[:HARD]; 'help' lists the names")?;
        Self::parse_for(name.parse()?, value)
    }
}

impl fmt::Display for Rlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: u64| if n == u64::MAX { "infinity".into() } else { n.to_string() };
        write!(f, "{}={}:{}", self.resource, number(self.soft), number(self.hard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let limit = |s: &str| s.parse::<Rlimit>().map(|l| (l.resource.number(), l.soft, l.hard));
        assert_eq!(limit("NOFILE=1024:4096"), Ok((7, 1024, 4096)));
        assert_eq!(limit("RLIMIT_CORE=infinity"), Ok((4, u64::MAX, u64::MAX)));
        assert_eq!(limit("AS=1G"), Ok((9, 1 << 30, 1 << 30)));
        assert_eq!(limit("CPU=1min:1.5h"), Ok((0, 60, 5400)));
        assert_eq!(limit("CPU=1500ms"), Ok((0, 2, 2)));
        assert_eq!(limit("RTTIME=5"), Ok((15, 5, 5)));
        assert_eq!(limit("RTTIME=5ms"), Ok((15, 5000, 5000)));
        assert_eq!(limit("NICE=-5"), Ok((13, 25, 25)));
        assert_eq!(limit("NICE=+5"), Ok((13, 15, 15)));
        assert_eq!(limit("NICE=30"), Ok((13, 30, 30)));
        for bad in [
            "",
            "NOFILE",
            "NOFILE=",
            "NOFILE=1K",
            "FOO=1",
            "CORE=2:1",
            "NICE=+20",
            "NICE=-21",
            "NICE=41",
            "NPROC=-1",
            "AS=18446744073709551615",
            "CPU=1parsec",
            "NOFILE=1:2:3",
        ] {
            assert!(limit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbering_is_the_kernels() {
        assert_eq!(RESOURCES[libc::RLIMIT_NOFILE as usize].0, "NOFILE");
        assert_eq!(RESOURCES[libc::RLIMIT_RTTIME as usize].0, "RTTIME");
        assert_eq!(RESOURCES[libc::RLIMIT_MEMLOCK as usize].0, "MEMLOCK");
    }
}
