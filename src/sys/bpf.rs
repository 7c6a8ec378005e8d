// SPDX-License-Identifier: LGPL-2.1-or-later
//! bpf(2): loading and attaching programs that decide about devices.

use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_ATTACH: libc::c_long = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// `struct bpf_insn`: the destination register is in the low half of `regs`, the source in the high half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Insn {
    /// Operation.
    pub code: u8,
    /// Registers.
    pub regs: u8,
    /// Offset of a jump or an access.
    pub off: i16,
    /// Immediate operand.
    pub imm: i32,
}

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes any length and sees zeros beyond.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The head of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// Loads a `BPF_PROG_TYPE_CGROUP_DEVICE` program; the kernel verifies it.
pub fn load_cgroup_device(program: &[Insn]) -> rustix::io::Result<OwnedFd> {
    let attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        insns: program.as_ptr() as u64,
        license: c"LGPL-2.1-or-later".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // The verifier asks to be called again when a signal interrupted it.
    let fd = loop {
        // SAFETY: `attr` is a valid BPF_PROG_LOAD attribute of the length given; its pointers are a slice of `insn_cnt`
        // instructions and a C string, both alive during the call, which only reads them.
        let r = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attr, size_of::<LoadAttr>()) };
        match result(r) {
            Err(Errno::AGAIN) => continue,
            other => break other?,
        }
    };
    // SAFETY: BPF_PROG_LOAD succeeded and returned a new descriptor that nobody else owns. It is close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Attaches a device program to the control group whose directory is `group`, beside those of the groups above.
pub fn attach_cgroup_device(group: impl AsFd, program: impl AsFd) -> rustix::io::Result<()> {
    let attr = AttachAttr {
        target_fd: group.as_fd().as_raw_fd() as u32,
        attach_bpf_fd: program.as_fd().as_raw_fd() as u32,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: `attr` is a valid BPF_PROG_ATTACH attribute of the length given, without pointers in it.
    let r = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attr, size_of::<AttachAttr>()) };
    result(r).map(drop)
}

fn result(r: libc::c_long) -> rustix::io::Result<libc::c_long> {
    if r >= 0 {
        return Ok(r);
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}
