// SPDX-License-Identifier: LGPL-2.1-or-later
//! Undoing of a container's network in this process. What is gone already is undone.

use super::perform::but;
use crate::image::LockFile;
use crate::net::nft::ForwardKey;
use crate::sys::net::netlink_socket_in;
use crate::sys::ofd_lock::LockKind;
use crate::sys::programs::wire::{self, ZONE_LOCK};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sendto, socket_with};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

type Message = Option<([u8; wire::LINK_MAX], usize)>;

/// Does something once more if it fails. What stays for a moment has effects that last: a link that is not moved back in
/// time goes with its namespace, and a bridge that has a port yet is taken for somebody else's.
fn twice<T>(mut done: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    done().or_else(|_| done())
}

/// Deletes a link of the host by name.
pub fn delete_link(name: &str) -> rustix::io::Result<()> {
    let message = || wire::delete_link_message(name.as_bytes());
    twice(|| but(request(route_socket()?.as_fd(), message()), Errno::NODEV))
}

/// Deletes a link by index where the socket belongs to.
pub fn delete_inside(socket: BorrowedFd<'_>, index: u32) -> rustix::io::Result<()> {
    twice(|| but(request(socket, wire::delete_index_message(index)), Errno::NODEV))
}

/// Moves a link from the namespace mounted at `netns` to ours.
pub fn return_link(netns: &Path, index: u32, name: &str) -> rustix::io::Result<()> {
    twice(|| return_once(netns, index, name))
}

fn return_once(netns: &Path, index: u32, name: &str) -> rustix::io::Result<()> {
    let open = |path: &Path| rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let home = open(Path::new("/proc/self/ns/net"))?;
    let there = match netlink_socket_in(open(netns)?.as_fd(), None) {
        // Nothing is mounted there any more, so nothing is lent.
        Err(Errno::INVAL) => return Ok(()),
        other => other?,
    };
    let message = wire::move_link_message(index, name.as_bytes(), home.as_raw_fd());
    but(request(there.as_fd(), message), Errno::NODEV)
}

/// Deletes a zone's bridge when it has no ports, under the lock that all launchers take for that.
pub fn remove_zone(name: &str, patience: Duration) -> rustix::io::Result<()> {
    let (folder, file) = ZONE_LOCK;
    let _lock = LockFile::within(Path::new(folder), file.as_ref(), LockKind::Exclusive, patience)?;
    twice(|| remove_idle(name))
}

fn remove_idle(name: &str) -> rustix::io::Result<()> {
    let Some(bridge) = first_link(wire::find_link_message(name.as_bytes()))? else { return Ok(()) };
    match first_link(wire::ports_message(bridge))? {
        Some(_) => Ok(()),
        None => but(request(route_socket()?.as_fd(), wire::delete_index_message(bridge)), Errno::NODEV),
    }
}

/// Takes a port out of the map of those that are forwarded.
pub fn stop_forward(key: ForwardKey) -> rustix::io::Result<()> {
    let ForwardKey { family, protocol, port } = key;
    let netfilter = Some(netlink::NETFILTER);
    let message = wire::stop_forward_message(family.number(), protocol, port);
    twice(|| {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, netfilter)?;
        but(exchange(socket.as_fd(), &message), Errno::NOENT)
    })
}

fn route_socket() -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
}

fn send(socket: BorrowedFd<'_>, message: Message) -> rustix::io::Result<()> {
    let (message, length) = message.ok_or(Errno::NODEV)?;
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    sendto(socket, &message[..length], SendFlags::empty(), &kernel).map(drop)
}

/// The first link that the kernel answers with.
fn first_link(message: Message) -> rustix::io::Result<Option<u32>> {
    let socket = route_socket()?;
    send(socket.as_fd(), message)?;
    let mut answer = [0u8; 64];
    // The kernel answers before sendto returns; what does not fit is not of interest.
    let (received, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::DONTWAIT)?;
    wire::answered_link(&answer[..received]).map_err(Errno::from_raw_os_error)
}

fn request(socket: BorrowedFd<'_>, message: Message) -> rustix::io::Result<()> {
    let (message, length) = message.ok_or(Errno::NODEV)?;
    exchange(socket, &message[..length])
}

fn exchange(socket: BorrowedFd<'_>, message: &[u8]) -> rustix::io::Result<()> {
    sendto(socket, message, SendFlags::empty(), &netlink::SocketAddrNetlink::new(0, 0))?;
    // struct nlmsghdr, the errno as a negative number, then the request again, and the kernel's words where asked for.
    let mut answer = [0u8; 1024];
    let (received, _) = rustix::net::recv(socket, &mut answer[..], RecvFlags::DONTWAIT)?;
    let errno = answer[..received].get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match errno {
        Some(0) => Ok(()),
        Some(errno @ -4095..0) => Err(Errno::from_raw_os_error(-errno)),
        _ => Err(Errno::BADMSG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_refuses_is_no_empty_list() {
        let answer = |kind: u16, code: i32| {
            let mut bytes = vec![36, 0, 0, 0];
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend(code.to_ne_bytes());
            bytes.extend([7, 0, 0, 0]);
            bytes
        };
        assert_eq!(wire::answered_link(&answer(16, 0)), Ok(Some(7)));
        assert_eq!(wire::answered_link(&answer(2, -19)), Ok(None), "no such link");
        assert_eq!(wire::answered_link(&answer(3, 0)[..20]), Ok(None), "the end of a list");
        assert_eq!(wire::answered_link(&answer(2, -1)), Err(1));
        assert_eq!(wire::answered_link(&answer(3, -12)), Err(12));
        for damaged in [answer(2, 0), answer(2, 5), answer(2, i32::MIN), answer(16, 0)[..20].to_vec(), Vec::new()] {
            assert_eq!(wire::answered_link(&damaged), Err(74), "{damaged:?}");
        }
    }
}
