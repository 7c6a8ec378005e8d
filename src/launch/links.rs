// SPDX-License-Identifier: LGPL-2.1-or-later
//! The network links between host and container.

use super::place::Place;
use super::{Session, record};
use crate::error::{Code, Diagnostic, Result};
use crate::image::LockFile;
use crate::log::{self, MessageId};
use crate::net::{HostLink, LinkName, Links, MacAddress, VethPair};
use crate::plan::{Bridge, Link};
use crate::sys::ofd_lock::LockKind;
use crate::sys::programs::wire::ZONE_LOCK;
use crate::undo::{PathRelease, Release, Ticket, Undo};
use rustix::fd::AsFd;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a link name may stay taken by a container that has just ended.
const LINK_WAIT: Duration = Duration::from_secs(4);
/// How long others may hold the lock of the zones.
const ZONE_WAIT: Duration = Duration::from_secs(4);

/// Makes the links that the plan asks for; returns the interfaces that machined is told of.
pub fn make(
    session: &Session<'_>,
    place: &Place,
    leader: i32,
    undo: &mut Undo,
    releases: &mut Vec<Ticket>,
) -> Result<Vec<i32>> {
    let links = &session.plan.network.links;
    if links.is_empty() {
        return Ok(Vec::new());
    }
    let (host, netns) = (Links::here()?, File::open(format!("/proc/{leader}/ns/net")).map_err(unopened)?);
    let inside = Links::of(netns.as_fd())?;
    let mut maker =
        Maker { session, place, leader, host, netns, inside, pin: None, undo, releases, interfaces: Vec::new() };
    for link in links {
        maker.make(&link.value).map_err(|d| d.origin(&link.origin))?;
    }
    Ok(maker.interfaces)
}

fn unopened(error: std::io::Error) -> Diagnostic {
    Diagnostic::new(Code::NetworkFailed, "cannot open the container's network namespace").io(&error)
}

struct Maker<'a> {
    session: &'a Session<'a>,
    place: &'a Place,
    leader: i32,
    host: Links,
    netns: File,
    inside: Links,
    /// Where the container's network namespace is mounted, once it is.
    pin: Option<PathBuf>,
    undo: &'a mut Undo,
    releases: &'a mut Vec<Ticket>,
    interfaces: Vec<i32>,
}

impl Maker<'_> {
    fn make(&mut self, link: &Link) -> Result<()> {
        match link {
            Link::Move { host, container } => self.lend(host, container),
            Link::Veth { host, host_mac, container, container_mac, bridge } => {
                self.veth(host, container, (*host_mac, *container_mac), bridge.as_ref())
            }
            Link::Macvlan { parent, container, mac } => {
                let parent = self.of_host(parent)?;
                self.host.make_macvlan(&parent, container, *mac, self.netns.as_fd())?;
                self.delete_inside(container)
            }
            Link::Ipvlan { parent, container } => {
                let parent = self.of_host(parent)?;
                self.host.make_ipvlan(&parent, container, self.netns.as_fd())?;
                self.delete_inside(container)
            }
        }
    }

    fn push(&mut self, release: impl Into<Release>, words: String) -> Result<()> {
        self.releases.push(self.undo.push(release, words)?);
        Ok(())
    }

    fn of_host(&mut self, name: &str) -> Result<HostLink> {
        let gone = || Diagnostic::new(Code::LinkUnusable, format!("the host has no network link {name} any more"));
        self.host.find(name)?.ok_or_else(gone)
    }

    /// Mounts the container's network namespace beside the record: as long as it is there, what was lent can be had back,
    /// whoever was killed meanwhile.
    fn pin(&mut self) -> Result<PathBuf> {
        if let Some(pin) = &self.pin {
            return Ok(pin.clone());
        }
        let path = self.session.runtime.path().join("netns");
        let failed = |e: std::io::Error| {
            Diagnostic::new(Code::NetworkFailed, format!("cannot mount the network namespace on {}", path.display()))
                .io(&e)
        };
        File::create(&path).map_err(failed)?;
        self.push(PathRelease::Unmount(path.clone()), format!("the mount on {}", path.display()))?;
        record::boot(self.session, self.place, self.leader, self.undo)?;
        let source = format!("/proc/{}/ns/net", self.leader);
        rustix::mount::mount_bind(source, &path).map_err(|e| failed(e.into()))?;
        self.pin = Some(path.clone());
        Ok(path)
    }

    /// Moves a link of the host into the container, for the container's life.
    fn lend(&mut self, host: &str, container: &str) -> Result<()> {
        let (netns, link) = (self.pin()?, self.of_host(host)?);
        let index = self.inside.free_index(link.index)?;
        let back = PathRelease::ReturnLink { netns, index, name: link.name.clone() };
        // Known to everybody who may have to move it back before it moves.
        self.push(back, format!("the host's link {}", link.name))?;
        record::boot(self.session, self.place, self.leader, self.undo)?;
        self.host.give_away(&link, self.netns.as_fd(), container, index)
    }

    fn veth(
        &mut self,
        host: &LinkName,
        container: &str,
        (host_mac, container_mac): (Option<MacAddress>, Option<MacAddress>),
        bridge: Option<&Bridge>,
    ) -> Result<()> {
        if let Some(Bridge::Zone(name)) = bridge {
            self.push(PathRelease::RemoveZone(name.clone()), format!("the zone's bridge {name}"))?;
            record::boot(self.session, self.place, self.leader, self.undo)?;
        }
        let pair = VethPair { host: host.clone(), host_mac, container: container.into(), container_mac };
        let made = pair.create(self.netns.as_fd(), LINK_WAIT)?;
        self.push(PathRelease::DeleteLink(host.name.clone()), format!("the link {}", host.name))?;
        if let Err(d) = made.alternative_name {
            log::info!(self.session.log, MessageId::Degraded, step: "veth", "{d}");
        }
        let told = match bridge {
            Some(bridge) => self.join(made.host_index, &host.name, bridge)?,
            None => made.host_index,
        };
        // machined is told of the cable that --network-veth stands for, not of further ones.
        if container == crate::net::CONTAINER_LINK {
            self.interfaces.push(told as i32);
        }
        Ok(())
    }

    /// Puts the host's side into the bridge, which for a zone is made first; returns the bridge's index.
    fn join(&mut self, port: u32, name: &str, bridge: &Bridge) -> Result<u32> {
        let _lock;
        let index = match bridge {
            Bridge::Existing(bridge) => self.of_host(bridge)?.index,
            Bridge::Zone(bridge) => {
                _lock = zone_lock()?;
                self.host.make_bridge(bridge)?
            }
        };
        self.host.join(port, index, (name, bridge.name()))?;
        Ok(index)
    }

    /// Deletes a link that was made in the container at the end, without waiting for its namespace to go.
    fn delete_inside(&mut self, link: &LinkName) -> Result<()> {
        let index = self.inside.index(&link.name)?;
        let socket = self.inside.socket()?;
        self.push(Release::DeleteInside { socket, index }, format!("the link {} in the container", link.name))
    }
}

fn zone_lock() -> Result<LockFile> {
    let (folder, file) = ZONE_LOCK;
    let what =
        || Diagnostic::new(Code::NetworkFailed, format!("cannot take the lock {folder}/{file} of network zones"));
    match rustix::fs::mkdir(folder, rustix::fs::Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(e) => return Err(what().errno(e)),
    }
    LockFile::within(Path::new(folder), file.as_ref(), LockKind::Exclusive, ZONE_WAIT).map_err(|e| what().errno(e))
}
