// SPDX-License-Identifier: LGPL-2.1-or-later
//! The veth pair between the host and a container.

use super::mac::MacAddress;
use super::names::LinkName;
use super::netlink::{Message, NetlinkError};
use super::rtnl::{Rtnl, link_request, namespace_request, peer_header};
use crate::error::{Code, Diagnostic, Result};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// `VETH_INFO_PEER` (linux/veth.h).
const VETH_INFO_PEER: u16 = 1;
/// `RTM_NEWLINKPROP` (linux/rtnetlink.h).
const RTM_NEWLINKPROP: u16 = 108;
/// How often a used name is tried again while it is waited for.
const NAME_RETRY: Duration = Duration::from_millis(10);
/// How long a name is waited for whose link does not look as if it were about to go: long enough for somebody who is
/// just deleting it, too short to annoy whom another link is in the way of.
const USED_NAME_WAIT: Duration = Duration::from_millis(500);

/// A veth pair to be made.
#[derive(Debug, Clone)]
pub struct VethPair {
    /// The host's side, in the caller's network namespace.
    pub host: LinkName,
    /// Its hardware address; without one the kernel takes a random one.
    pub host_mac: Option<MacAddress>,
    /// The container's side, born in the container's network namespace.
    pub container: String,
    /// Its hardware address; without one the kernel takes a random one.
    pub container_mac: Option<MacAddress>,
}

/// A veth pair that was made.
#[derive(Debug)]
pub struct Veth {
    /// Interface index of the host's side: what machined is told, and what the pair is deleted by.
    pub host_index: u32,
    /// The full name of a shortened one could not be added as alternative name; the link works without.
    pub alternative_name: Result<()>,
}

impl VethPair {
    /// Makes the pair: the host's side in the caller's network namespace, the other one in `netns`. Both are down.
    ///
    /// A name that is in use is waited for until `name_wait` is over if its link is about to go: the kernel takes down
    /// the links of an ended container some time after its last process. Other links are waited for half a second at
    /// most. Fails with E0801; then nothing was made.
    pub fn create(&self, netns: BorrowedFd<'_>, name_wait: Duration) -> Result<Veth> {
        let mut rtnl = Rtnl::open().map_err(|e| failed("cannot open an rtnetlink socket".into(), e))?;
        let started = Instant::now();
        loop {
            let error = match rtnl.request(self.request(netns)) {
                Ok(_) => break,
                Err(e) => e,
            };
            let waited = started.elapsed();
            let wait = waited < name_wait.min(USED_NAME_WAIT)
                || (waited < name_wait && other_side_is_gone(&mut rtnl, &self.host.name));
            if error.errno != Errno::EXIST || !wait {
                return Err(self.not_made(error));
            }
            std::thread::sleep(NAME_RETRY);
        }
        let name = &self.host.name;
        let host_index = index_in(&mut rtnl, name)
            .map_err(|e| failed(format!("cannot look up the new link {name}"), e))?
            .ok_or_else(|| Diagnostic::new(Code::NetworkFailed, format!("the new link {name} has vanished")))?;
        let alternative_name = self.host.alternative().map_or(Ok(()), |full| {
            let request = link_request(RTM_NEWLINKPROP, libc::NLM_F_CREATE | libc::NLM_F_EXCL, host_index)
                .nest(libc::IFLA_PROP_LIST, |r| r.text(libc::IFLA_ALT_IFNAME, full));
            rtnl.request(request)
                .map(drop)
                .map_err(|e| failed(format!("cannot give the link {name} the alternative name {full}"), e))
        });
        Ok(Veth { host_index, alternative_name })
    }

    fn request(&self, netns: BorrowedFd<'_>) -> Message {
        let address = |r: Message, mac: Option<MacAddress>| match mac {
            Some(mac) => r.attribute(libc::IFLA_ADDRESS, &mac.0),
            None => r,
        };
        let request = link_request(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, 0)
            .text(libc::IFLA_IFNAME, &self.host.name);
        address(request, self.host_mac).nest(libc::IFLA_LINKINFO, |r| {
            r.text(libc::IFLA_INFO_KIND, "veth").nest(libc::IFLA_INFO_DATA, |r| {
                r.nest_after(VETH_INFO_PEER, &peer_header(), |r| {
                    let peer = r.text(libc::IFLA_IFNAME, &self.container);
                    address(peer, self.container_mac).attribute(libc::IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes())
                })
            })
        })
    }

    fn not_made(&self, error: NetlinkError) -> Diagnostic {
        let name = &self.host.name;
        let help = match error.errno {
            Errno::EXIST => Some(format!("stop what uses it, or remove it: ip link delete {name}")),
            Errno::OPNOTSUPP => Some("load the kernel module veth".into()),
            _ => None,
        };
        let in_use = error.errno == Errno::EXIST;
        let shown = failed(format!("cannot make the veth pair {name} and {}", self.container), error);
        let shown = if in_use { shown.note("a link of that name exists already") } else { shown };
        match help {
            Some(help) => shown.help(help),
            None => shown,
        }
    }
}

/// Interface index of the link of that name in the caller's network namespace; `None` when there is none.
pub fn link_index(name: &str) -> Result<Option<u32>> {
    Rtnl::open()
        .and_then(|mut rtnl| index_in(&mut rtnl, name))
        .map_err(|e| failed(format!("cannot look up the link {name}"), e))
}

/// Deletes the link with this index from the caller's network namespace, and with it the other side of a pair. One
/// that is gone already is deleted.
pub fn delete_link(index: u32) -> Result<()> {
    let request = link_request(libc::RTM_DELLINK, 0, index);
    match Rtnl::open().and_then(|mut rtnl| rtnl.request(request)) {
        Ok(_) => Ok(()),
        Err(e) if e.errno == Errno::NODEV => Ok(()),
        Err(e) => Err(failed(format!("cannot delete the link with index {index}"), e)),
    }
}

/// Whether the link of that name is one side of a pair whose other side is in a network namespace that nobody has any
/// more. The kernel tells the id of that namespace until it starts to take it down, and afterwards -1.
fn other_side_is_gone(rtnl: &mut Rtnl, name: &str) -> bool {
    let Ok(Some(link)) = rtnl.ask(link_request(libc::RTM_GETLINK, 0, 0).text(libc::IFLA_IFNAME, name)) else {
        return false;
    };
    let id = link.attributes().get(libc::IFLA_LINK_NETNSID).and_then(|id| id.try_into().ok()).map(i32::from_ne_bytes);
    match id {
        // The other side is in our own namespace, or there is none.
        None => false,
        Some(..0) => true,
        Some(id) => matches!(rtnl.ask(namespace_request(id)), Err(e) if e.errno == Errno::NOENT),
    }
}

fn index_in(rtnl: &mut Rtnl, name: &str) -> std::result::Result<Option<u32>, NetlinkError> {
    match rtnl.request(link_request(libc::RTM_GETLINK, 0, 0).text(libc::IFLA_IFNAME, name)) {
        Ok(index) => Ok(index),
        Err(e) if e.errno == Errno::NODEV => Ok(None),
        Err(e) => Err(e),
    }
}

pub(super) fn failed(what: String, error: NetlinkError) -> Diagnostic {
    let shown = Diagnostic::new(Code::NetworkFailed, what).errno(error.errno);
    match error.text {
        Some(text) => shown.note(format!("the kernel says: {text}")),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::{TempDir, is_root};
    use nix::sched::{CloneFlags, setns, unshare};
    use std::fs::File;
    use std::os::fd::AsFd;

    /// A new network namespace for this thread only, and a handle to it.
    fn new_netns() -> File {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap()
    }

    /// Reads an attribute of a link in this thread's network namespace, as sysfs shows it.
    fn attribute(link: &str, file: &str) -> String {
        let dir = TempDir::new();
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
        rustix::mount::mount("sysfs", dir.path(), "sysfs", rustix::mount::MountFlags::empty(), None).unwrap();
        let text = std::fs::read_to_string(dir.path().join("class/net").join(link).join(file)).unwrap();
        rustix::mount::unmount(dir.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
        text.trim_end().into()
    }

    fn pair(host: &str, full: Option<&str>) -> VethPair {
        VethPair {
            host: LinkName { name: host.into(), shortened_from: full.map(Into::into) },
            host_mac: Some(MacAddress([2, 0, 0, 0, 0, 1])),
            container: "host0".into(),
            container_mac: Some(MacAddress([2, 0, 0, 0, 0, 2])),
        }
    }

    #[test]
    fn a_pair_is_born_on_both_sides_and_dies_as_one() {
        if !is_root("net::veth a_pair_is_born_on_both_sides_and_dies_as_one") {
            return;
        }
        let (host, container) = (new_netns(), new_netns());
        setns(&host, CloneFlags::CLONE_NEWNET).unwrap();
        let full = "ve-a-name-that-was-longer";
        let veth = pair("ve-a-name-1234", Some(full)).create(container.as_fd(), Duration::ZERO).unwrap();
        veth.alternative_name.unwrap();
        assert_eq!(attribute("ve-a-name-1234", "address"), "02:00:00:00:00:01");
        assert_eq!(link_index("ve-a-name-1234").unwrap(), Some(veth.host_index));
        assert_eq!(index_in(&mut Rtnl::open().unwrap(), "host0").unwrap(), None);

        let again = pair("ve-a-name-1234", None).create(container.as_fd(), Duration::from_millis(30)).unwrap_err();
        assert_eq!(again.code(), Code::NetworkFailed);
        assert!(again.headline().contains("ve-a-name-1234") && again.headline().contains("EEXIST"), "{again}");

        setns(&container, CloneFlags::CLONE_NEWNET).unwrap();
        assert_eq!(attribute("host0", "address"), "02:00:00:00:00:02");
        crate::sys::net::lo_up_current().unwrap();
        let flags = u32::from_str_radix(attribute("lo", "flags").trim_start_matches("0x"), 16).unwrap();
        assert_eq!(flags & libc::IFF_UP as u32, libc::IFF_UP as u32);

        setns(&host, CloneFlags::CLONE_NEWNET).unwrap();
        delete_link(veth.host_index).unwrap();
        delete_link(veth.host_index).unwrap();
        assert_eq!(link_index("ve-a-name-1234").unwrap(), None);
        setns(&container, CloneFlags::CLONE_NEWNET).unwrap();
        assert_eq!(link_index("host0").unwrap(), None);
    }

    #[test]
    fn a_name_that_comes_free_is_waited_for() {
        if !is_root("net::veth a_name_that_comes_free_is_waited_for") {
            return;
        }
        let (host, container) = (new_netns(), new_netns());
        setns(&host, CloneFlags::CLONE_NEWNET).unwrap();
        let first = pair("ve-x", None).create(container.as_fd(), Duration::ZERO).unwrap();
        let remover = std::thread::spawn(move || {
            setns(&host, CloneFlags::CLONE_NEWNET).unwrap();
            std::thread::sleep(Duration::from_millis(20));
            delete_link(first.host_index).unwrap();
        });
        let second = pair("ve-x", None).create(container.as_fd(), Duration::from_secs(5)).unwrap();
        assert_ne!(second.host_index, first.host_index);
        remover.join().unwrap();
    }

    /// Its other side is in being, in another namespace or in this one, or is a name of the container's.
    #[test]
    fn a_name_that_stays_in_use_is_not_waited_for() {
        if !is_root("net::veth a_name_that_stays_in_use_is_not_waited_for") {
            return;
        }
        let (host, container) = (new_netns(), new_netns());
        setns(&host, CloneFlags::CLONE_NEWNET).unwrap();
        pair("ve-x", None).create(container.as_fd(), Duration::ZERO).unwrap();
        VethPair { container: "here".into(), ..pair("ve-y", None) }.create(host.as_fd(), Duration::ZERO).unwrap();
        for name in ["ve-x", "ve-y", "here", "ve-z"] {
            let started = Instant::now();
            let error = pair(name, None).create(container.as_fd(), Duration::from_secs(20)).unwrap_err();
            assert!(error.headline().contains("EEXIST"), "{name}: {error}");
            assert!(started.elapsed() < Duration::from_secs(5), "{name}: {:?}", started.elapsed());
        }
    }

    #[test]
    fn a_name_of_a_container_that_has_ended_is_waited_for() {
        if !is_root("net::veth a_name_of_a_container_that_has_ended_is_waited_for") {
            return;
        }
        let (host, container) = (new_netns(), new_netns());
        for _ in 0..8 {
            let ended = new_netns();
            setns(&host, CloneFlags::CLONE_NEWNET).unwrap();
            pair("ve-x", None).create(ended.as_fd(), Duration::ZERO).unwrap();
            drop(ended);
            let next = pair("ve-x", None).create(container.as_fd(), Duration::from_secs(20)).unwrap();
            delete_link(next.host_index).unwrap();
        }
    }

    #[test]
    fn the_kernels_own_words_are_passed_on() {
        if !is_root("net::veth the_kernels_own_words_are_passed_on") {
            return;
        }
        let netns = new_netns();
        let mut pair = pair("ve-y", None);
        pair.host.name = "x".repeat(20);
        let error = pair.create(netns.as_fd(), Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("the kernel says: "), "{error}");
    }
}
