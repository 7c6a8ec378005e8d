// SPDX-License-Identifier: LGPL-2.1-or-later
//! Verbs of the name `spawn`: they are the first word of the command line. `spawn -- cat` runs a program of that name.

use super::{Caller, Command, parse, render};
use crate::config::file::effective::effective;
use crate::config::file::layer::Layer;
use crate::config::file::search::{self, Directories};
use crate::config::file::{self, Loaded};
use crate::config::{Invocation, Trust};
use crate::error::{Code, Diagnostic};
use crate::plan;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// A verb, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// `cat [--effective] NAME [OPTION…]`: the files of a machine.
    Cat {
        /// What holds in the end, instead of what the files hold.
        effective: bool,
        /// The machine and options that go with it.
        words: Vec<OsString>,
    },
    /// `verify FILE…`: the mistakes of files.
    Verify(Vec<OsString>),
}

/// The verb of a command line, with the program's name in front.
pub fn verb(invocation: Invocation, argv: &[OsString]) -> Option<Verb> {
    let (first, words) = argv.get(1..)?.split_first().filter(|_| invocation == Invocation::Spawn)?;
    match first.to_str()? {
        "cat" => {
            let effective = words.first().is_some_and(|word| word == "--effective");
            Some(Verb::Cat { effective, words: words[usize::from(effective)..].to_vec() })
        }
        "verify" => Some(Verb::Verify(words.to_vec())),
        _ => None,
    }
}

/// What a verb has to say, and the exit status: 1 where there are mistakes, or nothing to show.
#[derive(Debug, Default)]
pub struct Answer {
    /// For standard output.
    pub text: String,
    /// For standard error.
    pub complaints: Vec<Diagnostic>,
    /// The exit status, unless a complaint has a better one.
    pub status: u8,
}

fn usage(text: &str) -> Answer {
    let complaint = Diagnostic::new(Code::OptionValueMissing, text.to_string()).help("see spawn(1)");
    Answer { complaints: vec![complaint], ..Answer::default() }
}

/// Carries a verb out.
pub fn run(verb: &Verb, caller: &Caller, directories: &Directories) -> Answer {
    let answer = match verb {
        Verb::Verify(files) if files.is_empty() => usage("verify needs a file: spawn verify FILE…"),
        Verb::Verify(files) => verify(files),
        Verb::Cat { effective, words } => cat(*effective, words, caller, directories),
    };
    // A terminal obeys what is in a file that anybody may have written.
    let shown = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    Answer { text: answer.text.chars().map(shown).collect(), ..answer }
}

fn verify(files: &[OsString]) -> Answer {
    let mut answer = Answer::default();
    for file in files {
        let path = Path::new(file);
        let bytes = match search::read(path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let what = format!("there is no file {}", path.display());
                answer.complaints.push(Diagnostic::new(Code::SettingsFile, what));
                answer.status = 1;
                continue;
            }
            Err(complaint) => {
                answer.complaints.push(complaint);
                answer.status = 1;
                continue;
            }
        };
        for mistake in mistakes(path, &bytes) {
            answer.text += &mistake;
            answer.status = 1;
        }
    }
    answer
}

/// `FILE:LINE:COLUMN: TEXT` of every mistake, in the order of the file.
fn mistakes(path: &Path, bytes: &[u8]) -> Vec<String> {
    let layer = Layer::parse(path, bytes, Trust::Trusted, Invocation::Spawn);
    let mut found: Vec<_> = layer.warnings.iter().map(|w| (w.at, w.text.clone())).collect();
    found.extend(layer.entries.iter().filter_map(|e| Some((e.at, layer.refuses(e)?.headline()))));
    found.extend(layer.broken.iter().map(|(at, why)| (*at, why.headline())));
    found.sort_by_key(|(at, _)| (at.line, at.column));
    let place = path.display().to_string();
    let shown = found.into_iter().map(|(at, text)| {
        // A refusal says where by itself, which is said in full here.
        let text = text.strip_prefix(&format!("{place}:{}: ", at.line)).map(str::to_string).unwrap_or(text);
        format!("{place}:{}:{}: {text}\n", at.line, at.column)
    });
    shown.collect()
}

fn cat(effectively: bool, words: &[OsString], caller: &Caller, directories: &Directories) -> Answer {
    let Some((name, options)) = words.split_first().filter(|(name, _)| !name.as_encoded_bytes().starts_with(b"-"))
    else {
        return usage("cat needs the name of a machine: spawn cat [--effective] NAME [OPTION…]");
    };
    let mut machine = OsString::from("--machine=");
    machine.push(name);
    let mut line: Vec<OsString> = vec!["spawn".into(), machine];
    line.extend_from_slice(options);
    let said = match parse(line, caller) {
        Ok(Command::Run(settings)) => *settings,
        Ok(show) => {
            return Answer { text: render::output(&show, Invocation::Spawn).unwrap_or_default(), ..Answer::default() };
        }
        Err(complaints) => return Answer { complaints, ..Answer::default() },
    };
    let loaded = file::load(said, directories, &plan::whereabouts);
    let text = if effectively { effective(&loaded) } else { contents(&loaded) };
    let nothing = loaded.layers.is_empty() && !effectively;
    let warnings = loaded.warnings.iter().map(|w| Diagnostic::new(Code::SettingsFile, w.to_string()));
    let mut complaints: Vec<_> = warnings.filter(|_| effectively).chain(loaded.mistakes).collect();
    let status = u8::from(nothing || !complaints.is_empty());
    if nothing {
        let what = format!("there are no settings files for {}", OsStr::new(name).display());
        complaints.push(Diagnostic::new(Code::SettingsFile, what));
    }
    Answer { text, complaints, status }
}

/// The files as they are, each headed by its path.
fn contents(loaded: &Loaded) -> String {
    let mut out = String::new();
    for layer in &loaded.layers {
        let whose = if layer.trust == Trust::Anyone { " (next to the image: not trusted)" } else { "" };
        let bytes = search::read(&layer.path).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let blank = if out.is_empty() { "" } else { "\n" };
        out += &format!("{blank}# {}{whose}\n{text}", layer.path.display());
        if !text.is_empty() && !text.ends_with('\n') {
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn scratch(name: &str) -> PathBuf {
        let at = std::env::temp_dir().join(format!("spawn-verbs-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&at);
        std::fs::create_dir_all(at.join("etc/m.nspawn.d")).unwrap();
        at
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(Into::into).collect()
    }

    fn said(line: &str, at: &Path) -> Answer {
        let directories = Directories { files: vec![at.join("etc")], drop_ins: vec![at.join("etc")] };
        run(&verb(Invocation::Spawn, &words(line)).unwrap(), &Caller::default(), &directories)
    }

    #[test]
    fn a_verb_is_the_first_word_under_our_own_name() {
        assert_eq!(verb(Invocation::Spawn, &words("spawn verify a b")), Some(Verb::Verify(words("a b"))));
        let cat = Verb::Cat { effective: true, words: words("m -U") };
        assert_eq!(verb(Invocation::Spawn, &words("spawn cat --effective m -U")), Some(cat));
        for line in ["spawn", "spawn -- cat m", "spawn -D / cat m", "spawn ls"] {
            assert_eq!(verb(Invocation::Spawn, &words(line)), None, "{line}");
        }
        assert_eq!(verb(Invocation::SystemdNspawn, &words("systemd-nspawn cat m")), None);
    }

    #[test]
    fn every_mistake_has_line_and_column() {
        let at = scratch("verify");
        let file = at.join("x");
        std::fs::write(&file, "Boot=yes\n[Exec]\n  KillSignal = ä x\nFoo=1\n[Files]\nBind=/a:/../b\nnonsense\n[")
            .unwrap();
        let answer = said(&format!("spawn verify {}", file.display()), &at);
        let place = file.display();
        let found: Vec<_> = answer
            .text
            .lines()
            .map(|l| l.strip_prefix(&format!("{place}:")).unwrap().split(' ').next().unwrap())
            .collect();
        assert_eq!(
            (found, answer.status),
            (vec!["1:1:", "3:16:", "4:1:", "6:6:", "7:1:", "8:1:"], 1),
            "{}",
            answer.text
        );
        std::fs::write(&file, "[Exec]\nBoot=yes\nSlice=a.slice\n[Files]\nBind=/a\n").unwrap();
        let answer = said(&format!("spawn verify {}", file.display()), &at);
        assert_eq!((answer.text.as_str(), answer.status), ("", 0));
        std::fs::write(&file, "[Files]\nBind=/a:/b:\x1b[2J\n").unwrap();
        let answer = said(&format!("spawn verify {}", file.display()), &at);
        assert!(answer.text.contains("2:6: ") && answer.text.contains("\u{fffd}[2J"), "{:?}", answer.text);
        assert_eq!(said(&format!("spawn verify {}/none", at.display()), &at).status, 1);
        std::fs::remove_dir_all(at).unwrap();
    }

    #[test]
    fn cat_shows_files_and_what_holds() {
        let at = scratch("cat");
        std::fs::write(at.join("etc/m.nspawn"), "[Exec]\nHostname=a\nEnvironment=A=1\n[Files]\nBind=/a").unwrap();
        std::fs::write(at.join("etc/m.nspawn.d/1.conf"), "[Exec]\nHostname=b\nEnvironment=B=2\n\x1b[2J").unwrap();
        let plain = said("spawn cat m", &at);
        let etc = at.join("etc/m.nspawn").display().to_string();
        assert!(plain.text.starts_with(&format!("# {etc}\n[Exec]\nHostname=a\n")), "{}", plain.text);
        assert!(plain.text.contains(&format!("Bind=/a\n\n# {etc}.d/1.conf\n[Exec]")), "{}", plain.text);
        assert!(!plain.text.contains('\x1b'));
        std::fs::write(at.join("etc/m.nspawn.d/2.conf"), "[Files]\nBind=/a\x1b[2J").unwrap();
        let held = said("spawn cat --effective m", &at).text;
        assert!(held.contains("Bind=/a\u{fffd}[2J "), "{held:?}");
        let answer = said("spawn cat --effective m --bind=/z --set-credential=c:geheim -U --kill-signal=TERM", &at);
        let squeezed: Vec<String> =
            answer.text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for line in [
            format!("Hostname=b # {etc}.d/1.conf:2"),
            format!("Environment=A=1 # {etc}:3"),
            format!("Environment=B=2 # {etc}.d/1.conf:3"),
            format!("Bind=/a # {etc}:5"),
            "Bind=/z # --bind=/z".into(),
            "KillSignal=TERM # --kill-signal=TERM".into(),
            "ReadOnly=no # the built-in default".into(),
            "# -U".into(),
        ] {
            assert!(squeezed.contains(&line), "{line} is not in {}", answer.text);
        }
        assert!(!answer.text.contains("geheim") && !answer.text.contains("Hostname=a"), "{}", answer.text);
        assert_eq!((said("spawn cat none", &at).status, said("spawn cat", &at).complaints.len()), (1, 1));
        std::fs::remove_dir_all(at).unwrap();
    }
}
