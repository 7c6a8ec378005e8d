// SPDX-License-Identifier: LGPL-2.1-or-later
//! Ports of the host that lead to the container, wherever it can be reached at the moment.

use super::place::Place;
use super::{Session, record};
use crate::error::{Code, Diagnostic, Result};
use crate::net::Addresses;
use crate::net::nft::{Family, ForwardKey, Forwarding};
use crate::supervise::{Request, Source};
use crate::undo::{PathRelease, Ticket, Undo};
use rustix::fd::{AsFd, BorrowedFd};
use std::cell::RefCell;
use std::net::IpAddr;
use std::time::Instant;

/// Opens what tells of the container's addresses; `None` where no port leads there.
pub fn addresses(session: &Session<'_>, leader: i32) -> Result<Option<Addresses>> {
    if session.plan.network.ports.is_empty() {
        return Ok(None);
    }
    let netns = std::fs::File::open(format!("/proc/{leader}/ns/net"))
        .map_err(|e| Diagnostic::new(Code::NetworkFailed, "cannot open the container's network namespace").io(&e))?;
    Addresses::of(netns.as_fd()).map(Some)
}

/// Forwards the ports as long as the loop runs. The container runs on where they cannot be forwarded.
pub struct PortSource<'a> {
    session: &'a Session<'a>,
    place: &'a Place,
    leader: i32,
    undo: &'a RefCell<&'a mut Undo>,
    addresses: Addresses,
    /// Of each family where its ports lead now.
    targets: [Option<Target>; 2],
    /// What was there before anybody listened has not been looked at.
    first_look: Option<Instant>,
}

/// Where the ports of one family lead.
struct Target {
    address: IpAddr,
    tickets: Vec<Ticket>,
}

impl<'a> PortSource<'a> {
    /// Follows these addresses.
    pub fn new(
        session: &'a Session<'a>,
        (place, leader): (&'a Place, i32),
        undo: &'a RefCell<&'a mut Undo>,
        addresses: Addresses,
    ) -> Self {
        Self { session, place, leader, undo, addresses, targets: [None, None], first_look: Some(Instant::now()) }
    }

    /// What has to be released at the end.
    pub fn tickets(self) -> impl Iterator<Item = Ticket> {
        self.targets.into_iter().flatten().flat_map(|target| target.tickets)
    }

    fn follow(&mut self, n: usize, wanted: Option<IpAddr>) -> Result<()> {
        let ports: Vec<_> = self.session.plan.network.ports.iter().map(|p| p.value).collect();
        match (wanted, &mut self.targets[n]) {
            (None, None) => Ok(()),
            (Some(address), Some(target)) if address == target.address => Ok(()),
            (Some(address), Some(target)) => {
                Forwarding::open()?.forward(&ports, address, Some(target.address))?;
                target.address = address;
                Ok(())
            }
            (None, Some(_)) => self.stop(n),
            (Some(address), None) => {
                let mut forwarding = Forwarding::open()?;
                let keys: Vec<_> = ports.iter().map(|port| ForwardKey::of(Family::of(address), port)).collect();
                for (key, port) in keys.iter().zip(&ports) {
                    if forwarding.is_taken(*key)? {
                        let what = format!("somebody else forwards the port {} of the host already", port.host);
                        return Err(Diagnostic::new(Code::PortForward, what)
                            .help("choose another port; nft list ruleset shows what is forwarded"));
                    }
                }
                // Known to everybody who may have to undo it before it is done. None of them is forwarded, so that does
                // no harm.
                let mut target = Target { address, tickets: Vec::new() };
                for (key, port) in keys.into_iter().zip(&ports) {
                    let words = format!("the forwarded port {}", port.host);
                    target.tickets.push(self.undo.borrow_mut().push(PathRelease::StopForward(key), words)?);
                }
                record::boot(self.session, self.place, self.leader, &self.undo.borrow())?;
                let forwarded = forwarding.forward(&ports, address, None);
                if forwarded.is_err() {
                    // Others may have been faster: what they forward is theirs.
                    target.tickets.into_iter().for_each(|ticket| self.undo.borrow_mut().forget(ticket));
                } else {
                    self.targets[n] = Some(target);
                }
                forwarded
            }
        }
    }

    fn stop(&mut self, n: usize) -> Result<()> {
        let mut outcome = Ok(());
        for ticket in self.targets[n].take().into_iter().flat_map(|target| target.tickets) {
            outcome = outcome.and(self.undo.borrow_mut().release(ticket));
        }
        outcome
    }
}

impl Source for PortSource<'_> {
    fn name(&self) -> &'static str {
        "the addresses of the container"
    }
    fn fd(&self) -> BorrowedFd<'_> {
        self.addresses.as_fd()
    }
    fn deadline(&self) -> Option<Instant> {
        self.first_look
    }
    fn turn(&mut self, _now: Instant) -> Result<Vec<Request>> {
        self.first_look = None;
        let best = self.addresses.best()?;
        let followed = best.into_iter().enumerate().map(|(n, wanted)| self.follow(n, wanted));
        Ok(followed.filter_map(|outcome| outcome.err().map(Request::Warn)).collect())
    }
}
