// SPDX-License-Identifier: LGPL-2.1-or-later
//! The tree of a container: finding and locking it, reading and writing in it, the user ids it is seen with.

#[cfg(test)]
pub(crate) mod testing;
