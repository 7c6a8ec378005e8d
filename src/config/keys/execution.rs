// SPDX-License-Identifier: LGPL-2.1-or-later
//! What runs, as whom and in which environment.

use crate::config::file::values as grammar;
use crate::config::{Key, Listing, Said, Section::Exec, Settings, Takes::*, Topic::Execution};
use crate::error::Origin;
use crate::model::{EnvAssignment, Signal, StartMode, container_path};
use std::os::unix::ffi::OsStrExt;

pub(super) const KEYS: &[Key] = &[
    Key::option("as-pid2", Execution, Flag, "Run the program as PID 2 below a small init", |s, v| {
        start_as(s, v, StartMode::Pid2)
    })
    .short('a')
    .file(Exec, "ProcessTwo", |s| s.start_mode = None)
    .reads(|s, v| grammar::start_as(s, v, StartMode::Pid2))
    .default_is("no")
    .mask(0)
    .since("v229"),
    Key::option("boot", Execution, Flag, "Boot the init that the tree has", |s, v| start_as(s, v, StartMode::Boot))
        .short('b')
        .file(Exec, "Boot", |s| s.start_mode = None)
        .reads(|s, v| grammar::start_as(s, v, StartMode::Boot))
        .default_is("no")
        .mask(0),
    Key::only_file(
        Exec,
        "Parameters",
        Execution,
        "WORDS",
        "The program, or the arguments of init",
        grammar::parameters,
        |s| s.argv.clear(),
    )
    .adds_up()
    .mask(0)
    .since("v226"),
    Key::option("chdir", Execution, Value("PATH"), "Working directory in the container", |s, v| {
        let path = container_path(v.raw().as_bytes())?;
        match ["/proc", "/sys", "/dev"].iter().find(|api| path.starts_with(api)) {
            Some(api) => Err(format!("must not be {api} or below it")),
            None => v.put(&mut s.chdir, path),
        }
    })
    .file(Exec, "WorkingDirectory", |s| s.chdir = None)
    .reads(|s, v| grammar::clean_path(&mut s.chdir, v))
    .mask(12)
    .since("v229"),
    Key::option("setenv", Execution, Value("NAME[=VALUE]"), "Set a variable, or pass the caller's on", |s, v| {
        v.add(&mut s.environment, EnvAssignment::parse_os(v.raw())?)
    })
    .short('E')
    .file(Exec, "Environment", |s| s.environment.clear())
    .reads(grammar::environment)
    .adds_up()
    .mask(1)
    .since("v209")
    .secret_after(b'='),
    Key::option("uid", Execution, Value("USER"), "Run the program as this user", user)
        .short('u')
        .file(Exec, "User", |s| s.user = None)
        .reads(grammar::user_of_file)
        .bad_value(grammar::bad_user)
        .default_is("root")
        .mask(2),
    Key::option("kill-signal", Execution, Value("SIGNAL"), "What asks the program to end", |s, v| {
        v.one(&mut s.kill_signal)
    })
    .file(Exec, "KillSignal", |s| s.kill_signal = None)
    .mask(4)
    .since("v220")
    .values(Signal::names),
    Key::option("notify-ready", Execution, Value("BOOL"), "Be ready when the payload says that it is", |s, v| {
        v.flag(&mut s.notify_ready)
    })
    .file(Exec, "NotifyReady", |s| s.notify_ready = None)
    .reads(|s, v| v.tristate(&mut s.notify_ready))
    .default_is("no")
    .mask(14)
    .since("v231"),
    Key::option("suppress-sync", Execution, Value("BOOL"), "Make sync calls of the payload do nothing", |s, v| {
        v.flag(&mut s.suppress_sync)
    })
    .file(Exec, "SuppressSync", |s| s.suppress_sync = None)
    .reads(|s, v| v.tristate(&mut s.suppress_sync))
    .default_is("no")
    .mask(33)
    .since("v250"),
    Key::option("share-system", Execution, Flag, "Share IPC, PID and UTS namespaces", |_, _| Ok(()))
        .listing(Listing::Hidden)
        .not_built("namespaces cannot be shared with the host yet"),
];

/// Both modes said is a conflict whatever the order, so the pair is kept for the rules.
fn start_as(settings: &mut Settings, said: &Said, mode: StartMode) -> Result<(), String> {
    if !said.is_yes()? {
        return Ok(());
    }
    if let Some(before) = &settings.start_mode
        && before.value != mode
        // A file is overruled; it contradicts nobody.
        && matches!(before.origin, Origin::Option(_))
    {
        settings.start_mode_clash = Some((before.origin.clone(), said.origin.clone()));
    }
    said.put(&mut settings.start_mode, mode)
}

/// A user name or number of the image; whether it exists there is for prepare to find out.
pub(super) fn user(settings: &mut Settings, said: &Said) -> Result<(), String> {
    let name = said.text()?;
    match name.chars().find(|c| c.is_control() || matches!(c, ':' | '/' | ' ')) {
        Some(_) => Err("must be a user name or a number".into()),
        None => said.string(&mut settings.user),
    }
}
