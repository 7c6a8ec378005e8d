// SPDX-License-Identifier: LGPL-2.1-or-later
//! The face of the program: from the words of the command line to the exit status.

use super::{Caller, Command, invocation, parse, render, secrets, verbs};
use crate::config::file::{self, search::Directories};
use crate::config::{Invocation, Settings};
use crate::error::{Code, Diagnostic};
use crate::launch;
use crate::log::{self, Audience, LogSetup, Logger, MessageId, StderrIs};
use crate::model::{DryRun, shown};
use crate::plan;
use crate::sys::own_arguments;
use rustix::fd::AsFd;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Runs the program and returns its exit status.
pub fn main(argv: Vec<OsString>) -> u8 {
    let name = invocation(&argv);
    // Before anything else is said or started. Without /proc nobody sees them either.
    if secrets(&argv.iter().map(|word| word.as_bytes()).collect::<Vec<_>>()).iter().any(|part| !part.is_empty()) {
        let _no_proc = own_arguments::hide(secrets);
    }
    if let Some(verb) = verbs::verb(name, &argv) {
        let answer = verbs::run(&verb, &Caller::of_this_process(), &Directories::default());
        render::complain(name, &answer.complaints);
        let said = print(name, &answer.text);
        return match answer.complaints.first() {
            Some(first) if answer.status == 0 => launch::failure_status(name, first),
            _ => answer.status.max(said),
        };
    }
    let settings = match parse(argv, &Caller::of_this_process()) {
        Ok(Command::Run(settings)) => *settings,
        Ok(show) => return print(name, &render::output(&show, name).unwrap_or_default()),
        Err(mistakes) => return refuse(name, &mistakes),
    };
    if settings.cleanup.as_ref().is_some_and(|c| c.value) {
        return match plan::machine_to_clean(&settings) {
            Ok(machine) => launch::cleanup(&machine, name, &logger(&settings, false)),
            Err(mistakes) => refuse(name, &mistakes),
        };
    }
    let loaded = file::load(settings, &Directories::default(), &plan::whereabouts);
    let settings = loaded.settings;
    if !loaded.warnings.is_empty() {
        let log = logger(&settings, false);
        loaded.warnings.iter().for_each(|warning| log::warning!(&log, MessageId::SettingsFile, "{warning}"));
    }
    if !loaded.mistakes.is_empty() {
        return refuse(name, &loaded.mistakes);
    }
    if let Some(how) = settings.dry_run.as_ref().map(|d| d.value) {
        return match (plan::make(&settings), how) {
            (Ok((plan, _)), DryRun::Text) => print(name, &plan::explain(&plan)),
            (Ok((plan, _)), DryRun::Json) => print(name, &shown::json(&plan)),
            (Err(mistakes), _) => refuse(name, &mistakes),
        };
    }
    let begun = launch::Begun::start(plan::asks_for_scope(&settings));
    let (plan, tried) = match plan::make(&settings) {
        Ok(made) => made,
        Err(mistakes) => {
            begun.give_up();
            return refuse(name, &mistakes);
        }
    };
    let log = logger(&settings, plan.quiet);
    log.set_machine(plan.machine.as_str());
    plan.notices.iter().for_each(|notice| log::notice!(&log, MessageId::Notice, "{notice}"));
    plan.warnings.iter().for_each(|warning| match name {
        Invocation::Spawn => log::warning!(&log, MessageId::Degraded, "{warning}"),
        // Which says the same as a notice, so not with --quiet.
        Invocation::SystemdNspawn => log::notice!(&log, MessageId::Degraded, "{warning}"),
    });
    plan.remarks.iter().for_each(|remark| log::info!(&log, MessageId::Notice, "{remark}"));
    let status = launch::run(&plan, &log, begun, tried);
    // The process ends with this: what is only memory need not be taken apart.
    std::mem::forget((settings, plan, log));
    status
}

fn print(name: Invocation, text: &str) -> u8 {
    match render::print(text) {
        Ok(()) => 0,
        Err(e) => {
            let d = Diagnostic::new(Code::ConsoleFailed, "cannot write to standard output").io(&e);
            refuse(name, &[d.help("look at what it was redirected to")])
        }
    }
}

fn refuse(name: Invocation, mistakes: &[Diagnostic]) -> u8 {
    render::complain(name, mistakes);
    mistakes.first().map_or(launch::status::FAILED, |d| launch::failure_status(name, d))
}

fn logger(settings: &Settings, quiet: bool) -> Logger {
    let verbose = settings.verbose.as_ref().is_some_and(|v| v.value);
    let audience = match (quiet, verbose) {
        (_, true) => Audience::Verbose,
        (true, false) => Audience::Quiet,
        (false, false) => Audience::Normal,
    };
    let stderr = StderrIs::detect(std::env::var_os("JOURNAL_STREAM").as_deref(), std::io::stderr().as_fd());
    Logger::new(LogSetup { identifier: render::name(settings.invocation), audience, stderr })
}
