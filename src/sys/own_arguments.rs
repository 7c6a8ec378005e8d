// SPDX-License-Identifier: LGPL-2.1-or-later
//! The arguments of this process as everybody sees them in `/proc/self/cmdline` (proc_pid_cmdline(5)).

use super::proc_pid::Stat;
use std::io::{self, ErrorKind};
use std::ops::Range;

/// What hidden bytes are overwritten with: the length of an argument cannot be changed.
const FILL: u8 = b'x';

/// Overwrites parts of our own arguments. `hide` is shown the arguments in order and returns, for each, the range of
/// bytes that nobody is to see. Copies that were taken before keep their values.
///
/// # Errors
/// When `/proc` does not say where the arguments are.
pub fn hide(hide: impl FnOnce(&[&[u8]]) -> Vec<Range<usize>>) -> io::Result<()> {
    let area = area(&std::fs::read("/proc/self/stat")?).ok_or(ErrorKind::InvalidData)?;
    if area.is_empty() {
        return Ok(());
    }
    let (start, length) = (std::ptr::with_exposed_provenance_mut::<u8>(area.start), area.len());
    // SAFETY: the kernel has put the argument strings there, in writable memory of this process that stays for its life.
    // Nothing else holds a reference into it now: the standard library reads it only within args_os(), and this program
    // has one thread.
    let bytes = unsafe { std::slice::from_raw_parts_mut(start, length) };
    let mut at = 0;
    let words: Vec<Range<usize>> = bytes
        .split_inclusive(|b| *b == 0)
        .map(|word| {
            let range = at..at + word.strip_suffix(b"\0").unwrap_or(word).len();
            at += word.len();
            range
        })
        .collect();
    let shown: Vec<&[u8]> = words.iter().map(|range| &bytes[range.clone()]).collect();
    let hidden = hide(&shown);
    for (word, part) in words.into_iter().zip(hidden) {
        let part = word.start + part.start..word.start + part.end;
        if part.end <= word.end {
            bytes[part].fill(FILL);
        }
    }
    Ok(())
}

/// `arg_start` and `arg_end`, the 48th and 49th field of proc_pid_stat(5).
fn area(stat: &[u8]) -> Option<Range<usize>> {
    let stat = Stat::parse(stat)?;
    let (start, end) = (stat.number(48)?, stat.number(49)?);
    (start <= end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let mut stat = b"7 (a) 1 (b) S".to_vec();
        (4..=52).for_each(|n| stat.extend_from_slice(format!(" {}", n * 10).as_bytes()));
        assert_eq!(area(&stat), Some(480..490));
        assert_eq!(area(b"7 (a) S 1"), None);
    }

    #[test]
    #[ignore = "run by hidden_parts_are_gone_from_cmdline, as it changes the process"]
    fn hide_child() {
        let copy: Vec<_> = std::env::args_os().collect();
        hide(|words| {
            assert_eq!(words.len(), copy.len());
            words.iter().map(|w| if *w == b"hide_child" { 5..w.len() } else { 0..0 }).collect()
        })
        .unwrap();
        assert!(copy.iter().any(|w| w == "hide_child"));
        println!("{}", String::from_utf8(std::fs::read("/proc/self/cmdline").unwrap()).unwrap());
    }

    #[test]
    fn hidden_parts_are_gone_from_cmdline() {
        let me = std::env::current_exe().unwrap();
        let args = ["--ignored", "--nocapture", "--test-threads=1", "hide_child"];
        let output = std::process::Command::new(me).args(args).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains("--test-threads=1\0hide_xxxxx\0"), "{said:?}");
    }
}
