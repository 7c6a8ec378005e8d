// SPDX-License-Identifier: LGPL-2.1-or-later
//! The tree of a container: finding and locking it, reading and writing in it, the ids that its users have on the host.

pub mod copy;
mod find;
pub mod give;
pub mod idmap;
pub mod inside;
pub mod lock;
mod lock_file;
pub mod map_tree;
pub mod nss;
pub mod osrelease;
#[cfg(test)]
pub(crate) mod testing;
pub mod uid_range;
pub mod users;

pub use copy::{copy_tree, make_from_template};
pub use find::{default_tree, find_machine};
pub use give::{BUSY_BASE, give_tree, is_half_given};
pub use idmap::{IdMap, MapNamespace, MountsBelow, SeenAs, SourceOwner, idmap_supported};
pub use inside::{Crossing, Found, ImageRoot, LastLink, Owner, remedy};
pub use lock::{TreeLock, lock_tree};
pub use lock_file::LockFile;
pub use map_tree::{Trial, TriedMap, try_map};
pub use nss::{NssAnswer, NssCheck};
pub use osrelease::{OsRelease, check_is_os, host_machine_id, machine_id};
pub use uid_range::{PickedRange, ReservedIds, TreeOwner, candidates, identity_range, pick_range, range_of_tree};
pub use users::{UserIdentity, group_ids, resolve_user};
