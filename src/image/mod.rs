// SPDX-License-Identifier: LGPL-2.1-or-later
//! The tree of a container: finding and locking it, reading and writing in it, the user ids it is seen with.

pub mod inside;
#[cfg(test)]
pub(crate) mod testing;

pub use inside::{Crossing, Found, ImageRoot, LastLink, Owner};
pub mod osrelease;
pub mod users;
pub use osrelease::{OsRelease, check_is_os, host_machine_id, machine_id};
pub use users::{UserIdentity, resolve_user};
pub mod lock;
mod lock_file;
pub use lock::{TreeLock, lock_tree};
pub use lock_file::{LockFile, LockMode};
pub mod idmap;
pub use idmap::{IdMap, MapNamespace, MountsBelow, SeenAs, SourceOwner, idmap_supported};
