// SPDX-License-Identifier: LGPL-2.1-or-later
//! What other programs tell: services, the payload, our own keeper, an earlier start.

use spawn::bus::varlink::read_reply;
use spawn::log::console_sink::LineSplitter;
use spawn::log::escape;
use spawn::supervise::fd_store::{Storing, names_for_payload};
use spawn::supervise::notify::PayloadNotice;
use spawn::sys::programs::wire;
use spawn::undo::Record;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The reply of a service.
pub fn varlink(bytes: &[u8]) {
    if let Err(error) = read_reply::<serde_json::Value>(bytes) {
        assert!(error.to_string().len() < 4096 + bytes.len() * 8);
    }
}

/// Of the control characters only the tab may be shown.
fn harmful(c: char) -> bool {
    c.is_control() && c != '\t'
}

/// sd_notify(3) messages of the payload, separated by NUL.
pub fn notify(bytes: &[u8]) {
    let mut notice = PayloadNotice::default();
    for message in bytes.split(|b| *b == 0) {
        notice.merge(PayloadNotice::parse(message));
        let told = |storing: Storing| storing.words().0.iter().map(ToString::to_string).collect::<String>();
        let told = Storing::parse(message, Vec::new()).map(told).unwrap_or_default();
        assert!(!told.contains(char::is_control));
        assert!(names_for_payload(OsStr::from_bytes(message)).len() <= message.len());
    }
    assert!(notice.status.is_none_or(|status| !status.is_empty() && !status.contains(harmful)));
}

/// What the payload prints, in pieces, on its way to the journal.
pub fn console(bytes: &[u8]) {
    let Some((limit, output)) = bytes.split_first() else { return };
    let limit = usize::from(*limit).max(4);
    let mut splitter = LineSplitter::new(limit);
    let mut told = 0;
    let mut each = |line: &[u8]| {
        assert!(line.len() <= limit);
        told += line.len();
        let mut text = String::new();
        escape::line(line, &mut text);
        assert!(!text.contains(harmful), "{text:?}");
    };
    for piece in output.chunks(usize::from(output.first().copied().unwrap_or(1)).max(1)) {
        splitter.push(piece, &mut each);
    }
    splitter.finish(&mut each);
    let ends = output.iter().filter(|b| matches!(b, b'\n' | b'\r')).count();
    assert!((output.len() - ends..=output.len()).contains(&told));
}

/// What the keeper is told.
pub fn keeper(bytes: &[u8]) {
    let text = wire::parse(bytes).map_or(bytes, |(_, _, text)| text);
    if let Some((_, name, path)) = wire::parse_lent(text) {
        assert!(name.len() + path.len() < text.len());
        for request in
            [wire::move_link_message(1, name, 3), wire::delete_link_message(name), wire::find_link_message(name)]
        {
            assert!(request.is_none_or(|(message, length)| length <= message.len()));
        }
    }
    if let Some((family, protocol, port)) = wire::parse_port(text) {
        wire::stop_forward_message(family, protocol, port);
    }
    wire::answered_link(text);
}

/// What an earlier start has written down. What was understood is written as it was.
pub fn record(bytes: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<Record>(bytes) {
        let again = serde_json::to_vec(&record).expect("a record can be said in JSON");
        assert_eq!(serde_json::from_slice::<Record>(&again).ok(), Some(record));
    }
}
