// SPDX-License-Identifier: LGPL-2.1-or-later
//! Settings and facts become a plan, or every reason why they cannot.

use super::*;
use crate::bus::properties::TypedProperty;
use crate::error::{Code, Sourced};

/// Builds the plan. Pure: the same settings and facts always give the same plan.
pub fn build(s: &Settings, f: &Facts) -> Built {
    let mut wrong = conflicts::check(s);
    wrong.extend(refusals(s, f));
    let machine = machine_name(s, f).map_err(|d| wrong.push(d)).ok();
    let mut notices = Vec::new();
    let user = user_namespace(s, f, &mut notices).map_err(|d| wrong.push(d)).ok();
    let network = network(s);
    if f.root {
        wrong.extend(powers::missing(f.powers, user.as_ref().unwrap_or(&UserNamespace::None), &network));
    }
    let caps = caps(s, f, &network, user.as_ref()).map_err(|d| wrong.extend(d)).ok();
    let (Some(machine), Some(user), Some(caps), true) = (machine, user, caps, wrong.is_empty()) else {
        return Err(wrong);
    };
    let console = console_mode(s, f);
    let ephemeral = yes(&s.ephemeral);
    let tree = Tree {
        path: f.tree.path.clone(),
        read_only: yes(&s.read_only) || ephemeral,
        ephemeral,
        lock: s.lock.as_ref().is_none_or(|l| l.value),
        origin: mounts::tree_origin(s),
    };
    let uuid = f.tree.machine_id.or(s.uuid.as_ref().map(|u| u.value));
    let hostname = s.hostname.as_ref().map(|h| h.value.clone()).unwrap_or_else(|| Hostname::of_machine(&machine));
    Ok(Plan {
        invocation: s.invocation,
        steps: mounts::steps(s, f, &user, network.private, !s.credentials.is_empty()),
        process: process::process(s, f, console),
        unit: unit(s, f, &machine, &mut notices),
        limits: limits(s, f),
        filter: s
            .seccomp
            .as_ref()
            .is_none_or(|x| x.value)
            .then(|| FilterPlan { edits: s.system_call_filter.clone(), address_families: s.address_families.clone() }),
        register: s.register.as_ref().map_or(Register::Auto, |r| r.value),
        link_journal: s.link_journal.as_ref().map_or(LinkJournal::Auto, |l| l.value),
        notify_ready: yes(&s.notify_ready),
        credentials: s.credentials.clone(),
        quiet: yes(&s.quiet) || console == ConsoleMode::Pipe,
        extra_devices: f.host.extra_devices.clone(),
        no_new_privileges: yes(&s.no_new_privileges),
        container_manager: process::container_manager(s),
        capabilities: caps,
        user_namespace: user,
        hostname,
        machine,
        tree,
        uuid,
        network,
        console,
        notices,
    })
}

fn yes(flag: &Option<Sourced<bool>>) -> bool {
    flag.as_ref().is_some_and(|f| f.value)
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
    } else if !boot && !f.tree.usr {
        wrong.push(
            Diagnostic::new(Code::TreeNotAnOs, format!("the tree {path} has no /usr directory"))
                .origin(&origin)
                .help("name the root directory of an operating system with --directory="),
        );
    }
    if f.tree.is_host_root && !yes(&s.ephemeral) {
        wrong.push(
            Diagnostic::new(Code::TreeBusy, "the host's own root directory cannot be the tree of a container")
                .origin(&origin)
                .help("add --ephemeral to run on a throw-away layer above it"),
        );
    }
    if let Some(file) = &f.settings_file
        && s.settings_mode.as_ref().is_none_or(|m| m.value != SettingsMode::No)
    {
        wrong.push(
            Diagnostic::new(
                Code::SettingsFileUnread,
                format!(
                    "the settings file {} applies to this machine, and reading it is not built yet",
                    file.display()
                ),
            )
            .help("say --settings=no to start without it, and give its settings as options"),
        );
    }
    if !f.root {
        wrong.push(need_root());
    }
    wrong.extend(s.properties.iter().filter_map(|p| TypedProperty::parse(p).err()));
    wrong
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
        MachineName::from_directory(&f.tree.path)
    };
    let name = name.ok_or_else(|| {
        Diagnostic::new(Code::NameUnusable, format!("no machine name can be made of {}", f.tree.path.display()))
            .origin(&mounts::tree_origin(s))
            .help("give one with --machine=")
    })?;
    if !yes(&s.ephemeral) {
        return Ok(name);
    }
    // Several throw-away copies of one tree run side by side.
    let suffix = format!("-{:016x}", f.random);
    let head: String = name.as_str().chars().take(64 - suffix.len()).collect();
    Ok(format!("{head}{suffix}").parse().unwrap_or(name))
}

fn user_namespace(s: &Settings, f: &Facts, notices: &mut Vec<String>) -> Result<UserNamespace, Diagnostic> {
    let ownership = s.ownership.as_ref().map(|o| o.value);
    let wanted = s.private_users.as_ref();
    let shifted = f.tree.owner.0 & 0xFFFF_0000;
    // A tree that already belongs to a range is used with that range as it is.
    let idmap_for = |base: u32| match ownership {
        Some(Ownership::Off) => false,
        Some(Ownership::Map) => true,
        _ => base != 0 && shifted == 0,
    };
    let mode = match (wanted, s.invocation) {
        (Some(w), _) => w.value,
        (None, Invocation::SystemdNspawn) => PrivateUsers::No,
        (None, Invocation::Spawn) => PrivateUsers::Pick,
    };
    let by_default = wanted.is_none();
    if mode == PrivateUsers::No {
        return Ok(UserNamespace::None);
    }
    let origin = wanted.map_or(Origin::Default, |w| w.origin.clone());
    if !f.user_namespaces {
        return match by_default {
            true => {
                notices.push("this kernel has no user namespaces: the container's root is the host's root".into());
                Ok(UserNamespace::None)
            }
            false => Err(Diagnostic::new(Code::KernelTooOld, "this kernel has no user namespaces")
                .origin(&origin)
                .help("say --private-users=no, or use a kernel built with CONFIG_USER_NS")),
        };
    }
    Ok(match mode {
        PrivateUsers::No | PrivateUsers::Managed => UserNamespace::None,
        PrivateUsers::Identity => {
            UserNamespace::Fixed { range: UidRange { base: 0, size: UidRange::USUAL_SIZE }, idmap: false }
        }
        PrivateUsers::Fixed(range) => {
            let idmap = ownership.is_some() && idmap_for(range.base);
            UserNamespace::Fixed { range, idmap }
        }
        PrivateUsers::FromTree => {
            let (uid, gid) = f.tree.owner;
            if uid & 0xFFFF_0000 != gid & 0xFFFF_0000 {
                return Err(Diagnostic::new(
                    Code::IdRange,
                    format!(
                        "the tree {} belongs to user {uid} and group {gid}, which are of different ranges",
                        f.tree.path.display()
                    ),
                )
                .origin(&origin)
                .help("give the range with --private-users=UID, or let one be picked with --private-users=pick"));
            }
            UserNamespace::Fixed { range: UidRange { base: shifted, size: UidRange::USUAL_SIZE }, idmap: false }
        }
        PrivateUsers::Pick => {
            UserNamespace::Pick { owner: f.tree.owner, idmap: ownership != Some(Ownership::Off), fallback: by_default }
        }
    })
}

fn caps(
    s: &Settings,
    f: &Facts,
    network: &Network,
    user: Option<&UserNamespace>,
) -> Result<CapabilityPlan, Vec<Diagnostic>> {
    use capabilities::{Asked, FirstProcess, NetworkView, PayloadUser, UserView};
    let namespaced = user.is_some_and(UserNamespace::is_some);
    let root = s.user.as_ref().is_none_or(|u| u.value == "root" || u.value == "0");
    let boot = s.start_mode.as_ref().is_some_and(|m| m.value == StartMode::Boot);
    capabilities::capabilities(&Asked {
        invocation: s.invocation,
        add: &s.capability,
        drop: &s.drop_capability,
        ambient: &s.ambient_capability,
        network: if network.private { NetworkView::Private } else { NetworkView::Shared },
        users: if namespaced { UserView::Namespaced } else { UserView::Shared },
        user: if root { PayloadUser::Root } else { PayloadUser::Other },
        first: if boot { FirstProcess::Init } else { FirstProcess::Program },
        // A new user namespace has them all, whatever we hold.
        available: if namespaced { CapabilitySet::ALL } else { f.powers },
    })
}

fn network(s: &Settings) -> Network {
    let veth = yes(&s.network_veth);
    let private = yes(&s.private_network) || veth;
    let origin = s.network_veth.as_ref().or(s.private_network.as_ref()).map_or(Origin::Default, |o| o.origin.clone());
    Network { private, veth, mac: s.network_mac.as_ref().map(|m| m.value), origin }
}

fn console_mode(s: &Settings, f: &Facts) -> ConsoleMode {
    let terminals = f.stdio[0] == StdioKind::Terminal && f.stdio[1] == StdioKind::Terminal;
    let said = s.console.as_ref().map(|c| c.value);
    match (said, s.invocation) {
        (Some(ConsoleMode::Autopipe), _) | (None, Invocation::Spawn) => {
            if terminals {
                ConsoleMode::Interactive
            } else {
                ConsoleMode::Pipe
            }
        }
        (Some(mode), _) => mode,
        (None, Invocation::SystemdNspawn) => {
            if terminals {
                ConsoleMode::Interactive
            } else {
                ConsoleMode::ReadOnly
            }
        }
    }
}

fn unit(s: &Settings, f: &Facts, machine: &MachineName, notices: &mut Vec<String>) -> Unit {
    let no_properties = |notices: &mut Vec<String>| {
        notices.extend(s.properties.first().map(|p| format!("{} has no effect: there is no scope", p.origin)));
    };
    if yes(&s.keep_unit) {
        no_properties(notices);
        return Unit::Keep;
    }
    let devices: Vec<_> = s.mounts.iter().filter_map(|m| device_of(&m.value)).collect();
    let mode = s.scope.as_ref().map_or(ScopeMode::Auto, |m| m.value);
    match mode {
        ScopeMode::No => Unit::Own { devices },
        ScopeMode::Auto if !f.systemd || !f.bus => {
            notices.push("there is no systemd to ask: the container runs without a scope and is not registered".into());
            no_properties(notices);
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

/// systemd-nspawn's defaults for resources that nobody sets, clamped to our own hard limits.
fn limits(s: &Settings, f: &Facts) -> Limits {
    const INFINITY: u64 = u64::MAX;
    let [nproc, sigpending] = f.host.pid1_limits;
    let defaults: [(u64, u64); 16] = [
        (INFINITY, INFINITY),                   // CPU
        (INFINITY, INFINITY),                   // FSIZE
        (INFINITY, INFINITY),                   // DATA
        (8 << 20, INFINITY),                    // STACK
        (0, INFINITY),                          // CORE
        (INFINITY, INFINITY),                   // RSS
        nproc,                                  // NPROC
        (1024, f.host.nr_open.min(512 * 1024)), // NOFILE
        (8 << 20, 8 << 20),                     // MEMLOCK
        (INFINITY, INFINITY),                   // AS
        (INFINITY, INFINITY),                   // LOCKS
        sigpending,                             // SIGPENDING
        (819_200, 819_200),                     // MSGQUEUE
        (0, 0),                                 // NICE
        (0, 0),                                 // RTPRIO
        (INFINITY, INFINITY),                   // RTTIME
    ];
    let may_raise = f.powers.0 & (1 << 24) != 0; // CAP_SYS_RESOURCE
    let rlimits = defaults.into_iter().zip(RlimitResource::all()).map(|((soft, hard), resource)| {
        let n = usize::from(resource.number());
        let asked = s.rlimits.iter().rev().find(|r| usize::from(r.value.resource.number()) == n);
        let (soft, hard) = asked.map_or((soft, hard), |r| (r.value.soft, r.value.hard));
        let cap = if may_raise { INFINITY } else { f.hard_limits[n] };
        let value = Rlimit { resource, soft: soft.min(cap), hard: hard.min(cap) };
        Sourced::new(value, asked.map_or(Origin::Default, |r| r.origin.clone()))
    });
    Limits {
        rlimits: rlimits.collect(),
        oom_score_adjust: s.oom_score_adjust.clone(),
        cpu_affinity: s.cpu_affinity.clone(),
        personality: s.personality.clone(),
    }
}
