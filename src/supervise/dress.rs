// SPDX-License-Identifier: LGPL-2.1-or-later
//! How the caller's terminal shows that a container has it: its background, its title, and the context that terminals keep
//! track of (OSC 3008, systemd's `osc_context` specification). What there is and when is as in systemd-nspawn(1),
//! `--background=`.

use super::painter::Painter;
use crate::model::Id128;
use serde::Serialize;
use std::fmt::Write as _;

/// The colour under the container's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Background {
    /// The terminal's own.
    None,
    /// These parameters of SGR (ECMA-48), such as "44".
    Colour(String),
    /// The terminal's own, tinted, if it says which that is.
    Tint,
}

/// How a terminal is dressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dress {
    /// The machine.
    pub machine: String,
    /// The host's name.
    pub host_name: Option<String>,
    /// The host's machine-id(5).
    pub machine_id: Option<Id128>,
    /// The name we were called by.
    pub program: &'static str,
    /// Colours and what else a terminal shows are left alone (`$NO_COLOR`).
    pub look: Option<Look>,
}

/// What a terminal shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Look {
    /// The background.
    pub background: Background,
    /// The window's title.
    pub title: Option<Title>,
}

/// The window's title for the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Title {
    /// With the mark.
    pub text: String,
    /// What is put in front of titles that the container sets.
    pub mark: Option<&'static str>,
}

/// What is known of this process only when the terminal is taken.
#[derive(Debug, Clone, Default)]
pub struct Own {
    /// Tells this session apart from others, 32 hexadecimal digits.
    pub session: String,
    /// `/proc/sys/kernel/random/boot_id`, without dashes.
    pub boot_id: Option<String>,
    /// Our pid.
    pub pid: u32,
    /// The inode of our pidfd (Linux 6.9).
    pub pidfd_id: Option<u64>,
}

/// A dress made for one terminal.
pub struct Dressed {
    /// Written in front of everything.
    pub opening: Vec<u8>,
    /// Written behind everything.
    pub closing: Vec<u8>,
    /// What the container writes goes through it.
    pub painter: Option<Painter>,
}

impl Dress {
    /// Makes it, in a background of this colour.
    pub fn make(&self, own: &Own, background: Option<String>) -> Dressed {
        let (mut opening, mut closing) = (self.context(own), String::new());
        let mut mark = None;
        if let Some(look) = &self.look {
            if let Some(colour) = &background {
                // Erase to the end of the line: with the new background.
                opening += &format!("\x1b[{colour}m\x1b[K");
            }
            if let Some(title) = &look.title {
                // The old title is kept on the terminal's stack (xterm's XTWINOPS).
                opening += &format!("\x1b[22;2t\x1b]2;{}\x1b\\", title.text);
                closing += "\x1b[23;2t";
                mark = title.mark;
            }
            // Soft reset, the palette, no attributes, wrap at the margin, column 1, erase what is below.
            closing += "\x1b[!p\x1b]104\x1b\\\x1b[0m\x1b[?7h\x1b[1G\x1b[0J";
        }
        closing += &format!("\x1b]3008;end={}\x1b\\", own.session);
        let painter = (background.is_some() || mark.is_some()).then(|| Painter::new(background, mark));
        Dressed { opening: opening.into(), closing: closing.into(), painter }
    }

    fn context(&self, own: &Own) -> String {
        let mut text = format!("\x1b]3008;start={}", own.session);
        let mut field = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                text += &format!(";{name}=");
                escaped(value, &mut text);
            }
        };
        // Only root starts containers.
        field("user", Some("root"));
        field("hostname", self.host_name.as_deref());
        field("machineid", self.machine_id.map(|id| id.plain()).as_deref());
        field("bootid", own.boot_id.as_deref());
        field("pid", Some(&own.pid.to_string()));
        field("pidfdid", own.pidfd_id.map(|id| id.to_string()).as_deref());
        field("comm", Some(self.program));
        field("container", Some(&self.machine));
        field("type", Some("container"));
        text + "\x1b\\"
    }
}

/// A value of OSC 3008: what is not printable ASCII, and what has a meaning there, as `\xHH`.
fn escaped(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b';' | b'\\' | 0..0x20 | 0x7f.. => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
            _ => out.push(char::from(byte)),
        }
    }
}

/// The parameters of SGR for a blue tint of a background, whose red, green and blue are between 0 and 1.
pub fn tint([red, green, blue]: [f64; 3]) -> String {
    let value = red.max(green).max(blue);
    // A bright background gets a little of the colour, a dark one much, and enough light to show it.
    let (saturation, value) = if value > 0.5 { (0.25, value) } else { (0.75, value.max(0.2)) };
    // Hue 220°: blue leads, red is lowest, green is a third of the way up between them.
    let of_255 = |lack: f64| (value * (1.0 - lack) * 255.0) as u8;
    format!("48;2;{};{};{}", of_255(saturation), of_255(saturation * 2.0 / 3.0), of_255(0.0))
}

/// Asks a terminal for its background (xterm's OSC 11).
pub const QUESTION: &[u8] = b"\x1b]11;?\x1b\\";

/// Finds the answer to [`QUESTION`] in what was read from the terminal: the colour, and the bytes that it takes up.
pub fn answer(bytes: &[u8]) -> Option<([f64; 3], std::ops::Range<usize>)> {
    const START: &[u8] = b"\x1b]11;";
    let start = bytes.windows(START.len()).position(|w| w == START)?;
    let body = &bytes[start + START.len()..];
    let length = body.iter().position(|b| matches!(b, 0x07 | 0x1b))?;
    let end = start + START.len() + length + if body[length] == 0x07 { 1 } else { 2 };
    if end > bytes.len() {
        return None;
    }
    let text = std::str::from_utf8(&body[..length]).ok()?;
    let mut parts = text.strip_prefix("rgb:")?.split('/').map(channel);
    let colour = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some((colour, start..end))
}

/// One to four hexadecimal digits, of which all F is full (XParseColor(3)).
fn channel(text: &str) -> Option<f64> {
    let digits = text.bytes().all(|b| b.is_ascii_hexdigit()) && (1..=4).contains(&text.len());
    let full = 16f64.powi(text.len() as i32) - 1.0;
    digits.then(|| u32::from_str_radix(text, 16).ok().map(|n| f64::from(n) / full)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tints_are_those_of_systemd() {
        // What systemd-nspawn 262 sets on a black and on a white terminal.
        assert_eq!(tint([0.0; 3]), "48;2;12;25;51");
        assert_eq!(tint([1.0; 3]), "48;2;191;212;255");
        assert_eq!(tint([0.4, 0.2, 0.0]), "48;2;25;51;102");
    }

    #[test]
    fn answers_of_terminals() {
        let colour = |text: &[u8]| answer(text).map(|(c, at)| (c.map(|c| (c * 255.0) as u8), at));
        assert_eq!(colour(b"\x1b]11;rgb:ffff/8080/0000\x1b\\"), Some(([255, 128, 0], 0..25)));
        assert_eq!(colour(b"ab\x1b]11;rgb:f/0/f\x07c"), Some(([255, 0, 255], 2..17)));
        for text in ["", "\x1b]11;rgb:ffff/8080/0000", "\x1b]11;rgb:ffff/8080/0000\x1b", "\x1b]11;rgb:g/0/0\x07"] {
            assert_eq!(colour(text.as_bytes()), None, "{text:?}");
        }
        for text in ["\x1b]11;rgb:0/0\x07", "\x1b]11;rgb:0/0/0/0\x07", "\x1b]11;rgb:+1/0/0\x07", "\x1b]11;?\x07"] {
            assert_eq!(colour(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_said_before_and_after() {
        let mut dress = Dress {
            machine: "m".into(),
            host_name: Some("a;b\\\u{e9}".into()),
            machine_id: None,
            program: "spawn",
            look: None,
        };
        let own = Own { session: "5".into(), boot_id: Some("b0".into()), pid: 7, pidfd_id: Some(9) };
        let said = |d: &Dress, background: Option<&str>| {
            let made = d.make(&own, background.map(Into::into));
            [made.opening, made.closing].map(|b| String::from_utf8(b).unwrap())
        };
        let context = "\x1b]3008;start=5;user=root;hostname=a\\x3bb\\x5c\\xc3\\xa9;bootid=b0;pid=7;pidfdid=9;comm=spawn;container=m;type=container\x1b\\";
        let end = "\x1b]3008;end=5\x1b\\";
        assert_eq!(said(&dress, None), [context, end]);
        assert!(dress.make(&own, None).painter.is_none());
        dress.look = Some(Look { background: Background::Tint, title: None });
        let reset = "\x1b[!p\x1b]104\x1b\\\x1b[0m\x1b[?7h\x1b[1G\x1b[0J";
        assert_eq!(said(&dress, Some("44")), [format!("{context}\x1b[44m\x1b[K"), format!("{reset}{end}")]);
        let title = Title { text: "T".into(), mark: None };
        dress.look = Some(Look { background: Background::None, title: Some(title) });
        let expected = [format!("{context}\x1b[22;2t\x1b]2;T\x1b\\"), format!("\x1b[23;2t{reset}{end}")];
        assert_eq!(said(&dress, None), expected);
    }
}
