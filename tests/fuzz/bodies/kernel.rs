// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the kernel answers. Parts of it are named by containers: links, mount points, processes.

use spawn::cgroup::Hierarchy;
use spawn::image::map_tree::mount_point_and_type;
use spawn::net::HostLink;
use spawn::net::netlink::{split_message, verdict};
use spawn::net::rtnl::{AddressAnswer, LinkAnswer};
use spawn::sys::programs::wire;

/// proc_pid_mountinfo(5) and `/proc/PID/cgroup`.
pub fn mount_table(bytes: &[u8]) {
    if let Some(found) = Hierarchy::find_in(bytes) {
        assert!(found.mount_point.as_os_str().len() <= bytes.len());
    }
    Hierarchy::own_path_in(bytes);
    for line in bytes.split(|b| *b == b'\n') {
        if let Some((point, kind)) = mount_point_and_type(line) {
            assert!(point.as_os_str().len() + kind.len() <= line.len());
        }
    }
}

/// A datagram of netlink(7), of links, addresses and the packet filter.
pub fn rtnetlink(bytes: &[u8]) {
    let mut rest = bytes;
    let mut messages = 0;
    while let Some((message, more)) = split_message(rest) {
        assert!(more.len() < rest.len());
        rest = more;
        messages += 1;
        if let Some(Err(error)) = verdict(message) {
            assert!((1..=4095).contains(&error.errno.raw_os_error()));
            assert!(error.text.is_none_or(|text| text.len() <= message.len() * 3));
        }
        AddressAnswer::read(message);
        if let Some(answer) = LinkAnswer::read(message) {
            HostLink::of_answer(&answer, "name");
        }
    }
    assert!(messages <= bytes.len() / 16);
    wire::answered_link(bytes);
}
