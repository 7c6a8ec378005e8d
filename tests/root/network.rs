// SPDX-License-Identifier: LGPL-2.1-or-later
//! Links between container and host, and what is left of them. Every case is in a network namespace of its own.

use super::support::{BOTH, Background, Tree, assert_says, eventually};
use crate::common::{Case, HostState, Outcome, Output, Program, Reason, killing, skip};
use std::path::Path;

/// A network that belongs to this case alone: the cable `l0`–`l1`, which has an address that stays.
pub fn own_network() -> Outcome {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
    ip("link add l0 address 02:00:00:00:00:0a type veth peer name l1 address 02:00:00:00:00:0b").map(drop)
}

pub fn ip(words: &str) -> Result<Output, Reason> {
    let output = Program::new("ip").args(words.split(' ')).run();
    if output.status.success() { Ok(output) } else { skip(format!("ip {words}: {}", output.stderr)) }
}

fn has_link(name: &str) -> bool {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    table.lines().any(|line| line.trim_start().starts_with(&format!("{name}:")))
}

const SHOW: &str = "cd /sys/class/net; for l in *; do echo $l $(cat $l/address) $(cat $l/flags); done";

pub fn lent_links_come_back(case: &mut Case) -> Outcome {
    own_network()?;
    let tree = Tree::new(case)?;
    ip("link property add dev l0 altname a-rather-long-name-of-it")?;
    let before = HostState::take(case.dir());
    for (option, name) in [("l0:inside", "inside"), ("l0", "l0"), ("a-rather-long-name-of-it:x", "x")] {
        for users in ["--private-users=pick", "--private-users=no"] {
            let option = format!("--network-interface={option}");
            // Whatever the container calls it in the end.
            let script = format!("{SHOW}; ip link set {name} name other && ip link set other up");
            let said = tree.script(case, &[&option, users], &script);
            let mut lines: Vec<&str> = said.lines().filter(|line| *line != "lo 00:00:00:00:00:00 0x9").collect();
            assert_eq!(lines.pop(), Some(&*format!("{name} 02:00:00:00:00:0a 0x1002")), "{option}: {said}");
            assert!(lines.is_empty(), "{said}");
            before.assert_unchanged();
        }
    }
    // Also when the start fails, late or early.
    tree.spawn(case, &["--network-interface=l0:x"]).arg("/nothing").run().expect_code(127);
    before.assert_unchanged();
    let both = ["--network-interface=l0:x", "--network-veth-extra=l1:y"];
    let run = tree.spawn(case, &both).arg("true").run().expect_code(125);
    assert_says(&run, "cannot make the veth pair l1 and y");
    before.assert_unchanged();
    Ok(())
}

pub fn a_killed_supervisor_gives_links_back(case: &mut Case) -> Outcome {
    own_network()?;
    killing::supervisor(case, &["--network-interface=l0:inside"])
}

pub fn supervisor_and_keeper_killed_give_links_back(case: &mut Case) -> Outcome {
    own_network()?;
    killing::both(case, &["--network-interface=l0:inside"])
}

pub fn further_cables(case: &mut Case) -> Outcome {
    own_network()?;
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    let options = ["--network-veth-extra=h0:c0", "--network-veth-extra=h1"];
    let said = tree.script(case, &options, "ls /sys/class/net");
    assert_eq!(said, "c0\nh1\nlo\n");
    before.assert_unchanged();
    Ok(())
}

pub fn macvlans(case: &mut Case) -> Outcome {
    upper(case, "macvlan", "mv-")
}

pub fn d48_ipvlans(case: &mut Case) -> Outcome {
    upper(case, "ipvlan", "iv-")
}

fn upper(case: &mut Case, kind: &str, prefix: &str) -> Outcome {
    own_network()?;
    let tree = Tree::new(case)?;
    ip(&format!("link add link l0 name try type {kind}"))?;
    ip("link del try")?;
    ip("link add a-long-parent15 type veth peer name m1")?;
    let before = HostState::take(case.dir());
    let options = ["l0", "l1:given", "a-long-parent15"].map(|value| format!("--network-{kind}={value}"));
    let options = options.each_ref().map(String::as_str);
    let said = tree.script(case, &options, "for l in /sys/class/net/*; do echo ${l##*/} $(cat $l/iflink); done");
    let index = |name: &str| ip(&format!("-o link show {name}")).map(|o| o.stdout.split(':').next().map(String::from));
    let line = |name: &str, parent| Ok::<_, Reason>(format!("{name} {}", index(parent)?.unwrap_or_default()));
    let mut lines: Vec<&str> = said.lines().filter(|line| *line != "lo 1").collect();
    lines.sort_unstable();
    assert_eq!(lines[0], line("given", "l1")?, "{said}");
    assert_eq!(lines[2], line(&format!("{prefix}l0"), "l0")?, "{said}");
    let (name, parent) = lines[1].split_once(' ').unwrap_or_default();
    assert!(name.len() == 15 && name.starts_with(&format!("{prefix}a-long-p")), "{said}");
    assert_eq!(Some(parent.to_string()), index("a-long-parent15")?, "{said}");
    before.assert_unchanged();
    Ok(())
}

/// A container named so that runs on a throw-away copy of the tree until it is dropped.
fn running(case: &Case, tree: &Tree, name: &str, options: &[&str]) -> Result<Background, Reason> {
    let up = case.dir().join("up");
    std::fs::create_dir_all(&up)?;
    let bind = format!("--bind={}:/up", up.display());
    let script = format!("touch /up/{name}; while :; do sleep 1; done");
    let program = tree.spawn(case, &["-x", "--private-users=no", "-M", name, &bind]).args(options);
    Ok(Background::start(&program.args(["sh", "-c", &script]), &up.join(name)))
}

/// The port is in the bridge and up.
fn is_port(port: &str, bridge: &str) -> bool {
    let output = Program::new("ip").args(["-o", "link", "show", "dev", port]).run();
    output.stdout.contains(&format!("master {bridge} ")) && output.stdout.contains(",UP")
}

pub fn bridges(case: &mut Case) -> Outcome {
    own_network()?;
    let tree = Tree::new(case)?;
    ip("link add br0 type bridge")?;
    let before = HostState::take(case.dir());
    let machine = running(case, &tree, "bridged", &["--network-bridge=br0"])?;
    assert!(is_port("vb-bridged", "br0"));
    drop(machine);
    before.assert_unchanged();
    Ok(())
}

pub fn zones_live_from_first_to_last_member(case: &mut Case) -> Outcome {
    own_network()?;
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    let first = running(case, &tree, "first", &["--network-zone=z"])?;
    let second = running(case, &tree, "second", &["--network-zone=z"])?;
    assert!(is_port("vb-first", "vz-z") && is_port("vb-second", "vz-z"));
    drop(first);
    assert!(is_port("vb-second", "vz-z") && !has_link("vb-first"));
    // Whoever killed it, the last one takes the bridge away.
    second.signal(rustix::process::Signal::KILL)?;
    second.wait();
    eventually("the zone's bridge is gone", || !has_link("vz-z") && !has_link("vb-second"));
    eventually("the lock of the zones is gone", || !Path::new("/run/systemd/nspawn-network-zone").exists());
    before.assert_unchanged();
    // A bridge that others use stays.
    ip("link add vz-z type bridge")?;
    ip("link set l0 master vz-z")?;
    tree.script(case, &["--network-zone=z"], "true");
    assert!(is_port("vb-tree", "vz-z") == has_link("vb-tree") && has_link("vz-z"));
    Ok(())
}

pub fn a_killed_supervisor_leaves_no_bridge(case: &mut Case) -> Outcome {
    own_network()?;
    killing::supervisor(case, &["--network-zone=k"])
}

pub fn supervisor_and_keeper_killed_leave_no_bridge(case: &mut Case) -> Outcome {
    own_network()?;
    killing::both(case, &["--network-zone=k"])
}

pub fn d13_joined_namespaces(case: &mut Case) -> Outcome {
    own_network()?;
    let tree = Tree::new(case)?;
    ip("netns add other")?;
    ip("-n other link add in-other type veth peer name o1")?;
    let before = HostState::take(case.dir());
    let path = "--network-namespace-path=/run/netns/other";
    for (name, users) in BOTH.into_iter().flat_map(|name| ["pick", "no"].map(|users| (name, users))) {
        let script = "ls /sys/class/net; grep -c in-other: /proc/net/dev; cat /sys/class/net/lo/flags; \
                      ip link set o1 up 2>/dev/null || echo no; (echo 1 >/proc/sys/net/ipv4/ip_forward) 2>/dev/null || echo no";
        // The name servers of the host are not those of another network, but under the other name they are taken.
        let options = ["-P", "-x", path, &format!("--private-users={users}")];
        let run = tree.called(case, name, &options)?.args(["sh", "-c", script]).run().expect_code(0);
        assert_eq!(run.stdout, "in-other\nlo\no1\n1\n0x8\nno\nno\n", "{name:?} {users}");
        before.assert_unchanged();
    }
    let said = tree.script(case, &[path, "--private-users=no", "--private-network"], "ip link set o1 up; echo $?");
    assert_eq!(said, "0\n");
    for (path, words) in [
        ("/run/netns/nope", "cannot open the network namespace /run/netns/nope"),
        ("/proc/self/ns/uts", "/proc/self/ns/uts is no network namespace"),
        ("/etc/passwd", "/etc/passwd is no network namespace"),
    ] {
        let path = format!("--network-namespace-path={path}");
        let run = tree.spawn(case, &[&path]).arg("true").run().expect_code(125);
        assert_says(&run, words);
        assert_says(&run, "E0803");
    }
    ip("netns del other")?;
    Ok(())
}

pub fn wrong_links_are_one_error_each(case: &mut Case) -> Outcome {
    own_network()?;
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    for (option, words) in [
        ("--network-interface=nope", "the host has no network link nope"),
        ("--network-interface=lo", "lo is the host's loopback interface"),
        ("--network-interface=l0:lo", "two links of the container would be called lo"),
        ("--network-macvlan=nope", "the host has no network link nope"),
        ("--network-ipvlan=nope", "the host has no network link nope"),
        ("--network-bridge=nope", "the host has no bridge nope"),
        ("--network-bridge=l0", "the host's link l0 is no bridge"),
    ] {
        let run = tree.spawn(case, &[option]).arg("true").run().expect_code(125);
        assert_says(&run, words);
        assert_says(&run, option);
        assert_eq!(run.stderr.matches("[E0").count(), 1, "{run}");
    }
    before.assert_unchanged();
    Ok(())
}
