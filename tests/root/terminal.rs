// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the caller's terminal shows of a container: background, title, context; and that nothing of it stays.

use super::support::{BOTH, Name, Tree};
use crate::common::{Case, Outcome, Pty, Reason, pty};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const QUESTION: &str = "\x1b]11;?\x1b\\";
const RESET: &str = "\x1b[!p\x1b]104\x1b\\\x1b[0m\x1b[?7h\x1b[1G\x1b[0J";

/// Runs a script in a container on a terminal that is of this kind; returns everything that was shown.
fn shown(
    (case, tree): (&Case, &Tree),
    name: Name,
    (options, variables, script): (&[&str], &[(&str, &str)], &str),
    talk: impl FnOnce(&mut Pty) -> Outcome,
) -> Result<String, Reason> {
    let mut program = tree.called(case, name, options)?.args(["-q", "-M", "dressed", "sh", "-c", script]);
    for (name, value) in [("TERM", "xterm"), ("LANG", "C.UTF-8")].iter().chain(variables) {
        program = program.env(name, value);
    }
    let mut terminal = Pty::open()?;
    let before = format!("{:?}", terminal.settings()?);
    let mut child = terminal.start(&program)?;
    talk(&mut terminal)?;
    assert_eq!(pty::wait(&mut child, SOON).code(), Some(5), "{:?}", terminal.shown());
    assert_eq!(format!("{:?}", terminal.settings()?), before);
    terminal.settled()
}

/// The session's context taken off: its fields, and what was shown within.
fn within(text: &str) -> (Vec<&str>, &str) {
    let (before, rest) = text.split_once("\x1b]3008;start=").unwrap_or_else(|| panic!("no context: {text:?}"));
    assert_eq!(before, "");
    let (fields, rest) = rest.split_once("\x1b\\").unwrap_or_else(|| panic!("no end: {text:?}"));
    let fields: Vec<_> = fields.split(';').collect();
    let session = fields[0];
    assert!(session.len() == 32 && session.bytes().all(|b| b.is_ascii_hexdigit()), "{session}");
    let inside = rest.strip_suffix(&format!("\x1b]3008;end={session}\x1b\\"));
    (fields, inside.unwrap_or_else(|| panic!("the context stays open: {text:?}")))
}

pub fn a_terminal_is_dressed_and_undressed(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let script = "printf 'a\\nb\\033[0mc\\033]0;t\\007'; exit 5";
    for name in BOTH {
        let text = shown((case, &tree), name, (&["--background=44"], &[], script), |_| Ok(()))?;
        let (fields, inside) = within(&text);
        for field in ["user=root", "container=dressed", "type=container"] {
            assert!(fields.contains(&field), "{name:?}: {fields:?} lack {field}");
        }
        let comm = if name == Name::Spawn { "comm=spawn" } else { "comm=systemd-nspawn" };
        assert!(fields.contains(&comm), "{fields:?}");
        let expected = format!(
            "\x1b[44m\x1b[K\x1b[22;2t\x1b]2;\u{1f535} Container dressed on {host}\x1b\\\
             a\r\x1b[44m\n\x1b[44mb\x1b[0;44mc\x1b]0;t\x07\x1b]0;\u{1f535} t\x1b\\\r\n\x1b[23;2t{RESET}"
        );
        assert_eq!(inside, expected, "{name:?}");
    }
    Ok(())
}

pub fn a_terminal_that_tells_its_colour_is_tinted(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "read word; echo \"got $word\"; exit 5";
    let text = shown((case, &tree), Name::Spawn, (&[], &[], script), |terminal| {
        terminal.expect(QUESTION, SOON);
        // Typed before the terminal answers: it is for the container.
        terminal.send("wo\x1b]11;rgb:0000/0000/0000\x1b\\")?;
        terminal.expect("\x1b[48;2;12;25;51m\x1b[K", SOON);
        terminal.send("rd\r")?;
        terminal.expect("got word", SOON);
        Ok(())
    })?;
    assert!(text.contains("\x1b[48;2;12;25;51mgot word\r"), "{text:?}");
    // One that does not answer is left as it is.
    let text = shown((case, &tree), Name::Spawn, (&[], &[], "echo a; exit 5"), |_| Ok(()))?;
    let (_, inside) = within(text.strip_prefix(QUESTION).unwrap_or_else(|| panic!("not asked: {text:?}")));
    assert!(inside.contains("\x1b\\a\r\n\x1b[23;2t"), "{inside:?}");
    Ok(())
}

pub fn who_wants_no_dress_gets_none(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "printf 'a\\033[0m\\n'; exit 5";
    for (options, variables) in [
        (&["--background=44"][..], &[("TERM", "dumb")][..]),
        (&["--background=44", "--console=passive"], &[]),
        (&["--background=44", "--console=pipe"], &[]),
    ] {
        let text = shown((case, &tree), Name::Spawn, (options, variables, script), |_| Ok(()))?;
        let expected = if options.contains(&"--console=passive") { "" } else { "a\x1b[0m\r\n" };
        assert_eq!(text, expected, "{options:?} {variables:?}");
    }
    let plain = shown((case, &tree), Name::Spawn, (&[], &[("NO_COLOR", "1")], script), |_| Ok(()))?;
    assert_eq!(within(&plain).1, "a\x1b[0m\r\n");
    let variables = [("SYSTEMD_TINT_BACKGROUND", "no"), ("SYSTEMD_ADJUST_TERMINAL_TITLE", "no")];
    let plain = shown((case, &tree), Name::Spawn, (&[], &variables, script), |_| Ok(()))?;
    assert_eq!(within(&plain).1, format!("a\x1b[0m\r\n{RESET}"));
    let plain = shown((case, &tree), Name::Spawn, (&["--background="], &variables[1..], script), |_| Ok(()))?;
    assert_eq!(within(&plain).1, format!("a\x1b[0m\r\n{RESET}"));
    Ok(())
}
