// SPDX-License-Identifier: LGPL-2.1-or-later
//! Capability sets of the calling thread (capabilities(7)).
//!
//! Fit for a child between clone and execve: system calls on prepared sets, no allocation.

use rustix::io::Errno;

/// `_LINUX_CAPABILITY_VERSION_3` of `linux/capability.h`: two words a set.
const VERSION_3: u32 = 0x2008_0522;
/// `CAP_LAST_CAP` can get no higher in a set of 64 bits.
const HIGHEST: u32 = 63;
/// CAP_CHECKPOINT_RESTORE, the last one that Linux has got: in 5.9.
const NEWEST_NEEDED: u32 = 40;

const PR_GET_KEEPCAPS: usize = 7;
const PR_SET_KEEPCAPS: usize = 8;
const PR_CAPBSET_READ: usize = 23;
const PR_CAPBSET_DROP: usize = 24;
const PR_GET_SECUREBITS: usize = 27;
const PR_CAP_AMBIENT: usize = 47;
const PR_CAP_AMBIENT_RAISE: usize = 2;
const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;

/// The sets of capset(2), bit n for capability n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sets {
    /// In force.
    pub effective: u64,
    /// May be put in force.
    pub permitted: u64,
    /// Kept across execve(2) of files that have them.
    pub inheritable: u64,
}

/// What could not be done, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// Dropping this capability from the bounding set.
    Bounding(u8, Errno),
    /// Setting effective, permitted and inheritable set.
    Set(Errno),
    /// Emptying the ambient set.
    AmbientClear(Errno),
    /// Adding this capability to the ambient set.
    Ambient(u8, Errno),
}

/// What becomes of the permitted set when the thread stops being root (`PR_SET_KEEPCAPS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSetuid {
    /// It is kept.
    Keep,
    /// It is emptied.
    Clear,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Word {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Drops from the bounding set whatever `keep` lacks. Needs CAP_SETPCAP for each that is there.
pub fn limit_bounding(keep: u64) -> Result<(), Failed> {
    for number in (0..=HIGHEST).filter(|n| keep & (1 << n) == 0) {
        let dropped = match prctl(PR_CAPBSET_DROP, number as usize, 0) {
            // Without CAP_SETPCAP, which is looked at first, what is not there need not be dropped.
            Err(Errno::PERM) => prctl(PR_CAPBSET_READ, number as usize, 0).and_then(|there| match there {
                0 => Ok(0),
                _ => Err(Errno::PERM),
            }),
            dropped => dropped,
        };
        match dropped {
            Ok(_) => {}
            // The kernel has none of this number, hence none above it. Every kernel that runs this program has the others.
            Err(Errno::INVAL) if number > NEWEST_NEEDED => break,
            Err(errno) => return Err(Failed::Bounding(number as u8, errno)),
        }
    }
    Ok(())
}

/// The bounding set; capabilities that the kernel does not have are absent.
pub fn bounding() -> u64 {
    (0..=HIGHEST).fold(0, |set, n| if prctl(PR_CAPBSET_READ, n as usize, 0) == Ok(1) { set | 1 << n } else { set })
}

/// Sets all three sets at once (capset(2)). Bits that the kernel does not know are ignored by it.
pub fn set(sets: Sets) -> Result<(), Failed> {
    let header = Header { version: VERSION_3, pid: 0 };
    let word = |shift: u32| Word {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let words = [word(0), word(32)];
    // SAFETY: capset reads a header and, for version 3, exactly two words; both live through the call, and the header
    // is written only for a version that the kernel does not know, which version 3 is not since Linux 2.6.26.
    let done = unsafe { syscalls::raw_syscall!(syscalls::Sysno::capset, &raw const header, words.as_ptr()) };
    decode(done).map(drop).map_err(Failed::Set)
}

/// The three sets of the calling thread (capget(2)).
pub fn get() -> Result<Sets, Errno> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut words = [Word::default(); 2];
    // SAFETY: capget may write the header and writes two words for version 3; both are ours alone during the call.
    let done = unsafe { syscalls::raw_syscall!(syscalls::Sysno::capget, &raw mut header, words.as_mut_ptr()) };
    decode(done)?;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let [low, high] = words;
    Ok(Sets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// Makes the ambient set exactly this. Each member must be permitted and inheritable.
pub fn set_ambient(set: u64) -> Result<(), Failed> {
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0).map_err(Failed::AmbientClear)?;
    for number in (0..=HIGHEST).filter(|n| set & (1 << n) != 0) {
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number as usize)
            .map_err(|errno| Failed::Ambient(number as u8, errno))?;
    }
    Ok(())
}

/// Says what a later change of user does to the permitted set; execve(2) resets it to [`OnSetuid::Clear`].
pub fn on_setuid(what: OnSetuid) -> Result<(), Errno> {
    prctl(PR_SET_KEEPCAPS, usize::from(what == OnSetuid::Keep), 0).map(drop)
}

/// What [`on_setuid`] said last.
pub fn is_kept_on_setuid() -> Result<bool, Errno> {
    prctl(PR_GET_KEEPCAPS, 0, 0).map(|kept| kept != 0)
}

/// `SECBIT_*` of the calling thread (`linux/securebits.h`).
pub fn securebits() -> Result<u32, Errno> {
    prctl(PR_GET_SECUREBITS, 0, 0).map(|bits| bits as u32)
}

fn prctl(what: usize, first: usize, second: usize) -> Result<usize, Errno> {
    // SAFETY: none of the operations of this module takes an address; each changes the calling thread's credentials
    // or reads them.
    decode(unsafe { syscalls::raw_syscall!(syscalls::Sysno::prctl, what, first, second, 0usize, 0usize) })
}

/// Separates a result from an errno: the kernel returns -4095 to -1 for one.
fn decode(raw: usize) -> Result<usize, Errno> {
    match raw as isize {
        error @ -4095..=-1 => Err(Errno::from_raw_os_error(-error as i32)),
        _ => Ok(raw),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says so past the harness, which keeps what passing tests print to itself.
    fn skipped(what: &str) {
        use std::io::Write;
        std::io::stderr().write_all(format!("SKIPPED {what}\n").as_bytes()).unwrap();
    }

    /// A line of /proc/thread-self/status, as a set.
    fn status(key: &str) -> u64 {
        let text = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix(key)).expect("a line of the status file");
        u64::from_str_radix(line.trim(), 16).unwrap()
    }

    #[test]
    fn sets_are_read_as_the_kernel_shows_them() {
        let sets = get().unwrap();
        assert_eq!(
            (sets.inheritable, sets.permitted, sets.effective, bounding()),
            (status("CapInh:"), status("CapPrm:"), status("CapEff:"), status("CapBnd:"))
        );
        assert!(securebits().is_ok());
    }

    /// All sets are the thread's own, so a thread of its own can lose what it likes.
    #[test]
    fn sets_are_lost_and_raised() {
        let kill = 1 << 5;
        if bounding() & get().unwrap().permitted & (1 << 8 | kill) != (1 << 8 | kill) {
            return skipped("sets_are_lost_and_raised: needs CAP_SETPCAP and CAP_KILL");
        }
        let thread = std::thread::spawn(move || {
            limit_bounding(kill | 1 << 8).unwrap();
            assert_eq!(status("CapBnd:"), kill | 1 << 8);
            on_setuid(OnSetuid::Keep).unwrap();
            assert_eq!(is_kept_on_setuid(), Ok(true));
            set(Sets { effective: kill, permitted: kill | 1 << 9, inheritable: kill }).unwrap();
            assert_eq!(get(), Ok(Sets { effective: kill, permitted: kill | 1 << 9, inheritable: kill }));
            set_ambient(kill).unwrap();
            assert_eq!(status("CapAmb:"), kill);
            assert_eq!(set_ambient(1 << 9), Err(Failed::Ambient(9, Errno::PERM)));
            assert_eq!(status("CapAmb:"), 0);
            assert_eq!(set(Sets { permitted: u64::MAX, ..Sets::default() }), Err(Failed::Set(Errno::PERM)));
            assert_eq!(limit_bounding(0), Err(Failed::Bounding(5, Errno::PERM)));
        });
        thread.join().unwrap();
    }
}
