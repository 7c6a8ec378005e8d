// SPDX-License-Identifier: LGPL-2.1-or-later
//! The way into the program, without what Rust's runtime does before `main`: it reads `/proc/self/maps` and sets up a
//! stack and handlers to tell of an overflow, which takes longer than many a step of a start.

use rustix::io::Errno;

/// Does what is needed of that: descriptors 0 to 2 are open, on `/dev/null` where the caller had closed them, so that no
/// file of ours is taken for one of them; a reader that went away is an error and not the end.
pub fn prepare() {
    let mut polls = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: the call writes to the array, of which it is told the length, and it does not wait.
    let polled = unsafe { libc::poll(polls.as_mut_ptr(), 3, 0) };
    for poll in polls.iter().filter(|poll| polled > 0 && poll.revents & libc::POLLNVAL != 0) {
        // SAFETY: a system call on a constant string; the lowest free descriptor is the closed one.
        let opened = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        if opened != poll.fd {
            // What we say or open would go astray.
            std::process::abort();
        }
    }
    // A reader that went away and a limit of file sizes are errors of one write. Fails for no signal but SIGKILL and
    // SIGSTOP.
    for signal in [nix::sys::signal::Signal::SIGPIPE, nix::sys::signal::Signal::SIGXFSZ] {
        let _set: Result<(), Errno> = super::disposition::set(signal, super::disposition::Disposition::Ignore);
    }
}

/// Makes this function, from the words of the command line to the exit status, the program.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        /// What the C library calls.
        // SAFETY: this is the program's only function of that name, with the type that the C library expects.
        #[unsafe(no_mangle)]
        pub extern "C" fn main(
            _count: ::std::ffi::c_int,
            _words: *const *const ::std::ffi::c_char,
        ) -> ::std::ffi::c_int {
            $crate::sys::entry::prepare();
            ::std::ffi::c_int::from($run(::std::env::args_os().collect()))
        }
    };
}
