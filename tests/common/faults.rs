// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every system call of a start fails once, and each time the start must fail closed: it ends soon with an error that
//! names the step, or what runs is not weaker than without the fault; and nothing is left behind.

use super::inject::{self, Fault, Place, Run, Sysno, Who};
use super::{Case, HostState, Outcome, Program, Reason, fail, leftovers};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// An error must have come by then.
const LIMIT: Duration = Duration::from_secs(5);

/// Calls, and what each fails with. Names that an architecture does not have are passed over.
const CALLS: &[(&str, Errno)] = &[
    ("open_tree", Errno::PERM),
    ("move_mount", Errno::INVAL),
    ("fsopen", Errno::NODEV),
    ("fsconfig", Errno::INVAL),
    ("fsmount", Errno::PERM),
    ("mount_setattr", Errno::INVAL),
    ("mount", Errno::PERM),
    ("umount2", Errno::BUSY),
    ("pivot_root", Errno::INVAL),
    ("clone3", Errno::AGAIN),
    ("unshare", Errno::NOSPC),
    ("setns", Errno::PERM),
    ("mkdir", Errno::NOSPC),
    ("mkdirat", Errno::NOSPC),
    ("mknodat", Errno::PERM),
    ("symlinkat", Errno::NOSPC),
    ("fchownat", Errno::PERM),
    ("openat2", Errno::ACCESS),
    ("rename", Errno::XDEV),
    ("renameat", Errno::XDEV),
    ("seccomp", Errno::INVAL),
    ("capset", Errno::PERM),
    ("prctl", Errno::INVAL),
    ("setresuid", Errno::AGAIN),
    ("setresgid", Errno::PERM),
    ("setgroups", Errno::PERM),
    ("sethostname", Errno::PERM),
    ("prlimit64", Errno::PERM),
    ("setsid", Errno::PERM),
    ("dup3", Errno::MFILE),
    ("execve", Errno::ACCESS),
    ("execveat", Errno::NOENT),
    ("close_range", Errno::INVAL),
    ("keyctl", Errno::DQUOT),
    ("bpf", Errno::PERM),
    ("memfd_create", Errno::MFILE),
    ("pidfd_open", Errno::MFILE),
    ("pidfd_send_signal", Errno::PERM),
    ("pipe2", Errno::MFILE),
    ("socket", Errno::MFILE),
    ("socketpair", Errno::MFILE),
    ("connect", Errno::CONNREFUSED),
    ("bind", Errno::ADDRINUSE),
    ("sendmsg", Errno::PIPE),
    ("recvmsg", Errno::CONNRESET),
    ("sendto", Errno::NOBUFS),
    ("recvfrom", Errno::NOMEM),
    ("write", Errno::NOSPC),
    ("rmdir", Errno::BUSY),
    ("unlink", Errno::IO),
    ("unlinkat", Errno::IO),
    ("signalfd4", Errno::MFILE),
    ("epoll_create1", Errno::MFILE),
    ("epoll_ctl", Errno::NOSPC),
];

/// What `SPAWN_FAULTS=full` adds.
const MORE: &[(&str, Errno)] = &[
    ("openat", Errno::MFILE),
    ("open", Errno::MFILE),
    ("read", Errno::IO),
    ("fcntl", Errno::MFILE),
    ("ioctl", Errno::IO),
    ("fstat", Errno::IO),
    ("newfstatat", Errno::IO),
    ("statx", Errno::IO),
    ("statfs", Errno::IO),
    ("readlink", Errno::IO),
    ("readlinkat", Errno::IO),
    ("getdents64", Errno::IO),
    ("fchdir", Errno::ACCESS),
    ("chdir", Errno::ACCESS),
    ("waitid", Errno::INVAL),
    ("poll", Errno::NOMEM),
    ("ppoll", Errno::NOMEM),
    ("epoll_wait", Errno::INVAL),
    ("epoll_pwait", Errno::INVAL),
    ("setsockopt", Errno::NOMEM),
    ("getsockopt", Errno::NOMEM),
    ("getsockname", Errno::NOMEM),
    ("listen", Errno::ADDRINUSE),
    ("rt_sigprocmask", Errno::INVAL),
    ("rt_sigaction", Errno::INVAL),
    ("getrandom", Errno::NOSYS),
    ("ftruncate", Errno::IO),
    ("fchmod", Errno::PERM),
    ("pidfd_getfd", Errno::MFILE),
    ("timerfd_create", Errno::MFILE),
    ("sched_setaffinity", Errno::INVAL),
    ("personality", Errno::INVAL),
    ("capget", Errno::PERM),
    ("lseek", Errno::SPIPE),
    ("pread64", Errno::IO),
    ("dup", Errno::MFILE),
];

/// The calls by which a start speaks with the kernel about links and ports. With [`Network`] they are all that fails
/// without `SPAWN_FAULTS=full`.
const OF_NETWORK: &[&str] = &["sendto", "recvfrom", "setns"];

/// Requests that may be refused without a word if nothing is left: those about links, which the payload shows, and
/// `NFT_MSG_DELSETELEM`, which is tried again.
const UNTOLD: &[u16] = &[16, 17, 18, 19, 10 << 8 | 14];

/// Shows everything that a start may make weaker: filters, capabilities, ids, maps, mounts with their flags, limits.
const PROBE: &str = "
grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/self/status
cat /proc/self/uid_map /proc/self/gid_map /proc/self/cgroup
awk '{ t = $0; sub(/.* - /, \"\", t); split(t, f, \" \"); print $4, $5, $6, f[1] }' /proc/self/mountinfo
cat /proc/self/limits
hostname
ls /proc/self/fd /dev /run/host
ls /sys/class/net | head -n 3
for n in pid ipc uts net mnt user cgroup; do readlink /proc/self/ns/$n | sed 's/[0-9].*//'; done
cat /proc/sys/kernel/random/boot_id | wc -c
cat /proc/kcore 2>&1 | head -c 40
";

/// Lines of the probe that may be missing, as the Plan has them as optional: texts that such lines hold.
const OPTIONAL: &[&str] = &["/dev/mqueue", "/sys/fs/cgroup", "/etc/localtime", "/etc/resolv.conf", "fuse", "net"];

/// Fails each call of a start with these options in turn.
pub fn sweep(case: &mut Case, options: &[&str]) -> Outcome {
    let tree = case.busybox_tree("tree")?;
    let program = case.spawn().arg("-D").arg(&tree).args(["-M", "faulty"]).args(options).args(["/bin/sh", "-c", PROBE]);
    Sweep { case, program, tree, network: None }.run()
}

/// What a start with links has around it.
pub struct Network {
    /// Makes the network namespace and what the options name in it.
    pub make: fn() -> Outcome,
    /// What is left there that [`HostState`] does not show, by the name that a message has for it.
    pub left: fn() -> Vec<String>,
    /// What the payload does first.
    pub script: &'static str,
}

/// The same for a start with links, whose requests to the kernel are refused in turn as well.
pub fn sweep_network(case: &mut Case, options: &[&str], network: Network) -> Outcome {
    (network.make)()?;
    let tree = case.busybox_tree("tree")?;
    let program = case.spawn().arg("-D").arg(&tree).args(["-M", "faulty", "--private-users=no"]).args(options);
    let program = program.args(["/bin/sh", "-c", &format!("{}\n{PROBE}", network.script)]);
    Sweep { case, program, tree, network: Some(network) }.run()
}

/// A start whose calls are made to fail.
struct Sweep<'a> {
    case: &'a Case,
    /// The command line; runs [`PROBE`].
    program: Program,
    tree: PathBuf,
    network: Option<Network>,
}

impl Sweep<'_> {
    fn run(&self) -> Outcome {
        leftovers::adopt_orphans()?;
        let full = std::env::var_os("SPAWN_FAULTS").is_some_and(|v| v == "full");
        let limited = self.network.is_some() && !full;
        let table: BTreeMap<Sysno, Errno> = CALLS
            .iter()
            .chain(if full || limited { MORE } else { &[] })
            .filter(|(name, _)| !limited || OF_NETWORK.contains(name))
            .filter_map(|(name, errno)| Some((Sysno::from_str(name).ok()?, *errno)))
            .collect();
        let watched: Vec<Sysno> = table.keys().copied().collect();
        // The first start makes what stays in the image and on the host.
        self.program.run().expect_code(0);
        let before = HostState::take(self.case.dir());
        let clean = self.once(&watched, None)?;
        if clean.status.and_then(|s| s.code()) != Some(0) {
            return fail(format!("without a fault: {:?}\n{}\n{}", clean.status, clean.stdout, clean.stderr));
        }
        let mut complaints = Vec::new();
        let mut tally = [0usize; 3];
        let started = Instant::now();
        // Reading one's own limits cannot fail, and rustix says so with a panic.
        let reads_limits = |place: &Place| place.who == Who::Supervisor && place.call == Sysno::prlimit64;
        let places = clean.calls.iter().filter(|place| !reads_limits(place));
        let faults: Vec<(&Place, Fault)> = places
            .flat_map(|place| {
                let refused = self.network.is_some() && place.request.is_some();
                [Some((place, Fault::Fails(table[&place.call]))), refused.then_some((place, Fault::Refused))]
            })
            .flatten()
            .collect();
        for (place, fault) in &faults {
            let run = self.once(&watched, Some((place, *fault)))?;
            let mut wrong = Vec::new();
            match self.judge(&run, &clean, place, *fault) {
                Ok(verdict) => tally[verdict as usize] += 1,
                Err(complaint) => wrong.push(complaint),
            }
            wrong.extend(leftovers::processes(Duration::from_secs(2)));
            wrong.extend(leftovers::locks(&self.tree));
            wrong.extend(self.left_on_host(&before, &run)?);
            if !wrong.is_empty() {
                complaints.push(format!(
                    "{place} → {fault:?}: {}\n  stderr: {}",
                    wrong.join("\n  "),
                    run.stderr.trim()
                ));
            }
        }
        let [failed, harmless, passed_over] = tally;
        println!(
            "{} calls failed in turn in {:.1} s: {failed} starts failed, {harmless} were as without, {passed_over} did not come to it",
            faults.len(),
            started.elapsed().as_secs_f32()
        );
        match complaints.len() {
            0 => Ok(()),
            n => fail(format!("{n} faults:\n{}", complaints.join("\n"))),
        }
    }

    fn once(&self, watched: &[Sysno], fault: Option<(&Place, Fault)>) -> std::io::Result<Run> {
        inject::run(&self.program, &Case::spawn_path(), self.case.dir(), watched, fault, LIMIT + LIMIT)
    }

    fn judge(&self, run: &Run, clean: &Run, place: &Place, fault: Fault) -> Result<Verdict, String> {
        let (who, call) = (place.who, place.call.name());
        let Some(status) = run.status else { return Err(format!("hangs for {:?}", run.elapsed)) };
        if run.elapsed > LIMIT {
            return Err(format!("took {:?}", run.elapsed));
        }
        if !run.fired {
            return Ok(Verdict::PassedOver);
        }
        match status.code() {
            // What the dynamic loader and the runtime need before main: not ours to word.
            Some(127) if run.stderr.contains("error while loading shared libraries") => Ok(Verdict::Failed),
            None if run.stderr.contains("fatal runtime error") && run.stdout.is_empty() => Ok(Verdict::Failed),
            Some(0)
                if fault == Fault::Refused
                    && who == Who::Supervisor
                    && run.stderr == clean.stderr
                    && !place.request.is_some_and(|kind| UNTOLD.contains(&kind)) =>
            {
                Err("nobody is told".into())
            }
            Some(125..=127) if fault == Fault::Refused || MORE.iter().any(|(name, _)| *name == call) => {
                names_the_step(&run.stderr, &[""]).map(|()| Verdict::Failed)
            }
            Some(0) => weaker(&clean.stdout, &run.stdout).map(|()| Verdict::Harmless),
            // A keeper that fails does what it is there for: it ends the container.
            Some(137) if who == Who::Keeper => Ok(Verdict::Failed),
            Some(125..=127) if who == Who::Keeper => names_the_step(&run.stderr, &[""]).map(|()| Verdict::Failed),
            Some(125..=127) => {
                let Fault::Fails(errno) = fault else { unreachable!("a refusal is judged above") };
                let described = spawn::error::describe_errno(errno.raw_os_error());
                // The crate that speaks D-Bus turns some errnos into words of its own, or takes no notice.
                let over_bus = run.stderr.contains("[E0602]") || run.stderr.contains("[E0603]");
                let reasons = if over_bus { vec!["broken pipe", "no answer", &described] } else { vec![&*described] };
                names_the_step(&run.stderr, &reasons).map(|()| Verdict::Failed)
            }
            _ => Err(format!("ended with {status}")),
        }
    }

    /// What is left, but for what was reported as left. It is removed, so that it is complained of once.
    fn left_on_host(&self, before: &HostState, run: &Run) -> Result<Vec<String>, Reason> {
        let difference = before.difference();
        let path = |line: &str| line.split(' ').nth(2).map(PathBuf::from);
        for line in &difference {
            if let Some(path) = path(line).filter(|_| line.starts_with("+ cgroup") || line.starts_with("+ file")) {
                remove(&path);
            }
        }
        let reported = |line: &String| {
            let path = path(line).unwrap_or_default();
            match line.starts_with("+ link") {
                true => run.stderr.contains(&format!("{} may be left over", path.display())),
                false => path.ancestors().take(2).any(|p| run.stderr.contains(&*p.to_string_lossy())),
            }
        };
        let is_link = |line: &String| line.starts_with("+ link") || line.starts_with("- link");
        let links_differ = difference.iter().any(is_link);
        let mut left: Vec<String> =
            difference.into_iter().filter(|line| !(line.starts_with('+') && reported(line))).collect();
        if let Some(network) = &self.network {
            let mut more = (network.left)();
            if !more.is_empty() || links_differ {
                (network.make)()?;
            }
            let all = more.len();
            more.retain(|what| !run.stderr.contains(&format!("{what} may be left over")));
            if more.len() < all {
                left.retain(|line| !is_link(line));
            }
            left.extend(more);
        }
        Ok(left)
    }
}

#[derive(Clone, Copy)]
enum Verdict {
    Failed,
    Harmless,
    PassedOver,
}

fn remove(path: &Path) {
    // Deepest first; what cannot be removed shows in every later comparison.
    let _ = Program::new("find").arg(path).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]).run();
    let _ = Program::new("rm").args(["-rf", "--one-file-system"]).arg(path).run();
}

/// The payload ran: it must have seen what it sees without a fault. Fewer capabilities are fine.
fn weaker(clean: &str, now: &str) -> Result<(), String> {
    let mut differs = Vec::new();
    let mut now_lines = now.lines().peekable();
    for line in clean.lines() {
        match now_lines.peek() {
            Some(other) if *other == line || fewer_capabilities(line, other) || tighter_mount(line, other) => {
                now_lines.next();
            }
            _ if OPTIONAL.iter().any(|text| line == *text || text.starts_with('/') && line.contains(text)) => {}
            other => {
                differs.push(format!("\"{line}\" became {other:?}"));
                if now.lines().any(|l| l == line) || other.is_none() {
                    continue;
                } else {
                    now_lines.next();
                }
            }
        }
    }
    differs.extend(now_lines.map(|line| format!("new: \"{line}\"")));
    if differs.is_empty() { Ok(()) } else { Err(format!("it ran differently: {}", differs.join("; "))) }
}

/// The same mount with more of the flags that take something away.
fn tighter_mount(then: &str, now: &str) -> bool {
    let parts = |line: &str| -> Option<[String; 4]> {
        line.split(' ')
            .map(String::from)
            .collect::<Vec<_>>()
            .try_into()
            .ok()
            .filter(|p: &[String; 4]| p[2].contains(','))
    };
    let (Some(then), Some(now)) = (parts(then), parts(now)) else { return false };
    let more = now[2].split(',').filter(|flag| !then[2].split(',').any(|f| f == *flag));
    let fewer = then[2].split(',').filter(|flag| !now[2].split(',').any(|f| f == *flag));
    (&then[..2], &then[3]) == (&now[..2], &now[3])
        && more.into_iter().all(|flag| ["ro", "nosuid", "nodev", "noexec"].contains(&flag))
        && fewer.into_iter().all(|flag| flag == "rw")
}

fn fewer_capabilities(then: &str, now: &str) -> bool {
    let set = |line: &str| -> Option<(String, u64)> {
        let (name, bits) = line.split_once(":\t").filter(|(name, _)| name.starts_with("Cap"))?;
        Some((name.into(), u64::from_str_radix(bits, 16).ok()?))
    };
    matches!((set(then), set(now)), (Some((a, then)), Some((b, now))) if a == b && now & !then == 0)
}

/// One error that a person can use: what failed and why, with its code.
fn names_the_step(stderr: &str, reasons: &[&str]) -> Result<(), String> {
    let first = stderr.lines().find(|l| l.starts_with("spawn: ") && l.contains(" [E"));
    let Some(first) = first else { return Err("no error line".into()) };
    if stderr.contains("panicked") || first.contains("out of turn") {
        return Err("the error does not say what failed".into());
    }
    // What is found out when the end has been seen has no remedy; a timeout is its own.
    if !stderr.contains("\n  help: ") && !["ENOENT", "ETIMEDOUT", "EINTR", "ENOTDIR"].iter().any(|e| stderr.contains(e))
    {
        return Err("no line says what to do".into());
    }
    // The channel by which a child tells its reason can itself be what fails.
    if !reasons.iter().any(|reason| stderr.contains(reason)) && !stderr.contains("did not say why") {
        return Err(format!("no line says {reasons:?}"));
    }
    Ok(())
}
