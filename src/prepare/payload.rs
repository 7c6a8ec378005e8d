// SPDX-License-Identifier: LGPL-2.1-or-later
//! Init's program: who the payload is, what it may do, what it executes.

use super::Context;
use crate::error::{Code, Diagnostic, Result};
use crate::exec::{Handover, Home, Init, Stdio, Stub};
use crate::image::{UserIdentity, group_ids, resolve_user};
use crate::model::{StartMode, UidRange};
use crate::plan::{MissingHome, Plan, Process, Shared, SharedNamespace};
use crate::supervise::{Stdio as Wanted, StdioPlan, pty::Pty};
use crate::sys::caps::Sets;
use crate::sys::exec::{SHELL, StringArray};
use crate::sys::programs;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Pipes between the caller's terminal and the payload's descriptors.
pub struct Relays {
    /// Our ends by descriptor number.
    pub ours: [Option<OwnedFd>; 3],
    /// The payload's ends.
    pub theirs: Vec<OwnedFd>,
    fds: [Stdio; 3],
}

/// Makes the pipes that the plan for descriptors 0 to 2 needs.
pub fn relays(stdio: &StdioPlan) -> Result<Relays> {
    let mut made = Relays { ours: [None, None, None], theirs: Vec::new(), fds: [Stdio::Null; 3] };
    for (n, wanted) in stdio.fds.iter().enumerate() {
        made.fds[n] = match wanted {
            Wanted::Console => Stdio::Console,
            Wanted::Pass => Stdio::Fd(n as i32),
            Wanted::Null => Stdio::Null,
            Wanted::LikeStdout => made.fds[1],
            Wanted::RelayIn | Wanted::RelayOut => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| {
                    Diagnostic::new(Code::ConsoleFailed, "cannot make a pipe for the terminal").errno(e)
                })?;
                let (ours, theirs) = if *wanted == Wanted::RelayIn { (write, read) } else { (read, write) };
                let number = theirs.as_raw_fd();
                made.ours[n] = Some(ours);
                made.theirs.push(theirs);
                Stdio::Fd(number)
            }
        };
    }
    Ok(made)
}

/// Init's program.
pub fn init(
    plan: &Plan,
    context: &Context<'_>,
    user: &UserIdentity,
    pty: Option<&Pty>,
    relays: &Relays,
) -> Result<Init> {
    let p = &plan.process;
    let env = environment(plan, context, user)?;
    let (candidates, argvs) = programs_to_try(p, &env)?;
    let directory = match (&p.directory, shell(p)) {
        (Some(d), _) => (c_string(d.as_os_str())?, true),
        (None, true) => (c_string(user.home.as_os_str())?, false),
        (None, false) => (c"/".to_owned(), true),
    };
    let keep = !context.withheld;
    let c = &plan.capabilities;
    Ok(Init {
        user_namespace: plan.user_namespace.is_some(),
        cgroup_namespace: plan.cgroup_namespace,
        incoming: context
            .shared
            .iter()
            .find(|s| s.what == Shared::Incoming)
            .map(|s| c_string(s.target.as_os_str()))
            .transpose()?,
        hostname: match plan.shares(SharedNamespace::Uts) {
            true => None,
            false => Some(c_string(OsStr::new(plan.hostname.as_str()))?),
        },
        affinity: plan.limits.cpu_affinity.as_ref().map(|a| a.value.mask().to_vec()),
        personality: plan.limits.personality.as_ref().map(|p| p.value.raw()),
        rlimits: plan
            .limits
            .rlimits
            .iter()
            .map(|l| (l.value.resource.number().into(), l.value.soft, l.value.hard))
            .collect(),
        console: pty.map(|p| c_string(OsStr::new(&format!("/dev/pts/{}", p.number)))).transpose()?,
        stdio: relays.fds,
        home: home(plan, user)?,
        directory,
        filter: plan.filter.as_ref().map(|f| f.0.clone()),
        capabilities: (
            c.bounding.0 & keep,
            Sets {
                effective: c.effective.0 & keep,
                permitted: c.permitted.0 & keep,
                inheritable: c.inheritable.0 & keep,
            },
            c.ambient.0 & keep,
        ),
        user: (user.uid, user.gid),
        groups: user.groups.clone(),
        no_new_privileges: plan.no_new_privileges,
        first_closed: 3 + p.listen_fds,
        label: label(plan)?,
        stub: stub(plan, context)?,
        handover: handover(plan, context, &candidates, &argvs)?,
        scripts: may_be_script(p),
        candidates,
        argvs,
        env: StringArray::new(env),
    })
}

/// What Debian's users without a home have; it must not exist (base-passwd, users-and-groups.txt).
const NO_HOME: &str = "/nonexistent";

fn home(plan: &Plan, user: &UserIdentity) -> Result<Option<Home>> {
    let optional = match plan.process.missing_home {
        MissingHome::Left => return Ok(None),
        MissingHome::MadeIfPossible if user.home == Path::new(NO_HOME) => return Ok(None),
        MissingHome::MadeIfPossible => true,
        MissingHome::Made => false,
    };
    Ok(Some(Home { path: c_string(user.home.as_os_str())?, owner: (user.uid, user.gid), optional }))
}

fn shell(p: &Process) -> bool {
    p.mode != StartMode::Boot && p.argv.is_empty()
}

/// Who the payload is, as the image's own files say.
pub fn user(plan: &Plan, context: &Context<'_>) -> Result<UserIdentity> {
    let Some((name, origin)) = &plan.process.user else {
        return Ok(UserIdentity {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            home: "/root".into(),
            name: "root".into(),
            shell: None,
        });
    };
    let image = context.tree.image()?;
    let user = match plan.bound_users.iter().find(|u| u.name == *name) {
        Some(bound) => UserIdentity {
            uid: bound.id,
            gid: bound.id,
            groups: group_ids(&image, &bound.groups).map_err(|d| d.origin(origin))?,
            home: bound.home_inside(),
            name: name.into(),
            shell: None,
        },
        None => resolve_user(&image, OsStr::new(name)).map_err(|d| d.origin(origin))?,
    };
    within(&user, context.range).map_err(|d| d.origin(origin))?;
    Ok(user)
}

/// A user namespace has the ids of its range and no others.
fn within(user: &UserIdentity, range: Option<UidRange>) -> Result<()> {
    let ids = [("", user.uid), ("group ", user.gid)].into_iter().chain(user.groups.iter().map(|gid| ("group ", *gid)));
    let Some(size) = range.map(|range| range.size) else { return Ok(()) };
    let Some((kind, id)) = ids.into_iter().find(|(_, id)| *id >= size) else { return Ok(()) };
    let d = Diagnostic::new(Code::IdRange, format!("cannot run the program as the user {}", user.name.display()));
    let d = d.cause(format!("{kind}{id} is not among the container's ids, which are 0 to {}", size - 1));
    Err(d.help("give a larger range with --private-users=FIRST:SIZE, or none with --private-users=no"))
}

fn environment(plan: &Plan, context: &Context<'_>, user: &UserIdentity) -> Result<Vec<CString>> {
    let p = &plan.process;
    let mut env: Vec<(OsString, OsString)> =
        p.environment.iter().map(|(n, v)| (OsString::from(n), v.clone())).collect();
    env.push(("HOME".into(), user.home.clone().into()));
    env.push(("USER".into(), user.name.clone()));
    env.push(("LOGNAME".into(), user.name.clone()));
    env.push(("container_uuid".into(), context.uuid.dashed().into()));
    for (name, value) in &p.extra_environment.0 {
        env.retain(|(n, _)| n != OsStr::new(name));
        env.push((name.into(), value.clone()));
    }
    env.into_iter()
        .map(|(n, v)| {
            let mut bytes = n.into_vec();
            bytes.push(b'=');
            bytes.extend(v.as_bytes());
            let what = || Diagnostic::new(Code::OptionValue, "a variable for the container holds a zero byte");
            CString::new(bytes).map_err(|_| what())
        })
        .collect()
}

fn c_string(s: &OsStr) -> Result<CString> {
    CString::new(s.as_bytes()).map_err(|_| {
        Diagnostic::new(Code::OptionValue, format!("{} holds a zero byte", crate::model::shown::escape(s)))
    })
}

type Programs = (Vec<(CString, usize)>, Vec<StringArray>);

/// The paths to try, in order, and their words.
fn programs_to_try(p: &Process, env: &[CString]) -> Result<Programs> {
    let words: Vec<CString> = p.argv.iter().map(|w| c_string(w)).collect::<Result<_>>()?;
    let with = |first: CString, rest: &[CString]| {
        StringArray::new(std::iter::once(first).chain(rest.iter().cloned()).collect())
    };
    if p.mode == StartMode::Boot {
        // What systemd's own switch-root looks for.
        let inits = [c"/usr/lib/systemd/systemd", c"/lib/systemd/systemd", c"/sbin/init"];
        let argvs = inits.iter().map(|i| with((*i).to_owned(), &words)).collect();
        return Ok((inits.iter().enumerate().map(|(i, p)| ((*p).to_owned(), i)).collect(), argvs));
    }
    let Some((first, rest)) = words.split_first() else {
        // A dash in front makes a login shell (bash(1), INVOCATION).
        let shells = [(c"/bin/bash", c"-bash"), (c"/bin/sh", c"-sh")];
        let argvs = shells.iter().map(|(_, name)| with((*name).to_owned(), &[])).collect();
        return Ok((shells.iter().enumerate().map(|(i, (p, _))| ((*p).to_owned(), i)).collect(), argvs));
    };
    let argvs = vec![with(first.clone(), rest)];
    if first.as_bytes().contains(&b'/') {
        return Ok((vec![(first.clone(), 0)], argvs));
    }
    let path = env.iter().rev().find_map(|e| e.as_bytes().strip_prefix(b"PATH=")).unwrap_or_default();
    let candidates = path
        .split(|b| *b == b':')
        .map(|dir| {
            let dir = if dir.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(dir)) };
            Ok((c_string(dir.join(OsStr::from_bytes(first.as_bytes())).as_os_str())?, 0))
        })
        .collect::<Result<_>>()?;
    Ok((candidates, argvs))
}

/// Whether the program was named, and is not an init or a login shell.
fn may_be_script(p: &Process) -> bool {
    p.mode != StartMode::Boot && !p.argv.is_empty()
}

/// Only root of the host can write to our binary, so it is needed where the container's root is the same.
fn handover(
    plan: &Plan,
    context: &Context<'_>,
    candidates: &[(CString, usize)],
    argvs: &[StringArray],
) -> Result<Option<Handover>> {
    if context.range.is_some_and(|r| r.base != 0) {
        return Ok(None);
    }
    let program = programs::sealed_memfd(c"spawn-handover", programs::HANDOVER)
        .map_err(|e| Diagnostic::new(Code::Prepare, "cannot make the program that runs the payload").errno(e))?;
    let free = 3 + plan.process.listen_fds as i32;
    let report = if program.as_raw_fd() == free { free + 1 } else { free };
    let number = |n: usize| c_string(OsStr::new(&n.to_string()));
    let mut argv = vec![c"(spawn-exec)".to_owned(), number(report as usize)?, number(candidates.len())?];
    argv.push(label(plan)?.unwrap_or_default());
    let words = |index: usize| argvs.get(index).map(StringArray::strings).unwrap_or_default();
    for (path, index) in candidates {
        argv.extend([path.clone(), words(*index).first().cloned().unwrap_or_default()]);
    }
    argv.push(if may_be_script(&plan.process) { SHELL.to_owned() } else { CString::default() });
    argv.push(c"-".to_owned());
    // All candidates have the same words but for the first.
    argv.extend(words(0).iter().skip(1).cloned());
    Ok(Some(Handover { program, argv: StringArray::new(argv), report }))
}

fn label(plan: &Plan) -> Result<Option<CString>> {
    plan.labels.payload.as_ref().map(|l| c_string(OsStr::new(&l.value)).map_err(|d| d.origin(&l.origin))).transpose()
}

fn stub(plan: &Plan, context: &Context<'_>) -> Result<Option<Stub>> {
    if plan.process.mode != StartMode::Pid2 {
        return Ok(None);
    }
    let program = programs::sealed_memfd(c"spawn-init", programs::STUB)
        .map_err(|e| Diagnostic::new(Code::Prepare, "cannot make the stub init's program").errno(e))?;
    let argv = match plan.invocation {
        crate::config::Invocation::Spawn => vec![c"(spawn-init)".to_owned(), c"2".to_owned()],
        crate::config::Invocation::SystemdNspawn => {
            vec![c"(sd-stubinit)".to_owned(), c"2".to_owned(), c"nspawn".to_owned()]
        }
    };
    let env = [format!("container={}", plan.container_manager), format!("container_uuid={}", context.uuid.plain())];
    let env = env.iter().map(|e| c_string(OsStr::new(e))).collect::<Result<_>>()?;
    Ok(Some(Stub { program, argv: StringArray::new(argv), env: StringArray::new(env) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_within_the_range() {
        let user = |uid, gid, groups: &[u32]| UserIdentity {
            uid,
            gid,
            groups: groups.to_vec(),
            home: "/".into(),
            name: "joe".into(),
            shell: None,
        };
        let range = |size| UidRange::new(1 << 20, size);
        assert_eq!(within(&user(u32::MAX - 1, 5, &[70000]), None), Ok(()));
        assert_eq!(within(&user(65535, 65535, &[65535]), range(65536)), Ok(()));
        for (user, id) in [
            (user(u32::MAX - 1, 5, &[]), "joe: 4294967294 is"),
            (user(5, 65536, &[]), "joe: group 65536 is"),
            (user(5, 5, &[6, 70000]), "joe: group 70000 is"),
        ] {
            let d = within(&user, range(65536)).expect_err(id);
            assert!(d.headline().contains(id) && d.headline().ends_with("0 to 65535"), "{d}");
        }
    }
}
