// SPDX-License-Identifier: LGPL-2.1-or-later
//! Starts a small program from a memfd, cheaply: `clone3` with `CLONE_VM`, then `execveat`.

use super::clone::CloneArgs;
use super::programs::above_stdio;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::null;
use std::sync::atomic::{AtomicI32, Ordering};
use syscalls::{Sysno, syscall};

/// A process that was started. It shares this process's memory until it has become the program.
#[derive(Debug)]
pub struct Started {
    /// Its process id.
    pub pid: i32,
    /// Its pidfd, close-on-exec.
    pub pidfd: OwnedFd,
    memory: *mut Shared,
}

impl Started {
    /// Why it could not become the program, once it has found out.
    pub fn failure(&self) -> Option<Errno> {
        // SAFETY: `memory` is freed by our drop only; the child writes the field atomically.
        let error = unsafe { &(*self.memory).request.error }.load(Ordering::Acquire);
        (error != 0).then(|| Errno::from_raw_os_error(error))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let mut ended = [PollFd::new(&self.pidfd, PollFlags::IN)];
        if poll(&mut ended, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(1) {
            // SAFETY: made by Box::into_raw in start_detached; the child has ended, so nobody else uses it.
            drop(unsafe { Box::from_raw(self.memory) });
        }
        // A child that still lives may still be on that stack: the few pages stay.
    }
}

/// Runs the program in `image` in a session of its own, in `/`, with every signal blocked, no environment, `name` as its
/// only argument and `files` as its descriptors 0 and 1, nothing else open.
///
/// Returns without waiting for the program to run, as on a busy machine the wait is many times as long as everything
/// else. Should it not come to run, its pidfd becomes readable and [`Started::failure`] says why.
///
/// # Errors
/// Those of clone3(2).
pub fn start_detached(
    image: BorrowedFd<'_>,
    name: &'static CStr,
    files: [BorrowedFd<'_>; 2],
) -> rustix::io::Result<Started> {
    // A file that is itself 0 or 1 would be overwritten by the other one's copy.
    let moved = [above(files[0])?, above(files[1])?];
    let request = Request {
        image: image.as_raw_fd(),
        files: [0, 1].map(|i| moved[i].as_ref().map_or(files[i].as_raw_fd(), AsRawFd::as_raw_fd)),
        argv: [name.as_ptr(), null()],
        envp: [null()],
        error: AtomicI32::new(0),
    };
    let memory = Box::into_raw(Box::new(Shared { stack: Stack([const { MaybeUninit::uninit() }; STACK]), request }));
    let mut pidfd: i32 = -1;
    // No CLONE_FILES: the child has descriptors of its own from the start, so ours may be closed at once.
    let arguments = CloneArgs {
        flags: (libc::CLONE_VM | libc::CLONE_PIDFD) as u64,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: memory as u64,
        stack_size: STACK as u64,
        ..CloneArgs::default()
    };
    // No handler of ours may run in the child, on our memory; and the program is to start with all blocked.
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before)).map_err(from_nix)?;
    // SAFETY: stack and request stay until the child has ended (see Started::drop), and nobody else uses the stack;
    // `pidfd` is there for the kernel to write to.
    let result = unsafe { clone_into(&arguments, &raw const (*memory).request) };
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None).map_err(from_nix)?;
    if result < 0 {
        // SAFETY: made by Box::into_raw above; there is no child that could use it.
        drop(unsafe { Box::from_raw(memory) });
        return Err(Errno::from_raw_os_error(-result as i32));
    }
    // SAFETY: the clone succeeded, so the kernel has stored a new descriptor here that nobody else knows of.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Started { pid: result as i32, pidfd, memory })
}

const STACK: usize = 16 * 1024;

#[repr(C, align(16))]
struct Stack([MaybeUninit<u8>; STACK]);

/// What the child uses of our memory; the stack comes first, so both have the same address.
#[repr(C)]
struct Shared {
    stack: Stack,
    request: Request,
}

struct Request {
    image: i32,
    files: [i32; 2],
    argv: [*const c_char; 2],
    envp: [*const c_char; 1],
    /// Set by the child when it could not run the program.
    error: AtomicI32,
}

fn above(fd: BorrowedFd<'_>) -> rustix::io::Result<Option<OwnedFd>> {
    if fd.as_raw_fd() > 2 { Ok(None) } else { above_stdio(fd.try_clone_to_owned().map_err(io_errno)?).map(Some) }
}

fn io_errno(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

fn from_nix(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}

/// The child: shares our memory until `execveat`, so it makes plain system calls and touches `request` only.
extern "C" fn child(request: *const Request) -> ! {
    // SAFETY: `start_detached` passes a pointer to what stays until this process has ended.
    let request = unsafe { &*request };
    // SAFETY: plain system calls; the pointers are a static string and the NULL-ended arrays of `request`.
    let error = unsafe { become_program(request) };
    request.error.store(error.into_raw(), Ordering::Release);
    loop {
        // SAFETY: ends this process; takes no pointer.
        let _never = unsafe { syscall!(Sysno::exit_group, 127) };
    }
}

/// # Safety
/// For use in the child only: it closes and replaces descriptors of the calling process.
unsafe fn become_program(request: &Request) -> syscalls::Errno {
    let steps = || -> Result<usize, syscalls::Errno> {
        // SAFETY: none of these takes a pointer, but for the static path of chdir and the arrays in `request`.
        unsafe {
            syscall!(Sysno::setsid)?;
            syscall!(Sysno::chdir, c"/".as_ptr())?;
            syscall!(Sysno::dup3, request.files[0], 0, 0)?;
            syscall!(Sysno::dup3, request.files[1], 1, 0)?;
            syscall!(Sysno::close_range, 2, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)?;
            let (argv, envp) = (request.argv.as_ptr(), request.envp.as_ptr());
            syscall!(Sysno::execveat, request.image, c"".as_ptr(), argv, envp, libc::AT_EMPTY_PATH)
        }
    };
    match steps() {
        Err(error) => error,
        Ok(_) => syscalls::Errno::ENOEXEC,
    }
}

/// clone3(2); in the child calls [`child`] on the new stack. Returns the child's pid or a negative errno.
///
/// # Safety
/// `arguments` must name a stack that nobody else uses and that is valid until the child has ended, as must `request` be.
#[cfg(target_arch = "x86_64")]
unsafe fn clone_into(arguments: &CloneArgs, request: *const Request) -> isize {
    let result: isize;
    // SAFETY: the parent comes out behind the label with the result only; the child never does, it calls `child` on a
    // fresh stack, aligned to 16 as the ABI wants it in front of a call.
    unsafe {
        std::arch::asm!(
            "syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "mov rdi, r12", "call r13", "ud2", "2:",
            inlateout("rax") libc::SYS_clone3 as isize => result,
            in("rdi") &raw const *arguments, in("rsi") size_of::<CloneArgs>(),
            in("r12") request, in("r13") child as extern "C" fn(*const Request) -> !,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// clone3(2); in the child calls [`child`] on the new stack. Returns the child's pid or a negative errno.
///
/// # Safety
/// `arguments` must name a stack that nobody else uses and that is valid until the child has ended, as must `request` be.
#[cfg(target_arch = "aarch64")]
unsafe fn clone_into(arguments: &CloneArgs, request: *const Request) -> isize {
    let result: isize;
    // SAFETY: the parent comes out behind the label with the result only; the child never does, it calls `child` on a
    // fresh stack, aligned to 16 as the ABI wants it.
    unsafe {
        std::arch::asm!(
            "svc #0", "cbnz x0, 2f", "mov x29, xzr", "mov x0, x20", "blr x21", "brk #1", "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") &raw const *arguments as isize => result, in("x1") size_of::<CloneArgs>(),
            in("x20") request, in("x21") child as extern "C" fn(*const Request) -> !,
        );
    }
    result
}
