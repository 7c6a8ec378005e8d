// SPDX-License-Identifier: LGPL-2.1-or-later
//! Waiting for children and signalling them by pidfd, with every signal number and every kind of child.

use rustix::io::{Errno, Result};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Which children to wait for.
#[derive(Clone, Copy)]
pub enum Which<'a> {
    /// Any child of the calling thread (`__WNOTHREAD`; in a program with one thread that is all of them).
    Any,
    /// The one that this pidfd names.
    PidFd(BorrowedFd<'a>),
}

/// What becomes of the zombie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Zombie {
    /// It stays, to be waited for again (`WNOWAIT`).
    Keep,
    /// It is reaped.
    Reap,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It called exit with this status, 0 to 255.
    Exited(u8),
    /// A signal of this number killed it.
    Signaled(u8),
}

/// CPU time, user and system, of the ended child that this pidfd names and of everything that it has waited for. The
/// zombie stays. `None` while it runs.
pub fn cpu_time(pidfd: BorrowedFd<'_>) -> Result<Option<Duration>> {
    // SAFETY: siginfo_t is plain data for which all zeroes is a valid value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: rusage is plain data for which all zeroes is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::__WALL | libc::WNOWAIT;
    let (id, info_at, usage_at) = (pidfd.as_raw_fd(), &raw mut info, &raw mut usage);
    // SAFETY: the kernel's waitid, unlike libc's, takes a fifth argument: it writes one siginfo_t and one rusage through
    // the two exclusive borrows and keeps no pointer.
    let rc = unsafe { libc::syscall(libc::SYS_waitid, libc::P_PIDFD, id, info_at, flags, usage_at) };
    if rc < 0 {
        return Err(last_errno());
    }
    // SAFETY: waitid fills the SIGCHLD members, or leaves the zeroes when the child has not ended.
    if unsafe { info.si_pid() } == 0 {
        return Ok(None);
    }
    let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
    Ok(Some(time(usage.ru_utime) + time(usage.ru_stime)))
}

/// waitid(2) for ended children without blocking: `None` when none of them has ended.
///
/// `__WALL` is set: the payload's first process is a `CLONE_PARENT` child, which may have another exit signal than
/// SIGCHLD.
pub fn wait(which: Which<'_>, zombie: Zombie) -> Result<Option<(i32, Ending)>> {
    let (kind, id, limits) = match which {
        Which::Any => (libc::P_ALL, 0, libc::__WNOTHREAD),
        Which::PidFd(fd) => (libc::P_PIDFD, fd.as_raw_fd() as libc::id_t, 0),
    };
    let mut flags = libc::WEXITED | libc::WNOHANG | libc::__WALL | limits;
    if zombie == Zombie::Keep {
        flags |= libc::WNOWAIT;
    }
    // SAFETY: siginfo_t is plain data for which all zeroes is a valid value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: waitid writes one siginfo_t through the exclusive borrow and keeps no pointer.
    let rc = unsafe { libc::waitid(kind, id, &raw mut info, flags) };
    if rc < 0 {
        return Err(last_errno());
    }
    // SAFETY: waitid fills the SIGCHLD members, or leaves the zeroes when no child has ended.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let ending = match info.si_code {
        libc::CLD_EXITED => Ending::Exited(status as u8),
        _ => Ending::Signaled(status as u8),
    };
    Ok(Some((pid, ending)))
}

/// pidfd_send_signal(2) with any number, real-time signals included.
pub fn signal(pidfd: BorrowedFd<'_>, number: u8) -> Result<()> {
    // SAFETY: the call takes integers and a null siginfo, for which the kernel fills in that of kill(2).
    let rc = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            libc::c_int::from(number),
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if rc < 0 { Err(last_errno()) } else { Ok(()) }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::time::Instant;

    /// As the stager starts the payload: a child clones a sibling of itself, with this exit signal, that exits with 7
    /// or waits for a signal.
    fn sibling(exit_signal: libc::c_int, ends: bool) -> i32 {
        let (mut reader, writer) = std::io::pipe().unwrap();
        // SAFETY: the child of this fork only makes system calls until it exits.
        let stager = unsafe { libc::fork() };
        assert!(stager >= 0);
        if stager == 0 {
            // SAFETY: clone without a stack of its own behaves as fork, and both sides only make system calls.
            unsafe {
                let pid = libc::syscall(libc::SYS_clone, libc::CLONE_PARENT | exit_signal, 0, 0, 0, 0) as i32;
                if pid == 0 {
                    if ends {
                        libc::_exit(7);
                    }
                    loop {
                        libc::pause();
                    }
                }
                libc::write(writer.as_raw_fd(), (&raw const pid).cast(), 4);
                libc::_exit(0);
            }
        }
        let mut pid = [0; 4];
        reader.read_exact(&mut pid).unwrap();
        let mut status = 0;
        // SAFETY: waits for the child made above and writes its status to a local.
        assert_eq!(unsafe { libc::waitpid(stager, &raw mut status, 0) }, stager);
        i32::from_ne_bytes(pid)
    }

    fn wait_for(pidfd: BorrowedFd<'_>, zombie: Zombie) -> (i32, Ending) {
        let give_up = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(ended) = wait(Which::PidFd(pidfd), zombie).unwrap() {
                return ended;
            }
            assert!(Instant::now() < give_up);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_cpu_time_of_an_ended_child_counts_its_children() {
        let script = "sh -c 'i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done'; read x; exit 3";
        let mut shell = std::process::Command::new("sh");
        let mut shell = shell.args(["-c", script]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pidfd = pidfd_open(Pid::from_child(&shell), PidfdFlags::empty()).unwrap();
        assert_eq!(cpu_time(pidfd.as_fd()), Ok(None));
        drop(shell.stdin.take());
        wait_for(pidfd.as_fd(), Zombie::Keep);
        let used = cpu_time(pidfd.as_fd()).unwrap().unwrap();
        assert!(used > Duration::from_millis(5) && used < Duration::from_secs(10), "{used:?}");
        assert_eq!(shell.wait().unwrap().code(), Some(3));
        assert_eq!(cpu_time(pidfd.as_fd()), Err(Errno::CHILD));
    }

    #[test]
    fn a_sibling_of_a_child_is_waited_for_with_any_exit_signal() {
        for exit_signal in [libc::SIGCHLD, 0] {
            let pid = sibling(exit_signal, true);
            let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
            assert_eq!(wait_for(pidfd.as_fd(), Zombie::Keep), (pid, Ending::Exited(7)), "exit signal {exit_signal}");
            assert_eq!(wait_for(pidfd.as_fd(), Zombie::Reap), (pid, Ending::Exited(7)));
            assert_eq!(wait(Which::PidFd(pidfd.as_fd()), Zombie::Reap), Err(Errno::CHILD));
        }
    }

    #[test]
    fn real_time_signals_are_sent_and_told() {
        let pid = sibling(0, false);
        let pidfd = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        assert_eq!(wait(Which::PidFd(pidfd.as_fd()), Zombie::Keep), Ok(None));
        signal(pidfd.as_fd(), 39).unwrap();
        assert_eq!(wait_for(pidfd.as_fd(), Zombie::Reap), (pid, Ending::Signaled(39)));
        assert_eq!(signal(pidfd.as_fd(), 9), Err(Errno::SRCH));
    }
}
