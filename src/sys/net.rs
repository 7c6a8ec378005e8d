// SPDX-License-Identifier: LGPL-2.1-or-later
//! Network: interface flags by ioctl (netdevice(7)), socket options of netlink(7).

use rustix::io::Errno;
use rustix::ioctl::{Updater, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Brings the loopback interface of the caller's network namespace up. Allocates nothing, so it may be called between
/// clone and execve.
pub fn lo_up_current() -> Result<(), Errno> {
    let socket = match rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None) {
        // A kernel without IPv4 still has links.
        Err(Errno::AFNOSUPPORT) => {
            rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?
        }
        other => other?,
    };
    let mut request =
        libc::ifreq { ifr_name: [0; libc::IFNAMSIZ], ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: 0 } };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    // SAFETY: SIOCGIFFLAGS reads the name from and writes the flags into a `struct ifreq`, which `request` is, and
    // keeps no pointer to it.
    unsafe { ioctl(&socket, Updater::<{ libc::SIOCGIFFLAGS as _ }, libc::ifreq>::new(&mut request))? };
    // SAFETY: every bit pattern is a valid c_short, and the kernel has just written this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS only reads name and flags of a `struct ifreq`, which `request` is; both are set.
    unsafe { ioctl(&socket, Updater::<{ libc::SIOCSIFFLAGS as _ }, libc::ifreq>::new(&mut request)) }
}

/// Opens a netlink(7) socket in that network namespace; without a protocol it is a route socket. It stays there, and so
/// does the namespace while it is open. Does not block.
///
/// The process goes there and back, so it must have one thread only. One that cannot come back is ended: whatever it did
/// next would be done in the wrong place.
pub fn netlink_socket_in(
    netns: BorrowedFd<'_>,
    protocol: Option<rustix::net::Protocol>,
) -> Result<rustix::fd::OwnedFd, Errno> {
    use rustix::fs::{Mode, OFlags};
    let home = rustix::fs::open(c"/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    super::process::setns(netns.as_raw_fd(), super::clone::flags::NEWNET)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol);
    let back = || super::process::setns(home.as_raw_fd(), super::clone::flags::NEWNET).is_ok();
    // Nothing is known to make it fail but the want of memory, which passes.
    if back() || back() {
        return socket;
    }
    // Without the way that words take otherwise: the journal and the bus are in the other namespace too.
    let words = b"spawn: cannot return to its own network namespace, and ends; its keeper undoes what was made\n";
    let _last_words = rustix::io::write(rustix::stdio::stderr(), words);
    std::process::exit(125);
}

/// Whether this is a descriptor of a network namespace (ioctl_nsfs(2), `NS_GET_NSTYPE`).
pub fn is_network_namespace(fd: BorrowedFd<'_>) -> bool {
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // Another file may understand the number in its own way, so only a file of nsfs is asked.
    if !rustix::fs::fstatfs(fd).is_ok_and(|fs| fs.f_type == libc::NSFS_MAGIC) {
        return false;
    }
    // SAFETY: NS_GET_NSTYPE takes no argument and returns the kind of the namespace.
    unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) == libc::CLONE_NEWNET }
}

/// Asks for the kernel's words with every refusal (`NETLINK_EXT_ACK`).
pub fn netlink_ext_ack(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let on: libc::c_int = 1;
    // SAFETY: the option takes an int; `on` lives through the call and its size is what is passed.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_EXT_ACK,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)) }
}
