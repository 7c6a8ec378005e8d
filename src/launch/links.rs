// SPDX-License-Identifier: LGPL-2.1-or-later
//! The network links between host and container.

use super::Session;
use crate::error::{Code, Diagnostic, Result};
use crate::log::{self, MessageId};
use crate::net::{self, VethPair};
use crate::undo::{PathRelease, Ticket, Undo};
use rustix::fd::AsFd;
use std::time::Duration;

/// How long a link name may stay taken by a container that has just ended.
const LINK_WAIT: Duration = Duration::from_secs(4);

/// Makes the veth pair that the plan asks for; returns the interfaces that machined is told of.
pub fn make(session: &Session<'_>, leader: i32, undo: &mut Undo, releases: &mut Vec<Ticket>) -> Result<Vec<i32>> {
    let plan = session.plan;
    if !plan.network.veth {
        return Ok(Vec::new());
    }
    let fail = |d: Diagnostic| d.origin(&plan.network.origin);
    let netns = std::fs::File::open(format!("/proc/{leader}/ns/net")).map_err(|e| {
        fail(Diagnostic::new(Code::NetworkFailed, "cannot open the container's network namespace").io(&e))
    })?;
    let machine = &plan.machine;
    // Without an id of the host the kernel's random addresses have to do.
    let host = crate::image::host_machine_id();
    let derive = |role| host.map(|id| net::MacAddress::derive(id, machine, role));
    let pair = VethPair {
        host: net::LinkName::of_host_side(machine, net::HostLink::Alone),
        host_mac: derive(net::MacRole::VethHost),
        container: net::CONTAINER_LINK.into(),
        container_mac: plan.network.mac.map(net::MacAddress).or_else(|| derive(net::MacRole::VethContainer)),
    };
    let release = PathRelease::DeleteLink(pair.host.name.clone());
    let made = pair.create(netns.as_fd(), LINK_WAIT).map_err(fail)?;
    releases.push(undo.push(release, format!("the link {}", pair.host.name))?);
    if let Err(d) = made.alternative_name {
        log::info!(session.log, MessageId::Degraded, step: "veth", "{d}");
    }
    Ok(vec![made.host_index as i32])
}
