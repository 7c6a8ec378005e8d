// SPDX-License-Identifier: LGPL-2.1-or-later
//! Runs a release in this process.

use super::network;
use super::release::{PathRelease, Release};
use crate::error::{Code, Diagnostic, Result};
use crate::sys::programs::wire::MOMENT_MS;
use crate::sys::termios::TermState;
use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use rustix::process::{WaitId, WaitIdOptions};
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one release may wait for something to be gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
const MAX_DEPTH: u32 = 8;

/// Runs it, waiting for `patience` at most where there is something to wait for.
pub(super) fn perform(release: Release, patience: Duration) -> Result<()> {
    match release {
        Release::KillProcess(pidfd) => {
            kill_process(pidfd.as_fd(), patience).map_err(|e| failed("kill the process".into(), e))
        }
        Release::EndProcess(pidfd) => {
            end_process(pidfd.as_fd(), patience).map_err(|e| failed("end the process".into(), e))
        }
        Release::KillCgroup(group) => {
            kill_cgroup(group.as_fd(), patience).map_err(|e| failed("kill the control group".into(), e))
        }
        Release::RestoreTerminal { terminal, attributes } => {
            restore(terminal.as_fd(), &attributes).map_err(|e| failed("restore the terminal".into(), e))
        }
        Release::Unlock(lock) => lock.unlock().map_err(|e| failed("give the lock up".into(), e)),
        Release::DeleteInside { socket, index } => {
            let deleted = network::delete_inside(socket.as_fd(), index);
            deleted.map_err(|e| failed(format!("delete the container's network link with index {index}"), e))
        }
        Release::Path(path) => perform_path(&path, patience),
        Release::RemoveInside { root, path } => but(remove_inside(root.as_fd(), &path), Errno::NOENT)
            .map_err(|e| failed(format!("remove the directory {} of the tree", path.display()), e)),
        Release::Hold(_) | Release::EmptyScope { .. } => Ok(()),
        Release::Call(call) => call(),
    }
}

/// Runs a release that is named by a path.
pub(super) fn perform_path(release: &PathRelease, patience: Duration) -> Result<()> {
    use rustix::fs::{rmdir, unlink};
    use rustix::mount::unmount;
    let (verb, subject, outcome) = match release {
        PathRelease::Unmount(path) => {
            let done = unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
            // EINVAL: nothing is mounted there, umount(2).
            ("unmount", path.display().to_string(), but(done, Errno::INVAL))
        }
        PathRelease::RemoveFile(path) => ("remove the file", path.display().to_string(), unlink(path)),
        PathRelease::RemoveDir(path) => ("remove the directory", path.display().to_string(), rmdir(path)),
        PathRelease::RemoveTree(path) => ("remove the directory", path.display().to_string(), remove_tree(path)),
        PathRelease::RemoveCopy(path) => ("remove the copy", path.display().to_string(), remove_copy(path)),
        PathRelease::RemoveCgroup(path) => {
            ("remove the control group", path.display().to_string(), remove_cgroup(path, patience))
        }
        PathRelease::DeleteLink(name) => ("delete the network link", name.clone(), network::delete_link(name)),
        PathRelease::ReturnLink { netns, index, name } => {
            ("move back the network link", name.clone(), network::return_link(netns, *index, name))
        }
        PathRelease::StopForward(key) => {
            ("stop forwarding the port", key.port.to_string(), network::stop_forward(*key))
        }
        PathRelease::RemoveZone(name) => ("remove the bridge", name.clone(), network::remove_zone(name, patience)),
    };
    but(outcome, Errno::NOENT).map_err(|errno| failed(format!("{verb} {subject}"), errno))
}

fn failed(what: String, errno: Errno) -> Diagnostic {
    Diagnostic::new(Code::ReleaseFailed, format!("cannot {what}")).errno(errno)
}

pub(super) fn but(outcome: rustix::io::Result<()>, harmless: Errno) -> rustix::io::Result<()> {
    if outcome == Err(harmless) { Ok(()) } else { outcome }
}

/// Sends SIGKILL, waits until the process is gone, and reaps it when it is a child. `ETIMEDOUT` when it stays.
pub fn kill_process(pidfd: BorrowedFd<'_>, patience: Duration) -> rustix::io::Result<()> {
    but(rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL), Errno::SRCH)?;
    if !wait_readable(pidfd, patience)? {
        return Err(Errno::TIMEDOUT);
    }
    // ECHILD: somebody else's child, or reaped already.
    let reaped = rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    but(reaped.map(|_| ()), Errno::CHILD)
}

/// Leaves the process a moment to finish what it does.
fn end_process(pidfd: BorrowedFd<'_>, patience: Duration) -> rustix::io::Result<()> {
    but(rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::TERM), Errno::SRCH)?;
    wait_readable(pidfd, Duration::from_millis(MOMENT_MS))?;
    kill_process(pidfd, patience)
}

/// Waits until `fd` can be read, as a pidfd can when its process is gone.
pub(super) fn wait_readable(fd: BorrowedFd<'_>, patience: Duration) -> rustix::io::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            other => return other.map(|ready| ready > 0),
        }
    }
}

/// Kills what is in the control group and waits until it is empty. `ETIMEDOUT` when it does not become so.
pub(super) fn kill_cgroup(group: BorrowedFd<'_>, patience: Duration) -> rustix::io::Result<()> {
    let open = |name: &CStr, flags| rustix::fs::openat(group, name, flags | OFlags::CLOEXEC, Mode::empty());
    // ENOENT, ENODEV: the group was removed, so nobody is in it.
    let kill = match open(c"cgroup.kill", OFlags::WRONLY) {
        Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
        other => other?,
    };
    but(rustix::io::write(&kill, b"1").map(|_| ()), Errno::NODEV)?;
    let deadline = Instant::now() + patience;
    loop {
        let events = match open(c"cgroup.events", OFlags::RDONLY) {
            Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
            other => other?,
        };
        let mut text = [0; 128];
        match rustix::io::read(&events, &mut text) {
            Err(Errno::NODEV) => return Ok(()),
            Ok(length) if text[..length].windows(11).any(|part| part == b"populated 0") => return Ok(()),
            outcome => outcome?,
        };
        if Instant::now() >= deadline {
            return Err(Errno::TIMEDOUT);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn restore(terminal: BorrowedFd<'_>, attributes: &TermState) -> rustix::io::Result<()> {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTTOU);
    // Blocked, the signal is not sent and the call goes through from the background too (tcsetattr(3)).
    let before = stop.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
    let outcome = attributes.apply(terminal);
    if let Ok(before) = before {
        // Setting a mask that was read a moment ago cannot fail.
        let _restored = before.thread_set_mask();
    }
    // EIO: the terminal was hung up; there is nothing to restore.
    but(outcome, Errno::IO)
}

fn open_dir(at: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat2(at, name, flags, Mode::empty(), ResolveFlags::NO_XDEV)
}

fn open_top(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

fn remove_tree(path: &Path) -> rustix::io::Result<()> {
    // An empty one takes no descriptor, which the start may have failed for want of.
    if rustix::fs::rmdir(path).is_ok() {
        return Ok(());
    }
    let top = open_top(path)?;
    match empty(top.as_fd(), MAX_DEPTH) {
        Err(Errno::BUSY) => {
            unmount_in(path, top.as_fd())?;
            empty(top.as_fd(), MAX_DEPTH)?;
        }
        other => other?,
    }
    rustix::fs::rmdir(path)
}

/// What could not be unmounted before: with the record nobody would know of it, and the name could not be used again.
fn unmount_in(path: &Path, top: BorrowedFd<'_>) -> rustix::io::Result<()> {
    each_entry(top, |name, _| {
        let at = path.join(OsStr::from_bytes(name.to_bytes()));
        // EINVAL: nothing is mounted there.
        but(rustix::mount::unmount(at, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW), Errno::INVAL)
    })
}

/// A deep tree neither takes recursion nor an open directory for each of its levels.
fn remove_copy(path: &Path) -> rustix::io::Result<()> {
    let above = open_top(path.parent().unwrap_or(Path::new("/")))?;
    let name = CString::new(path.file_name().unwrap_or_default().as_bytes()).map_err(|_| Errno::INVAL)?;
    let mut at = open_dir(above.as_fd(), &name)?;
    if crate::sys::btrfs::is_subvolume(at.as_fd()) && crate::sys::btrfs::delete(above.as_fd(), &name).is_ok() {
        return Ok(());
    }
    let (mut depth, mut came_up) = (0u64, false);
    loop {
        let (mut below, mut removed) = (None, false);
        each_entry(at.as_fd(), |name, _| {
            let gone = match rustix::fs::unlinkat(&at, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => rustix::fs::unlinkat(&at, name, AtFlags::REMOVEDIR),
                other => other,
            };
            match gone {
                Err(Errno::NOTEMPTY) => below = Some(open_dir(at.as_fd(), name)?),
                r => but(r, Errno::NOENT)?,
            }
            removed |= gone.is_ok();
            Ok(())
        })?;
        (at, came_up) = match below {
            // What was just emptied could not be removed.
            Some(_) if came_up && !removed => return Err(Errno::NOTEMPTY),
            Some(below) => {
                depth += 1;
                (below, false)
            }
            None if depth == 0 => break,
            None => {
                depth -= 1;
                (open_dir(at.as_fd(), c"..")?, true)
            }
        };
    }
    rustix::fs::unlinkat(&above, &*name, AtFlags::REMOVEDIR)
}

fn remove_inside(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let dir = rustix::fs::openat2(root, path, flags, Mode::empty(), inside)?;
    empty(dir.as_fd(), MAX_DEPTH)?;
    // What was opened under this name is in the directory above it.
    let above = rustix::fs::openat(&dir, c"..", flags | OFlags::PATH, Mode::empty())?;
    rustix::fs::unlinkat(&above, path.file_name().unwrap_or_default(), AtFlags::REMOVEDIR)
}

fn empty(dir: BorrowedFd<'_>, depth: u32) -> rustix::io::Result<()> {
    let below = depth.checked_sub(1).ok_or(Errno::LOOP)?;
    each_entry(dir, |name, _| match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR) => {
            empty(open_dir(dir, name)?.as_fd(), below)?;
            rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
        }
        other => but(other, Errno::NOENT),
    })
}

fn remove_cgroup(path: &Path, patience: Duration) -> rustix::io::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        match rustix::fs::rmdir(path) {
            Err(Errno::BUSY) => {}
            other => return other,
        }
        remove_groups_below(open_top(path)?, deadline)?;
        match rustix::fs::rmdir(path) {
            Err(Errno::BUSY) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            other => return other,
        }
    }
}

/// Removes every group below, however deep a payload has nested them: without recursion and without paths, which have
/// limits. Goes down where a group stays because of what is below it, and up again by `..`.
fn remove_groups_below(top: OwnedFd, deadline: Instant) -> rustix::io::Result<()> {
    let (mut at, mut depth) = (top, 0u64);
    loop {
        let mut stays = None;
        each_entry(at.as_fd(), |name, kind| {
            if kind == FileType::Directory
                && but(rustix::fs::unlinkat(&at, name, AtFlags::REMOVEDIR), Errno::NOENT).is_err()
            {
                stays = Some(name.to_owned());
            }
            Ok(())
        })?;
        match stays {
            // Nothing is below a group that is still busy, so this ends at the deadline at the latest.
            Some(_) if Instant::now() >= deadline => return Err(Errno::BUSY),
            Some(name) => {
                match open_dir(at.as_fd(), &name) {
                    Err(Errno::NOENT) => continue,
                    below => at = below?,
                }
                depth += 1;
            }
            None if depth == 0 => return Ok(()),
            None => {
                at = open_dir(at.as_fd(), c"..")?;
                depth -= 1;
            }
        }
    }
}

/// Calls `act` for every entry and goes on after a failure; the first one is returned.
fn each_entry(
    dir: BorrowedFd<'_>,
    mut act: impl FnMut(&CStr, FileType) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    let mut first = Ok(());
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            first = first.and(act(entry.file_name(), entry.file_type()));
        }
    }
    first
}
