// SPDX-License-Identifier: LGPL-2.1-or-later
//! The command line: what was said, with all its mistakes at once.

mod main;
pub mod render;
mod secrets;
mod split;

pub use main::main;
pub use secrets::secrets;

use crate::config::{Assigned, Built, Does, Invocation, Said, Settings, keys};
use crate::error::{Code, Diagnostic, Origin};
use crate::plan::conflicts;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What the command line asks for.
#[derive(Debug, Clone)]
pub enum Command {
    /// Start a container, or whatever else the settings say.
    Run(Box<Settings>),
    /// Show the help.
    Help,
    /// Show the version.
    Version,
    /// Show the values of an option, each on a line.
    PrintValues(String),
    /// Show the table of options as JSON.
    IntrospectCli,
}

/// What a command line depends on besides its words.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// What relative paths are relative to; without it they are refused.
    pub directory: Option<PathBuf>,
}

impl Caller {
    /// The environment and the working directory of this process.
    pub fn of_this_process() -> Self {
        Self { environment: std::env::vars_os().collect(), directory: std::env::current_dir().ok() }
    }
}

/// The name the program was called by, from the last component of `argv[0]`.
pub fn invocation(argv: &[OsString]) -> Invocation {
    let name = argv.first().and_then(|word| Path::new(word).file_name());
    if name == Some(OsStr::new("systemd-nspawn")) { Invocation::SystemdNspawn } else { Invocation::Spawn }
}

/// Reads the command line, then the environment. Every unknown option, wrong value and thing that is not built yet is
/// a diagnostic of its own; of a line that is refused anyway the conflicts are told as well.
pub fn parse(argv: Vec<OsString>, caller: &Caller) -> Result<Command, Vec<Diagnostic>> {
    let invocation = invocation(&argv);
    let line = split::split(invocation, argv.into_iter().skip(1).collect());
    let mut settings = Settings { invocation, argv: line.payload, ..Settings::default() };
    let mut mistakes = line.refused;
    let mut not_built: Vec<(&str, Diagnostic)> = Vec::new();

    for option in line.options {
        let key = option.key;
        let shown = match key.does {
            Does::Help => Some(Command::Help),
            Does::Version => Some(Command::Version),
            Does::IntrospectCli => Some(Command::IntrospectCli),
            Does::Set(_) if option.value.as_deref() == Some(OsStr::new("help")) => {
                key.values.map(|list| Command::PrintValues(list()))
            }
            Does::Set(_) => None,
        };
        match shown {
            Some(command) if mistakes.is_empty() => return Ok(command),
            Some(_) => break,
            None => {}
        }
        if let Built::No(reason) = key.built
            && !not_built.iter().any(|(id, _)| *id == key.id)
        {
            let what = format!("{} is not built yet", key.spelling());
            let refusal = Diagnostic::new(Code::NotBuiltYet, what).origin(&Origin::Option(option.typed.clone()));
            not_built.push((key.id, refusal.note(reason)));
        }
        let Does::Set(apply) = key.does else { continue };
        let said = Said {
            value: option.value.as_deref(),
            origin: Origin::Option(option.typed.clone()),
            base: caller.directory.as_deref(),
        };
        settings.line.push(Assigned {
            key,
            value: option.value.clone(),
            origin: said.origin.clone(),
            base: caller.directory.clone(),
        });
        if let Err(why) = apply(&mut settings, &said) {
            mistakes.push(Diagnostic::new(Code::OptionValue, option.typed).cause(why));
        }
    }
    settings.variables = keys::environment::known(&caller.environment);
    mistakes.extend(keys::environment::apply_environment(&mut settings, &caller.environment));
    let understood = mistakes.is_empty();
    mistakes.extend(not_built.into_iter().map(|(_, refusal)| refusal));
    mistakes.extend(keys::values_not_built(&settings));
    if mistakes.is_empty() {
        return Ok(Command::Run(Box::new(settings)));
    }
    // What a setting that could not be read would have brought is unknown: rules that miss something stay silent.
    mistakes.extend(if understood { conflicts::check(&settings) } else { conflicts::exclusions(&settings) });
    Err(mistakes)
}
