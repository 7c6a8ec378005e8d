// SPDX-License-Identifier: LGPL-2.1-or-later
//! Fault injection over the system calls of a start without systemd.

use crate::common::faults::{Network, sweep, sweep_network};
use crate::common::{Case, Outcome, Program};
use crate::network::{ip, own_network};
use spawn::net::nft::{Family, ForwardKey, Forwarding};

pub fn d51_d58_every_call_fails_closed_without_user_namespace(case: &mut Case) -> Outcome {
    sweep(case, &["--private-users=no"])
}

pub fn d51_d58_every_call_fails_closed_with_user_namespace(case: &mut Case) -> Outcome {
    sweep(case, &["--private-users=1879048192:65536"])
}

pub fn every_call_fails_closed_with_stub_and_user(case: &mut Case) -> Outcome {
    sweep(case, &["--private-users=pick", "--as-pid2", "--user=user", "--private-network", "--read-only"])
}

/// One link of each kind that can be in one start.
pub fn every_call_fails_closed_with_links(case: &mut Case) -> Outcome {
    let options = [
        "--network-interface=l0:inside",
        "--network-veth-extra=h0:c0",
        "--network-macvlan=l1:above",
        "--network-bridge=br0",
    ];
    sweep_network(case, &options, Network { make: cable_and_bridge, left: not_returned, script: SHOW_LINKS })
}

/// A port is forwarded once the container has an address, which is told later than it starts.
pub fn every_call_fails_closed_with_a_zone_and_a_port(case: &mut Case) -> Outcome {
    let script = "ip addr add 10.7.0.2/24 dev host0; sleep 0.1; ls /sys/class/net";
    let network = Network { make: own_network, left: forwarded, script };
    sweep_network(case, &["--network-zone=faulty", "--port=8080:80"], network)
}

const SHOW_LINKS: &str = "cd /sys/class/net; for l in *; do echo $l $(cat $l/flags $l/type); done";

fn cable_and_bridge() -> Outcome {
    own_network()?;
    ip("link add br0 type bridge").map(drop)
}

/// The cable's end that was lent is back under its own name, and no other link is there.
fn not_returned() -> Vec<String> {
    let output = Program::new("ip").args(["-o", "link"]).run().stdout;
    let names: Vec<&str> = output.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let own = ["lo:", "l0@l1:", "l1@l0:", "br0:"];
    let lent = (!names.contains(&"l0@l1:")).then(|| "the host's link l0".to_string());
    let others = names.iter().filter(|name| !own.contains(name) && !name.starts_with("l1@")).copied();
    lent.into_iter().chain(others.map(|name| format!("the link {name}"))).collect()
}

fn forwarded() -> Vec<String> {
    let key = ForwardKey { family: Family::Ipv4, protocol: 6, port: 8080 };
    match Forwarding::open().and_then(|mut f| f.is_taken(key)) {
        Ok(false) => Vec::new(),
        Ok(true) => vec!["the forwarded port 8080".into()],
        Err(error) => vec![error.to_string()],
    }
}
