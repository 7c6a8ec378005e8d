// SPDX-License-Identifier: LGPL-2.1-or-later
//! Files of a process below `/proc`, taken apart. What a container's process is called stands in some of them, and it may
//! be called anything.

use std::str::FromStr;

/// The line of `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat<'a> {
    /// Field 2 without its parentheses: the name of its program, of which the kernel keeps 15 bytes.
    pub command: &'a [u8],
    /// The fields from the third on.
    fields: &'a str,
}

impl<'a> Stat<'a> {
    /// Takes it apart; `None` when it is no such line.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        // The name may hold parentheses and line ends; nothing behind it does.
        let start = text.iter().position(|byte| *byte == b'(')? + 1;
        let end = text.iter().rposition(|byte| *byte == b')')?;
        Some(Self { command: text.get(start..end)?, fields: std::str::from_utf8(&text[end + 1..]).ok()? })
    }

    /// Field 3.
    pub fn state(&self) -> Option<char> {
        self.number(3)
    }

    /// A field from the third on, by its number in the manual page.
    pub fn number<T: FromStr>(&self, field: usize) -> Option<T> {
        self.fields.split_ascii_whitespace().nth(field.checked_sub(3)?)?.parse().ok()
    }
}

/// A set of signals in `/proc/PID/status` (proc_pid_status(5)), bit 0 for signal 1; `key` is such as "SigCgt:".
pub fn signals(status: &[u8], key: &str) -> Option<u64> {
    let set = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key.as_bytes()))?;
    u64::from_str_radix(std::str::from_utf8(set).ok()?.trim(), 16).ok()
}

/// The soft and the hard limit of the resource with this number in `/proc/PID/limits` (getrlimit(2)).
pub fn limits(text: &str, resource: usize) -> Option<(u64, u64)> {
    // fs/proc/base.c, lnames[]: the rows are in the order of the kernel's numbers, the names fill 26 columns.
    let row = text.lines().nth(resource.checked_add(1)?)?;
    let mut words = row.get(26..)?.split_whitespace();
    let mut limit = || match words.next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    };
    Some((limit()?, limit()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_only_a_name() {
        let stat = Stat::parse(b"357 (a) b\n(\xff) S 17 18 -1 1082210").unwrap();
        assert_eq!((stat.command, stat.state()), (&b"a) b\n(\xff"[..], Some('S')));
        assert_eq!((stat.number(4), stat.number(6), stat.number(7)), (Some(17), Some(-1), Some(1_082_210)));
        assert_eq!((stat.number::<u32>(6), stat.number::<i32>(8), stat.number::<i32>(2)), (None, None, None));
        for wrong in [&b""[..], b"357 x S 1", b"357 )x( S 1", b"357 (x) S \xff"] {
            assert_eq!(Stat::parse(wrong), None, "{}", wrong.escape_ascii());
        }
        let own = std::fs::read("/proc/self/stat").unwrap();
        assert_eq!(Stat::parse(&own).unwrap().number(4), Some(std::os::unix::process::parent_id()));
    }

    #[test]
    fn sets_of_signals() {
        let status = b"Name:\t\xff\nSigBlk:\t0000000000000001\nSigCgt:\tfffffffe7ffbfeff\nSigX:\t\n";
        assert_eq!(signals(status, "SigBlk:"), Some(1));
        assert_eq!(signals(status, "SigCgt:"), Some(0xffff_fffe_7ffb_feff));
        assert_eq!((signals(status, "SigX:"), signals(status, "SigIgn:")), (None, None));
    }

    #[test]
    fn rows_of_limits() {
        let own = std::fs::read_to_string("/proc/self/limits").unwrap();
        let (soft, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(limits(&own, 7), Some((soft, hard)));
        assert_eq!((limits(&own, 16), limits("", 0), limits(&own, usize::MAX)), (None, None, None));
    }
}
