// SPDX-License-Identifier: LGPL-2.1-or-later
//! Input, output and credentials.

use super::words;
use crate::config::{Key, Said, Section::Exec, Settings, Takes::*, Topic::Credentials, Topic::InputOutput};
use crate::error::Origin;
use crate::model::{ConsoleMode, Credential, CredentialSource};

pub(super) const KEYS: &[Key] = &[
    Key::option("console", InputOutput, Value("MODE"), "What stdin, stdout and stderr are connected to", |s, v| {
        v.one(&mut s.console)
    })
    .mask(29)
    .since("v242")
    .values(|| words(ConsoleMode::ALL))
    .own_file(Exec, "Console", |s| s.console = None),
    Key::option("pipe", InputOutput, Flag, "As --console=pipe", |s, v| v.put(&mut s.console, ConsoleMode::Pipe))
        .short('P')
        .mask(29)
        .since("v242"),
    Key::option("background", InputOutput, Value("COLOR"), "Background colour of the terminal", |s, v| {
        match v.text()?.bytes().all(|b| b.is_ascii_digit() || b == b';') {
            true => v.put(&mut s.background, v.text()?.to_string()),
            false => Err("must be an SGR sequence of numbers and semicolons, or empty".into()),
        }
    })
    .since("v256")
    .own_file(Exec, "Background", |s| s.background = None),
    Key::option("set-credential", Credentials, Value("ID:VALUE"), "Pass a credential", |s, v| {
        credential(s, v, Credential::parse_set(v.raw())?)
    })
    .mask(30)
    .since("v247")
    .secret_after(b':')
    .own_file(Exec, "SetCredential", |s| s.credentials.retain(|c| !is_value(&c.value)))
    .adds_up(),
    Key::option("load-credential", Credentials, Value("ID:PATH"), "Pass a credential from a file or socket", |s, v| {
        credential(s, v, Credential::parse_load(v.raw(), v.base)?)
    })
    .mask(30)
    .since("v247")
    .secret_after(b':')
    .own_file(Exec, "LoadCredential", |s| s.credentials.retain(|c| is_value(&c.value)))
    .adds_up(),
];

fn is_value(credential: &Credential) -> bool {
    matches!(credential.source, CredentialSource::Value(_))
}

fn credential(settings: &mut Settings, said: &Said, new: Credential) -> Result<(), String> {
    if matches!(said.origin, Origin::Option(_)) {
        settings.credentials.retain(|c| c.value.id != new.id || matches!(c.origin, Origin::Option(_)));
    }
    match settings.credentials.iter().any(|c| c.value.id == new.id) {
        true => Err(format!("a credential with the id {} was given before", new.id)),
        false => said.add(&mut settings.credentials, new),
    }
}
