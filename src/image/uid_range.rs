// SPDX-License-Identifier: LGPL-2.1-or-later
//! Which ids of the host a container's users are (systemd-nspawn(1), `--private-users=`).

use super::lock::make_run_dir;
use super::lock_file::{LockError, LockFile};
use crate::error::{Code, Diagnostic, Result};
use crate::model::{MachineName, UidRange};
use crate::net::siphash::siphash24;
use crate::sys::ofd_lock::{LockKind, lock};
use crate::sys::small_file;
use rustix::fs::{Mode, OFlags, Stat};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Lowest base of a container's range (systemd `src/basic/uid-range.h`, `CONTAINER_UID_BASE_MIN`).
pub const BASE_MIN: u32 = 0x0008_0000;
/// Highest base of a container's range (the same, `CONTAINER_UID_BASE_MAX`).
pub const BASE_MAX: u32 = 0x6fff_0000;
/// The low bits of an id: which user of the container it is.
const USER_MASK: u32 = 0xffff;
/// Key of the hash that a machine's first choice comes from (systemd `src/nspawn/nspawn.c`, `uid_shift_pick`).
const PICK_KEY: [u8; 16] = 0xe156e0f0_4af041af_9641cf41_3394ff72_u128.to_be_bytes();
/// How many candidates are tried.
const TRIES: u64 = 100;
/// Where systemd-nspawn locks ranges, below `/run`, each by its base.
const LOCKS: &str = "systemd/nspawn-uid";
/// Where systemd-nsresourced registers the ranges that it gives out, below `/run` (systemd
/// `src/nsresourced/userns-registry.c`).
const NSRESOURCE_REGISTRY: &str = "systemd/nsresource/registry";
/// Files that give ids of the host to somebody, and how.
const DATABASES: [(&str, Database); 4] = [
    ("/etc/passwd", Database::Single),
    ("/etc/group", Database::Single),
    ("/etc/subuid", Database::Ranges),
    ("/etc/subgid", Database::Ranges),
];

/// The owner of a tree's root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct TreeOwner {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl From<&Stat> for TreeOwner {
    fn from(stat: &Stat) -> Self {
        Self { uid: stat.st_uid, gid: stat.st_gid }
    }
}

impl TreeOwner {
    /// Base of the range that the owner is in; `None` when user and group are in different ones.
    pub fn base(self) -> Option<u32> {
        let base = self.uid & !USER_MASK;
        (base == self.gid & !USER_MASK).then_some(base)
    }
}

/// `--private-users=yes`: the range that the tree's root directory belongs to. Fails with E1002.
pub fn range_of_tree(owner: TreeOwner) -> Result<UidRange> {
    let TreeOwner { uid, gid } = owner;
    let range = owner.base().and_then(|base| UidRange::new(base, UidRange::USUAL_SIZE));
    range.ok_or_else(|| {
        Diagnostic::new(Code::IdRange, "the tree does not belong to one range of user ids")
            .cause(format!("its root directory belongs to user {uid} and group {gid}"))
            .help("use --private-users=pick")
    })
}

/// `--private-users=identity`: the first 65536 ids as they are.
pub fn identity_range() -> UidRange {
    UidRange { base: 0, size: UidRange::USUAL_SIZE }
}

/// Ids of the host that belong to somebody else.
#[derive(Debug, Clone, Default)]
pub struct ReservedIds(Vec<RangeInclusive<u32>>);

/// How a file of the host gives ids to somebody.
#[derive(Debug, Clone, Copy)]
pub enum Database {
    /// passwd(5), group(5): the third field is one id.
    Single,
    /// subuid(5), subgid(5): second field the first id, third field how many.
    Ranges,
}

impl ReservedIds {
    /// What the host's own files say. A file that cannot be read says nothing.
    pub fn of_host() -> Self {
        let mut reserved = Self::default();
        for (path, kind) in DATABASES {
            reserved.read(&small_file::read(path).unwrap_or_default(), kind);
        }
        reserved
    }

    /// Adds one id.
    pub fn add(&mut self, id: u32) {
        self.0.push(id..=id);
    }

    /// Whether the 65536 ids from `base` on are nobody's.
    pub fn spare(&self, base: u32) -> bool {
        let last = base.saturating_add(USER_MASK);
        !self.0.iter().any(|r| *r.start() <= last && *r.end() >= base)
    }

    /// Adds those that a file gives to somebody. Lines that are not of its kind are passed over.
    pub fn read(&mut self, text: &[u8], kind: Database) {
        let number = |field: Option<&[u8]>| std::str::from_utf8(field?).ok()?.trim().parse::<u32>().ok();
        for line in text.split(|&b| b == b'\n') {
            let mut fields = line.split(|&b| b == b':').skip(1);
            let (second, third) = (number(fields.next()), number(fields.next()));
            match (kind, second, third) {
                (Database::Single, _, Some(id)) => self.add(id),
                (Database::Ranges, Some(first), Some(count)) if count > 0 => {
                    self.0.push(first..=first.saturating_add(count - 1));
                }
                _ => {}
            }
        }
    }
}

/// The bases that a machine may get, in order of preference: the one that its tree belongs to, so that a tree that was
/// given to a range stays there; the one that its name hashes to, as with systemd-nspawn; then those that its name with
/// a number behind it hashes to, so that a start does not depend on chance.
pub fn candidates(owner: Option<TreeOwner>, machine: &MachineName) -> impl Iterator<Item = u32> {
    bases(owner, machine.as_str().as_bytes().to_vec())
}

fn bases(owner: Option<TreeOwner>, name: Vec<u8>) -> impl Iterator<Item = u32> {
    let hashed = (0..TRIES).map(move |number| {
        let mut data = name.clone();
        if number > 0 {
            data.extend(number.to_le_bytes());
        }
        // The low half only: systemd keeps the hash in an id.
        BASE_MIN + siphash24(&data, &PICK_KEY) as u32 % (BASE_MAX - BASE_MIN)
    });
    let mut seen = BTreeSet::new();
    let owned = owner.and_then(TreeOwner::base).filter(|&base| is_allowed(base));
    owned.into_iter().chain(hashed.map(|id| id & !USER_MASK)).filter(move |&base| seen.insert(base))
}

/// Whether a container's range may begin there.
fn is_allowed(base: u32) -> bool {
    (BASE_MIN..=BASE_MAX).contains(&base) && base & USER_MASK == 0
}

/// A range that no other container has while the lock is held.
#[derive(Debug)]
pub struct PickedRange {
    /// The range.
    pub range: UidRange,
    /// Its lock.
    pub lock: LockFile,
}

/// `--private-users=pick`: takes the first candidate that is nobody's and that no other container has locked. Fails with
/// E1002.
pub fn pick_range(owner: Option<TreeOwner>, machine: &MachineName, reserved: &ReservedIds) -> Result<PickedRange> {
    pick_below(Path::new("/run"), candidates(owner, machine), reserved)
}

fn pick_below(run: &Path, candidates: impl Iterator<Item = u32>, reserved: &ReservedIds) -> Result<PickedRange> {
    let dir = run.join(LOCKS);
    let failed = |what: String| Diagnostic::new(Code::IdRange, what);
    make_run_dir(&dir, 0o755).map_err(|e| failed(format!("cannot create {}", dir.display())).io(&e))?;
    let given_out = |base: u32| run.join(NSRESOURCE_REGISTRY).join(format!("u{base}.userns")).exists();
    let mut tried = 0;
    for base in candidates.filter(|&base| reserved.spare(base) && !given_out(base)) {
        tried += 1;
        match LockFile::take_quietly(&dir, base.to_string().as_ref(), LockKind::Exclusive) {
            Ok(lock) => return Ok(PickedRange { range: UidRange { base, size: UidRange::USUAL_SIZE }, lock }),
            Err(LockError::Busy(_)) => {}
            Err(LockError::Failed(e)) => return Err(failed(format!("cannot lock {}/{base}", dir.display())).errno(e)),
        }
    }
    Err(failed("no free range of user ids was found".into())
        .cause(format!("all {tried} that were tried are taken by other containers, or by users of this system"))
        .help("name one with --private-users=UID"))
}

/// Keeps others from adding users to the host while a range is being given out: a shared lock on `/etc/.pwd.lock`
/// (lckpwdf(3)). It is for best effort, and does not wait: `None` when users are being added, or there cannot be such
/// a lock.
pub fn guard_user_database() -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open("/etc/.pwd.lock", flags, Mode::RUSR | Mode::WUSR).ok()?;
    lock(fd.as_fd(), LockKind::Shared).ok()?;
    Some(fd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::TempDir;
    use proptest::prelude::*;

    fn bases_of(name: &str) -> impl Iterator<Item = u32> {
        bases(None, name.into())
    }

    /// Read off the lock that systemd-nspawn 262 took.
    #[test]
    fn the_first_choice_is_that_of_systemd_nspawn() {
        assert_eq!(bases_of("nlock").next(), Some(755302400));
    }

    #[test]
    fn the_tree_has_its_say_first() {
        let first = |uid, gid| bases(Some(TreeOwner { uid, gid }), b"x".to_vec()).next().unwrap();
        let hashed = bases_of("x").next().unwrap();
        assert_eq!(first(0x90000 + 5, 0x90000), 0x90000);
        for (uid, gid) in [(0, 0), (0x90000, 0xa0000), (0x7ffe0000, 0x7ffe0000), (0x70000, 0x70000)] {
            assert_eq!(first(uid, gid), hashed);
        }
        assert_eq!(range_of_tree(TreeOwner { uid: 0x90005, gid: 0x90000 }).unwrap().base, 0x90000);
        assert_eq!(range_of_tree(TreeOwner { uid: 0, gid: 0x90000 }).unwrap_err().code(), Code::IdRange);
        assert_eq!(range_of_tree(TreeOwner { uid: u32::MAX, gid: u32::MAX }).unwrap_err().code(), Code::IdRange);
    }

    #[test]
    fn ids_of_others_are_kept_clear_of() {
        let mut reserved = ReservedIds::default();
        reserved.read(b"root:x:0:0::/:\n\nbad\na:x:589823:5::/:\n", Database::Single);
        reserved.read(b"u:655360:65536\nv:1048575:2\nw:9:0\nx:4294967295:9\n", Database::Ranges);
        let spare: Vec<bool> = (8..18).map(|n| reserved.spare(n << 16)).collect();
        assert_eq!(spare, [false, true, false, true, true, true, true, false, false, true]);
        assert_eq!(reserved.0.len(), 5);
    }

    #[test]
    fn ranges_of_nsresourced_are_kept_clear_of() {
        let run = TempDir::new();
        let registry = run.path().join(NSRESOURCE_REGISTRY);
        std::fs::create_dir_all(&registry).unwrap();
        let first = bases_of("a").next().unwrap();
        std::fs::write(registry.join(format!("u{first}.userns")), "{}").unwrap();
        let picked = pick_below(run.path(), bases_of("a"), &ReservedIds::default()).unwrap();
        assert_ne!(picked.range.base, first);
    }

    #[test]
    fn a_taken_range_is_passed_over_and_all_taken_is_an_error() {
        let run = TempDir::new();
        let none = ReservedIds::default();
        let first = pick_below(run.path(), bases_of("a"), &none).unwrap();
        let second = pick_below(run.path(), bases_of("a"), &none).unwrap();
        assert_ne!(first.range.base, second.range.base);
        drop(first);
        let third = pick_below(run.path(), bases_of("a").skip(1).take(1), &none).unwrap_err();
        assert_eq!(third.code(), Code::IdRange);
        let mut all = ReservedIds::default();
        all.read(b"u:0:4294967295", Database::Ranges);
        assert_eq!(pick_below(run.path(), bases_of("a"), &all).unwrap_err().code(), Code::IdRange);
    }

    proptest! {
        #[test]
        fn every_candidate_is_allowed_and_none_comes_twice(name: Vec<u8>, uid: u32, gid: u32) {
            let all: Vec<u32> = bases(Some(TreeOwner { uid, gid }), name).collect();
            prop_assert!(all.len() > 90);
            prop_assert!(all.iter().all(|&base| is_allowed(base)));
            prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        }

        #[test]
        fn what_is_picked_is_allowed_and_nobodys(name in "[a-z]{1,9}", ids: Vec<u32>) {
            let run = TempDir::new();
            let mut reserved = ReservedIds::default();
            ids.iter().for_each(|&id| reserved.add(id));
            reserved.add(bases_of(&name).next().unwrap() + 7);
            let picked = pick_below(run.path(), bases_of(&name), &reserved).unwrap().range;
            prop_assert!(is_allowed(picked.base) && picked.size == 65536);
            prop_assert!(!ids.iter().any(|id| (picked.base..picked.base + picked.size).contains(id)));
        }
    }
}
