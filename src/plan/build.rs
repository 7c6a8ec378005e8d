// SPDX-License-Identifier: LGPL-2.1-or-later
//! Settings and facts become a plan, or every reason why they cannot.

use super::*;
use crate::bus::properties::TypedProperty;
use crate::error::{Code, Sourced};
use crate::seccomp;
use crate::supervise::{plan_stdio, refuse_passed, resolve_mode};

/// Builds the plan. Pure: the same settings and facts always give the same plan.
pub fn build(s: &Settings, f: &Facts) -> Built {
    let mut wrong = conflicts::check(s);
    wrong.extend(refusals(s, f));
    let machine = machine_name(s, f).map_err(|d| wrong.push(d)).ok();
    let mut told = Told::default();
    let user = users::user_namespace(s, f, &mut told).map_err(|d| wrong.push(d)).ok();
    let none = UserNamespace::None;
    let bound_users = bind_users::bound(s, f, user.as_ref().unwrap_or(&none));
    // Without a namespace because of another mistake there is nothing to be said of users.
    let bound_users =
        bound_users.map_err(|d| wrong.extend(d.into_iter().filter(|_| user.is_some()))).unwrap_or_default();
    let (network, refused) = network::network(s, f, machine.as_ref());
    wrong.extend(refused);
    if f.root {
        wrong.extend(powers::missing(f.powers, user.as_ref().unwrap_or(&UserNamespace::None), &network));
    }
    let caps = caps(s, f, &network, user.as_ref(), &mut told).map_err(|d| wrong.extend(d)).ok();
    let filter = caps.as_ref().and_then(|c| filter(s, c, user.as_ref(), &mut told).map_err(|d| wrong.extend(d)).ok());
    let console = resolve_mode(s.console.as_ref().map(|c| c.value), s.invocation, &f.stdio);
    let stdio = plan_stdio(console, &f.stdio).map_err(|d| wrong.extend(d)).ok();
    let labels = labels::labels(s, f, &mut told).map_err(|d| wrong.extend(d)).ok();
    let forward = forward::forward(s, f, machine.as_ref()).unwrap_or_else(|d| {
        wrong.push(d);
        None
    });
    wrong.extend(refuse_passed(&f.listen_fds, s.invocation));
    let (Some(machine), Some(user), Some(caps), Some(filter), Some(labels), Some(stdio), true) =
        (machine, user, caps, filter, labels, stdio, wrong.is_empty())
    else {
        return Err(wrong);
    };
    let ephemeral = yes(&s.ephemeral);
    told.warnings.extend(mounts::unreadable_credentials(s));
    told.remarks.extend(users::reachable(s, f, &user, mounts::tree_is_kept(s)));
    let tree = Tree {
        path: f.tree.path.clone(),
        root: s.pivot_root.as_ref().map(|p| p.value.new.clone()),
        read_only: mounts::tree_is_kept(s),
        template: template(s, f, &mut told),
        give: users::gives(s, f, &user),
        ephemeral,
        volatile: mounts::volatile(s),
        lock: s.lock.as_ref().is_none_or(|l| l.value),
        origin: mounts::tree_origin(s),
    };
    // An /etc that starts empty has no id.
    let kept_id = f.tree.machine_id.filter(|_| mounts::volatile(s) != Volatile::Yes);
    let uuid = kept_id.or(s.uuid.as_ref().map(|u| u.value));
    let hostname = s.hostname.as_ref().map(|h| h.value.clone()).unwrap_or_else(|| Hostname::of_machine(&machine));
    let dress = dress::dress(s, f, &machine, &stdio);
    Ok(Plan {
        invocation: s.invocation,
        steps: mounts::steps(s, f, &user, &network, &bound_users),
        bound_users,
        process: process::process(s, f, console),
        unit: unit(s, f, &machine, &mut told),
        limits: limits::limits(s, f, &mut told),
        filter,
        register: match (on(&s.share_uts), &s.register) {
            // A machine has a host name of its own.
            (Some(_), _) => Register::No,
            (None, said) => said.as_ref().map_or(Register::Auto, |r| r.value),
        },
        shared: shared_namespaces(s, &mut told),
        cgroup_namespace: api_mounts::cgroup_namespace(s),
        link_journal: s.link_journal.as_ref().map_or(LinkJournal::Auto, |l| l.value),
        forward_journal: forward,
        fd_store: f.fd_store,
        notify_ready: yes(&s.notify_ready),
        credentials: forward::credentials(s),
        // systemd-nspawn says nothing of its own beside piped output (systemd-nspawn(1), `--console=`).
        quiet: yes(&s.quiet) || (s.invocation == Invocation::SystemdNspawn && console == ConsoleMode::Pipe),
        extra_devices: f.host.extra_devices.clone(),
        no_new_privileges: yes(&s.no_new_privileges),
        container_manager: process::container_manager(s),
        capabilities: caps,
        labels,
        user_namespace: user,
        hostname,
        machine,
        tree,
        uuid,
        network,
        console,
        dress,
        stdio,
        notices: told.notices,
        warnings: told.warnings,
        remarks: told.remarks,
        asked: Asked::of(s),
    })
}

fn yes(flag: &Option<Sourced<bool>>) -> bool {
    flag.as_ref().is_some_and(|f| f.value)
}

fn shared_namespaces(s: &Settings, told: &mut Told) -> Vec<Sourced<SharedNamespace>> {
    let of = |flag: &Option<Sourced<bool>>, namespace| on(flag).map(|by| Sourced::new(namespace, by.clone()));
    let shared = [of(&s.share_ipc, SharedNamespace::Ipc), of(&s.share_uts, SharedNamespace::Uts)];
    if let (Some(by), Some(name)) = (&shared[1], &s.hostname) {
        told.notices.push(format!("{} has no effect: the host name is the host's, by {}", name.origin, by.origin));
    }
    shared.into_iter().flatten().collect()
}

/// Who switched it on.
fn on(flag: &Option<Sourced<bool>>) -> Option<&Origin> {
    flag.as_ref().filter(|said| said.value).map(|said| &said.origin)
}

/// What the tree is made after; one that is there is left as it is.
fn template(s: &Settings, f: &Facts, told: &mut Told) -> Option<Sourced<PathBuf>> {
    let said = s.template.as_ref()?;
    match &f.tree.template {
        Some(path) => Some(Sourced::new(path.clone(), said.origin.clone())),
        None if mounts::template_is_tree(s) => None,
        None => {
            let path = f.tree.path.display();
            told.notices.push(format!("the tree {path} is there already: {} has no effect", said.origin));
            None
        }
    }
}

fn refusals(s: &Settings, f: &Facts) -> Vec<Diagnostic> {
    let mut wrong = Vec::new();
    let origin = mounts::tree_origin(s);
    let path = f.tree.path.display();
    let boot = s.start_mode.as_ref().is_some_and(|m| m.value == StartMode::Boot);
    if boot && !f.tree.os_release && s.check_os_release.as_ref().is_none_or(|c| c.value) {
        wrong.push(
            Diagnostic::new(
                Code::TreeNotAnOs,
                format!("the tree {path} has no os-release file, so it cannot be booted"),
            )
            .origin(&origin)
            .help("install an operating system in it, or run a single program without --boot"),
        );
    } else if !boot && !f.tree.usr && nowhere(s) {
        wrong.push(nothing_named(s, f));
    } else if !boot && !f.tree.usr {
        wrong.push(
            Diagnostic::new(Code::TreeNotAnOs, format!("the tree {path} has no /usr directory"))
                .origin(&origin)
                .help("name the root directory of an operating system with --directory="),
        );
    }
    let throw_away = yes(&s.ephemeral) || matches!(mounts::volatile(s), Volatile::Yes | Volatile::State);
    if f.tree.is_host_root && !throw_away && nowhere(s) {
        wrong.push(nothing_named(s, f));
    } else if f.tree.is_host_root && !throw_away {
        wrong.push(
            Diagnostic::new(Code::TreeBusy, "the host's own root directory cannot be the tree of a container")
                .origin(&origin)
                .help("add --ephemeral to run on a throw-away layer above it"),
        );
    }
    if f.tree.split_usr && mounts::volatile(s) == Volatile::Yes {
        let what = format!("the tree {path} keeps programs outside of /usr, so /usr alone cannot run");
        wrong.push(
            Diagnostic::new(Code::ImageObject, what)
                .origin(&s.volatile.as_ref().map_or(Origin::Default, |v| v.origin.clone()))
                .note("its /bin is not a link into /usr")
                .help("use --volatile=overlay"),
        );
    }
    if !f.root {
        wrong.push(need_root());
    }
    wrong.extend(s.properties.iter().filter_map(|p| TypedProperty::parse(p).err()));
    wrong
}

/// What a command line may begin with once there are verbs, as with machinectl(1).
const VERBS: [&str; 15] = [
    "ps", "run", "exec", "list", "start", "stop", "status", "show", "shell", "login", "poweroff", "reboot", "kill",
    "attach", "logs",
];

/// Neither a tree nor a machine was named, so that the current directory is meant.
fn nowhere(s: &Settings) -> bool {
    s.directory.is_none() && s.machine.is_none()
}

fn nothing_named(s: &Settings, f: &Facts) -> Diagnostic {
    let here = f.tree.path.display();
    let cause = match f.tree.is_host_root {
        true => "the current directory is the host's own root".into(),
        false => format!("the current directory {here} has no /usr"),
    };
    let d = Diagnostic::new(Code::TreeNotAnOs, "no tree was named").cause(cause);
    let d = d.help("name a directory with -D DIRECTORY or a machine of /var/lib/machines with -M NAME");
    match s.argv.first().and_then(|word| word.to_str()) {
        Some(verb) if s.invocation == Invocation::Spawn && VERBS.contains(&verb) => {
            d.note(format!("{verb:?} is taken as the program to run: verbs are not built yet"))
        }
        _ => d,
    }
}

/// The refusal of callers who are not root.
pub(super) fn need_root() -> Diagnostic {
    Diagnostic::new(Code::NeedRoot, "only root can start a container so far").help("run the command with sudo(8)")
}

fn machine_name(s: &Settings, f: &Facts) -> Result<MachineName, Diagnostic> {
    if let Some(m) = &s.machine {
        return Ok(m.value.clone());
    }
    let name = if f.tree.is_host_root {
        f.host_name.as_deref().and_then(|h| h.parse().ok())
    } else {
        MachineName::from_directory(&f.tree.named)
    };
    let name = name.ok_or_else(|| {
        Diagnostic::new(Code::NameUnusable, format!("no machine name can be made of {}", f.tree.named.display()))
            .origin(&mounts::tree_origin(s))
            .help("give one with --machine=")
    })?;
    // systemd-nspawn has chosen the name before it reads the file that asks for a copy.
    let too_late =
        |e: &Sourced<bool>| s.invocation == Invocation::SystemdNspawn && matches!(e.origin, Origin::File { .. });
    if !s.ephemeral.as_ref().is_some_and(|e| e.value && !too_late(e)) {
        return Ok(name);
    }
    // Several throw-away copies of one tree run side by side.
    let suffix = format!("-{:016x}", f.random);
    let head: String = name.as_str().chars().take(64 - suffix.len()).collect();
    Ok(format!("{head}{suffix}").parse().unwrap_or(name))
}

fn caps(
    s: &Settings,
    f: &Facts,
    network: &Network,
    user: Option<&UserNamespace>,
    told: &mut Told,
) -> Result<CapabilityPlan, Vec<Diagnostic>> {
    use capabilities::{Asked, FirstProcess, NetworkView, PayloadUser, UserView};
    let namespaced = user.is_some_and(UserNamespace::is_some);
    let root = s.user.as_ref().is_none_or(|u| u.value == "root" || u.value == "0");
    let boot = s.start_mode.as_ref().is_some_and(|m| m.value == StartMode::Boot);
    let plan = capabilities::capabilities(&Asked {
        invocation: s.invocation,
        add: &s.capability,
        drop: &s.drop_capability,
        ambient: &s.ambient_capability,
        network: match network.private {
            true if powers_of_network_hidden(s) => NetworkView::Given,
            true => NetworkView::Private,
            // systemd-nspawn looks at what is private only.
            false if s.invocation == Invocation::Spawn && s.network_namespace_path.is_some() => NetworkView::Given,
            false => NetworkView::Shared,
        },
        users: if namespaced { UserView::Namespaced } else { UserView::Shared },
        user: if root { PayloadUser::Root } else { PayloadUser::Other },
        first: if boot { FirstProcess::Init } else { FirstProcess::Program },
        // A new user namespace has them all, whatever we hold.
        available: if namespaced { CapabilitySet::ALL } else { f.powers },
    })?;
    if !plan.unavailable.is_empty() {
        let names: Vec<String> = plan.unavailable.iter().map(|c| c.to_string()).collect();
        told.warnings.push(format!("the container runs without {}, which we do not have ourselves", names.join(", ")));
    }
    Ok(plan)
}

/// systemd-nspawn counts the capability that a file's network comes with among the file's capabilities, which an option
/// for capabilities hides.
fn powers_of_network_hidden(s: &Settings) -> bool {
    let in_file = |origin: &Origin| matches!(origin, Origin::File { .. });
    let on_line = |words: &Vec<Sourced<CapabilityWords>>| words.iter().any(|w| !in_file(&w.origin));
    let files_win = s.settings_mode.as_ref().is_some_and(|m| m.value == SettingsMode::Override);
    s.invocation == Invocation::SystemdNspawn
        && !files_win
        && [&s.capability, &s.drop_capability, &s.ambient_capability].into_iter().any(on_line)
        && network_origins(s).all(in_file)
}

/// Who asked for what makes a network of its own.
fn network_origins(s: &Settings) -> impl Iterator<Item = &Origin> {
    let flags = [&s.private_network, &s.network_veth].into_iter().flatten().map(|x| &x.origin);
    let bridge = s.network_bridge.iter().map(|x| &x.origin).chain(s.network_zone.iter().map(|x| &x.origin));
    let moved = [&s.network_interface, &s.network_macvlan, &s.network_ipvlan].into_iter().flatten().map(|x| &x.origin);
    flags.chain(bridge).chain(moved).chain(s.network_veth_extra.iter().map(|x| &x.origin))
}

fn filter(
    s: &Settings,
    caps: &CapabilityPlan,
    user: Option<&UserNamespace>,
    told: &mut Told,
) -> Result<Option<FilterPlan>, Vec<Diagnostic>> {
    if s.seccomp.as_ref().is_some_and(|on| !on.value) {
        return Ok(None);
    }
    let machine = seccomp::Machine::NATIVE.ok_or_else(|| {
        vec![
            Diagnostic::new(Code::SeccompFailed, "there is no system call table for this architecture")
                .help("set SYSTEMD_SECCOMP=0 to start without a filter"),
        ]
    })?;
    let filter = seccomp::compile(&seccomp::FilterRequest {
        machine,
        capabilities: caps.bounding,
        edits: &s.system_call_filter,
        address_families: &s.address_families,
        posture: s.invocation.into(),
        socketcall: match s.personality {
            // glibc on i386 knows no other way to make a socket.
            Some(_) => seccomp::SocketCall::Open,
            None => seccomp::SocketCall::Guarded,
        },
        sync: if yes(&s.suppress_sync) { seccomp::Sync::Suppressed } else { seccomp::Sync::Honoured },
        log: if yes(&s.log_seccomp) { seccomp::Log::Refusals } else { seccomp::Log::Nothing },
        keyrings: match user.is_some_and(UserNamespace::is_some) {
            true => seccomp::Keyrings::Own,
            false => seccomp::Keyrings::Host,
        },
    })?;
    told.warnings.extend(filter.explain.warnings.iter().cloned());
    Ok(Some(FilterPlan(filter)))
}

/// Whether the container gets a scope, on a host with or without a systemd that can be asked for one.
pub fn has_scope(s: &Settings, systemd: bool) -> bool {
    !yes(&s.keep_unit)
        && match s.scope.as_ref().map_or(ScopeMode::Auto, |m| m.value) {
            ScopeMode::No => false,
            ScopeMode::Auto => systemd,
            ScopeMode::Require => true,
        }
}

fn unit(s: &Settings, f: &Facts, machine: &MachineName, told: &mut Told) -> Unit {
    let no_properties = |told: &mut Told| {
        told.notices.extend(s.properties.first().map(|p| format!("{} has no effect: there is no scope", p.origin)));
    };
    if yes(&s.keep_unit) {
        no_properties(told);
        return Unit::Keep;
    }
    let devices: Vec<_> = s.mounts.iter().filter_map(|m| device_of(&m.value)).collect();
    let mode = s.scope.as_ref().map_or(ScopeMode::Auto, |m| m.value);
    match mode {
        ScopeMode::No => Unit::Own { devices },
        _ if !has_scope(s, f.systemd && f.bus) => {
            told.notices
                .push("there is no systemd to ask: the container runs without a scope and is not registered".into());
            no_properties(told);
            Unit::Own { devices }
        }
        _ => Unit::Scope {
            name: format!("{machine}.scope"),
            slice: s.slice.as_ref().map_or_else(SliceName::machine, |x| x.value.clone()),
            properties: s.properties.clone(),
            devices,
            fallback: mode == ScopeMode::Auto,
        },
    }
}

/// Binds of device nodes are allowed by the device policy; whether the source is one is seen when it is opened.
fn device_of(mount: &CustomMount) -> Option<(PathBuf, &'static str)> {
    match mount {
        CustomMount::Bind(Bind { source: BindSource::Host(path), read_only, .. }) if path.starts_with("/dev") => {
            Some((path.clone(), if *read_only { "r" } else { "rw" }))
        }
        _ => None,
    }
}
