// SPDX-License-Identifier: LGPL-2.1-or-later
//! The program itself.

use crate::config::{Does, Key, Listing, Takes::*, Topic::Program};
use crate::model::DryRun;

pub(super) const KEYS: &[Key] = &[
    Key::shows("help", "Show this help", Does::Help).short('h'),
    Key::shows("version", "Show the version", Does::Version),
    Key::option("no-pager", Program, Flag, "Do not pipe the help into a pager", |_, _| Ok(())),
    Key::option("no-ask-password", Program, Flag, "Do not ask for authorization", |s, v| {
        v.flag(&mut s.no_ask_password)
    })
    .since("v258"),
    Key::shows("introspect-cli", "Show the options as JSON", Does::IntrospectCli)
        .listing(Listing::Hidden)
        .since("v262"),
    Key::option("quiet", Program, Flag, "Show warnings and errors only", |s, v| v.flag(&mut s.quiet))
        .short('q')
        .since("v209"),
    Key::option("verbose", Program, Flag, "Show each step and what was consumed", |s, v| v.flag(&mut s.verbose))
        .short('v')
        .listing(Listing::SpawnOnly),
    Key::option("dry-run", Program, Optional("json"), "Show the plan, do nothing", |s, v| match v.value {
        None => v.put(&mut s.dry_run, DryRun::Text),
        Some(_) => v.one(&mut s.dry_run),
    })
    .listing(Listing::SpawnOnly),
    Key::option("settings", Program, Value("MODE"), "Read .nspawn files: no, yes, override, trusted", |s, v| {
        v.one(&mut s.settings_mode)
    })
    .since("v226"),
    Key::option("cleanup", Program, Flag, "Remove what a dead container left behind", |s, v| v.flag(&mut s.cleanup))
        .since("v258"),
];
