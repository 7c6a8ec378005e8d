// SPDX-License-Identifier: LGPL-2.1-or-later
//! Files that fit into a page, as most of `/proc` and `/etc` do: read with the fewest system calls.

use rustix::fs::{Mode, OFlags};
use std::io;
use std::path::Path;

/// What is read at a time. A file may be longer.
const PAGE: usize = 4096;

/// The content of a file of the host. Unlike [`std::fs::read`] it asks for no size and does not begin with a few bytes.
///
/// # Errors
/// Those of open(2) and read(2).
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let file = rustix::fs::open(path.as_ref(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut content = Vec::new();
    let mut page = [0; PAGE];
    loop {
        match rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut page))? {
            0 => return Ok(content),
            n => content.extend_from_slice(&page[..n]),
        }
    }
}

/// The same as text.
///
/// # Errors
/// As [`read`]; [`io::ErrorKind::InvalidData`] where it is not UTF-8.
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_read() {
        let directory = std::env::temp_dir().join(format!("small-file-{}", std::process::id()));
        for length in [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE + 7] {
            let content: Vec<u8> = (0..length).map(|n| n as u8).collect();
            std::fs::write(&directory, &content).unwrap();
            assert_eq!(read(&directory).unwrap(), content, "{length}");
        }
        std::fs::write(&directory, b"\xff").unwrap();
        assert_eq!(read_to_string(&directory).unwrap_err().kind(), io::ErrorKind::InvalidData);
        std::fs::remove_file(&directory).unwrap();
        assert_eq!(read(&directory).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(read_to_string("/proc/self/status").unwrap().contains("Threads:"));
    }
}
