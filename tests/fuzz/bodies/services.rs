// SPDX-License-Identifier: LGPL-2.1-or-later
//! What other programs tell: services, the payload, our own keeper, an earlier start.

use super::facts::facts;
use super::said::{made, settings};
use serde_json::Value;
use spawn::bus::varlink::read_reply;
use spawn::exec::{report, words};
use spawn::log::console_sink::LineSplitter;
use spawn::log::escape;
use spawn::plan::Plan;
use spawn::supervise::dress::{answer, tint};
use spawn::supervise::fd_store::{Storing, names_for_payload};
use spawn::supervise::hotkeys::Hotkeys;
use spawn::supervise::notify::PayloadNotice;
use spawn::supervise::painter::Painter;
use spawn::sys::programs::wire;
use spawn::undo::{Record, answer_to};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;
use std::time::Instant;

/// The reply of a service to a Varlink call.
pub fn varlink(bytes: &[u8]) {
    if let Err(error) = read_reply::<Value>(bytes) {
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
    // Each of at most 512 bytes is shown as four characters at most.
    assert!(notice.status.is_none_or(|status| (1..=2048).contains(&status.len()) && !status.contains(harmful)));
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

/// What the keeper is told, as a message and as the text of one, and what the kernel answers it.
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

/// What somebody asks of the control socket: only `Status` of the one version is answered, all else has an error.
pub fn control(bytes: &[u8]) {
    let answer = answer_to(Some(bytes), &|| Value::from("running"));
    assert!(answer["version"] == 1 && answer.as_object().is_some_and(|fields| fields.len() == 2));
    match answer["error"].as_str() {
        Some(error) => assert!(!error.is_empty() && error.len() < 200 + bytes.len() * 8),
        None => {
            assert_eq!(answer["result"], "running");
            // Fails for numbers beyond all bounds in fields that nobody reads.
            if let Ok(request) = serde_json::from_slice::<Value>(bytes) {
                assert!(request["version"] == 1 && request["method"] == "Status");
            }
        }
    }
}

/// What the children report, up to the words for it.
pub fn reports(bytes: &[u8]) {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    let plan = PLAN.get_or_init(|| {
        let line = ["spawn", "-D/t", "-U", "--bind=/usr:/x", "--rlimit=NOFILE=5", "--overlay=/a::/b", "--chdir=/c"];
        made(&settings(&line), &facts()).expect("nothing is wrong with it")
    });
    for bytes in bytes.as_chunks().0 {
        let Some(record) = report::Record::decode(bytes) else { continue };
        // What the children do not use of a record is left out of it.
        assert_eq!(report::Record::decode(&record.encode()), Some(record));
        if matches!(record.kind, report::Kind::Failed | report::Kind::Skipped) {
            assert!(!words::failure(plan, None, &record).headline().is_empty());
        }
    }
}

/// What comes from the caller's terminal, and what the payload sends to it: keys and answers are found in it, colours and
/// titles are added, and of the payload's bytes none is lost, in whatever pieces they come.
pub fn terminal(bytes: &[u8]) {
    if let Some((colour, at)) = answer(bytes) {
        assert!(at.start < at.end && at.end <= bytes.len() && colour.iter().all(|c| (0.0..=1.0).contains(c)));
        assert!(tint(colour).starts_with("48;2;"));
    }
    let (mut keys, mut rest, mut done, now) = (Hotkeys::default(), bytes, 0, Instant::now());
    while !rest.is_empty() {
        let fed = keys.feed(rest, now);
        assert!(fed.pass <= fed.done && (1..=rest.len()).contains(&fed.done));
        assert_eq!(fed.hotkey.is_some(), fed.done > fed.pass);
        done += fed.done;
        rest = &rest[fed.done..];
    }
    assert_eq!(done, bytes.len());
    let painter = || Painter::new(Some("48;5;1".into()), Some("# "));
    let (mut whole, mut pieces) = (Vec::new(), Vec::new());
    painter().paint(bytes, &mut whole);
    let mut piecewise = painter();
    bytes.chunks(3).for_each(|piece| piecewise.paint(piece, &mut pieces));
    assert_eq!(pieces, whole);
    let mut painted = whole.iter();
    assert!(bytes.iter().all(|byte| painted.any(|other| other == byte)), "lost something");
}

/// What an earlier start has written down. What was understood reads back as the same once it is written again.
pub fn record(bytes: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<Record>(bytes) {
        let again = serde_json::to_vec(&record).expect("a record can be said in JSON");
        assert_eq!(serde_json::from_slice::<Record>(&again).ok(), Some(record));
    }
}
