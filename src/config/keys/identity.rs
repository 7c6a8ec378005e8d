// SPDX-License-Identifier: LGPL-2.1-or-later
//! Names and ids of the container, its unit and its registration.

use super::execution::user;
use crate::config::{Key, Listing, Section::Exec, Takes::*, Topic::Identity, Topic::Unit};

pub(super) const KEYS: &[Key] = &[
    Key::option("machine", Identity, Value("NAME"), "Name of the machine", |s, v| v.one(&mut s.machine))
        .short('M')
        .since("v202"),
    Key::option("hostname", Identity, Value("NAME"), "Host name, if not that of the machine", |s, v| {
        v.one_or_reset(&mut s.hostname)
    })
    .file(Exec, "Hostname", |s| s.hostname = None)
    .mask(17)
    .since("v239"),
    Key::option("uuid", Identity, Value("ID"), "Machine id, if the tree has none", |s, v| v.one(&mut s.uuid))
        .file(Exec, "MachineID", |s| s.uuid = None)
        .trusted()
        .mask(6),
    Key::option("slice", Unit, Value("SLICE"), "Slice of the scope (machine.slice)", |s, v| v.one(&mut s.slice))
        .short('S')
        .mask(25)
        .since("v206")
        .own_file(Exec, "Slice", |s| s.slice = None)
        .default_is("machine.slice"),
    Key::option("property", Unit, Value("NAME=VALUE"), "Property of the scope", |s, v| v.many(&mut s.properties))
        .since("v220")
        .own_file(Exec, "Property", |s| s.properties.clear())
        .adds_up(),
    Key::option("register", Unit, Value("MODE"), "Register with machined: yes, no, auto", |s, v| {
        v.one_or_reset(&mut s.register)
    })
    .since("v209")
    .own_file(Exec, "Register", |s| s.register = None)
    .default_is("auto"),
    Key::option("scope", Unit, Value("MODE"), "Make a scope: require, auto, no", |s, v| v.one(&mut s.scope))
        .listing(Listing::SpawnOnly)
        .own_file(Exec, "Scope", |s| s.scope = None)
        .default_is("auto"),
    Key::option("keep-unit", Unit, Flag, "Run in the unit of the caller", |s, v| v.flag(&mut s.keep_unit))
        .since("v209")
        .own_file(Exec, "KeepUnit", |s| s.keep_unit = None)
        .reads(|s, v| v.tristate(&mut s.keep_unit))
        .default_is("no"),
    Key::option("system", Unit, Flag, "Run as a machine of the system", |s, v| v.put(&mut s.user_scope, false))
        .since("v261"),
    // `--user NAME` is the old spelling of `--uid=`.
    Key::option("user", Unit, OptionalOrWord("NAME"), "Run as a machine of the calling user", |s, v| match v.value {
        None => v.put(&mut s.user_scope, true),
        Some(_) => user(s, v),
    })
    .since("v261")
    .partly(|s| {
        let asked = s.user_scope.iter().filter(|u| u.value);
        asked.map(|u| (u.origin.clone(), "--user (a machine of the calling user)".into())).collect()
    }),
];
