// SPDX-License-Identifier: LGPL-2.1-or-later
//! Whether and how the caller's terminal shows that a container has it.

use super::Facts;
use crate::config::{Invocation, Settings};
use crate::model::{ConsoleMode, MachineName};
use crate::supervise::{Background, Dress, FdKind, Look, StdioPlan, Title, tint};

/// The mark of containers in titles.
const MARK: &str = "\u{1f535} ";

/// The dress of a terminal on which the container's output is shown; `None` where there is none, or one that can't.
pub fn dress(s: &Settings, f: &Facts, machine: &MachineName, stdio: &StdioPlan) -> Option<Dress> {
    let shown = matches!(stdio.mode, ConsoleMode::Interactive | ConsoleMode::ReadOnly);
    let term = f.terminal.term.as_ref().filter(|t| *t != "dumb")?;
    if !shown || !matches!(f.stdio.0[1], FdKind::Terminal(_)) {
        return None;
    }
    // The kernel's own terminal has neither pictures nor an answer to questions; it is black.
    let linux = term == "linux";
    let asked = stdio.mode == ConsoleMode::Interactive && matches!(f.stdio.0[0], FdKind::Terminal(_));
    let wanted = s.tint_background.as_ref().is_none_or(|t| t.value);
    let background = match s.background.as_ref().map(|b| b.value.as_str()) {
        Some("") => Background::None,
        Some(colour) => Background::Colour(colour.into()),
        None if !wanted => Background::None,
        None if linux => Background::Colour(tint([0.0; 3])),
        // Only who reads the terminal can hear its answer.
        None if asked => Background::Tint,
        None => Background::None,
    };
    let mark = (f.terminal.utf8 && !linux).then_some(MARK);
    let host_name = f.host_name.as_deref().map(crate::log::escape::text).filter(|h| !h.is_empty());
    let title = s.terminal_title.as_ref().is_none_or(|t| t.value).then(|| {
        let on = host_name.as_ref().map_or_else(String::new, |h| format!(" on {h}"));
        Title { text: format!("{}Container {machine}{on}", mark.unwrap_or_default()), mark }
    });
    let program = match s.invocation {
        Invocation::Spawn => "spawn",
        Invocation::SystemdNspawn => "systemd-nspawn",
    };
    let look = f.terminal.no_color.is_none().then_some(Look { background, title });
    Some(Dress { machine: machine.to_string(), host_name, machine_id: f.host.machine_id, program, look })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing::{facts, settings};
    use crate::plan::{Terminal, build};
    use crate::supervise::{StdioFacts, TerminalId};

    const TERMINAL: FdKind = FdKind::Terminal(TerminalId { device: 1, inode: 1 });

    fn on_terminal(term: &str) -> Facts {
        let terminal = Terminal { term: Some(term.into()), utf8: true, ..Terminal::default() };
        Facts { stdio: StdioFacts([TERMINAL; 3]), terminal, ..facts() }
    }

    fn dress(line: &str, f: &Facts) -> Option<Dress> {
        build(&settings(line), f).unwrap().dress
    }

    fn look(line: &str, f: &Facts) -> Look {
        dress(line, f).unwrap().look.unwrap()
    }

    #[test]
    fn only_a_terminal_that_shows_the_container_is_dressed() {
        let f = on_terminal("xterm");
        let made = dress("--machine=m", &f).unwrap();
        assert_eq!((made.machine.as_str(), made.host_name.as_deref(), made.program), ("m", Some("host"), "spawn"));
        assert!(dress("--console=read-only", &f).is_some());
        assert_eq!(dress("--console=pipe", &f), None);
        assert_eq!(dress("--console=passive", &f), None);
        assert_eq!(dress("", &on_terminal("dumb")), None);
        let nameless = Facts { terminal: Terminal::default(), ..on_terminal("x") };
        assert_eq!(dress("", &nameless), None);
        let mut piped = on_terminal("xterm");
        piped.stdio.0[1] = FdKind::Plain;
        assert_eq!(dress("--console=interactive", &piped), None);
        let mut plain = on_terminal("xterm");
        plain.terminal.no_color = Some("1".into());
        assert_eq!(dress("--background=44", &plain).unwrap().look, None);
    }

    #[test]
    fn backgrounds() {
        let f = on_terminal("xterm");
        assert_eq!(look("", &f).background, Background::Tint);
        assert_eq!(look("--background=44", &f).background, Background::Colour("44".into()));
        assert_eq!(look("--background=", &f).background, Background::None);
        assert_eq!(look("--console=read-only", &f).background, Background::None);
        assert_eq!(look("", &on_terminal("linux")).background, Background::Colour("48;2;12;25;51".into()));
        let mut s = settings("");
        s.tint_background = Some(crate::error::Sourced::new(false, crate::error::Origin::Default));
        s.terminal_title = s.tint_background.clone();
        let untouched = Look { background: Background::None, title: None };
        assert_eq!(build(&s, &f).unwrap().dress.unwrap().look, Some(untouched));
    }

    #[test]
    fn titles() {
        let title = |f: &Facts| look("-M=m", f).title.unwrap();
        let marked = Title { text: "\u{1f535} Container m on host".into(), mark: Some(MARK) };
        assert_eq!(title(&on_terminal("xterm")), marked);
        let plain = Title { text: "Container m on host".into(), mark: None };
        assert_eq!(title(&on_terminal("linux")), plain);
        let mut ascii = on_terminal("xterm");
        ascii.terminal.utf8 = false;
        assert_eq!(title(&ascii), plain);
        ascii.host_name = Some("a\x1b]b".into());
        assert_eq!(title(&ascii).text, "Container m on a\\x1b]b");
        ascii.host_name = None;
        assert_eq!(title(&ascii).text, "Container m");
    }
}
