// SPDX-License-Identifier: LGPL-2.1-or-later
//! Looks at this machine and at the tree: the only I/O of the planning stage. Nothing is changed, no service is
//! started.

use super::facts::*;
use crate::config::Settings;
use crate::config::file::Whereabouts;
use crate::error::Origin;
use crate::error::{Code, Diagnostic, Result};
use crate::image::{
    Crossing, ImageRoot, LastLink, MountsBelow, OsRelease, TreeOwner, Trial, TriedMap, candidates, check_is_os,
    default_tree, find_machine, remedy, try_map,
};
use crate::model::{CapabilitySet, MachineName, PrivateUsers, StartMode, UidRange, Volatile};
use crate::supervise::{FdKind, StdioFacts};
use crate::sys::{proc_pid, small_file};
use crate::userdb::{Taken, look_up};
use rustix::fs::{FileType, Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Gathers the facts. Fails only when there is no tree to look at. The map of the tree's owners that was tried for one
/// of them is needed again when the plan is carried out.
pub fn probe(s: &Settings) -> Result<(Facts, Option<TriedMap>)> {
    let (tree, users, tried) = tree(s)?;
    let kernel = kernel();
    let facts = Facts {
        kernel,
        root: rustix::process::geteuid().is_root(),
        powers: powers(),
        systemd: has_systemd(),
        bus: has_bus(),
        user_namespaces: Path::new("/proc/self/ns/user").exists(),
        stdio: StdioFacts::of_this_process(),
        terminal: Terminal {
            term: std::env::var_os("TERM").filter(|t| !t.is_empty()),
            colorterm: std::env::var_os("COLORTERM").filter(|t| !t.is_empty()),
            no_color: std::env::var_os("NO_COLOR").filter(|t| !t.is_empty()),
            utf8: speaks_utf8(),
        },
        listen_fds: listen_fds(),
        fd_store: has_fd_store(),
        listen_names: std::env::var_os("LISTEN_FDNAMES"),
        host: HostFacts { unknown_labels: unknown_labels(s), ..host() },
        network: super::network::probe(s)?,
        users,
        journal_remote: s.forward_journal.as_ref().and_then(|_| super::forward::find_program()),
        host_name: host_name(),
        hard_limits: hard_limits(),
        random: random(),
        tree,
    };
    Ok((facts, tried))
}

/// Whether systemd is this host's init (sd_booted(3)).
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Whether the system bus has a socket.
pub fn has_bus() -> bool {
    Path::new("/run/dbus/system_bus_socket").exists()
}

/// Whether the character set of the locale is UTF-8: the first of these variables that is set counts (locale(7)).
fn speaks_utf8() -> bool {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|n| std::env::var(n).ok().filter(|l| !l.is_empty()));
    locale.is_some_and(|l| {
        let charset = l.split_once('.').map_or("", |(_, charset)| charset).split('@').next().unwrap_or_default();
        charset.eq_ignore_ascii_case("UTF-8") || charset.eq_ignore_ascii_case("UTF8")
    })
}

fn kernel() -> KernelVersion {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut parts = release.split(|c: char| !c.is_ascii_digit()).map(|p| p.parse().unwrap_or(0));
    KernelVersion { major: parts.next().unwrap_or(0), minor: parts.next().unwrap_or(0) }
}

fn powers() -> CapabilitySet {
    CapabilitySet(rustix::thread::capabilities(None).map(|c| c.effective.bits()).unwrap_or(0))
}

fn listen_fds() -> Vec<FdKind> {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    let count = match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(n)) if pid == std::process::id() => n.min(1024),
        _ => 0,
    };
    (3..3 + count as i32).map(FdKind::of_number).collect()
}

/// Whether our manager takes descriptors, and any at all.
fn has_fd_store() -> bool {
    let most = std::env::var("FDSTORE").ok().and_then(|most| most.parse::<u64>().ok());
    most.is_some_and(|most| most > 0) && std::env::var_os("NOTIFY_SOCKET").is_some_and(|at| !at.is_empty())
}

/// Our own hard limits, in the kernel's numbering (asm-generic/resource.h).
fn hard_limits() -> [u64; 16] {
    // What cannot be read is taken for no limit: then setting one may fail, which is said.
    std::array::from_fn(|resource| crate::sys::process::hard_limit(resource as u32).unwrap_or(u64::MAX))
}

/// Where the tree is: as said, by name in the machine directories, or the current directory.
fn find(s: &Settings) -> Result<(PathBuf, Origin)> {
    match (&s.directory, &s.machine) {
        _ if super::mounts::template_is_tree(s)
            && let Some(template) = &s.template =>
        {
            Ok((template.value.clone(), template.origin.clone()))
        }
        (None, Some(m)) if let Some(template) = &s.template => {
            let found = find_machine(&m.value);
            let made = Path::new("/var/lib/machines").join(m.value.as_str());
            Ok((found.unwrap_or(made), template.origin.clone()))
        }
        (Some(d), _) => Ok((d.value.clone(), d.origin.clone())),
        (None, Some(m)) => Ok((find_machine(&m.value).map_err(|d| d.origin(&m.origin))?, m.origin.clone())),
        (None, None) => Ok((default_tree()?, Origin::Default)),
    }
}

/// What a container is told of the host's operating system (container interface of systemd).
fn told() -> Vec<(String, String)> {
    let host = OsRelease::of_host();
    ["ID", "VERSION_ID", "BUILD_ID", "VARIANT_ID"]
        .into_iter()
        .filter_map(|key| Some((format!("container_host_{}", key.to_ascii_lowercase()), host.get(key)?.to_string())))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn tree(s: &Settings) -> Result<(TreeFacts, UserFacts, Option<TriedMap>)> {
    let (path, origin) = find(s)?;
    let (wanted, template) = match &s.template {
        Some(template) if path.symlink_metadata().is_err() => (path, Some(template.value.clone())),
        _ => (path, None),
    };
    let path = template.clone().unwrap_or_else(|| wanted.clone());
    let failed = |e: Errno| {
        Diagnostic::new(Code::TreeMissing, format!("cannot open the tree {}", path.display()))
            .errno(e)
            .origin(&origin)
            .help(remedy(e).unwrap_or("name an existing directory that holds an operating system"))
    };
    let real = std::fs::canonicalize(&path).map_err(|e| failed(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
    let fd =
        rustix::fs::open(&real, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    let stat = rustix::fs::fstat(&fd).map_err(failed)?;
    let host = rustix::fs::stat("/").map_err(failed)?;
    let mount = rustix::fs::fstatvfs(&fd).map(|v| v.f_flag).unwrap_or(StatVfsMountFlags::empty());
    let owner = (stat.st_uid, stat.st_gid);
    let (mut tried, mut unmappable) = (None, Vec::new());
    if super::users::asks_for_map(s, owner) && rustix::process::geteuid().is_root() {
        let below = if overlaid(s) { MountsBelow::LeftOut } else { MountsBelow::Mapped };
        match try_map(fd.as_fd(), below, likely_range(s, &as_named(&wanted, &real), owner))? {
            Trial::Mapped(map) => tried = Some(map),
            Trial::Unmappable(mounts) => unmappable = mounts,
        }
    }
    let is_host_root = template.is_none() && (stat.st_dev, stat.st_ino) == (host.st_dev, host.st_ino);
    let mut root = ImageRoot::from_fd(fd, &real, Crossing::Allowed);
    if let Some(pivot) = &s.pivot_root {
        let new = &pivot.value.new;
        let dir = root.find_dir(new).map_err(|d| d.origin(&pivot.origin))?.ok_or_else(|| {
            Diagnostic::new(
                Code::TreeMissing,
                format!("the tree {} has no directory {}", real.display(), new.display()),
            )
            .origin(&pivot.origin)
            .help("name a directory of the tree with --pivot-root=")
        })?;
        root = ImageRoot::from_fd(dir, &real.join(new.strip_prefix("/").unwrap_or(new)), Crossing::Allowed);
    }
    let boot = s.start_mode.as_ref().is_some_and(|m| m.value == StartMode::Boot);
    let users = users(s, &root)?;
    let facts = TreeFacts {
        os_release: is_os(&root, StartMode::Boot, boot)?,
        usr: is_os(&root, StartMode::Pid1, !boot)?,
        split_usr: root
            .find(Path::new("/bin"), LastLink::Keep)?
            .is_some_and(|bin| bin.file_type() != FileType::Symlink),
        machine_id: crate::image::machine_id(&root)?,
        open_to_others: !mount.contains(StatVfsMountFlags::NOSUID) && open_to_others(&real),
        named: as_named(&wanted, &real),
        path: match &template {
            None => real,
            Some(_) => in_real_directory(&wanted),
        },
        template,
        owner,
        unmappable,
        read_only: mount.contains(StatVfsMountFlags::RDONLY),
        is_host_root,
    };
    Ok((facts, users, tried))
}

/// The users of the host that are to be shown, each once.
fn users(s: &Settings, root: &ImageRoot) -> Result<UserFacts> {
    let mut names: Vec<&str> = Vec::new();
    for name in s.bind_user.iter().map(|user| user.value.as_str()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Ok(UserFacts::default());
    }
    let taken = Taken::in_image(root, &names)?;
    Ok(UserFacts { found: names.iter().map(|name| ((*name).to_owned(), look_up(name))).collect(), taken })
}

/// The range of user ids that the container will most likely have.
fn likely_range(s: &Settings, tree: &Path, (uid, gid): (u32, u32)) -> Option<UidRange> {
    let base = match super::users::mode(s) {
        PrivateUsers::Fixed(range) => return Some(range),
        _ => {
            let derived = || MachineName::from_directory(tree);
            let name = s.machine.as_ref().map(|m| m.value.clone()).or_else(derived)?;
            candidates(Some(TreeOwner { uid, gid }), &name).next()?
        }
    };
    UidRange::new(base, UidRange::USUAL_SIZE)
}

/// The path that the machine is called after: that of a link, not what it leads to, but for paths that end in no name.
pub(super) fn as_named(said: &Path, real: &Path) -> PathBuf {
    match (said.file_name(), std::path::absolute(said)) {
        (Some(_), Ok(path)) => path,
        _ => real.to_owned(),
    }
}

/// Where something will be that is not there yet.
fn in_real_directory(path: &Path) -> PathBuf {
    match (path.parent().and_then(|above| std::fs::canonicalize(above).ok()), path.file_name()) {
        (Some(above), Some(name)) => above.join(name),
        _ => path.to_owned(),
    }
}

/// Whether the tree looks like an operating system; what kept us from looking matters only if that is `needed`.
fn is_os(root: &ImageRoot, mode: StartMode, needed: bool) -> Result<bool> {
    match check_is_os(root, mode) {
        Err(d) if needed && d.code() != Code::TreeNotAnOs => Err(d),
        looked => Ok(looked.is_ok()),
    }
}

/// Whether the tree is the lower layer of an overlay, so that what is mounted below it is left out.
fn overlaid(s: &Settings) -> bool {
    match super::mounts::volatile(s) {
        Volatile::Overlay => true,
        Volatile::No => s.ephemeral.as_ref().is_some_and(|e| e.value),
        Volatile::Yes | Volatile::State => false,
    }
}

/// Whether everybody may search the directory and those above it.
fn open_to_others(path: &Path) -> bool {
    path.ancestors().all(|dir| dir.metadata().is_ok_and(|m| m.permissions().mode() & 0o001 != 0))
}

/// The machine whose `.nspawn` files apply, when there is a tree and a name.
pub fn whereabouts(s: &Settings) -> Option<Whereabouts> {
    let said = find(s).ok()?.0;
    let real = std::fs::canonicalize(&said).ok()?;
    let tree = as_named(&said, &real);
    let name = match &s.machine {
        Some(machine) => machine.value.clone(),
        None if real == Path::new("/") => host_name()?.parse().ok()?,
        None => MachineName::from_directory(&tree)?,
    };
    Some(Whereabouts { name, tree })
}

fn host_name() -> Option<String> {
    small_file::read_to_string("/proc/sys/kernel/hostname").ok().map(|h| h.trim().to_string())
}

fn host() -> HostFacts {
    let zone = std::fs::read_link("/etc/localtime").ok().and_then(|t| {
        let text = t.to_str()?.to_string();
        text.split_once("zoneinfo/").map(|(_, z)| z.to_string())
    });
    let nr_open = small_file::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|t| t.trim().parse().ok());
    let pid1 = small_file::read_to_string("/proc/1/limits").unwrap_or_default();
    let row = |n| proc_pid::limits(&pid1, n).unwrap_or((u64::MAX, u64::MAX));
    let mut extra_devices = Vec::new();
    for (name, path) in [("fuse", "/dev/fuse"), ("net/tun", "/dev/net/tun")] {
        // Only what can really be opened: a module may be missing behind the node.
        if rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).is_ok() {
            extra_devices.push(name);
        }
    }
    HostFacts {
        machine_id: small_file::read_to_string("/etc/machine-id").ok().and_then(|t| t.trim().parse().ok()),
        os_release: told(),
        localtime: Path::new("/etc/localtime").exists(),
        resolv_conf: resolv_conf(),
        kcore: Path::new("/proc/kcore").exists(),
        zone,
        extra_devices,
        nr_open: nr_open.unwrap_or(512 * 1024),
        pid1_limits: [row(6), row(11)],
        selinux: Path::new("/sys/fs/selinux/enforce").exists(),
        unknown_labels: Vec::new(),
    }
}

/// The kernel tells of any label whether the loaded policy has it (linux/security/selinux/selinuxfs.c,
/// `sel_write_context`). Where it may not be asked, setting the label will tell.
fn unknown_labels(s: &Settings) -> Vec<String> {
    let labels = [&s.selinux_context, &s.selinux_apifs_context].into_iter().flatten().map(|label| &label.value);
    let unknown = |label: &&String| {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::open("/sys/fs/selinux/context", flags, Mode::empty())
            .is_ok_and(|file| rustix::io::write(&file, label.as_bytes()) == Err(rustix::io::Errno::INVAL))
    };
    labels.filter(unknown).cloned().collect()
}

/// systemd-resolved's stub file where it is in charge, else the host's own.
fn resolv_conf() -> Option<PathBuf> {
    let stub = Path::new("/run/systemd/resolve/stub-resolv.conf");
    let own = Path::new("/etc/resolv.conf");
    [stub, own].into_iter().find(|p| p.exists()).map(Path::to_path_buf)
}

fn random() -> u64 {
    let mut bytes = [0u8; 8];
    // Without entropy the time still tells two starts apart.
    if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK).is_err() {
        bytes = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_nsec.to_le_bytes();
    }
    u64::from_le_bytes(bytes)
}
