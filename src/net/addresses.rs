// SPDX-License-Identifier: LGPL-2.1-or-later
//! The addresses under which a container can be reached, and their changes.

use super::netlink::NetlinkError;
use super::rtnl::{AddressAnswer, Rtnl};
use super::veth::failed;
use crate::error::{Code, Diagnostic, Result};
use rustix::io::Errno;
use rustix::net::{RecvFlags, netlink};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR` (linux/rtnetlink.h).
const GROUPS: u32 = 0x10 | 0x100;
/// `RT_SCOPE_LINK`: from here on an address reaches no farther than its link.
const SCOPE_LINK: u8 = 253;
/// `IFA_F_DEPRECATED` and `IFA_F_TENTATIVE`: not for new connections, not yet in use.
const UNFIT: u32 = 0x20 | 0x40;

/// Follows the addresses of one network namespace.
pub struct Addresses {
    changes: OwnedFd,
    rtnl: Rtnl,
}

impl Addresses {
    /// Those of that namespace. The process must have one thread only.
    pub fn of(netns: BorrowedFd<'_>) -> Result<Self> {
        let open = || -> std::result::Result<Self, NetlinkError> {
            let changes = crate::sys::net::netlink_socket_in(netns, None)?;
            rustix::net::bind(&changes, &netlink::SocketAddrNetlink::new(0, GROUPS))?;
            Ok(Self { changes, rtnl: Rtnl::open_in(netns)? })
        };
        open().map_err(|e| failed("cannot follow the addresses of the container".into(), e))
    }

    /// The address of each family that reaches farthest, IPv4 and IPv6, as it is now.
    pub fn best(&mut self) -> Result<[Option<IpAddr>; 2]> {
        let mut dropped = [0u8; 64];
        loop {
            match rustix::net::recv(&self.changes, &mut dropped[..], RecvFlags::DONTWAIT) {
                // What was lost does not matter: all addresses are asked for.
                Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
                Err(Errno::AGAIN) => break,
                Err(e) => {
                    let what = "cannot hear of changes of the container's addresses";
                    return Err(Diagnostic::new(Code::NetworkFailed, what).errno(e));
                }
            }
        }
        let all = self.rtnl.addresses().map_err(|e| failed("cannot list the container's addresses".into(), e))?;
        Ok([best(&all, IpAddr::is_ipv4), best(&all, IpAddr::is_ipv6)])
    }
}

impl AsFd for Addresses {
    /// Readable when addresses have changed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}

fn best(all: &[AddressAnswer], family: fn(&IpAddr) -> bool) -> Option<IpAddr> {
    let fit = all.iter().filter(|a| family(&a.address) && a.scope < SCOPE_LINK && a.flags & UNFIT == 0);
    fit.min_by_key(|a| (a.scope, a.link)).map(|a| a.address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farthest_fit_address_of_each_family() {
        let answer =
            |address: &str, scope, flags, link| AddressAnswer { address: address.parse().unwrap(), scope, flags, link };
        let all = [
            answer("127.0.0.1", 254, 0, 1),
            answer("10.0.0.3", 0, 0, 7),
            answer("10.0.0.2", 0, 0, 3),
            answer("10.0.0.1", 0, 0x20, 2),
            answer("169.254.0.1", 253, 0, 2),
            answer("fe80::1", 253, 0, 2),
            answer("fd00::1", 0, 0x40, 2),
        ];
        assert_eq!(best(&all, IpAddr::is_ipv4), Some("10.0.0.2".parse().unwrap()));
        assert_eq!(best(&all, IpAddr::is_ipv6), None);
    }
}
