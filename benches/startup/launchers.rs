// SPDX-License-Identifier: LGPL-2.1-or-later
//! The command lines that are compared, and the trees that they start.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A range of ids that nobody on a fresh host has.
const RANGE: &str = "1879048192:65536";

/// What is measured, and how often.
pub struct Bench {
    /// The program.
    pub spawn: PathBuf,
    /// A small static program for the inside.
    pub payload: PathBuf,
    /// A program that does nothing.
    pub empty: PathBuf,
    /// How often each launcher runs in each row.
    pub rounds: usize,
    /// Where the trees are, on a file system with idmapped mounts.
    pub trees: PathBuf,
}

/// One way to start a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// With a scope, registered, in a user namespace: the defaults.
    Spawn,
    /// With a scope, registered, without a user namespace.
    SpawnHostIds,
    /// With a scope, registered, without a user namespace: its defaults.
    Nspawn,
    /// With a scope; neither registered nor filtered.
    Crun,
    /// Without a bus.
    SpawnPlain,
    /// Without a bus, in a user namespace of a fixed range.
    SpawnPlainRange,
    /// The same namespaces as [`Launcher::SpawnPlain`].
    Bubblewrap,
}

impl Launcher {
    /// As the table names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spawn => "spawn",
            Self::SpawnHostIds => "spawn --private-users=no",
            Self::Nspawn => "systemd-nspawn",
            Self::Crun => "crun --systemd-cgroup run",
            Self::SpawnPlain => "spawn --register=no --scope=no --private-users=no",
            Self::SpawnPlainRange => "spawn --register=no --scope=no --private-users=RANGE",
            Self::Bubblewrap => "bwrap",
        }
    }
}

impl Bench {
    /// Tree number `n`.
    pub fn tree(&self, n: usize) -> PathBuf {
        self.trees.join(format!("tree-{n}"))
    }

    /// Makes the first trees and the bundle of crun.
    pub fn prepare(&self) {
        let _left = std::fs::remove_dir_all(&self.trees);
        // Closed to others, as /var/lib/machines is: spawn remarks on a tree that is not.
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.trees);
        made.expect("the folder of the trees cannot be made");
        self.make_trees(1);
    }

    /// Makes trees and bundles up to number `count`.
    pub fn make_trees(&self, count: usize) {
        (0..count).filter(|n| !self.tree(*n).exists()).for_each(|n| self.make_tree(n));
    }

    /// Makes tree number `n`.
    pub fn make_tree(&self, n: usize) {
        let tree = self.tree(n);
        must(Command::new("cp").args(["-a", "/var/lib/machines/busybox"]).arg(&tree));
        if self.payload.exists() {
            std::fs::copy(&self.payload, tree.join("bin/payload")).expect("the payload cannot be copied");
        }
    }

    /// Removes the trees.
    pub fn clean_up(&self) {
        let _left = std::fs::remove_dir_all(&self.trees);
    }

    /// The command line that runs `words` in tree `n` as machine `name`.
    pub fn command(&self, launcher: Launcher, n: usize, name: &str, words: &[&str]) -> Command {
        self.command_with(launcher, n, name, &[], words)
    }

    /// The same with further options, which crun has none of.
    pub fn command_with(&self, launcher: Launcher, n: usize, name: &str, more: &[&str], words: &[&str]) -> Command {
        let tree = self.tree(n);
        let mut command = match launcher {
            Launcher::Nspawn => {
                let mut c = Command::new("systemd-nspawn");
                c.args(["-q", "--console=pipe", "--settings=no", "-M", name, "-D"]).arg(&tree);
                c
            }
            Launcher::Crun => return self.crun(&tree, name, words),
            Launcher::Bubblewrap => {
                let mut c = Command::new("bwrap");
                c.args(["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup", "--die-with-parent"]);
                c.arg("--bind").arg(&tree).args(["/", "--proc", "/proc", "--dev", "/dev"]);
                c.args(["--ro-bind", "/sys", "/sys", "--tmpfs", "/run", "--tmpfs", "/tmp"]);
                c
            }
            _ => {
                let mut c = Command::new(&self.spawn);
                c.args(["-q", "--console=pipe", "--settings=no", "-M", name, "-D"]).arg(&tree);
                c
            }
        };
        match launcher {
            Launcher::SpawnHostIds => command.arg("--private-users=no"),
            Launcher::SpawnPlain => command.args(["--register=no", "--scope=no", "--private-users=no"]),
            Launcher::SpawnPlainRange => {
                command.args(["--register=no", "--scope=no"]).arg(format!("--private-users={RANGE}"))
            }
            _ => &mut command,
        };
        if launcher != Launcher::Bubblewrap {
            command.args(without());
        }
        command.args(more).args(words);
        command
    }

    /// crun takes its words from a bundle: it is written before the clock runs.
    fn crun(&self, tree: &Path, name: &str, words: &[&str]) -> Command {
        let bundle = self.trees.join(format!("bundle-{name}"));
        std::fs::create_dir_all(&bundle).expect("the bundle cannot be made");
        let config = serde_json::json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false, "user": { "uid": 0, "gid": 0 }, "args": words, "cwd": "/",
                "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"],
                "capabilities": capabilities(), "rlimits": [], "noNewPrivileges": false
            },
            "root": { "path": tree, "readonly": false },
            "hostname": name,
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
                { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                  "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
                { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                  "options": ["nosuid", "noexec", "nodev", "mode=1777"] },
                { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"] },
                { "destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro"] },
                { "destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
                { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=1777"] }
            ],
            "linux": {
                "cgroupsPath": format!("machine.slice:bench:{name}"),
                "namespaces": [{ "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }, { "type": "cgroup" }],
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/sysrq-trigger", "/proc/timer_list"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"]
            }
        });
        std::fs::write(bundle.join("config.json"), config.to_string()).expect("the bundle cannot be written");
        let mut command = Command::new("crun");
        command.args(["--systemd-cgroup", "run", "-b"]).arg(bundle).arg(name);
        command
    }
}

/// A nested host may lack a capability that every container gets elsewhere, and spawn warns of that at each start.
fn without() -> Option<&'static str> {
    const CAP_SYS_RESOURCE: u32 = 24;
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status cannot be read");
    let held = status.lines().find_map(|line| line.strip_prefix("CapPrm:")).expect("no line CapPrm");
    let held = u64::from_str_radix(held.trim(), 16).expect("CapPrm is no number");
    (held & 1 << CAP_SYS_RESOURCE == 0).then_some("--drop-capability=CAP_SYS_RESOURCE")
}

fn capabilities() -> serde_json::Value {
    let names = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP"];
    serde_json::json!({ "bounding": names, "effective": names, "permitted": names })
}

fn must(command: &mut Command) {
    let status = command.status().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(status.success(), "{command:?}: {status}");
}
