// SPDX-License-Identifier: LGPL-2.1-or-later
//! Hostile images: whatever stands at a path that spawn touches, it starts or says one thing, in bounded time, and
//! nothing of the host is read, written or shown.

use super::attack;
use super::canary::Canary;
use crate::common::{Case, Outcome, Output, Program, Reason, fail};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

/// Paths of an image that a start opens, makes, reads or mounts on, with the options that make it do so.
const PATHS: &[(&str, &[&str])] = &[
    ("etc", &[]),
    ("etc/passwd", &["--user=nobody"]),
    ("etc/group", &["--user=nobody"]),
    ("etc/machine-id", &[]),
    ("etc/os-release", &["--boot"]),
    ("usr/lib/os-release", &["--boot"]),
    ("etc/resolv.conf", &["--resolv-conf=copy-host"]),
    ("etc/localtime", &["--timezone=copy"]),
    ("usr", &[]),
    ("usr/share/zoneinfo", &["--timezone=auto"]),
    ("dev", &[]),
    ("dev/pts", &[]),
    ("proc", &[]),
    ("sys", &[]),
    ("sys", &["--private-network"]),
    ("run", &[]),
    ("run/host", &[]),
    ("tmp", &[]),
    ("var", &["--link-journal=try-guest"]),
    ("var/log", &["--link-journal=try-guest"]),
    ("root", &[]),
    ("bin", &[]),
    ("sbin/init", &["--boot"]),
    ("target", &["--bind-ro=/proc/self/mounts:/target"]),
    ("target", &["--tmpfs=/target"]),
    ("target", &["--inaccessible=/target"]),
    ("parent", &["--tmpfs=/parent/target"]),
    ("source", &["--bind=+/source:/opened"]),
    ("work", &["--chdir=/work"]),
];

/// With and without a user namespace, on a copy and read-only, and under the other name.
const MODES: &[(&[&str], bool)] = &[
    (&[], false),
    (&["--private-users=no"], false),
    (&["--ephemeral"], false),
    (&["--read-only", "--private-users=no"], false),
    (&[], true),
];

/// What is put there. Gives what it needs to go on existing.
type Trap = fn(&Canary, &Path) -> Result<Option<std::os::unix::net::UnixListener>, Reason>;

/// Replaces each path in turn; the modes take turns too, unless `SPAWN_HOSTILE=all` asks for every one at each path.
fn try_all(case: &Case, modes: &[(&[&str], bool)], trap: Trap) -> Outcome {
    let canary = Canary::new(case)?;
    let good = attack::tree(case)?;
    let mut wrong = Vec::new();
    let all = std::env::var("SPAWN_HOSTILE").is_ok_and(|v| v == "all");
    for (n, (path, options)) in PATHS.iter().enumerate() {
        let tree = case.dir().join("hostile");
        crate::common::tree::copy(&good, &tree);
        let at = tree.join(path);
        std::fs::create_dir_all(at.parent().unwrap_or(&tree))?;
        clear(&at)?;
        let _held = trap(&canary, &at)?;
        let turn = n % modes.len();
        for (mode, nspawn) in if all { modes } else { &modes[turn..=turn] } {
            let output = start(case, &tree, options, mode, *nspawn)?;
            if let Err(why) = judge(&canary, &output) {
                wrong.push(format!("{path} {options:?} {mode:?} nspawn={nspawn}: {why}\n{output}"));
            }
        }
        Program::new("rm").args(["-rf", "--one-file-system", "--"]).arg(&tree).run().expect_code(0);
    }
    canary.assert_untouched();
    if wrong.is_empty() { Ok(()) } else { fail(wrong.join("\n")) }
}

fn clear(at: &Path) -> Result<(), Reason> {
    match at.symlink_metadata() {
        Ok(m) if m.is_dir() => Ok(std::fs::remove_dir_all(at)?),
        Ok(_) => Ok(std::fs::remove_file(at)?),
        Err(_) => Ok(()),
    }
}

pub fn start(case: &Case, tree: &Path, options: &[&str], mode: &[&str], nspawn: bool) -> Result<Output, Reason> {
    let spawn = if nspawn { case.spawn_as_nspawn()? } else { case.spawn() };
    let spawn = spawn.arg("-D").arg(tree).args(["--console=pipe", "--settings=no", "-M", "hostile"]);
    let spawn = spawn.args(mode).args(options).limit(Duration::from_secs(20));
    // Every start shows what the container can read at the places where the canary would be.
    let show = "for d in /etc /dev /run /var /root /target /opened /work /tmp /usr/share/zoneinfo; do ls -a $d; \
                find $d -maxdepth 2 -type f -size -64k -exec cat {} +; done 2>/dev/null; ls -a /";
    // What is booted is the same shell.
    let words: &[&str] = if options.contains(&"--boot") { &["-c", show] } else { &["/bin/sh", "-c", show] };
    Ok(spawn.args(words).run())
}

/// It started, or one error with a code says why not; the canary does not show.
pub fn judge(canary: &Canary, output: &Output) -> Result<(), String> {
    if canary.shows_in(&output.stdout) || canary.shows_in(&output.stderr) {
        return Err("the host's canary shows".into());
    }
    let errors = output.stderr.lines().filter(|l| l.starts_with("spawn: ") || l.starts_with("systemd-nspawn: "));
    // With try-guest a journal that cannot be linked is said, and the start goes on.
    let errors = errors.filter(|l| !l.contains("cannot link the journal"));
    let coded = errors.filter(|l| l.ends_with(']') && l.contains(" [E")).count();
    match output.status.code() {
        Some(0) => Ok(()),
        Some(1 | 125..=127) if coded == 1 => Ok(()),
        // The shell that is booted may find its own files gone.
        Some(1 | 2 | 127) if !output.stdout.is_empty() => Ok(()),
        code => Err(format!("neither started nor one error: status {code:?}, {coded} errors")),
    }
}

/// An absolute link to the host's folder.
pub fn d49_absolute_links_to_a_folder(case: &mut Case) -> Outcome {
    try_all(case, MODES, |canary, at| Ok(symlink(canary.dir(), at).map(|()| None)?))
}

/// A relative link with more `..` than there are directories.
pub fn relative_links_to_a_file(case: &mut Case) -> Outcome {
    try_all(case, &MODES[..2], |canary, at| {
        let up = "../".repeat(40);
        Ok(symlink(format!("{up}{}", canary.file().display()), at).map(|()| None)?)
    })
}

/// A link through one of procfs.
pub fn magic_links(case: &mut Case) -> Outcome {
    try_all(case, &MODES[..2], |canary, at| {
        let target = format!("/proc/self/root{}", canary.dir().display());
        Ok(symlink(target, at).map(|()| None)?)
    })
}

/// A link to itself.
pub fn circles(case: &mut Case) -> Outcome {
    try_all(case, &MODES[..2], |_, at| Ok(symlink(at.file_name().unwrap_or_default(), at).map(|()| None)?))
}

/// A link to the root of the image.
pub fn links_to_the_root(case: &mut Case) -> Outcome {
    try_all(case, &MODES[..2], |_, at| Ok(symlink("/", at).map(|()| None)?))
}

/// A FIFO without a writer, which must not hold anything up.
pub fn d55_fifos(case: &mut Case) -> Outcome {
    try_all(case, MODES, |_, at| Ok(mknodat(CWD, at, FileType::Fifo, Mode::from_raw_mode(0o666), 0).map(|()| None)?))
}

/// A character device: the kernel's log, of which nothing may be read.
pub fn devices(case: &mut Case) -> Outcome {
    try_all(case, &MODES[..2], |_, at| {
        let kmsg = makedev(1, 11);
        Ok(mknodat(CWD, at, FileType::CharacterDevice, Mode::from_raw_mode(0o666), kmsg).map(|()| None)?)
    })
}

/// A socket.
pub fn sockets(case: &mut Case) -> Outcome {
    try_all(case, &MODES[..2], |_, at| {
        // Its path may be longer than an address takes.
        let (dir, name) = (at.parent().unwrap_or(at), at.file_name().unwrap_or_default());
        let folder = std::fs::File::open(dir)?;
        let short = Path::new("/proc/self/fd").join(std::os::fd::AsRawFd::as_raw_fd(&folder).to_string()).join(name);
        Ok(Some(std::os::unix::net::UnixListener::bind(short)?))
    })
}

/// A directory where a file is expected, and a file where a directory is.
pub fn directories_for_files(case: &mut Case) -> Outcome {
    try_all(case, &MODES[..2], |_, at| Ok(std::fs::create_dir(at).map(|()| None)?))?;
    Program::new("rm").arg("-rf").arg(case.dir().join("tree")).run().expect_code(0);
    try_all(case, &MODES[..2], |_, at| Ok(std::fs::write(at, "a file\n").map(|()| None)?))
}

/// A file of a terabyte without content.
pub fn d55_huge_files(case: &mut Case) -> Outcome {
    try_all(case, &MODES[..1], |_, at| {
        std::fs::File::create(at)?.set_len(1 << 40)?;
        Ok(None)
    })
}
