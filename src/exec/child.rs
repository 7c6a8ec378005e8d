// SPDX-License-Identifier: LGPL-2.1-or-later
//! What both children share. Everything here is child-safe.

use super::report::{InitStep, Kind, Part, Record, Stage};
use crate::sys::process::exit_now;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

/// A part of a step that failed.
pub type Fault = (Part, Errno);

/// Names the part of a step in which a call failed.
pub trait During<T> {
    /// Pairs the errno with the part.
    fn during(self, part: Part) -> Result<T, Fault>;
}

impl<T> During<T> for Result<T, Errno> {
    fn during(self, part: Part) -> Result<T, Fault> {
        self.map_err(|e| (part, e))
    }
}

/// The child's end of the report pipe.
#[derive(Clone, Copy)]
pub struct Reporter<'a> {
    pipe: BorrowedFd<'a>,
    stage: Stage,
}

impl<'a> Reporter<'a> {
    /// For a child of that stage.
    pub fn new(pipe: BorrowedFd<'a>, stage: Stage) -> Self {
        Self { pipe, stage }
    }

    /// The pipe.
    pub fn pipe(&self) -> BorrowedFd<'a> {
        self.pipe
    }

    /// Sends a record. When it cannot be sent this process ends, which the supervisor, should it still be there, sees.
    pub fn send(&self, kind: Kind, part: Part, step: u16, errno: i32, value: i32) {
        let record = Record { kind, stage: self.stage, part, step, errno, value };
        if rustix::io::write(self.pipe, &record.encode()) != Ok(Record::SIZE) {
            exit_now(1);
        }
    }

    /// Reports a failure and ends the process.
    pub fn fail(&self, step: u16, fault: Fault, value: i32) -> ! {
        self.send(Kind::Failed, fault.0, step, fault.1.raw_os_error(), value);
        exit_now(1)
    }

    /// Ends the process when a step of init failed.
    pub fn must<T>(&self, step: InitStep, result: Result<T, Errno>) -> T {
        match result {
            Ok(v) => v,
            Err(e) => self.fail(step as u16, (Part::Whole, e), 0),
        }
    }
}

/// Records of skipped steps, kept until the supervisor expects a record: one that arrives while it waits for systemd
/// would look like a failure.
pub struct Skips {
    list: [(u16, Part, i32); Self::ROOM],
    count: usize,
}

impl Skips {
    const ROOM: usize = 32;

    /// None yet.
    pub fn new() -> Self {
        Self { list: [(0, Part::Whole, 0); Self::ROOM], count: 0 }
    }
    /// Keeps one. More than fit are not told: the plan has fewer optional steps.
    pub fn keep(&mut self, step: u16, fault: Fault) {
        if let Some(place) = self.list.get_mut(self.count) {
            *place = (step, fault.0, fault.1.raw_os_error());
            self.count += 1;
        }
    }
    /// Sends what was kept.
    pub fn send(&mut self, reporter: &Reporter<'_>) {
        for (step, part, errno) in self.list.iter().take(self.count) {
            reporter.send(Kind::Skipped, *part, *step, *errno, 0);
        }
        self.count = 0;
    }
}

/// Waits for one byte; `false` when the other end is gone.
pub fn wait_byte(pipe: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut byte = [0u8; 1];
    loop {
        match rustix::io::read(pipe, &mut byte) {
            Ok(n) => return Ok(n == 1),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
}
