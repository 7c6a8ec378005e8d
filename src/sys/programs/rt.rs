// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a program without C library and start files needs: the entry point, the raw system call, memory functions.
//!
//! A program that uses this defines `fn main(arguments: Arguments) -> i32` in its crate root.

use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_char};

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {entry}",
    "ud2",
    entry = sym entry
);
#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "bl {entry}",
    "brk #1",
    entry = sym entry
);

extern "C" fn entry(stack: *const usize) -> ! {
    let status = crate::main(Arguments { stack });
    crate::calls::exit(status)
}

/// The arguments, as the kernel leaves them on the stack: their number, then that many pointers.
#[derive(Clone, Copy)]
pub struct Arguments {
    stack: *const usize,
}

#[allow(dead_code, reason = "only one of the programs takes arguments")]
impl Arguments {
    /// The argument at `index`, counted from the program's name.
    pub fn get(self, index: usize) -> Option<&'static CStr> {
        // SAFETY: `stack` is the initial stack pointer; argc is the first word there.
        let count = unsafe { *self.stack };
        if index >= count {
            return None;
        }
        // SAFETY: argc pointers to NUL-terminated strings follow it and stay for the life of the process.
        Some(unsafe { CStr::from_ptr(*self.stack.add(1 + index) as *const c_char) })
    }

    /// The arguments from `rest` on with `first` in front of them, and the environment.
    pub fn words(self, first: &'static CStr, rest: usize) -> Option<(Words, Words)> {
        // SAFETY: argc is the first word at the initial stack pointer.
        let count = unsafe { *self.stack };
        if rest == 0 || rest > count {
            return None;
        }
        // SAFETY: the slots 1 to argc hold the pointers of the arguments, a null pointer follows, then those of the
        // environment. They are this process's own, writable, and no reference to them exists. `first` stays for the
        // life of the process.
        unsafe {
            let slot = self.stack.add(rest).cast_mut();
            slot.write(first.as_ptr() as usize);
            Some((Words(slot), Words(self.stack.add(count + 2))))
        }
    }

    /// The argument in front of that place, the shell's name, then the script, then the arguments behind that place.
    pub fn script(self, path: &'static CStr, rest: usize) -> Option<Words> {
        let (Words(slot), _) = self.words(path, rest)?;
        // SAFETY: `rest` is no less than 1 and the slot in front of it belongs to the same array.
        (rest > 1).then(|| Words(unsafe { slot.sub(1) }))
    }
}

/// A null-terminated array of C strings that stays for the life of the process.
#[derive(Clone, Copy)]
pub struct Words(pub *const usize);

/// A system call; the result is negative (`-errno`) on failure.
///
/// # Safety
/// The arguments must be what call `number` takes: every pointer valid for what the kernel reads or writes there.
#[cfg(target_arch = "x86_64")]
pub unsafe fn system_call(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the kernel clobbers rcx and r11 only.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
             in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// A system call; the result is negative (`-errno`) on failure.
///
/// # Safety
/// The arguments must be what call `number` takes: every pointer valid for what the kernel reads or writes there.
#[cfg(target_arch = "aarch64")]
pub unsafe fn system_call(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the kernel keeps every register but x0.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a[0] as isize => result, in("x1") a[1], in("x2") a[2],
             in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    result
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    crate::calls::exit(255)
}

// The compiler calls these by name. Volatile accesses keep it from turning the loops into calls of themselves.

/// # Safety
/// As memcpy(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    for i in 0..length {
        // SAFETY: the caller vouches for `length` bytes at both.
        unsafe { to.add(i).write_volatile(from.add(i).read()) };
    }
    to
}

/// # Safety
/// As memmove(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    if (to as usize) <= (from as usize) {
        // SAFETY: copying upwards never overwrites what is still to be read, as `to` lies below `from`.
        return unsafe { memcpy(to, from, length) };
    }
    for i in (0..length).rev() {
        // SAFETY: the caller vouches for `length` bytes at both; downwards, as `to` lies above `from`.
        unsafe { to.add(i).write_volatile(from.add(i).read()) };
    }
    to
}

/// # Safety
/// As memset(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, value: i32, length: usize) -> *mut u8 {
    for i in 0..length {
        // SAFETY: the caller vouches for `length` bytes at `to`.
        unsafe { to.add(i).write_volatile(value as u8) };
    }
    to
}

/// # Safety
/// As memcmp(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, length: usize) -> i32 {
    for i in 0..length {
        // SAFETY: the caller vouches for `length` bytes at both.
        let (a, b) = unsafe { (one.add(i).read_volatile(), other.add(i).read_volatile()) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// # Safety
/// As bcmp(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, length: usize) -> i32 {
    // SAFETY: same contract.
    unsafe { memcmp(one, other, length) }
}

/// # Safety
/// As strlen(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const c_char) -> usize {
    let mut length = 0;
    // SAFETY: the caller vouches for a NUL; no byte behind it is read.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}
