// SPDX-License-Identifier: LGPL-2.1-or-later
//! seccomp(2).

use crate::seccomp::Instruction;
use rustix::io::Errno;

/// `SECCOMP_SET_MODE_FILTER` of `linux/seccomp.h`.
const SET_MODE_FILTER: usize = 1;

/// `struct sock_fprog` of `linux/filter.h`.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Installs a filter on the calling thread for good, with `SECCOMP_FILTER_FLAG_*` that return no descriptor.
///
/// Fit for a child between clone and execve: one system call, no allocation. Fails with EACCES where the caller has
/// neither CAP_SYS_ADMIN in its user namespace nor no_new_privs, with EINVAL for a program that is empty, too long or
/// malformed, with ENOMEM when the filters of the thread get too long together.
pub fn install(program: &[Instruction], flags: u32) -> Result<(), Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program = Program { length, instructions: program.as_ptr() };
    // SAFETY: the kernel reads one `sock_fprog` and `length` instructions behind it, both laid out as its headers say
    // and borrowed for the whole call; it copies them and writes nothing.
    let done = unsafe {
        syscalls::raw_syscall!(syscalls::Sysno::seccomp, SET_MODE_FILTER, flags as usize, &raw const program)
    };
    match done as isize {
        0 => Ok(()),
        error => Err(Errno::from_raw_os_error((-error) as i32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_refuses_is_its_errno() {
        assert_eq!(install(&[], 0), Err(Errno::INVAL));
        assert_eq!(install(&[Instruction { code: 0xFFFF, jt: 0, jf: 0, k: 0 }], 0), Err(Errno::INVAL));
        let end = Instruction { code: 0x06, jt: 0, jf: 0, k: 0x7FFF_0000 };
        assert_eq!(install(&vec![end; 0x1_0000], 0), Err(Errno::INVAL));
        assert_eq!(install(&[end], 1 << 31), Err(Errno::INVAL));
    }
}
