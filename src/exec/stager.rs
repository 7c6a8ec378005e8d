// SPDX-License-Identifier: LGPL-2.1-or-later
//! The stager: lives in the host's user namespace and a mount namespace of its own, builds the tree from prepared
//! descriptors, clones init and leaves. What it mounts, a container root in a user namespace cannot undo.
//!
//! Everything here is child-safe.

use super::child::{During, Fault, Reporter, Skips, wait_byte};
use super::init::{self, Init};
use super::mounting;
use super::ops::{ChildEnds, Op, OpKind, Stager};
use super::places::Places;
use super::report::{Kind, Part, Stage};
use crate::sys::caps;
use crate::sys::clone::{Side, clone, flags};
use crate::sys::process::{close_all_but, exit_now, set_fs_ids, setns};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::Signal;
use std::mem::MaybeUninit;

/// CAP_DAC_OVERRIDE of capability.h, as a bit.
const CAP_DAC_OVERRIDE: u64 = 1 << 1;

/// Runs the stager in a process that `clone` has just made in a new mount namespace.
pub fn run(program: &Stager, init: &Init, ends: &ChildEnds) -> ! {
    let reporter = Reporter::new(ends.report.as_fd(), Stage::Stager);
    let step = |step: u16, r: Result<(), Fault>| {
        if let Err(fault) = r {
            reporter.fail(step, fault, 0)
        }
    };
    let descriptors = match enter(program, ends) {
        Ok(fd) => fd,
        Err(fault) => reporter.fail(u16::MAX, fault, 0),
    };
    let mut skips = Skips::new();
    let mut places = None;
    perform(&program.early, &mut places, descriptors.as_fd(), program, None, &reporter, &mut skips);
    if places.is_none() {
        reporter.fail(u16::MAX, (Part::Whole, Errno::INVAL), 0)
    }
    let cgroup = match receive_order(ends.order.as_fd()) {
        Ok(Some(cgroup)) => cgroup,
        // The supervisor has given up or is gone; it has said why, if it could.
        Ok(None) => exit_now(1),
        Err(e) => reporter.fail(u16::MAX, (Part::Whole, e), 0),
    };
    // The kernel asks for the rights of the file system ids when it places a clone in a cgroup.
    step(u16::MAX, act_as((0, 0)));
    if let Some(network) = &program.network {
        step(u16::MAX, setns(network.as_raw_fd(), flags::NEWNET).during(Part::Source));
    }
    let side = clone(program.init_flags | flags::PARENT, cgroup.as_ref().map(AsFd::as_fd));
    let pidfd = match side {
        Ok(Side::Child) => init::run(init, ends),
        Ok(Side::Parent { pid, pidfd }) => {
            skips.send(&reporter);
            reporter.send(Kind::Cloned, Part::Whole, 0, 0, pid);
            pidfd
        }
        Err(e) => reporter.fail(u16::MAX, (Part::Helper, e), 0),
    };
    drop_write_end(&ends.ready.1);
    match wait_byte(ends.ready.0.as_fd()) {
        Ok(true) => {}
        // Init has failed and said so.
        Ok(false) => exit_now(1),
        Err(e) => reporter.fail(u16::MAX, (Part::Whole, e), 0),
    }
    if program.join_flags != 0 {
        step(u16::MAX, setns(pidfd.as_raw_fd(), program.join_flags).during(Part::Helper));
    }
    step(u16::MAX, act_as(program.root_ids));
    perform(&program.late, &mut places, descriptors.as_fd(), program, Some(pidfd.as_fd()), &reporter, &mut skips);
    skips.send(&reporter);
    reporter.send(Kind::Mounted, Part::Whole, 0, 0, 0);
    exit_now(0)
}

/// Our copy of the write end goes, so that init's death shows as end-of-file.
fn drop_write_end(fd: &OwnedFd) {
    // The owner in the parent process closes its own copy; here the number is closed and not used again.
    let _closed = close_one(fd.as_raw_fd());
}

fn close_one(fd: RawFd) -> Result<(), Errno> {
    crate::sys::process::close_range(fd as u32, fd as u32)
}

/// Returns the host's `/proc/self/fd`.
fn enter(program: &Stager, ends: &ChildEnds) -> Result<OwnedFd, Fault> {
    close_all_but(&ends.stager_keeps).during(Part::Whole)?;
    end_with_parent()?;
    if let Some(text) = &program.oom_score_adjust {
        write_file(c"/proc/self/oom_score_adj", text.to_bytes()).during(Part::Configure)?;
    }
    // The container's logins are not this login's; kernels without audit have no such file.
    let _no_audit = write_file(c"/proc/self/loginuid", b"4294967295");
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change(c"/", private).during(Part::Attach)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(c"/proc/self/fd", flags, Mode::empty()).during(Part::Open)
}

fn end_with_parent() -> Result<(), Fault> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).during(Part::Whole)
}

/// Takes on the file system ids of that user and group. The kernel drops the death signal with every change of them
/// (`commit_creds()` of kernel/cred.c), and the capabilities for files (`cap_task_fix_setuid()`), of which one comes
/// back: a directory of another user is on the way to a mount point as it is for the container's root.
pub(super) fn act_as((uid, gid): (u32, u32)) -> Result<(), Fault> {
    set_fs_ids(uid, gid).during(Part::Whole)?;
    let sets = caps::get().during(Part::Whole)?;
    let effective = sets.effective | sets.permitted & CAP_DAC_OVERRIDE;
    if effective != sets.effective {
        caps::set(caps::Sets { effective, ..sets }).map_err(|_| (Part::Whole, Errno::PERM))?;
    }
    end_with_parent()
}

fn write_file(path: &std::ffi::CStr, bytes: &[u8]) -> Result<(), Errno> {
    let fd = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&fd, bytes).map(drop)
}

/// Waits for the supervisor's order; `Ok(None)` when there will be none, `Ok(Some(None))` for "no cgroup".
fn receive_order(socket: BorrowedFd<'_>) -> Result<Option<Option<OwnedFd>>, Errno> {
    let mut byte = [0u8; 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut iov = [rustix::io::IoSliceMut::new(&mut byte)];
    let got = loop {
        match rustix::net::recvmsg(socket, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            r => break r?,
        }
    };
    if got.bytes != 1 {
        return Ok(None);
    }
    let mut cgroup = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            fds.for_each(|fd| cgroup = Some(fd));
        }
    }
    Ok(Some(cgroup))
}

/// Does the instructions in order; there are places once the new root is entered.
fn perform<'a>(
    ops: &[Op],
    places: &mut Option<Places<'a>>,
    descriptors: BorrowedFd<'a>,
    program: &Stager,
    init: Option<BorrowedFd<'_>>,
    reporter: &Reporter<'_>,
    skips: &mut Skips,
) {
    for op in ops {
        let result = match (&op.kind, &mut *places) {
            (OpKind::AttachRoot { mount, at }, _) => mounting::attach_root(*mount, at),
            (OpKind::AttachOverlay { lower, scratch, at, parts, attributes }, _) => {
                mounting::attach_overlay(*lower, *scratch, at, parts, *attributes)
            }
            (OpKind::Pivot, _) => mounting::pivot().and_then(|root| {
                // What is made in the image from here on belongs to the container's root.
                act_as(program.root_ids)?;
                let top = rustix::fs::fstat(&root).map(|s| (s.st_dev, s.st_ino)).during(Part::Open)?;
                *places = Some(Places { root, top, proc: None, root_ids: program.root_ids, descriptors });
                Ok(())
            }),
            (kind, Some(places)) => mounting::below(places, kind, init),
            (_, None) => Err((Part::Whole, Errno::INVAL)),
        };
        if let Err(fault) = result {
            if !op.optional {
                reporter.fail(op.step, fault, 0);
            }
            skips.keep(op.step, fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitId, WaitIdOptions, parent_process_death_signal, waitid};

    #[test]
    fn the_death_signal_outlives_a_change_of_ids() {
        if !crate::image::testing::is_root("exec::stager the_death_signal_outlives_a_change_of_ids") {
            return;
        }
        let signal = || parent_process_death_signal().ok().flatten();
        match clone(0, None).expect("clone3") {
            Side::Child => {
                let armed = end_with_parent().is_ok() && signal() == Some(Signal::KILL);
                let dropped = set_fs_ids(1, 1).is_ok() && signal().is_none();
                let kept = act_as((2, 3)).is_ok() && signal() == Some(Signal::KILL);
                exit_now(i32::from(armed) + 2 * i32::from(dropped) + 4 * i32::from(kept));
            }
            Side::Parent { pidfd, .. } => {
                let status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
                assert_eq!(status.expect("waitid").expect("a status").exit_status(), Some(7));
            }
        }
    }
}
