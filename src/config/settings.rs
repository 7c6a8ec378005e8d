// SPDX-License-Identifier: LGPL-2.1-or-later
//! [`Settings`]: everything that was said, with where it was said, before anything is looked up.

use super::Key;
use crate::error::{Origin, Sourced};
use crate::model::*;
use std::ffi::OsString;
use std::path::PathBuf;

/// The name the program was called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Invocation {
    /// `spawn`: safe defaults, verbs, exit statuses 125 to 127.
    #[default]
    Spawn,
    /// `systemd-nspawn`: strictly compatible.
    SystemdNspawn,
}

/// A setting that was made at most once; the last one wins.
pub type One<T> = Option<Sourced<T>>;
/// A setting that accumulates.
pub type Many<T> = Vec<Sourced<T>>;

/// An option that was said.
#[derive(Clone)]
pub struct Assigned {
    /// The row of the table.
    pub key: &'static Key,
    /// Its value; `None` where it stood alone.
    pub value: Option<OsString>,
    /// As it reads on the command line.
    pub origin: Origin,
    /// What relative paths are relative to.
    pub base: Option<PathBuf>,
}

/// Without the value, which may be secret.
impl std::fmt::Debug for Assigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.origin)
    }
}

/// Everything that was said. `None` and empty mean "not said": defaults belong to the plan.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The name the program was called by.
    pub invocation: Invocation,
    /// The options one by one, as they were said.
    pub line: Vec<Assigned>,
    /// The variables that make settings, as they were found.
    pub variables: Vec<(OsString, OsString)>,

    // Program
    /// `-q`
    pub quiet: One<bool>,
    /// `-v`, `--verbose` (spawn only)
    pub verbose: One<bool>,
    /// `--dry-run[=json]` (spawn only)
    pub dry_run: One<DryRun>,
    /// `--settings=`
    pub settings_mode: One<SettingsMode>,
    /// `--no-ask-password`
    pub no_ask_password: One<bool>,
    /// `--cleanup`
    pub cleanup: One<bool>,

    // Image
    /// `-D`
    pub directory: One<PathBuf>,
    /// `--template=`
    pub template: One<PathBuf>,
    /// `-x`
    pub ephemeral: One<bool>,
    /// `-i`
    pub image: One<PathBuf>,
    /// `--image-policy=`
    pub image_policy: One<String>,
    /// `--mstack=`
    pub mstack: One<PathBuf>,
    /// `--oci-bundle=`
    pub oci_bundle: One<PathBuf>,
    /// `--read-only`
    pub read_only: One<bool>,
    /// `--volatile[=]`
    pub volatile: One<Volatile>,
    /// `--root-hash=`
    pub root_hash: One<String>,
    /// `--root-hash-sig=`
    pub root_hash_sig: One<String>,
    /// `--verity-data=`
    pub verity_data: One<PathBuf>,
    /// `--pivot-root=`
    pub pivot_root: One<PivotRoot>,

    // Execution and identity
    /// `-a`, `-b`
    pub start_mode: One<StartMode>,
    /// Who said `-a` and who said `-b`, where both were said.
    pub start_mode_clash: Option<(Origin, Origin)>,
    /// The words after the options.
    pub argv: Vec<OsString>,
    /// Who said them, where it was a file.
    pub argv_origin: Option<Origin>,
    /// `--chdir=`
    pub chdir: One<PathBuf>,
    /// `-E`; the origin holds the name only.
    pub environment: Many<EnvAssignment>,
    /// `-u`
    pub user: One<String>,
    /// `--kill-signal=`
    pub kill_signal: One<Signal>,
    /// `--notify-ready=`
    pub notify_ready: One<bool>,
    /// `--suppress-sync=`
    pub suppress_sync: One<bool>,

    // System identity and unit
    /// `-M`
    pub machine: One<MachineName>,
    /// `--hostname=`
    pub hostname: One<Hostname>,
    /// `--uuid=`
    pub uuid: One<Id128>,
    /// `-S`
    pub slice: One<SliceName>,
    /// `--property=`
    pub properties: Many<UnitProperty>,
    /// `--register=`
    pub register: One<Register>,
    /// `--scope=require|auto|no` (spawn only)
    pub scope: One<ScopeMode>,
    /// `--keep-unit`
    pub keep_unit: One<bool>,
    /// `--system` (false) or `--user` (true)
    pub user_scope: One<bool>,

    // User namespace
    /// `--private-users=`, `-U`
    pub private_users: One<PrivateUsers>,
    /// `--private-users-ownership=`
    pub ownership: One<Ownership>,
    /// `--private-users-delegate=`
    pub delegate: One<u32>,

    // Network
    /// `--private-network`
    pub private_network: One<bool>,
    /// `--network-interface=`
    pub network_interface: Many<LinkPair<LinkReference>>,
    /// `--network-macvlan=`
    pub network_macvlan: Many<LinkPair<LinkReference>>,
    /// `--network-ipvlan=`
    pub network_ipvlan: Many<LinkPair<LinkReference>>,
    /// `-n`
    pub network_veth: One<bool>,
    /// `--network-veth-extra=`
    pub network_veth_extra: Many<LinkPair>,
    /// `--network-bridge=`
    pub network_bridge: One<LinkReference>,
    /// `--network-zone=`
    pub network_zone: One<String>,
    /// `--network-namespace-path=`
    pub network_namespace_path: One<PathBuf>,
    /// `-p`
    pub ports: Many<PortForward>,

    // Security
    /// `--capability=`
    pub capability: Many<CapabilityWords>,
    /// `--drop-capability=`
    pub drop_capability: Many<CapabilityWords>,
    /// `--ambient-capability=`
    pub ambient_capability: Many<CapabilityWords>,
    /// `--no-new-privileges=`
    pub no_new_privileges: One<bool>,
    /// `--system-call-filter=`
    pub system_call_filter: Many<FilterWords>,
    /// `--restrict-address-families=`
    pub address_families: Many<FilterWords>,
    /// `-Z`
    pub selinux_context: One<String>,
    /// `-L`
    pub selinux_apifs_context: One<String>,

    // Resources
    /// `--rlimit=`
    pub rlimits: Many<Rlimit>,
    /// `--oom-score-adjust=`
    pub oom_score_adjust: One<i16>,
    /// `--cpu-affinity=`
    pub cpu_affinity: One<CpuList>,
    /// `--personality=`
    pub personality: One<Personality>,

    // Integration
    /// `--resolv-conf=`
    pub resolv_conf: One<ResolvConf>,
    /// `--timezone=`
    pub timezone: One<Timezone>,
    /// `--link-journal=`, `-j`
    pub link_journal: One<LinkJournal>,
    /// `--forward-journal=`
    pub forward_journal: One<PathBuf>,
    /// `--forward-journal-max-use=`, in bytes
    pub forward_journal_max_use: One<u64>,
    /// `--forward-journal-keep-free=`, in bytes
    pub forward_journal_keep_free: One<u64>,
    /// `--forward-journal-max-file-size=`, in bytes
    pub forward_journal_max_file_size: One<u64>,
    /// `--forward-journal-max-files=`
    pub forward_journal_max_files: One<u64>,

    // Mounts, in the order said
    /// `--bind=`, `--bind-ro=`, `--tmpfs=`, `--overlay=`, `--overlay-ro=`, `--inaccessible=`
    pub mounts: Many<CustomMount>,
    /// `--bind-user=`
    pub bind_user: Many<String>,
    /// `--bind-user-shell=`
    pub bind_user_shell: One<String>,
    /// `--bind-user-group=`
    pub bind_user_group: Many<String>,

    // Input, output, credentials
    /// `--console=`, `-P`
    pub console: One<ConsoleMode>,
    /// `--background=`
    pub background: One<String>,
    /// `--set-credential=`, `--load-credential=`; the origin holds the id only.
    pub credentials: Many<Credential>,

    // Environment knobs of the same meaning under both names
    /// `$SYSTEMD_NSPAWN_LOCK`
    pub lock: One<bool>,
    /// `$SYSTEMD_NSPAWN_CHECK_OS_RELEASE`
    pub check_os_release: One<bool>,
    /// `$SYSTEMD_NSPAWN_TMPFS_TMP`
    pub tmpfs_tmp: One<bool>,
    /// `$SYSTEMD_NSPAWN_CONTAINER_SERVICE`
    pub container_service: One<String>,
    /// `$SYSTEMD_NSPAWN_NETWORK_MAC`
    pub network_mac: One<[u8; 6]>,
    /// `$SYSTEMD_NSPAWN_USE_CGNS`
    pub cgroup_namespace: One<bool>,
    /// `$SYSTEMD_NSPAWN_SHARE_NS_IPC`
    pub share_ipc: One<bool>,
    /// `$SYSTEMD_NSPAWN_SHARE_NS_UTS`
    pub share_uts: One<bool>,
    /// `$SYSTEMD_NSPAWN_API_VFS_WRITABLE`
    pub api_vfs: One<ApiVfs>,
    /// `$SYSTEMD_SECCOMP`
    pub seccomp: One<bool>,
    /// `$SYSTEMD_LOG_SECCOMP`
    pub log_seccomp: One<bool>,
    /// `$SYSTEMD_TINT_BACKGROUND`
    pub tint_background: One<bool>,
    /// `$SYSTEMD_ADJUST_TERMINAL_TITLE`
    pub terminal_title: One<bool>,
}
