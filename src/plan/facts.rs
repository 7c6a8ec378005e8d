// SPDX-License-Identifier: LGPL-2.1-or-later
//! What this machine is and has, as far as a plan depends on it.

use crate::model::{CapabilitySet, Id128};
use crate::net::HostLink;
use crate::supervise::{FdKind, StdioFacts};
use crate::userdb::{Found, Taken};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// A kernel version, for features that cannot be probed cheaply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// 6 of 6.18
    pub major: u32,
    /// 18 of 6.18
    pub minor: u32,
}

/// The caller's terminal variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terminal {
    /// `$TERM`
    pub term: Option<OsString>,
    /// `$COLORTERM`
    pub colorterm: Option<OsString>,
    /// `$NO_COLOR`
    pub no_color: Option<OsString>,
    /// Text is UTF-8 (locale(7)).
    pub utf8: bool,
}

/// The tree, as far as it can be told without locking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFacts {
    /// Absolute, without symlinks.
    pub path: PathBuf,
    /// As it was named, whose last part may be a link: the machine is called after that.
    pub named: PathBuf,
    /// It is not there yet, and is to be made after this one.
    pub template: Option<PathBuf>,
    /// Owner of its root directory.
    pub owner: (u32, u32),
    /// It has an os-release file.
    pub os_release: bool,
    /// It has a real `/usr`.
    pub usr: bool,
    /// It has a `/bin` that is not a link.
    pub split_usr: bool,
    /// Its machine-id(5), when it has one.
    pub machine_id: Option<Id128>,
    /// Its file system is mounted read-only.
    pub read_only: bool,
    /// It is the host's own root.
    pub is_host_root: bool,
    /// Its mounts whose owners cannot be mapped, in words; empty where they can be, or where nothing depends on it.
    pub unmappable: Vec<String>,
    /// Users of the host other than its root can reach it and run set-uid programs there.
    pub open_to_others: bool,
}

/// The host, as far as containers are told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// machine-id(5)
    pub machine_id: Option<Id128>,
    /// The entries of os-release(5) that containers are told, as variables ("container_host_id").
    pub os_release: Vec<(String, String)>,
    /// What `/etc/localtime` points at below zoneinfo, when it is such a link.
    pub zone: Option<String>,
    /// `/etc/localtime` exists.
    pub localtime: bool,
    /// The resolv.conf to show in a container that shares the network, when there is one.
    pub resolv_conf: Option<PathBuf>,
    /// SELinux is in force: its file system is mounted at `/sys/fs/selinux`.
    pub selinux: bool,
    /// Labels that were asked for and that its policy does not know.
    pub unknown_labels: Vec<String>,
    /// `/proc/kcore` exists.
    pub kcore: bool,
    /// Device nodes of the host that containers get as well: "fuse", "net/tun".
    pub extra_devices: Vec<&'static str>,
    /// `fs.nr_open`
    pub nr_open: u64,
    /// Limits of the host's PID 1: NPROC and SIGPENDING, soft and hard.
    pub pid1_limits: [(u64, u64); 2],
}

/// The host's network, as far as the settings name parts of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkFacts {
    /// The links that exist, by the name that was said.
    pub links: BTreeMap<String, HostLink>,
    /// Links that are lent to machines, with the machine's name; looked at where a link is missing.
    pub lent: BTreeMap<String, String>,
    /// Why the path of a network namespace leads to none.
    pub not_a_namespace: Option<String>,
}

/// A program that stores journals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRemote {
    /// Where it is.
    pub program: PathBuf,
    /// It takes limits as options: that of systemd 257 has them in its configuration alone, that of 252 has none.
    pub limits: bool,
}

/// The users of the host that the settings name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFacts {
    /// Each with what became of looking it up, in the order said.
    pub found: Vec<(String, Found)>,
    /// What the tree's own files have of their names and ids.
    pub taken: Taken,
}

/// What this machine is and has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The kernel.
    pub kernel: KernelVersion,
    /// Our effective user is root.
    pub root: bool,
    /// Our effective capabilities.
    pub powers: CapabilitySet,
    /// systemd is PID 1 (sd_booted(3)).
    pub systemd: bool,
    /// The system bus has a socket.
    pub bus: bool,
    /// The kernel has user namespaces.
    pub user_namespaces: bool,
    /// Descriptors 0 to 2.
    pub stdio: StdioFacts,
    /// The caller's terminal.
    pub terminal: Terminal,
    /// The descriptors from 3 on that were passed by socket activation (sd_listen_fds(3)).
    pub listen_fds: Vec<FdKind>,
    /// Their names, `$LISTEN_FDNAMES` (sd_listen_fds_with_names(3)).
    pub listen_names: Option<OsString>,
    /// Our service manager keeps descriptors for us (`$FDSTORE`, systemd.exec(5)).
    pub fd_store: bool,
    /// The tree.
    pub tree: TreeFacts,
    /// The host.
    pub host: HostFacts,
    /// The host's network.
    pub network: NetworkFacts,
    /// The users of the host.
    pub users: UserFacts,
    /// systemd-journal-remote(8); looked for where a journal is to be forwarded.
    pub journal_remote: Option<JournalRemote>,
    /// The host's name.
    pub host_name: Option<String>,
    /// Our own hard limits by resource number.
    pub hard_limits: [u64; 16],
    /// Tells throw-away copies of one tree apart.
    pub random: u64,
}
