// SPDX-License-Identifier: LGPL-2.1-or-later
//! `--port=`: a port of the host leads to the container as long as it runs, and to nobody afterwards.

use super::network::{ip, own_network};
use super::support::{Background, Tree, assert_says, eventually};
use crate::common::{Case, HostState, Outcome, Reason, background, leftovers};
use rustix::process::Signal;
use spawn::net::nft::{Family, ForwardKey, Forwarding};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

const KEY: ForwardKey = ForwardKey { family: Family::Ipv4, protocol: 6, port: 8080 };

fn is_forwarded() -> bool {
    Forwarding::open().and_then(|mut f| f.is_taken(KEY)).expect("nf_tables answers")
}

/// What is said by whom 10.7.0.1:8080 leads to.
fn heard() -> Option<String> {
    let address: SocketAddr = ([10, 7, 0, 1], 8080).into();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

fn up(case: &Case) -> Result<PathBuf, Reason> {
    let up = case.dir().join("up");
    std::fs::create_dir_all(&up)?;
    Ok(up)
}

fn program(case: &Case, tree: &Tree, name: &str) -> Result<crate::common::Program, Reason> {
    let bind = format!("--bind={}:/up", up(case)?.display());
    let script = format!(
        "ip link set host0 up; ip addr add 10.7.0.2/24 dev host0; touch /up/{name}; \
         (while :; do [ -e /up/move ] && ip addr flush dev host0 && ip addr add 10.7.0.3/24 dev host0 && rm /up/move; \
         sleep 0.1; done) & while :; do echo {name} | nc -l -p 80; done"
    );
    let options = ["-x", "--private-users=no", "-n", "--port=8080:80", "-M", name, &bind];
    Ok(tree.spawn(case, &options).args(["sh", "-c", &script]))
}

fn host_side(name: &str) -> Outcome {
    ip(&format!("addr add 10.7.0.1/24 dev ve-{name}"))?;
    ip(&format!("link set ve-{name} up"))?;
    Ok(())
}

pub fn d32_a_port_of_the_host_leads_to_the_container(case: &mut Case) -> Outcome {
    own_network()?;
    ip("link set lo up")?;
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    let machine = Background::start(&program(case, &tree, "porter")?, &up(case)?.join("porter"));
    host_side("porter")?;
    eventually("the port is forwarded", is_forwarded);
    eventually("somebody answers", || heard().as_deref() == Some("porter\n"));
    // Wherever it goes.
    std::fs::write(up(case)?.join("move"), "")?;
    eventually("it has moved", || std::fs::exists(case.dir().join("up/move")).is_ok_and(|there| !there));
    eventually("somebody answers there", || heard().as_deref() == Some("porter\n"));
    // Somebody else is told, and takes nothing away.
    let script = "ip addr add 10.9.0.2/24 dev host0; sleep 0.5";
    let other = tree.spawn(case, &["-x", "--private-users=no", "-n", "-p", "8080", "-M", "other", "sh", "-c", script]);
    assert_says(&other.run().expect_code(0), "somebody else forwards the port 8080 of the host already [E0804]");
    assert!(is_forwarded());
    drop(machine);
    assert!(!is_forwarded());
    before.assert_unchanged();
    Ok(())
}

pub fn killed_supervisors_forward_nothing(case: &mut Case) -> Outcome {
    own_network()?;
    leftovers::adopt_orphans()?;
    let tree = Tree::new(case)?;
    for both in [false, true] {
        let started = up(case)?.join("doomed");
        let _absent = std::fs::remove_file(&started);
        let mut machine = background::Background::start(&program(case, &tree, "doomed")?, case.dir(), "doomed")?;
        eventually("the port is forwarded", is_forwarded);
        if both {
            // Stopped, it cannot start another keeper.
            machine.signal(Signal::STOP)?;
            for keeper in machine.children("(spawn-keeper)") {
                rustix::process::kill_process(keeper, Signal::KILL)?;
            }
        }
        machine.signal(Signal::KILL)?;
        machine.wait(Duration::from_secs(10))?;
        if both {
            case.spawn().args(["--cleanup", "-M", "doomed"]).run().expect_code(0);
        }
        eventually("the port is forwarded no longer", || !is_forwarded());
        leftovers::processes(Duration::from_secs(2));
    }
    Ok(())
}
