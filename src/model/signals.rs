// SPDX-License-Identifier: LGPL-2.1-or-later
//! Signals by name and number (signal(7)).

use super::Signal;
use super::words::number;
use std::fmt;
use std::str::FromStr;

/// The first and the last real-time signal of glibc, which keeps 32 and 33 to itself.
const REAL_TIME: (u8, u8) = (34, 64);

const NAMES: &[(&str, i32)] = &[
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", 16),
    ("CHLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
];

impl Signal {
    /// Every name, one a line, as `--kill-signal=help` shows them.
    pub fn names() -> String {
        (1..=REAL_TIME.1).filter(|n| *n < 32 || *n >= REAL_TIME.0).map(|n| Self(n).to_string() + "\n").collect()
    }
}

/// Neither a blank nor a second sign comes before an offset (`signal_from_string` of systemd's signal-util.c).
fn digit_first(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

impl FromStr for Signal {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "must be the name or the number (1 to 64) of a signal; 'help' lists them".to_string();
        let (first, last) = REAL_TIME;
        let name = text.strip_prefix("SIG").unwrap_or(text);
        let signal = if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
            u8::try_from(*number).ok()
        } else if let Some(offset) = name.strip_prefix("RTMIN") {
            match offset.strip_prefix('+').filter(|n| digit_first(n)) {
                Some(n) => number(n).and_then(|n| u8::try_from(n).ok()).and_then(|n| first.checked_add(n)),
                None => offset.is_empty().then_some(first),
            }
        } else if let Some(offset) = name.strip_prefix("RTMAX") {
            match offset.strip_prefix('-').filter(|n| digit_first(n)) {
                Some(n) => number(n)
                    .and_then(|n| u8::try_from(n).ok())
                    .and_then(|n| last.checked_sub(n))
                    .filter(|n| *n >= first),
                None => offset.is_empty().then_some(last),
            }
        } else {
            number(text).and_then(|n| u8::try_from(n).ok())
        };
        signal.filter(|n| (1..=last).contains(n)).map(Self).ok_or_else(bad)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = REAL_TIME.0;
        match NAMES.iter().find(|(_, number)| *number == self.number()) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None if self.0 == first => f.write_str("SIGRTMIN"),
            None if self.0 > first => write!(f, "SIGRTMIN+{}", self.0 - first),
            None => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        let number = |s: &str| s.parse::<Signal>().map(Signal::number);
        assert_eq!(number("TERM"), Ok(15));
        assert_eq!(number("SIGTERM"), Ok(15));
        assert_eq!(number("9"), Ok(9));
        assert_eq!(number("SIGRTMIN+3"), Ok(37));
        assert_eq!(number("RTMAX-1"), Ok(63));
        assert_eq!(number("RTMIN"), Ok(34));
        for bad in [
            "", "0", "65", "SIG", "SIG9", "term", "RTMIN-1", "RTMIN+31", "RTMAX-31", "RTMAX+1", "-9", "RTMIN+",
            "RTMIN+ 1", "RTMAX- 1",
        ] {
            assert!(number(bad).is_err(), "{bad}");
        }
        for n in 1..=64 {
            assert_eq!(Signal(n).to_string().parse(), Ok(Signal(n)));
        }
    }
}
