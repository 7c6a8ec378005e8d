// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the settings mean on this machine: [`Settings`] and [`Facts`] in, [`Plan`] or every [`Diagnostic`] out.
//!
//! Only [`probe`] does I/O. Nothing after the plan reads the settings.

mod api_mounts;
mod asked;
mod bind_users;
mod build;
pub mod capabilities;
pub mod conflicts;
mod dress;
mod explain;
mod facts;
mod forward;
mod labels;
mod limits;
pub mod mount_options;
mod mounts;
mod network;
mod powers;
mod probe;
mod process;
mod step;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod users;

pub use asked::Asked;
pub use build::build;
pub use capabilities::CapabilityPlan;
pub use explain::explain;
pub use facts::{Facts, HostFacts, JournalRemote, KernelVersion, NetworkFacts, Terminal, TreeFacts, UserFacts};
pub use forward::{ForwardJournal, SOCKET as JOURNAL_SOCKET};
pub use network::{Bridge, Link, Network};
pub use probe::{probe, whereabouts};
pub use step::{Action, Content, LayerOwners, Missing, MountStep, Shared, Source, Step, WriteHow, describe_attributes};

use crate::config::{Invocation, Settings};
use crate::error::{Diagnostic, Origin};
use crate::image::TriedMap;
use crate::model::*;
use crate::supervise::{Dress, StdioPlan};
use crate::userdb::BoundUser;
use serde::Serialize;
use std::ffi::OsString;
use std::path::PathBuf;

/// A namespace that can be the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SharedNamespace {
    /// Of System V IPC and message queues.
    Ipc,
    /// Of the host name.
    Uts,
}

/// Exactly what will happen. Plain data: it can be printed, compared, and carried out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The name the program was called by.
    pub invocation: Invocation,
    /// The machine's name.
    pub machine: MachineName,
    /// The tree.
    pub tree: Tree,
    /// The value of `$container`.
    pub container_manager: String,
    /// `$container_uuid`: from the image, given, or `None` for a random one.
    pub uuid: Option<Id128>,
    /// The user namespace.
    pub user_namespace: UserNamespace,
    /// Users of the host that are shown.
    pub bound_users: Vec<BoundUser>,
    /// The network.
    pub network: Network,
    /// What the stager does, in order.
    pub steps: Vec<Step>,
    /// Names of device nodes that the host has beyond the usual ones: "fuse", "net/tun".
    pub extra_devices: Vec<&'static str>,
    /// The kernel's host name in the container.
    pub hostname: Hostname,
    /// The program.
    pub process: Process,
    /// Limits of the payload.
    pub limits: Limits,
    /// Capabilities of the payload.
    pub capabilities: CapabilityPlan,
    /// prctl(2) PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// SELinux labels.
    pub labels: Labels,
    /// It has a cgroup namespace.
    pub cgroup_namespace: bool,
    /// Namespaces that are the host's although containers have their own.
    pub shared: Vec<Sourced<SharedNamespace>>,
    /// The system call filter; `None` is switched off.
    pub filter: Option<FilterPlan>,
    /// The console.
    pub console: ConsoleMode,
    /// What the caller's terminal shows of it.
    pub dress: Option<Dress>,
    /// The control group.
    pub unit: Unit,
    /// Registration with systemd-machined.
    pub register: Register,
    /// The link between the journals.
    pub link_journal: LinkJournal,
    /// Where the journal of the guest is stored as well.
    pub forward_journal: Option<ForwardJournal>,
    /// Descriptors that the payload wants to be stored are passed on to our service manager.
    pub fd_store: bool,
    /// READY=1 waits for the payload's own.
    pub notify_ready: bool,
    /// The credentials; only their ids are shown.
    #[serde(serialize_with = "ids")]
    pub credentials: Vec<Sourced<Credential>>,
    /// Own notices are left out.
    pub quiet: bool,
    /// Descriptors 0 to 2.
    pub stdio: StdioPlan,
    /// What a person should know before the start.
    pub notices: Vec<String>,
    /// What is worse than was asked for.
    pub warnings: Vec<String>,
    /// What is as usual and yet good to know: for `-v` and the journal.
    pub remarks: Vec<String>,
    /// Who asked for what does not say it itself.
    pub asked: Asked,
}

/// What a person should hear of a plan.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Left out with `-q`.
    pub notices: Vec<String>,
    /// Said in any case.
    pub warnings: Vec<String>,
    /// Said with `-v`.
    pub remarks: Vec<String>,
}

/// SELinux labels, where SELinux is in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Labels {
    /// `--selinux-context=`: of the payload's first process.
    pub payload: Option<Sourced<String>>,
    /// `--selinux-apifs-context=`: of every file of the file systems in memory and of the terminals.
    pub api_file_systems: Option<Sourced<String>>,
}

/// The tree of the container.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tree {
    /// On the host.
    #[serde(serialize_with = "crate::model::shown::path")]
    pub path: PathBuf,
    /// The directory in it that becomes the root, if not its top.
    #[serde(serialize_with = "crate::model::shown::some_path")]
    pub root: Option<PathBuf>,
    /// Nothing is written to it.
    pub read_only: bool,
    /// What is written is thrown away at the end.
    pub ephemeral: bool,
    /// What of it is in memory instead.
    pub volatile: Volatile,
    /// It is made after this one before anything else is done.
    #[serde(serialize_with = "crate::model::shown::sourced_path")]
    pub template: Option<Sourced<PathBuf>>,
    /// Its files are given to the range of ids, by whom this was asked for.
    pub give: Option<Origin>,
    /// It is locked against other users.
    pub lock: bool,
    /// Who asked for it.
    pub origin: Origin,
}

/// The user namespace.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserNamespace {
    /// The host's own ids.
    None,
    /// This range.
    Fixed {
        /// Ids of the host.
        range: UidRange,
        /// The tree is seen through an idmapped mount.
        idmap: bool,
    },
    /// A free range, taken under a lock when the start is prepared.
    Pick {
        /// Owner and group of the tree's root: their range is the first candidate.
        owner: (u32, u32),
        /// The tree is seen through an idmapped mount, unless the range is the one that it belongs to.
        idmap: bool,
    },
}

impl UserNamespace {
    /// Whether there is one.
    pub fn is_some(&self) -> bool {
        *self != UserNamespace::None
    }

    /// Whether the tree is seen through an idmapped mount.
    pub fn idmapped(&self) -> bool {
        matches!(self, Self::Fixed { idmap: true, .. } | Self::Pick { idmap: true, .. })
    }
}

/// The program and its surroundings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Process {
    /// As PID 1, as PID 2 below a stub, or as a full init.
    pub mode: StartMode,
    /// The words, without the program's name where the image decides it.
    #[serde(serialize_with = "crate::model::shown::words")]
    pub argv: Vec<OsString>,
    /// `-u`
    pub user: Option<(String, Origin)>,
    /// What becomes of the user's home where it is missing.
    pub missing_home: MissingHome,
    /// `--chdir=`
    #[serde(serialize_with = "crate::model::shown::some_path")]
    pub directory: Option<PathBuf>,
    /// Variables that say what the container is.
    #[serde(serialize_with = "crate::model::shown::pairs")]
    pub environment: Vec<(String, OsString)>,
    /// Names of the variables of `-E`; the values are not shown.
    pub extra_environment: ExtraEnvironment,
    /// Descriptors 3.. that are passed on (sd_listen_fds(3)).
    pub listen_fds: u32,
    /// `--kill-signal=`
    pub kill_signal: Option<Signal>,
}

/// What becomes of the home of `-u` where the image has none. Only prepare knows which directory that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingHome {
    /// Nothing: the superuser has `/root`, a user of the host brings its own.
    Left,
    /// It is made; where that fails, the start goes on without it.
    MadeIfPossible,
    /// It is made, or the start fails, as with systemd-nspawn.
    Made,
}

/// Variables whose values must not show.
#[derive(Clone, PartialEq, Default)]
pub struct ExtraEnvironment(pub Vec<(String, OsString)>);

impl std::fmt::Debug for ExtraEnvironment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(n, _)| n)).finish()
    }
}

impl Serialize for ExtraEnvironment {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(self.0.iter().map(|(n, _)| n))
    }
}

/// Limits of the payload.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Limits {
    /// In the order of the kernel's numbers.
    pub rlimits: Vec<Sourced<Rlimit>>,
    /// `--oom-score-adjust=`
    pub oom_score_adjust: Option<Sourced<i16>>,
    /// `--cpu-affinity=`
    pub cpu_affinity: Option<Sourced<CpuList>>,
    /// `--personality=`
    pub personality: Option<Sourced<Personality>>,
}

pub use crate::error::Sourced;

/// The system call filter, compiled; it is shown by what it does.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterPlan(pub crate::seccomp::Filter);

impl Serialize for FilterPlan {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.explain.serialize(s)
    }
}

/// The control group of the container.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A transient scope.
    Scope {
        /// Its name.
        name: String,
        /// Its slice.
        slice: SliceName,
        /// `--property=`
        properties: Vec<Sourced<UnitProperty>>,
        /// Device nodes bound into the container, with "rwm" words.
        #[serde(serialize_with = "crate::model::shown::paths")]
        devices: Vec<(PathBuf, &'static str)>,
        /// It goes on without a scope when systemd cannot be reached.
        fallback: bool,
    },
    /// The caller's own unit.
    Keep,
    /// A group of its own on whatever cgroup2 is mounted.
    Own {
        /// Device nodes bound into the container, with "rwm" words.
        #[serde(serialize_with = "crate::model::shown::paths")]
        devices: Vec<(PathBuf, &'static str)>,
    },
}

fn ids<S: serde::Serializer>(credentials: &[Sourced<Credential>], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(credentials.iter().map(|c| &c.value.id))
}

/// Everything wrong with what was asked for, or the plan.
pub type Built = Result<Plan, Vec<Diagnostic>>;

impl Plan {
    /// Whether a namespace is the host's.
    pub fn shares(&self, namespace: SharedNamespace) -> bool {
        self.shared.iter().any(|shared| shared.value == namespace)
    }
    /// Whether a step mounts something at exactly this path.
    pub fn mounts_on(&self, path: &str) -> bool {
        self.steps.iter().any(|s| matches!(&s.action, Action::Mount(m) if m.target == std::path::Path::new(path)))
    }

    /// Whether the tree is seen through an idmapped mount.
    pub fn idmapped(&self) -> bool {
        self.user_namespace.idmapped()
    }
}

/// The machine that `--cleanup` is about: named, or as its directory, which may be gone.
pub fn machine_to_clean(s: &Settings) -> Result<MachineName, Vec<Diagnostic>> {
    let wrong = conflicts::check(s);
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if let Some(machine) = &s.machine {
        return Ok(machine.value.clone());
    }
    let path = s.directory.as_ref().map_or_else(|| PathBuf::from("."), |d| d.value.clone());
    let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    let path = probe::as_named(&path, &real);
    MachineName::from_directory(&path).ok_or_else(|| {
        let what = format!("no machine name can be made of {}", path.display());
        vec![Diagnostic::new(crate::error::Code::NameUnusable, what).help("give one with --machine=")]
    })
}

/// Whether PID 1 will be asked for a scope, told without looking at more than whether there is a systemd.
pub fn asks_for_scope(settings: &Settings) -> bool {
    build::has_scope(settings, probe::has_systemd() && probe::has_bus())
}

/// Probes and builds. The map that was tried goes to who carries the plan out.
pub fn make(settings: &Settings) -> Result<(Plan, Option<TriedMap>), Vec<Diagnostic>> {
    match probe(settings) {
        Ok((facts, tried)) => build(settings, &facts).map(|plan| (plan, tried)),
        // Who may not look into the tree's directory gets to know that first.
        Err(d) if !rustix::process::geteuid().is_root() => Err(vec![build::need_root(), d]),
        Err(d) => Err(vec![d]),
    }
}
