// SPDX-License-Identifier: LGPL-2.1-or-later
//! Init: born into the payload's namespaces and cgroup, takes on the payload's identity and executes it.
//!
//! Everything here is child-safe.

use super::child::{Reporter, wait_byte};
use super::ops::ChildEnds;
use super::report::{InitStep, Kind, Part, Stage};
use super::resolve::make_directory;
use crate::seccomp::Filter;
use crate::sys::clone::{Side, clone_as, flags};
use crate::sys::exec::{StringArray, exec_fd, execve, execve_script};
use crate::sys::programs::wire::EXEC_LABEL;
use crate::sys::{caps, process};
use rustix::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use std::ffi::CString;

/// The stub init below which the payload runs as PID 2.
pub struct Stub {
    /// The sealed program.
    pub program: OwnedFd,
    /// Its words.
    pub argv: StringArray,
    /// Its variables.
    pub env: StringArray,
}

/// The program that executes the payload, with paths and words of the payload among its own.
pub struct Handover {
    /// The sealed program.
    pub program: OwnedFd,
    /// Its words and the payload's.
    pub argv: StringArray,
    /// The number that it expects the report pipe at.
    pub report: RawFd,
}

/// Where one of the descriptors 0 to 2 of the payload comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// The container's console.
    Console,
    /// This descriptor.
    Fd(RawFd),
    /// `/dev/null` of the container.
    Null,
}

/// The home directory of a user other than root.
pub struct Home {
    /// In the container.
    pub path: CString,
    /// Whose it is, in the container.
    pub owner: (u32, u32),
    /// The start goes on without it.
    pub optional: bool,
}

/// What init does, prepared.
pub struct Init {
    /// A user namespace was made: take its root ids and a mount namespace that belongs to it.
    pub user_namespace: bool,
    /// A cgroup namespace is wanted.
    pub cgroup_namespace: bool,
    /// Where machined hands mounts in, when it can.
    pub incoming: Option<CString>,
    /// The kernel's host name; `None` where it is the host's.
    pub hostname: Option<CString>,
    /// CPU mask.
    pub affinity: Option<Vec<u64>>,
    /// For personality(2).
    pub personality: Option<u64>,
    /// Resource, soft, hard.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// The console's node in the container, when there is one.
    pub console: Option<CString>,
    /// Descriptors 0 to 2.
    pub stdio: [Stdio; 3],
    /// Made where it is missing.
    pub home: Option<Home>,
    /// Working directory, and whether the start fails without it.
    pub directory: (CString, bool),
    /// The compiled filter.
    pub filter: Option<Filter>,
    /// Bounding set, the three sets of capset(2), ambient set.
    pub capabilities: (u64, caps::Sets, u64),
    /// Ids in the container.
    pub user: (u32, u32),
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// prctl(2) PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// First descriptor after those that are passed on.
    pub first_closed: u32,
    /// The SELinux label of the program, where SELinux is in force.
    pub label: Option<CString>,
    /// Below a stub.
    pub stub: Option<Stub>,
    /// Executes the program in our place, so that nothing in the image can lead to our own binary.
    pub handover: Option<Handover>,
    /// Paths to try, each with the index of its words.
    pub candidates: Vec<(CString, usize)>,
    /// What the kernel does not know may be a script for the shell.
    pub scripts: bool,
    /// Words of the program.
    pub argvs: Vec<StringArray>,
    /// Variables of the program.
    pub env: StringArray,
}

/// Runs init in a process that the stager has just cloned.
pub fn run(init: &Init, ends: &ChildEnds) -> ! {
    let r = Reporter::new(ends.report.as_fd(), Stage::Init);
    r.must(InitStep::Descriptors, process::close_all_but(&ends.init_keeps));
    if init.cgroup_namespace {
        r.must(InitStep::CgroupNamespace, process::unshare(flags::NEWCGROUP));
    }
    match rustix::io::write(&ends.ready.1, b"n") {
        // The stager has ended and said why.
        Err(Errno::PIPE) => process::exit_now(1),
        other => r.must(InitStep::Wait, other),
    };
    // Before the first byte there is no map, no mount, no registration.
    if !r.must(InitStep::Wait, wait_byte(ends.release.as_fd())) {
        process::exit_now(1);
    }
    if init.user_namespace {
        r.must(InitStep::SetIds, process::set_ids(0, 0, &[]));
        r.must(InitStep::MountNamespace, process::unshare(flags::NEWNS));
    }
    surroundings(init, &r);
    match &init.stub {
        None => {
            session(init, &r);
            identity(init, &r);
            execute(init, &r)
        }
        Some(stub) => below_stub(init, stub, &r),
    }
}

fn surroundings(init: &Init, r: &Reporter<'_>) {
    // systemd in the container expects shared mounts, as on a host.
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    r.must(InitStep::Propagation, rustix::mount::mount_change(c"/", shared));
    if let Some(incoming) = &init.incoming {
        // What arrives there is moved on, which the kernel refuses below a shared mount. The directory is optional.
        let _absent = rustix::mount::mount_change(incoming.as_c_str(), MountPropagationFlags::DOWNSTREAM);
    }
    // Kernels without keyrings have nothing to hide.
    match process::new_session_keyring() {
        Err(Errno::NOSYS) | Ok(()) => {}
        Err(e) => r.must(InitStep::Keyring, Err(e)),
    }
    if let Some(name) = &init.hostname {
        r.must(InitStep::Hostname, process::set_hostname(name.to_bytes()));
    }
    if let Some(mask) = &init.affinity {
        r.must(InitStep::Affinity, process::set_affinity(mask));
    }
    if let Some(p) = init.personality {
        r.must(InitStep::Personality, process::set_personality(p));
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
}

/// A session of its own with the console as its controlling terminal.
fn session(init: &Init, r: &Reporter<'_>) {
    r.must(InitStep::Session, rustix::process::setsid());
    let console = init.console.as_ref().map(|path| {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = r.must(InitStep::Console, rustix::fs::open(path.as_c_str(), flags, Mode::empty()));
        r.must(InitStep::Console, process::take_terminal(fd.as_raw_fd()));
        fd
    });
    let mut fds = [-1; 3];
    let mut null = None;
    // All three are found before any is replaced, as one may stand on another's number.
    for (place, from) in fds.iter_mut().zip(init.stdio) {
        let source = match (from, &console) {
            (Stdio::Console, Some(c)) => c.as_raw_fd(),
            (Stdio::Fd(fd), _) => fd,
            (Stdio::Null | Stdio::Console, _) => {
                if null.is_none() {
                    let opened = rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
                    null = Some(r.must(InitStep::Stdio, opened));
                }
                null.as_ref().map_or(-1, AsRawFd::as_raw_fd)
            }
        };
        *place = r.must(InitStep::Stdio, rustix::io::fcntl_dupfd_cloexec(process::borrow_fd(source), 10)).leak();
    }
    for (onto, from) in fds.into_iter().enumerate() {
        r.must(InitStep::Stdio, process::dup_to_stdio(from, onto as RawFd));
    }
}

/// Everything that takes powers away, in the order in which they are still needed.
fn identity(init: &Init, r: &Reporter<'_>) {
    if let Some(home) = &init.home {
        make_home(home, r);
    }
    if let Err(e) = rustix::process::chdir(init.directory.0.as_c_str())
        && init.directory.1
    {
        r.fail(InitStep::WorkingDirectory as u16, (Part::Whole, e), 0);
    }
    r.must(InitStep::Signals, process::reset_signals());
    // A low limit of files keeps nobody from closing them, but from moving one.
    r.must(InitStep::Descriptors, process::close_from(init.first_closed, process::Mark::CloseOnExec));
    if let Some(handover) = &init.handover {
        r.must(InitStep::Descriptors, process::dup_over_exec(r.pipe(), handover.report));
    }
    powers(init, r);
}

/// As the container's root, with its rights: what a file of the image says must not be done with those of the host's.
fn make_home(home: &Home, r: &Reporter<'_>) {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = r.must(InitStep::Home, rustix::fs::open(c"/", flags, Mode::empty()));
    let umask = rustix::process::umask(Mode::empty());
    let made = make_directory(root.as_fd(), &home.path, home.owner);
    rustix::process::umask(umask);
    match made {
        Ok(()) => {}
        Err((part, e)) if home.optional => r.send(Kind::Skipped, part, InitStep::Home as u16, e.raw_os_error(), 0),
        Err(fault) => r.fail(InitStep::Home as u16, fault, 0),
    }
}

fn powers(init: &Init, r: &Reporter<'_>) {
    // Not before everything of ours is open: a low limit of files is for the program.
    for (resource, soft, hard) in &init.rlimits {
        if let Err(e) = process::set_rlimit(*resource, *soft, *hard) {
            r.fail(InitStep::Rlimit as u16, (Part::Whole, e), *resource as i32);
        }
    }
    if let Some(filter) = &init.filter {
        r.must(InitStep::Seccomp, crate::sys::seccomp::install(&filter.program, filter.flags));
    }
    let (uid, gid) = init.user;
    let (bounding, sets, ambient) = init.capabilities;
    capability(r, caps::limit_bounding(bounding));
    r.must(InitStep::UserIds, caps::on_setuid(caps::OnSetuid::Keep));
    r.must(InitStep::UserIds, process::set_ids(uid, gid, &init.groups));
    capability(r, caps::set(sets));
    capability(r, caps::set_ambient(ambient));
    // Cleared by every change of ids, so it comes after them; the keeper stands behind it.
    let kill = Some(rustix::process::Signal::KILL);
    r.must(InitStep::DeathSignal, rustix::process::set_parent_process_death_signal(kill));
    if init.no_new_privileges {
        r.must(InitStep::NoNewPrivileges, process::set_no_new_privs());
    }
}

fn capability(r: &Reporter<'_>, result: Result<(), caps::Failed>) {
    let (errno, number) = match result {
        Ok(()) => return,
        Err(caps::Failed::Bounding(n, e) | caps::Failed::Ambient(n, e)) => (e, i32::from(n)),
        Err(caps::Failed::Set(e) | caps::Failed::AmbientClear(e)) => (e, -1),
    };
    r.fail(InitStep::Capabilities as u16, (Part::Whole, errno), number)
}

fn execute(init: &Init, r: &Reporter<'_>) -> ! {
    if let Some(handover) = &init.handover {
        let errno = exec_fd(handover.program.as_fd(), &handover.argv, &init.env);
        r.fail(InitStep::Exec as u16, (Part::Helper, errno), 0)
    }
    if let Some(label) = &init.label {
        r.must(InitStep::Label, set_label(label));
    }
    let mut worst = (Errno::NOENT, 0);
    for (i, (path, words)) in init.candidates.iter().enumerate() {
        let errno = match execve(path, &init.argvs[*words], &init.env) {
            Errno::NOEXEC if init.scripts => execve_script(path, &init.argvs[*words], &init.env),
            errno => errno,
        };
        // As execvp(3): what is not there is passed over, what may not be executed is remembered.
        match errno {
            Errno::NOENT | Errno::NOTDIR => {}
            Errno::ACCESS => worst = (errno, i),
            _ => r.fail(InitStep::Exec as u16, (Part::Whole, errno), i as i32),
        }
    }
    r.fail(InitStep::Exec as u16, (Part::Whole, worst.0), worst.1 as i32)
}

/// The label is for the very next program, and a process can only set its own.
fn set_label(label: &CString) -> Result<(), Errno> {
    let attribute = rustix::fs::open(EXEC_LABEL, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&attribute, label.to_bytes()).map(drop)
}

fn below_stub(init: &Init, stub: &Stub, r: &Reporter<'_>) -> ! {
    // The stub takes signals from its queue, so that none is lost before it runs.
    r.must(InitStep::Signals, process::block_signals());
    // Until PID 1 is the stub, its memory and binary are ours: the program must not run before.
    let (replaced, held) = r.must(InitStep::Fork, rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC));
    // The program is PID 2 whatever helpers lived here before.
    match clone_as(0, None, Some(2)) {
        Ok(Side::Child) => {
            drop(held);
            session(init, r);
            // End-of-file: PID 1's end was closed by its exec, or by its end, which ends us too. Afterwards the number of
            // ours may be used for another.
            r.must(InitStep::Wait, wait_byte(replaced.as_fd()));
            identity(init, r);
            execute(init, r)
        }
        Ok(Side::Parent { .. }) => {
            // The stub has no terminal, no powers that the payload lacks, and nothing of ours in its memory.
            r.must(InitStep::Session, rustix::process::setsid());
            powers(init, r);
            r.must(InitStep::Descriptors, process::close_from(3, process::Mark::CloseOnExec));
            let errno = exec_fd(stub.program.as_fd(), &stub.argv, &stub.env);
            r.send(Kind::Failed, Part::Helper, InitStep::Exec as u16, errno.raw_os_error(), 0);
            process::exit_now(1)
        }
        Err(e) => r.fail(InitStep::Fork as u16, (Part::Whole, e), 0),
    }
}

/// Gives up an owned descriptor's number; it is close-on-exec.
trait Leak {
    fn leak(self) -> RawFd;
}

impl Leak for OwnedFd {
    fn leak(self) -> RawFd {
        use rustix::fd::IntoRawFd;
        self.into_raw_fd()
    }
}
