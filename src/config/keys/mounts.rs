// SPDX-License-Identifier: LGPL-2.1-or-later
//! Mounts, and users of the host that are shown.

use crate::config::file::values::{self as grammar, Kind};
use crate::config::{Key, Said, Section::Files, Takes::*, Topic::Mounts};
use crate::model::{Bind, CustomMount, Overlay, Tmpfs, container_path, is_user_name, parse_bool};
use std::os::unix::ffi::OsStrExt;

pub(super) const KEYS: &[Key] = &[
    Key::option("bind", Mounts, Value("PATH[:PATH[:OPTIONS]]"), "Show a file or directory of the host", |s, v| {
        v.add(&mut s.mounts, CustomMount::Bind(Bind::parse_os(v.raw(), v.base)?))
    })
    .file(Files, "Bind", |s| grammar::drop_mounts(s, Kind::Bind))
    .adds_up()
    .bad_value(grammar::bad_bind)
    .trusted()
    .mask(11)
    .since("v198"),
    Key::option("bind-ro", Mounts, Value("PATH[:PATH[:OPTIONS]]"), "The same, read-only", |s, v| {
        let bind = Bind { read_only: true, ..Bind::parse_os(v.raw(), v.base)? };
        v.add(&mut s.mounts, CustomMount::Bind(bind))
    })
    .file(Files, "BindReadOnly", |s| grammar::drop_mounts(s, Kind::BindReadOnly))
    .adds_up()
    .bad_value(grammar::bad_bind)
    .trusted()
    .mask(11)
    .since("v198"),
    Key::option("inaccessible", Mounts, Value("PATH"), "Hide a file or directory", |s, v| {
        v.add(&mut s.mounts, CustomMount::Inaccessible(container_path(v.raw().as_bytes())?))
    })
    .file(Files, "Inaccessible", |s| grammar::drop_mounts(s, Kind::Inaccessible))
    .adds_up()
    .bad_value(grammar::bad_inaccessible)
    .trusted()
    .mask(11)
    .since("v242"),
    Key::option("tmpfs", Mounts, Value("PATH[:OPTIONS]"), "Mount an empty tmpfs", |s, v| {
        v.add(&mut s.mounts, CustomMount::Tmpfs(Tmpfs::parse_os(v.raw())?))
    })
    .file(Files, "TemporaryFileSystem", |s| grammar::drop_mounts(s, Kind::Tmpfs))
    .adds_up()
    .bad_value(grammar::bad_tmpfs)
    .trusted()
    .mask(11)
    .since("v214"),
    Key::option("overlay", Mounts, Value("PATH[:PATH…]:PATH"), "Mount an overlay", |s, v| {
        v.add(&mut s.mounts, CustomMount::Overlay(Overlay::parse_os(v.raw(), v.base)?))
    })
    .file(Files, "Overlay", |s| grammar::drop_mounts(s, Kind::Overlay))
    .adds_up()
    .bad_value(grammar::bad_overlay)
    .trusted()
    .mask(11)
    .since("v220"),
    Key::option("overlay-ro", Mounts, Value("PATH[:PATH…]:PATH"), "The same, read-only", |s, v| {
        let overlay = Overlay { read_only: true, ..Overlay::parse_os(v.raw(), v.base)? };
        v.add(&mut s.mounts, CustomMount::Overlay(overlay))
    })
    .file(Files, "OverlayReadOnly", |s| grammar::drop_mounts(s, Kind::OverlayReadOnly))
    .adds_up()
    .bad_value(grammar::bad_overlay)
    .trusted()
    .mask(11)
    .since("v220"),
    Key::option("bind-user", Mounts, Value("USER"), "Show a user of the host and its home", |s, v| {
        named(v).and_then(|name| v.add(&mut s.bind_user, name))
    })
    .file(Files, "BindUser", |s| s.bind_user.clear())
    .reads(grammar::bind_user)
    .adds_up()
    .trusted()
    .mask(31)
    .since("v249"),
    Key::option("bind-user-shell", Mounts, Value("BOOL|PATH"), "Shell of such users", |s, v| {
        if parse_bool(v.text()?).is_err() {
            container_path(v.raw().as_bytes()).map_err(|_| "must be yes, no or an absolute path")?;
        }
        v.string(&mut s.bind_user_shell)
    })
    .file(Files, "BindUserShell", |s| s.bind_user_shell = None)
    .reads(grammar::bind_user_shell)
    .trusted()
    .mask(32)
    .since("v258"),
    Key::option("bind-user-group", Mounts, Value("GROUP"), "Group that such users join", |s, v| {
        named(v).and_then(|name| v.add(&mut s.bind_user_group, name))
    })
    .since("v259")
    .own_file(Files, "BindUserGroup", |s| s.bind_user_group.clear())
    .adds_up(),
];

fn named(said: &Said) -> Result<String, String> {
    let name = said.text()?;
    if is_user_name(name) { Ok(name.into()) } else { Err("must be the name of a user or group".into()) }
}
