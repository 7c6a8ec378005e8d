// SPDX-License-Identifier: LGPL-2.1-or-later
//! Console output that nobody watches goes to the journal, line by line, under the machine's name.

use super::escape;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// Where journald listens (systemd-journald.service(8)).
pub const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";
/// A longer line is split, so that the payload cannot make the supervisor hold more.
pub const LINE_LIMIT: usize = 4096;
/// How long one line may wait for journald.
const PATIENCE: Duration = Duration::from_millis(250);

/// Cuts a stream of bytes into lines of at most `limit` bytes.
#[derive(Debug)]
pub struct LineSplitter {
    pending: Vec<u8>,
    limit: usize,
}

impl LineSplitter {
    /// `limit` counts the bytes of a line without its line feed; at least 4, the longest UTF-8 character.
    pub fn new(limit: usize) -> Self {
        Self { pending: Vec::new(), limit: limit.max(4) }
    }

    /// Takes the next bytes; `each` gets every finished line without its line end (`\n` after any number of `\r`).
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = self.limit - self.pending.len();
            let window = &bytes[..bytes.len().min(room + 1)];
            if let Some(end) = window.iter().position(|b| *b == b'\n') {
                self.pending.extend_from_slice(&bytes[..end]);
                // A terminal adds a carriage return of its own to each line feed, whether there is one already or not.
                let text = self.pending.iter().rposition(|b| *b != b'\r').map_or(0, |last| last + 1);
                each(&self.pending[..text]);
                self.pending.clear();
                bytes = &bytes[end + 1..];
            } else if bytes.len() <= room {
                self.pending.extend_from_slice(bytes);
                return;
            } else {
                self.pending.extend_from_slice(&bytes[..room]);
                bytes = &bytes[room..];
                let cut = character_boundary(&self.pending);
                each(&self.pending[..cut]);
                self.pending.drain(..cut);
            }
        }
    }

    /// Gives out what has no line end yet.
    pub fn finish(&mut self, each: impl FnOnce(&[u8])) {
        if !self.pending.is_empty() {
            each(&self.pending);
            self.pending.clear();
        }
    }
}

/// Length of `bytes` without a UTF-8 character that is cut off at its end; never 0.
fn character_boundary(bytes: &[u8]) -> usize {
    for back in 1..=3.min(bytes.len() - 1) {
        let needed = match bytes[bytes.len() - back] {
            0xf0.. => 4,
            0xe0.. => 3,
            0xc0.. => 2,
            0x80.. => continue,
            _ => 1,
        };
        return if needed > back { bytes.len() - back } else { bytes.len() };
    }
    bytes.len()
}

/// Writes a machine's console to the journal. Never blocks for long: lines that journald does not take are counted.
#[derive(Debug)]
pub struct ConsoleSink {
    socket: OwnedFd,
    address: SocketAddrUnix,
    fields: String,
    splitter: LineSplitter,
    /// journald was too slow for the last line: the next ones do not wait at all.
    stuck: bool,
    lost: u64,
}

impl ConsoleSink {
    /// For the machine `name`, at journald's usual socket.
    pub fn open(name: &str) -> rustix::io::Result<Self> {
        Self::open_at(name, Path::new(JOURNAL_SOCKET))
    }

    /// The same at another socket. Fails when nobody listens there.
    pub fn open_at(name: &str, socket_path: &Path) -> rustix::io::Result<Self> {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        let address = SocketAddrUnix::new(socket_path)?;
        rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Send, Some(PATIENCE))?;
        // An empty datagram is ignored by journald and tells whether it is there.
        rustix::net::sendto(&socket, &[], SendFlags::NOSIGNAL | SendFlags::DONTWAIT, &address)
            .or_else(|e| if e == Errno::AGAIN { Ok(0) } else { Err(e) })?;
        // Neither value can hold a line feed, so the short form of the native protocol fits all fields.
        let name = escape::text(&name.replace('\n', " "));
        let fields = format!("PRIORITY=6\nSYSLOG_IDENTIFIER={name}\nSPAWN_MACHINE={name}\nMESSAGE=");
        Ok(Self { socket, address, fields, splitter: LineSplitter::new(LINE_LIMIT), stuck: false, lost: 0 })
    }

    /// Takes console output.
    pub fn write(&mut self, bytes: &[u8]) {
        let mut splitter = std::mem::replace(&mut self.splitter, LineSplitter::new(LINE_LIMIT));
        splitter.push(bytes, |line| self.send(line));
        self.splitter = splitter;
    }

    /// Writes what has no line end yet: the console is closed, or has long been quiet.
    pub fn flush(&mut self) {
        let mut splitter = std::mem::replace(&mut self.splitter, LineSplitter::new(LINE_LIMIT));
        splitter.finish(|line| self.send(line));
    }

    /// Lines lost since the last call, to be said once ([`super::MessageId::ConsoleLinesLost`]).
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn send(&mut self, line: &[u8]) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let mut message = self.fields.clone();
        escape::line(line, &mut message);
        message.push('\n');
        let flags = if self.stuck { SendFlags::NOSIGNAL | SendFlags::DONTWAIT } else { SendFlags::NOSIGNAL };
        match rustix::net::sendto(&self.socket, message.as_bytes(), flags, &self.address) {
            Ok(_) => self.stuck = false,
            Err(_) => {
                self.stuck = true;
                self.lost += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::net::UnixDatagram;

    fn split(limit: usize, chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut splitter, mut out) = (LineSplitter::new(limit), Vec::new());
        for chunk in chunks {
            splitter.push(chunk, |l| out.push(l.to_vec()));
        }
        splitter.finish(|l| out.push(l.to_vec()));
        out
    }

    #[test]
    fn lines_across_chunks_and_limits() {
        assert_eq!(split(10, &[b"ab", b"c\r", b"\n\nd"]), [&b"abc"[..], b"", b"d"]);
        assert_eq!(split(10, &[b"\ra\r\r\n\r\n"]), [&b"\ra"[..], b""]);
        assert_eq!(split(4, &[b"abcd\nabcde\n"]), [&b"abcd"[..], b"abcd", b"e"]);
        assert_eq!(split(4, &["abcä".as_bytes()]), ["abc".as_bytes(), "ä".as_bytes()]);
        assert_eq!(split(4, &[b"\x80\x80\x80\x80\x80"]), [&b"\x80\x80\x80\x80"[..], b"\x80"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_nothing_too_long(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8),
            limit in 4usize..20,
        ) {
            let chunks: Vec<Vec<u8>> = chunks;
            let whole: Vec<u8> = chunks.concat().into_iter().filter(|b| !matches!(b, b'\n' | b'\r')).collect();
            let lines = split(limit, &chunks.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert!(lines.iter().all(|l| l.len() <= limit));
            let kept: Vec<u8> = lines.concat().into_iter().filter(|b| *b != b'\r').collect();
            prop_assert_eq!(kept, whole);
        }

        #[test]
        fn text_is_never_cut_inside_a_character(text in "[a-zäöü漢🦀]{0,60}", limit in 4usize..12) {
            for line in split(limit, &[text.as_bytes()]) {
                prop_assert!(std::str::from_utf8(&line).is_ok());
            }
        }
    }

    fn scratch(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("spawn-test-{name}-{}", std::process::id()));
        std::fs::remove_file(&path).ok();
        path
    }

    #[test]
    fn a_line_reaches_the_socket_with_its_fields() {
        let path = scratch("sink");
        let journal = UnixDatagram::bind(&path).unwrap();
        journal.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut sink = ConsoleSink::open_at("m1", &path).unwrap();
        sink.write(b"\x1b[1mhello\x1b[0m \x07\r\n\r\nrest");
        sink.flush();
        let mut buffer = [0; 8192];
        let mut receive = || {
            let n = journal.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..n].to_vec()).unwrap()
        };
        assert_eq!(receive(), "");
        let fields = "PRIORITY=6\nSYSLOG_IDENTIFIER=m1\nSPAWN_MACHINE=m1\nMESSAGE=";
        assert_eq!(receive(), format!("{fields}hello \\x07\n"));
        assert_eq!(receive(), format!("{fields}rest\n"));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_journal_that_does_not_read_costs_lines_not_time() {
        let path = scratch("stuck");
        let _journal = UnixDatagram::bind(&path).unwrap();
        let mut sink = ConsoleSink::open_at("m1", &path).unwrap();
        let before = std::time::Instant::now();
        for _ in 0..5000 {
            sink.write(b"line\n");
        }
        assert!(before.elapsed() < Duration::from_secs(5));
        assert!(sink.take_lost() > 0);
        assert_eq!(sink.take_lost(), 0);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn no_journal_is_an_error() {
        assert_eq!(ConsoleSink::open_at("m1", &scratch("none")).unwrap_err(), Errno::NOENT);
    }
}
