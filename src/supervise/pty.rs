// SPDX-License-Identifier: LGPL-2.1-or-later
//! The pseudo-terminal that becomes the container's `/dev/console` (pty(7)).

use crate::error::{Code, Diagnostic, Result};
use rustix::fs::{Gid, Mode, OFlags, Uid, fchown, fstatfs, openat};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, ptsname, unlockpt};
use std::os::fd::{BorrowedFd, OwnedFd};

/// `DEVPTS_SUPER_MAGIC` of <linux/magic.h>.
const DEVPTS_MAGIC: i64 = 0x1cd1;

/// A pseudo-terminal of some devpts.
#[derive(Debug)]
pub struct Pty {
    /// Our side.
    pub master: OwnedFd,
    /// The container's side. Hold it while the container runs: as long as it is open the master sees neither `EIO` nor a
    /// hang-up when the payload closes its console or calls vhangup(2).
    pub slave: OwnedFd,
    /// Its name in the devpts mount: `pts/NUMBER`.
    pub number: u32,
}

/// Allocates a pseudo-terminal in the devpts mount `devpts` (attached or not), owned by `owner` on its file system:
/// the host's number of the user that is root in the container. The group stays what the `gid=` of the mount says.
pub fn allocate(devpts: BorrowedFd<'_>, owner: Uid) -> Result<Pty> {
    let failed = |what: &str, errno: Errno| {
        Diagnostic::new(Code::ConsoleFailed, format!("cannot {what} in the container's /dev/pts")).errno(errno)
    };
    let kind = fstatfs(devpts).map_err(|e| failed("look at the file system", e))?.f_type;
    #[allow(clippy::unnecessary_cast, reason = "the type of f_type differs between architectures")]
    if kind as i64 != DEVPTS_MAGIC {
        return Err(Diagnostic::new(Code::ConsoleFailed, "the container's /dev/pts is not a devpts file system"));
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let master = openat(devpts, c"ptmx", flags, Mode::empty()).map_err(|e| {
        let diagnostic = failed("allocate a pseudo-terminal", e);
        match e {
            Errno::NOSPC => diagnostic.help("raise the sysctl kernel.pty.max or end programs that use terminals"),
            _ => diagnostic,
        }
    })?;
    unlockpt(&master).map_err(|e| failed("unlock the pseudo-terminal", e))?;
    let peer = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = ioctl_tiocgptpeer(&master, peer).map_err(|e| failed("open the pseudo-terminal", e))?;
    fchown(&slave, Some(owner), None::<Gid>).map_err(|e| failed("change the owner of the pseudo-terminal", e))?;
    let name = ptsname(&master, Vec::new()).map_err(|e| failed("get the number of the pseudo-terminal", e))?;
    let number = name
        .to_bytes()
        .rsplit(|b| *b == b'/')
        .next()
        .and_then(|n| std::str::from_utf8(n).ok())
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| failed("get the number of the pseudo-terminal", Errno::INVAL))?;
    Ok(Pty { master, slave, number })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rustix::fs::fstat;
    use rustix::mount::*;
    use std::os::fd::AsFd;

    /// A pseudo-terminal of this machine's own devpts.
    pub(crate) fn host_pty() -> Pty {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        Pty { master, slave, number: 0 }
    }

    #[test]
    fn in_a_detached_devpts() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: mounting a devpts needs root");
            return;
        }
        let fs = fsopen("devpts", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
        fsconfig_set_string(fs.as_fd(), "ptmxmode", "0666").unwrap();
        fsconfig_set_string(fs.as_fd(), "mode", "0620").unwrap();
        fsconfig_set_string(fs.as_fd(), "gid", "1000005").unwrap();
        fsconfig_create(fs.as_fd()).unwrap();
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let devpts = fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags).unwrap();
        for expected in 0..2 {
            let pty = allocate(devpts.as_fd(), Uid::from_raw(1_000_000)).unwrap();
            assert_eq!(pty.number, expected);
            let stat = fstat(&pty.slave).unwrap();
            assert_eq!((stat.st_uid, stat.st_gid, stat.st_mode & 0o777), (1_000_000, 1_000_005, 0o620));
            let by_name = rustix::fs::statat(&devpts, expected.to_string(), rustix::fs::AtFlags::empty()).unwrap();
            assert_eq!(by_name.st_rdev, stat.st_rdev);
            rustix::io::write(&pty.slave, b"x\n").unwrap();
            let mut buf = [0; 8];
            assert_eq!(rustix::io::read(&pty.master, &mut buf).unwrap(), 3);
            std::mem::forget(pty.master); // keeps the number taken for the next round
        }
    }

    #[test]
    fn elsewhere_is_refused() {
        let dir = std::fs::File::open("/").unwrap();
        let error = allocate(dir.as_fd(), Uid::ROOT).unwrap_err();
        assert_eq!(error.to_string(), "the container's /dev/pts is not a devpts file system [E0901]");
    }
}
