// SPDX-License-Identifier: LGPL-2.1-or-later
//! Network links of a container: names, hardware addresses, pairs, bridges, moved links.

mod addresses;
pub mod links;
pub mod mac;
pub mod names;
pub mod netlink;
mod netns;
pub mod nft;
pub mod rtnl;
pub mod siphash;
pub mod veth;

pub use addresses::Addresses;
pub use links::{HostLink, Links};
pub use mac::{MacAddress, MacRole};
pub use names::{CONTAINER_LINK, LinkName, Side};
pub use netns::open_namespace;
pub use veth::{Veth, VethPair, delete_link, link_index};
