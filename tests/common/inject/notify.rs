// SPDX-License-Identifier: LGPL-2.1-or-later
//! Seccomp user notification (seccomp_unotify(2)): the kernel asks us about chosen system calls of other processes.
#![allow(unsafe_code, reason = "no crate has these calls")]

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;
use syscalls::Sysno;

const RECEIVE: libc::c_ulong = 0xC050_2100;
const SEND: libc::c_ulong = 0xC018_2101;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`: no other signal breaks a call off that we have been told of.
const WAIT_KILLABLE: libc::c_ulong = 1 << 5;

/// `struct seccomp_notif` of linux/seccomp.h.
#[repr(C)]
#[derive(Default, Clone, Copy)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    number: i32,
    arch: u32,
    instruction: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

/// A system call that waits for our answer.
#[derive(Clone, Copy)]
pub struct Waiting(Notification);

impl Waiting {
    pub fn pid(&self) -> u32 {
        self.0.pid
    }
    pub fn call(&self) -> Option<Sysno> {
        Sysno::new(self.0.number as usize)
    }
    pub fn argument(&self, n: usize) -> u64 {
        self.0.arguments[n]
    }
}

/// Where the questions arrive.
pub struct Listener(OwnedFd);

/// What came.
pub enum Event {
    Call(Waiting),
    Nothing,
    /// No process with the filter is left.
    End,
}

/// Puts the filter on the calling thread, so on all that it starts from now on. Each of the calls then waits for an answer
/// by another thread, those of the calling thread included.
pub fn watch(calls: &[Sysno]) -> io::Result<Listener> {
    let ask = libc::SECCOMP_RET_USER_NOTIF;
    let statement = |code: u32, k: u32, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    // Offset 0 of struct seccomp_data is the number of the call.
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for call in calls {
        program.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call.id() as u32, 0, 1));
        program.push(statement(libc::BPF_RET | libc::BPF_K, ask, 0, 0));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0));
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | WAIT_KILLABLE;
    // SAFETY: `filter` names `program`, which outlives the call; the kernel copies it.
    let fd = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(Listener(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
}

impl Listener {
    pub fn next(&self, patience: Duration) -> io::Result<Event> {
        let patience = Timespec { tv_sec: 0, tv_nsec: patience.as_nanos() as _ };
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut fds, Some(&patience)) {
            Ok(0) | Err(Errno::INTR) => return Ok(Event::Nothing),
            other => other?,
        };
        if !fds[0].revents().contains(PollFlags::IN) {
            return Ok(Event::End);
        }
        let mut notification = Notification::default();
        // SAFETY: the kernel writes a struct seccomp_notif, which `notification` is, zeroed as it asks for.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), RECEIVE, &raw mut notification) } {
            0 => Ok(Event::Call(Waiting(notification))),
            // The process was killed before we asked.
            _ => Ok(Event::Nothing),
        }
    }

    /// Lets the call go on, or makes it fail without being done.
    pub fn answer(&self, call: Waiting, fault: Option<Errno>) {
        let (error, flags) = match fault {
            Some(errno) => (-errno.raw_os_error(), 0),
            None => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        };
        let answer = Answer { id: call.0.id, value: 0, error, flags };
        // SAFETY: the kernel reads a struct seccomp_notif_resp, which `answer` is. A failure means that the process is gone.
        let _gone = unsafe { libc::ioctl(self.0.as_raw_fd(), SEND, &raw const answer) };
    }
}
