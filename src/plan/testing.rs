// SPDX-License-Identifier: LGPL-2.1-or-later
//! Settings and facts for tests of the rules.

mod facts;

pub use facts::facts;

use crate::config::{Does, Repeat, Said, Settings, keys};
use crate::error::Origin;

/// Settings of options as they are written, built or not.
pub fn settings(line: &str) -> Settings {
    let mut settings = Settings::default();
    for word in line.split_whitespace() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.as_ref())),
            None => (word, None),
        };
        let key = keys::all().find(|key| {
            key.long.is_some_and(|long| name == format!("--{long}"))
                || key.short.is_some_and(|c| name == format!("-{c}"))
        });
        let key = key.unwrap_or_else(|| panic!("{name} is not in the table"));
        let Does::Set(apply) = key.does else { panic!() };
        // As on the command line: what may be secret is not part of who asked.
        let shown = match key.repeat {
            Repeat::UpTo(byte) => {
                let value = word.get(name.len() + 1..).and_then(|v| v.split(char::from(byte)).next());
                &word[..name.len() + value.map_or(0, |v| v.len() + 1)]
            }
            Repeat::Whole => word,
        };
        let said = Said { value, origin: Origin::Option(shown.into()), base: None };
        apply(&mut settings, &said).unwrap_or_else(|why| panic!("{word}: {why}"));
    }
    settings
}
