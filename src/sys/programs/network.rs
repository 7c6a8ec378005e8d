// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the keeper undoes of a container's network.

use crate::calls::{self, AT_FDCWD, ENOENT, Result, Time};
use crate::wire;
use core::ffi::CStr;

/// How long another owner of the zones' lock may take.
const LOCK_MS: u64 = 2000;
/// The same path as `wire::ZONE_LOCK`.
const ZONE_LOCK: &CStr = c"/run/systemd/nspawn-network-zone";

/// Sends one request about a link of the host.
pub fn request(message: Option<([u8; wire::LINK_MAX], usize)>) -> Result<()> {
    let socket = calls::netlink(0)?;
    let sent = request_on(socket, message);
    calls::close(socket)?;
    sent
}

/// Sends one request on a route socket.
pub fn request_on(socket: i32, message: Option<([u8; wire::LINK_MAX], usize)>) -> Result<()> {
    let (message, length) = message.ok_or(ENOENT)?;
    calls::send_to_kernel(socket, &message[..length]).map(|_| ())
}

/// Moves a lent link back: "INDEX NAME PATH", with a NUL.
pub fn return_link(text: &[u8]) -> Result<()> {
    let (index, name, path) = wire::parse_lent(text).ok_or(ENOENT)?;
    let path = CStr::from_bytes_with_nul(path).map_err(|_| ENOENT)?;
    let home = calls::open(AT_FDCWD, c"/proc/self/ns/net", 0)?;
    let there = calls::open(AT_FDCWD, path, 0)?;
    calls::enter_network(there)?;
    let moved = request(wire::move_link_message(index, name, home));
    if calls::enter_network(home).is_err() {
        // Whatever came next would be done in the wrong place.
        calls::exit(1);
    }
    calls::close(there)?;
    calls::close(home)?;
    moved
}

/// Takes a port out of the map of those that are forwarded.
pub fn stop_forward(text: &[u8]) -> Result<()> {
    const NETLINK_NETFILTER: usize = 12;
    let (family, protocol, port) = wire::parse_port(text).ok_or(ENOENT)?;
    let socket = calls::netlink(NETLINK_NETFILTER)?;
    let sent = calls::send_to_kernel(socket, &wire::stop_forward_message(family, protocol, port));
    calls::close(socket)?;
    sent.map(|_| ())
}

/// Deletes a zone's bridge when it has no ports, under the lock that all launchers take for that.
pub fn remove_zone(name: &CStr) -> Result<()> {
    let lock = take_lock()?;
    let removed = remove_idle(name);
    calls::unlink(AT_FDCWD, ZONE_LOCK, 0)?;
    calls::close(lock)?;
    removed
}

fn take_lock() -> Result<i32> {
    let deadline = calls::now().saturating_add(LOCK_MS);
    loop {
        let lock = calls::open_or_make(ZONE_LOCK)?;
        match calls::lock(lock) {
            // Its last owner has removed it before letting go: then another file has the name.
            Ok(_) if calls::link_count(lock)? > 0 => return Ok(lock),
            Ok(_) => {}
            Err(errno) if calls::now() >= deadline => return Err(errno),
            Err(_) => calls::sleep(Time::milliseconds(5)),
        }
        calls::close(lock)?;
    }
}

fn remove_idle(name: &CStr) -> Result<()> {
    let find = wire::find_link_message(name.to_bytes());
    let Some(bridge) = first_link(find)? else { return Ok(()) };
    match first_link(wire::ports_message(bridge))? {
        Some(_) => Ok(()),
        None => request(wire::delete_index_message(bridge)),
    }
}

/// The first link that the kernel answers with.
fn first_link(message: Option<([u8; wire::LINK_MAX], usize)>) -> Result<Option<u32>> {
    let mut answer = [0; 64];
    let socket = calls::netlink(0)?;
    let sent = request_on(socket, message);
    let received = sent.and_then(|()| calls::receive_bytes(socket, &mut answer));
    calls::close(socket)?;
    wire::answered_link(&answer[..received?.min(answer.len())])
}
