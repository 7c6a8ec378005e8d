// SPDX-License-Identifier: LGPL-2.1-or-later
//! The small static programs that spawn runs beside itself, and how they are run.
//!
//! They are programs of their own so that nothing of spawn's binary, memory or environment can be seen through them
//! (CVE-2019-5736 and its kin), and so that they cost a few pages only. `build.rs` compiles them.

pub mod wire;

// Programs of their own, compiled by build.rs; named here so that rustfmt finds them.
#[cfg(false)]
mod handover;
#[cfg(false)]
mod keeper;
#[cfg(false)]
mod stub;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::OwnedFd;

/// The keeper, an ELF executable. See `keeper.rs`.
pub static KEEPER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/keeper"));

/// What executes the payload, an ELF executable. See `handover.rs` for its arguments.
pub static HANDOVER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/handover"));

/// The stub PID 1, an ELF executable. See `stub.rs` for its arguments.
pub static STUB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub"));

/// An anonymous file with `bytes` that nobody can change any more, to be run by `execveat(fd, "", …, AT_EMPTY_PATH)`.
/// The descriptor is close-on-exec and never below 3. `name` shows in `/proc/PID/exe` as `/memfd:name (deleted)`.
///
/// # Errors
/// Those of memfd_create(2), write(2) and of `F_ADD_SEALS` in fcntl(2).
pub fn sealed_memfd(name: &CStr, bytes: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Before 6.3 the kernel does not know EXEC, and every memfd can be executed.
    let fd = match rustix::fs::memfd_create(name, flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        other => other?,
    };
    let fd = above_stdio(fd)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::retry_on_intr(|| rustix::io::write(&fd, rest))?;
        rest = &rest[written..];
    }
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(fd)
}

/// The same file under a descriptor that is none of 0 to 2.
pub(crate) fn above_stdio(fd: OwnedFd) -> rustix::io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    if fd.as_raw_fd() > 2 { Ok(fd) } else { rustix::io::fcntl_dupfd_cloexec(&fd, 3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_are_small_and_static() {
        for program in [HANDOVER, KEEPER, STUB] {
            assert_eq!(&program[..4], b"\x7fELF");
            assert!(program.len() < 16 * 1024, "{} bytes", program.len());
        }
    }

    #[test]
    fn a_sealed_memfd_cannot_be_changed() {
        let fd = sealed_memfd(c"test", b"abc").unwrap();
        assert_eq!(rustix::io::pwrite(&fd, b"x", 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(&fd, 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::fcntl_add_seals(&fd, SealFlags::WRITE), Err(Errno::PERM));
    }
}
