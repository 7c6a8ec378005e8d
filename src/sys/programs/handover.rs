// SPDX-License-Identifier: LGPL-2.1-or-later
//! Executes the payload in place of spawn's own binary.
//!
//! execve(2) resolves the program, a script's interpreter and an ELF file's loader in the image, and an image may name
//! `/proc/self/exe` in each place. With this program in between that is a sealed file in memory and not spawn's binary,
//! which root of the host could otherwise open and, when nobody runs it any more, overwrite (CVE-2019-5736).
//!
//! Arguments: its own name; the descriptor for the report of a failure; the number of paths to try; the SELinux label of
//! the program, or nothing; for each path the path and the first word of the program; the shell for scripts, or nothing; a
//! word whose place is needed; then the other words of the program. The environment is passed on.

#![no_std]
#![no_main]

#[path = "calls.rs"]
mod calls;
#[path = "rt.rs"]
mod rt;
#[path = "wire.rs"]
mod wire;

use calls::{EACCES, ENOENT, ENOEXEC, ENOTDIR};
use core::ffi::CStr;

fn main(arguments: rt::Arguments) -> i32 {
    let number = |index| arguments.get(index).and_then(|text| number(text.to_bytes()));
    let (Some(report), Some(paths), Some(label)) = (number(1), number(2), arguments.get(3)) else { return not_ours() };
    if calls::close_on_exec(report).is_err() {
        return not_ours();
    }
    if let Err(errno) = set_label(label.to_bytes()) {
        let _told = calls::write(report, &wire::label_failed(errno));
        return 1;
    }
    let rest = 6 + 2 * paths as usize;
    let Some(shell) = arguments.get(rest - 2) else { return not_ours() };
    let mut worst = (ENOENT, 0);
    for i in 0..paths {
        let at = 4 + 2 * i as usize;
        let (Some(path), Some(first)) = (arguments.get(at), arguments.get(at + 1)) else { return not_ours() };
        let Some((argv, env)) = arguments.words(first, rest) else { return not_ours() };
        // As execvp(3): what is not there is passed over, what may not be executed is remembered.
        let errno = match calls::execute(path, argv, env) {
            ENOEXEC if !shell.is_empty() && is_text(path) => {
                if let Some(argv) = arguments.script(path, rest) {
                    calls::execute(shell, argv, env);
                }
                ENOEXEC
            }
            errno => errno,
        };
        match errno {
            ENOENT | ENOTDIR => {}
            EACCES => worst = (EACCES, i),
            errno => {
                worst = (errno, i);
                break;
            }
        }
    }
    // The supervisor is gone if this fails, and ends us by other means.
    let _told = calls::write(report, &wire::exec_failed(worst.0, worst.1));
    1
}

/// Whether the first line holds no zero byte, as in `src/sys/exec.rs`.
fn is_text(path: &CStr) -> bool {
    let mut begin = [0; 128];
    let Ok(file) = calls::open(calls::AT_FDCWD, path, calls::O_NONBLOCK) else { return false };
    let Ok(length) = calls::read(file, &mut begin) else { return false };
    !begin.iter().take(length).take_while(|b| **b != b'\n').any(|b| *b == 0)
}

/// What the next program will be labelled, if it is to be: not before, as this program's own start would use it up.
fn set_label(label: &[u8]) -> calls::Result<()> {
    if label.is_empty() {
        return Ok(());
    }
    let attribute = calls::open(calls::AT_FDCWD, wire::EXEC_LABEL, calls::O_WRONLY | calls::O_CLOEXEC)?;
    calls::write(attribute, label).map(drop)
}

/// The words are somebody else's: the image names `/proc/self/exe` where its own program should be.
fn not_ours() -> i32 {
    // Whoever closed it does not want to know.
    let _told = calls::write(2, b"spawn: the program, its interpreter or its loader is a link to /proc/self/exe, which is no program of the image\n");
    255
}

fn number(text: &[u8]) -> Option<i32> {
    core::str::from_utf8(text).ok()?.parse().ok().filter(|n| (0..0x10000).contains(n))
}
