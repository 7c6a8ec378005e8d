// SPDX-License-Identifier: LGPL-2.1-or-later
//! Network links of a container: names, hardware addresses, the veth pair.

pub mod mac;
pub mod names;
mod rtnl;
pub mod siphash;
pub mod veth;

pub use mac::{MacAddress, MacRole};
pub use names::{CONTAINER_LINK, HostLink, LinkName};
pub use veth::{Veth, VethPair, delete_link, link_index};
