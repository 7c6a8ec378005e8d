// SPDX-License-Identifier: LGPL-2.1-or-later
//! Whether ids of the host belong to users that are in no file: asked of nss(5) by way of getent(1), in processes of its
//! own, because an answer may take its time and its modules may start threads.

use crate::sys::small_file;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const GETENT: &str = "/usr/bin/getent";
/// Sources of users that need no asking: what the files say is read here, and of what systemd adds, only the ranges of
/// systemd-nsresourced can be in a container's range, which shows in its registry.
const KNOWN_SOURCES: [&str; 3] = ["files", "compat", "systemd"];
/// Most that is read of an answer.
const ANSWER_MAX: usize = 1 << 20;

/// A question that is being answered. Start it early and collect it late. Dropped, it is called off.
#[derive(Debug)]
pub struct NssCheck(Vec<Child>);

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NssAnswer {
    /// None of the ids is known.
    Clear,
    /// These are.
    Taken(Vec<u32>),
    /// There was no whole answer in time.
    Unknown,
}

impl NssCheck {
    /// Asks for the first and the last but one user and group of each 65536 ids from a base on, as systemd-nspawn does.
    /// `None` when nsswitch.conf(5) names nothing that could know more than the files do, or when there is no getent:
    /// then the files are all that is known.
    pub fn start(bases: &[u32]) -> Option<Self> {
        let sources = small_file::read("/etc/nsswitch.conf").unwrap_or_default();
        asks_others(&String::from_utf8_lossy(&sources)).then(|| Self::ask(bases))?
    }

    fn ask(bases: &[u32]) -> Option<Self> {
        let ids: Vec<String> = bases.iter().flat_map(|base| [*base, base + 0xfffe]).map(|id| id.to_string()).collect();
        let mut check = Self(Vec::new());
        for database in ["passwd", "group"] {
            let mut command = Command::new(GETENT);
            command.arg(database).args(&ids).env_clear();
            check.0.push(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?);
        }
        Some(check)
    }

    /// Waits for the answer, as long as `limit` at most.
    pub fn collect(mut self, limit: Duration) -> NssAnswer {
        let until = Instant::now() + limit;
        let mut taken = Vec::new();
        for child in &mut self.0 {
            let Some(text) = read_until(child, until) else { return NssAnswer::Unknown };
            // 2: at least one of the keys was not found (getent(1)).
            if !child.wait().is_ok_and(|status| matches!(status.code(), Some(0 | 2))) {
                return NssAnswer::Unknown;
            }
            taken.extend(ids_of(&text));
        }
        if taken.is_empty() { NssAnswer::Clear } else { NssAnswer::Taken(taken) }
    }
}

impl Drop for NssCheck {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Fails for one that has been waited for, which is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The ids in what getent(1) prints: the third field of each line, of passwd(5) as of group(5).
pub fn ids_of(answer: &[u8]) -> impl Iterator<Item = u32> {
    let ids = answer.split(|&b| b == b'\n').filter_map(|line| line.split(|&b| b == b':').nth(2));
    ids.filter_map(|id| std::str::from_utf8(id).ok()?.parse().ok())
}

/// Whether users or groups come from a source that is not known by its files, by the text of nsswitch.conf(5).
pub fn asks_others(nsswitch: &str) -> bool {
    nsswitch.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let Some((database, sources)) = line.split_once(':') else { return false };
        let known = |word: &str| word.starts_with('[') || word.ends_with(']') || KNOWN_SOURCES.contains(&word);
        matches!(database.trim(), "passwd" | "group") && !sources.split_whitespace().all(known)
    })
}

fn read_until(child: &mut Child, until: Instant) -> Option<Vec<u8>> {
    let out = child.stdout.as_mut()?;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok()?;
        match poll(&mut [PollFd::from_borrowed_fd(out.as_fd(), PollFlags::IN)], Some(&left)) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return None,
        }
        match out.read(&mut buffer).ok()? {
            0 => return Some(text),
            len if text.len() < ANSWER_MAX => text.extend(&buffer[..len]),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::skipped;

    #[test]
    fn known_ids_are_found_and_unknown_ones_are_not() {
        if !std::path::Path::new(GETENT).exists() {
            return skipped("image::nss known_ids_are_found_and_unknown_ones_are_not", "needs getent");
        }
        let limit = Duration::from_secs(20);
        assert_eq!(NssCheck::ask(&[0]).unwrap().collect(limit), NssAnswer::Taken(vec![0, 65534, 0, 65534]));
        assert_eq!(NssCheck::ask(&[0x6fff_0000, 0x1234_0000]).unwrap().collect(limit), NssAnswer::Clear);
    }

    #[test]
    fn one_that_does_not_answer_is_given_up() {
        let child = || {
            let mut command = Command::new("/bin/sleep");
            command.arg("60").stdout(Stdio::piped()).spawn().unwrap()
        };
        let start = Instant::now();
        assert_eq!(NssCheck(vec![child()]).collect(Duration::from_millis(50)), NssAnswer::Unknown);
        drop(NssCheck(vec![child()]));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn only_other_sources_than_files_are_asked() {
        assert!(!asks_others(""));
        assert!(!asks_others(
            "# passwd: ldap\npasswd: files systemd # ldap\ngroup:\tcompat [SUCCESS=merge] systemd\nhosts: dns\n"
        ));
        assert!(asks_others("passwd: files\ngroup: files [!UNAVAIL = return] sss\n"));
        assert!(asks_others("passwd:ldap"));
    }
}
