// SPDX-License-Identifier: LGPL-2.1-or-later
//! Opens everything that can fail outside the container: a plan becomes programs for the children and the descriptors
//! that they name. Nothing here forks.

mod base;
mod compile;
mod filesystems;
mod home;
mod overlay;
mod payload;
mod tree;

pub use compile::STAGING;
pub use tree::Tree;

use crate::error::{Code, Diagnostic, Result, Sourced};
use crate::exec::{Init, Stager};
use crate::image::{IdMap, LastLink, MapNamespace, SeenAs, SourceOwner, TreeOwner, TriedMap};
use crate::model::{BindIdmap, Id128, UidRange};
use crate::plan::{Action, Plan, Shared, SharedNamespace, UserNamespace};
use crate::supervise::{StdioPlan, notify::NotifyServer, pty::Pty};
use crate::sys::clone::flags;
use crate::sys::mount_attr::{self, Reach};
use crate::sys::small_file;
use crate::undo::Release;
use filesystems::{HostInfo, Options, Owner};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use std::cell::Cell;
use std::ffi::CString;
use std::path::{Path, PathBuf};

/// What prepare takes beyond the plan: things that live longer than one boot of the container.
pub struct Context<'a> {
    /// The open, locked tree.
    pub tree: &'a Tree,
    /// The range of ids of the user namespace.
    pub range: Option<UidRange>,
    /// A map of the tree's owners that was tried before.
    pub tried: Cell<Option<TriedMap>>,
    /// The container's id.
    pub uuid: Id128,
    /// Where the payload's notifications arrive.
    pub notify: &'a NotifyServer,
    /// Descriptors 0 to 2.
    pub stdio: &'a StdioPlan,
    /// Credentials, read.
    pub credentials: &'a [(String, Vec<u8>)],
    /// What host and container share.
    pub shared: &'a [SharedDirectory],
    /// Capabilities that cannot be given (CAP_MKNOD without a device policy, or not held ourselves).
    pub withheld: u64,
    /// What keeps the payload from the host's devices.
    pub devices: DevicePolicy,
}

/// Whether the container's control group says which devices may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevicePolicy {
    /// It does, or our own unit's does.
    Holds,
    /// Nobody does.
    Missing,
}

/// A directory or socket of the host that the container gets to see for its life.
pub struct SharedDirectory {
    /// What it is.
    pub what: Shared,
    /// The directory or socket, in the host's mount namespace.
    pub directory: OwnedFd,
    /// Where the container sees it.
    pub target: PathBuf,
}

/// Everything the children need, and our ends of it.
pub struct Prepared {
    /// The stager's program.
    pub stager: Stager,
    /// Init's program.
    pub init: Init,
    /// The container's console.
    pub pty: Option<Pty>,
    /// Our ends of relayed descriptors 0 to 2.
    pub relays: [Option<OwnedFd>; 3],
    /// Descriptors that init keeps beyond its own.
    pub passed: Vec<RawFd>,
    /// The children's ends of the relays; closed once the children have them.
    pub children_ends: Vec<OwnedFd>,
    /// What has to stay open as long as the payload runs.
    pub held: Vec<OwnedFd>,
    /// How what the children will make is released, in words too.
    pub releases: Vec<(Release, &'static str)>,
    /// What was asked for and is left out, as the plan allows.
    pub skipped: Vec<Diagnostic>,
}

/// What the compilation of steps needs.
pub(crate) struct Inputs<'a> {
    context: &'a Context<'a>,
    console: bool,
    kcore: bool,
    credentials: &'a [(String, Vec<u8>)],
    os_release: Vec<u8>,
    boot_id: String,
    map: Option<MapNamespace>,
    /// How the owners of the tree are seen.
    owners: Option<IdMap>,
    temporary: Cell<u64>,
    /// The SELinux label of file systems in memory and of terminals.
    label: Option<&'a Sourced<String>>,
}

/// Prepares one boot of the container.
pub fn run(plan: &Plan, context: &Context<'_>) -> Result<Prepared> {
    let console = context.stdio.fds.contains(&crate::supervise::Stdio::Console);
    let owners = context.range.and_then(|r| tree_map(plan, r));
    let tried = context.tried.take();
    let map = owners.as_ref().map(|lines| match tried.and_then(|tried| tried.of(lines)) {
        Some(namespace) => Ok(namespace),
        None => MapNamespace::new(lines),
    });
    let map = map.transpose()?;
    let inputs = Inputs {
        context,
        console,
        kcore: Path::new("/proc/kcore").exists(),
        credentials: context.credentials,
        os_release: small_file::read("/etc/os-release")
            .or_else(|_| small_file::read("/usr/lib/os-release"))
            .unwrap_or_default(),
        boot_id: random_id()?.dashed(),
        map,
        owners,
        temporary: Cell::new(0),
        label: plan.labels.api_file_systems.as_ref(),
    };
    let compiled = compile::compile(plan, &inputs)?;
    let root = inputs.owner();
    let user = payload::user(plan, context)?;
    // The console is the payload's own terminal.
    let owner = rustix::fs::Uid::from_raw(root.id.saturating_add(user.uid));
    let pty = match compiled.devpts.filter(|_| console) {
        Some(i) => Some(crate::supervise::pty::allocate(compiled.keep[i].as_fd(), owner)?),
        None => None,
    };
    let namespaces = Namespaces::of(plan);
    let relays = payload::relays(context.stdio)?;
    let init = payload::init(plan, context, &user, pty.as_ref(), &relays)?;
    let (held, releases, skipped) = (compiled.held, compiled.releases, compiled.skipped);
    let stager = Stager {
        early: compiled.early,
        late: compiled.late,
        init_flags: namespaces.init,
        join_flags: namespaces.join,
        network: plan.network.join.as_ref().map(network_namespace).transpose()?,
        root_ids: (root.id, root.id),
        oom_score_adjust: plan.limits.oom_score_adjust.as_ref().map(|o| text(&o.value.to_string())).transpose()?,
        keep: compiled.keep,
    };
    let mut passed: Vec<RawFd> = (3..3 + plan.process.listen_fds as RawFd).collect();
    passed.extend(relays.theirs.iter().map(AsRawFd::as_raw_fd));
    let (relays, children_ends) = (relays.ours, relays.theirs);
    Ok(Prepared { stager, init, pty, relays, passed, children_ends, held, releases, skipped })
}

/// How the owners of the tree are mapped; `None` where they are what the container has already.
fn tree_map(plan: &Plan, range: UidRange) -> Option<IdMap> {
    let on_disk = match &plan.user_namespace {
        UserNamespace::Fixed { idmap: true, .. } => 0,
        UserNamespace::Pick { owner: (uid, gid), idmap: true } => {
            TreeOwner { uid: *uid, gid: *gid }.base().unwrap_or_default()
        }
        _ => return None,
    };
    (on_disk != range.base).then(|| IdMap::from_disk(on_disk, range))
}

fn text(s: &str) -> Result<CString> {
    CString::new(s).map_err(|_| Diagnostic::new(Code::Prepare, format!("{s:?} holds a zero byte")))
}

/// A random id (machine-id(5), version 4 of a UUID).
pub fn random_id() -> Result<Id128> {
    let mut bytes = [0u8; 16];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    got.map_err(|e| Diagnostic::new(Code::Prepare, "cannot get random bytes").errno(e))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Id128::from_bytes(bytes).ok_or_else(|| Diagnostic::new(Code::Prepare, "cannot get random bytes"))
}

fn network_namespace(path: &Sourced<PathBuf>) -> Result<OwnedFd> {
    crate::net::open_namespace(&path.value).map_err(|d| d.origin(&path.origin))
}

struct Namespaces {
    init: u64,
    join: u64,
}

impl Namespaces {
    fn of(plan: &Plan) -> Self {
        let (mut init, mut join) = (flags::NEWPID, 0);
        if !plan.shares(SharedNamespace::Ipc) {
            init |= flags::NEWIPC;
            join |= flags::NEWIPC;
        }
        if !plan.shares(SharedNamespace::Uts) {
            init |= flags::NEWUTS;
        }
        if plan.cgroup_namespace {
            join |= flags::NEWCGROUP;
        }
        if plan.user_namespace.is_some() {
            init |= flags::NEWUSER;
        }
        if plan.network.is_new() {
            init |= flags::NEWNET;
            join |= flags::NEWNET;
        }
        Self { init, join }
    }
}

impl Inputs<'_> {
    /// Options of a file system in memory, labelled as was asked for.
    fn options<'o>(&'o self, text: &'o str) -> Options<'o> {
        Options { text, label: self.label }
    }

    fn owner(&self) -> Owner {
        Owner { id: self.context.range.map_or(0, |r| r.base) }
    }

    fn host_info<'p>(&'p self, plan: &'p Plan) -> HostInfo<'p> {
        HostInfo {
            os_release: &self.os_release,
            manager: &plan.container_manager,
            uuid: self.context.uuid.dashed(),
            boot_id: self.boot_id.clone(),
            credentials: !plan.credentials.is_empty(),
            journal_socket: plan.forward_journal.is_some(),
            users: &plan.bound_users,
            places: base::places_in_run_host(plan),
        }
    }

    fn bind_notify(&self, run_host: BorrowedFd<'_>) -> Result<()> {
        let id = self.owner().id;
        self.context.notify.bind_at(run_host, id, id)
    }

    /// A clone of the tree with its flags and its map.
    fn open_tree(&self, reach: Reach, attributes: MountAttrFlags) -> Result<OwnedFd> {
        self.context.tree.mount(reach, attributes, self.map.as_ref())
    }

    /// A tree may hold device nodes; where no policy says which may be used, none of them is.
    fn tree_attributes(&self) -> MountAttrFlags {
        match self.context.devices {
            DevicePolicy::Holds => MountAttrFlags::empty(),
            DevicePolicy::Missing => MountAttrFlags::MOUNT_ATTR_NODEV,
        }
    }

    /// What is set on a root that is the tree, or a layer above it.
    fn root_attributes(&self, read_only: bool) -> MountAttrFlags {
        let mut attributes = self.tree_attributes();
        attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, read_only);
        attributes
    }

    /// A clone of what host and container share, and where it goes; `None` when there is none.
    fn open_shared(&self, what: Shared, attributes: MountAttrFlags) -> Result<Option<(OwnedFd, PathBuf)>> {
        let Some(shared) = self.context.shared.iter().find(|s| s.what == what) else { return Ok(None) };
        let fail = |e: Errno| Diagnostic::new(Code::Prepare, format!("cannot share {}", what.words())).errno(e);
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        let mount = open_tree(&shared.directory, c"", flags).map_err(fail)?;
        match what {
            // What the host mounts there arrives, and nothing goes the other way.
            Shared::Incoming => mount_attr::make_slave(mount.as_fd(), Reach::Mount),
            Shared::UnixExport | Shared::Journal | Shared::JournalSocket => {
                mount_attr::make_private(mount.as_fd(), Reach::Mount)
            }
        }
        .map_err(fail)?;
        let clear = MountAttrFlags::MOUNT_ATTR_RDONLY.difference(attributes);
        mount_attr::attributes(mount.as_fd(), Reach::Mount, attributes, clear).map_err(fail)?;
        if let (Shared::Journal, Some(map)) = (what, &self.map) {
            mount_attr::idmap(mount.as_fd(), Reach::Mount, map.as_fd()).map_err(fail)?;
        }
        Ok(Some((mount, shared.target.clone())))
    }

    /// A name that no file of an image has.
    fn temporary_name(&self) -> Result<CString> {
        let n = self.temporary.get();
        self.temporary.set(n + 1);
        text(&format!(".#spawn-{}-{n}", self.boot_id))
    }

    /// Whom the owner of the directory or file at a path of the tree is seen as by the host. What is made where nothing
    /// is belongs to the container's root.
    fn owner_of_target(&self, plan: &Plan, target: &Path) -> Result<u32> {
        let root = self.owner().id;
        if matches!(plan.steps.first().map(|s| &s.action), Some(Action::MountEmpty { .. })) {
            return Ok(root);
        }
        let found = self.context.tree.image()?.find(target, LastLink::Follow)?;
        let on_disk = found.map(|f| f.stat.st_uid);
        Ok(match (on_disk, &self.owners) {
            (None, _) => root,
            (Some(uid), None) => uid,
            (Some(uid), Some(map)) => map.seen(uid).unwrap_or(root),
        })
    }

    fn idmap_bind(&self, plan: &Plan, mount: BorrowedFd<'_>, bind: &compile::HostBind<'_>) -> Result<()> {
        let fail = |e: Errno| {
            let d = Diagnostic::new(Code::Mount, format!("cannot map the owners of {}", bind.path.display())).errno(e);
            let word = bind.idmap.word();
            match bind.recursive {
                true => d.help(format!(
                    "its file system, or one mounted below it, has no idmapped mounts: add norbind, or leave {word} out",
                )),
                false => d.help(format!("its file system has no idmapped mounts: leave {word} out")),
            }
        };
        // Without a user namespace the container's ids are those of the host.
        let range = self.context.range.unwrap_or(UidRange { base: 0, size: UidRange::USUAL_SIZE });
        let owner = || rustix::fs::fstat(mount).map(|s| SourceOwner(s.st_uid)).map_err(fail);
        let map = match bind.idmap {
            BindIdmap::None => return Ok(()),
            BindIdmap::Range if range.base == 0 => return Ok(()),
            BindIdmap::Range => IdMap::of_range(range),
            BindIdmap::Root => IdMap::of_owner(owner()?, SeenAs::ContainerRoot(range)),
            BindIdmap::Owner => {
                IdMap::of_owner(owner()?, SeenAs::OwnerOfTarget(self.owner_of_target(plan, bind.target)?))
            }
        };
        let namespace = MapNamespace::new(&map)?;
        let reach = if bind.recursive { Reach::Tree } else { Reach::Mount };
        mount_attr::idmap(mount, reach, namespace.as_fd()).map_err(fail)
    }
}
