// SPDX-License-Identifier: LGPL-2.1-or-later
//! The program that is run and the variables that it sees (`systemd-nspawn(1)`, "Environment" of the payload).

use super::{ExtraEnvironment, Facts, MissingHome, Process};
use crate::config::{Invocation, Settings};
use crate::model::{ConsoleMode, EnvAssignment, Signal, StartMode};
use crate::supervise::FdKind;
use crate::supervise::fd_store::names_for_payload;
use std::ffi::OsString;

/// The payload's search path when nobody sets another.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// SIGRTMIN+3: systemd's orderly halt (systemd(1), "Signals").
const SIGRTMIN_3: &str = "RTMIN+3";

/// What is run, as whom and with which variables.
pub fn process(s: &Settings, f: &Facts, console: ConsoleMode) -> Process {
    let mode = s.start_mode.as_ref().map_or(StartMode::Pid1, |m| m.value);
    let (boot_environment, argv) = match mode {
        StartMode::Boot => crate::config::split_boot_words(&s.argv),
        _ => (Vec::new(), s.argv.clone()),
    };
    let user = s.user.as_ref().map(|u| (u.value.clone(), u.origin.clone()));
    let default_signal = (mode == StartMode::Boot).then(|| SIGRTMIN_3.parse::<Signal>().ok()).flatten();
    Process {
        mode,
        argv,
        directory: s.chdir.as_ref().map(|d| d.value.clone()),
        environment: environment(s, f, mode, console),
        extra_environment: extra(s, boot_environment),
        missing_home: missing_home(s),
        user,
        listen_fds: f.listen_fds.len() as u32,
        kill_signal: s.kill_signal.as_ref().map(|k| k.value).or(default_signal),
    }
}

fn missing_home(s: &Settings) -> MissingHome {
    match (&s.user, s.invocation) {
        (None, _) => MissingHome::Left,
        (Some(u), _) if u.value == "root" || u.value == "0" => MissingHome::Left,
        (Some(u), _) if s.bind_user.iter().any(|bound| bound.value == u.value) => MissingHome::Left,
        (Some(_), Invocation::Spawn) => MissingHome::MadeIfPossible,
        (Some(_), Invocation::SystemdNspawn) => MissingHome::Made,
    }
}

/// The value of `$container`.
pub fn container_manager(s: &Settings) -> String {
    match (&s.container_service, s.invocation) {
        (Some(c), _) => c.value.clone(),
        // systemd's ConditionVirtualization= and systemd-detect-virt(1) know this name, so both names of the program
        // use it.
        (None, Invocation::Spawn | Invocation::SystemdNspawn) => "systemd-nspawn".into(),
    }
}

/// Everything but HOME, USER, LOGNAME and container_uuid, which prepare adds once it has read the image.
fn environment(s: &Settings, f: &Facts, mode: StartMode, console: ConsoleMode) -> Vec<(String, OsString)> {
    let mut env: Vec<(String, OsString)> = vec![("PATH".into(), PATH.into())];
    env.push(("container".into(), container_manager(s).into()));
    // systemd-nspawn takes a terminal for dumb unless output and errors are both shown on one.
    let shown = |fd: &FdKind| matches!(fd, FdKind::Terminal(_));
    let hidden = s.invocation == Invocation::SystemdNspawn && !f.stdio.0[1..].iter().all(shown);
    let dumb = hidden || f.terminal.term.as_ref().is_none_or(|t| t == "dumb");
    if console == ConsoleMode::Pipe || dumb {
        env.push(("TERM".into(), "dumb".into()));
    } else {
        let from =
            [("TERM", &f.terminal.term), ("COLORTERM", &f.terminal.colorterm), ("NO_COLOR", &f.terminal.no_color)];
        env.extend(from.into_iter().filter_map(|(n, v)| Some((n.to_string(), v.clone()?))));
    }
    if !f.listen_fds.is_empty() {
        env.push(("LISTEN_FDS".into(), f.listen_fds.len().to_string().into()));
        env.push(("LISTEN_PID".into(), if mode == StartMode::Pid2 { "2" } else { "1" }.into()));
        // What the payload has stored has its own name in front of its boots, and ours for it in our manager's store.
        let names = f.listen_names.as_ref().map(|names| match f.fd_store {
            true => names_for_payload(names),
            false => names.clone(),
        });
        env.extend(names.map(|names| ("LISTEN_FDNAMES".into(), names)));
    }
    env.push(("NOTIFY_SOCKET".into(), "/run/host/notify".into()));
    if !super::forward::credentials(s).is_empty() {
        env.push(("CREDENTIALS_DIRECTORY".into(), "/run/host/credentials".into()));
    }
    if mode != StartMode::Boot {
        env.push(("LANG".into(), "C.UTF-8".into()));
    }
    env.extend(f.host.os_release.iter().map(|(n, v)| (n.clone(), v.into())));
    env
}

fn extra(s: &Settings, boot: Vec<EnvAssignment>) -> ExtraEnvironment {
    // A name without a value takes the caller's; unset there, it is empty.
    let value = |e: &EnvAssignment| e.value.clone().or_else(|| std::env::var_os(&e.name)).unwrap_or_default();
    let said = s.environment.iter().map(|e| &e.value).chain(&boot);
    ExtraEnvironment(said.map(|e| (e.name.clone(), value(e))).collect())
}
