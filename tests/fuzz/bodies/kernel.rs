// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the kernel answers. Parts of it are named by containers: links, mount points, processes.

use spawn::cgroup::{Hierarchy, usage};
use spawn::image::map_tree::mount_point_and_type;
use spawn::net::HostLink;
use spawn::net::netlink::{split_message, verdict};
use spawn::net::rtnl::{AddressAnswer, LinkAnswer};
use spawn::sys::proc_pid::{Stat, limits, signals};
use spawn::sys::programs::wire;
use std::path::Component;

/// proc_pid_mountinfo(5) and `/proc/PID/cgroup`.
pub fn mount_table(bytes: &[u8]) {
    if let Some(found) = Hierarchy::find_in(bytes) {
        assert!(found.mount_point.as_os_str().len() <= bytes.len());
    }
    if let (Some(hierarchy), Some(own)) = (Hierarchy::find_in(bytes), Hierarchy::own_path_in(bytes))
        && let Some(directory) = hierarchy.directory(&own)
    {
        let below = directory.strip_prefix(&hierarchy.mount_point).expect("it is below the mount point");
        assert!(!below.components().any(|part| part == Component::ParentDir), "{directory:?}");
    }
    for line in bytes.split(|b| *b == b'\n') {
        if let Some((point, kind)) = mount_point_and_type(line) {
            assert!(point.as_os_str().len() + kind.len() <= line.len());
        }
    }
}

/// A datagram of netlink(7), of links, addresses and the packet filter.
pub fn netlink(bytes: &[u8]) {
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

/// `/proc/PID/stat`, `status` and `limits`. Whatever a program is called, the fields behind its name are the kernel's.
pub fn processes(bytes: &[u8]) {
    if let Some(stat) = Stat::parse(bytes) {
        assert!(stat.command.len() + 2 <= bytes.len() && stat.state().is_none_or(|c| !c.is_ascii_whitespace()));
        assert!(stat.number::<u64>(22).is_none_or(|n| n == 0 || bytes.len() > n.ilog10() as usize));
    }
    let named = [b"7 (", bytes, b") S 17 18 19 -20"].concat();
    let stat = Stat::parse(&named).expect("any name will do");
    assert_eq!((stat.command, stat.state(), stat.number(4)), (bytes, Some('S'), Some(17)));
    assert_eq!((stat.number(7), stat.number::<i32>(8)), (Some(-20), None));
    for key in ["SigCgt:", "SigBlk:"] {
        signals(bytes, key);
    }
    let text = String::from_utf8_lossy(bytes);
    for resource in 0..=16 {
        assert!(limits(&text, resource).is_none() || text.lines().count() > resource + 1);
    }
}

/// Files of a control group: of lines with a key, and `io.stat`, of which twice the lines are twice the bytes.
pub fn figures(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for key in ["usage_usec", "oom_kill", ""] {
        assert!(usage::keyed(&text, key).is_none_or(|n| n == 0 || text.len() > n.ilog10() as usize));
    }
    let (once, twice) = (usage::io(&text), usage::io(&format!("{text}\n{text}")));
    assert_eq!((twice.read, twice.written), (once.read.saturating_mul(2), once.written.saturating_mul(2)));
}
