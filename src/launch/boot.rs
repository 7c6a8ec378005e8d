// SPDX-License-Identifier: LGPL-2.1-or-later
//! One boot of the container: from the plan to the payload's end, and the release of everything that belongs to it.

use super::place::{self, Place};
use super::sources::{BusSource, ControlSource, NotifySource};
use super::{Session, place::SharedBus};
use crate::bus::{self, Authentication, MachineRegistration, RegisteredBy};
use crate::cgroup::Usage;
use crate::error::{Code, Diagnostic, Result};
use crate::exec::{self, Entered, Released};
use crate::log::{Level, console_sink::ConsoleSink};
use crate::model::{ConsoleMode, Register};
use crate::net::{self, VethPair};
use crate::plan::Unit;
use crate::prepare::{self, Context, DevicePolicy, Prepared};
use crate::supervise::notify::{Ending, ManagerNotify, NotifyServer, ReadyWhen};
use crate::supervise::{self, Console, Event, Leader, Outcome, Running, SignalNumber, StopPolicy, Viewer, pty::Pty};
use crate::sys::termios::TermState;
use crate::undo::{Control, PathRelease, ProcessId, Record, Release, Ticket, Undo};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::Pid;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a link name may stay taken by a container that has just ended.
const LINK_WAIT: Duration = Duration::from_secs(5);
const CAP_MKNOD: u64 = 1 << 27;

/// A running boot.
pub struct Boot {
    released: Released,
    place: Place,
    notify: NotifyServer,
    manager: Rc<RefCell<ManagerNotify>>,
    pty: Option<Pty>,
    relays: [Option<OwnedFd>; 3],
    releases: Vec<Ticket>,
}

impl Boot {
    /// Starts the payload. The sequence: the stager is cloned; while it builds the tree the place for the processes is
    /// made; init is cloned into it; its ids are mapped, it is registered and linked while the last mounts are made;
    /// then it is released.
    pub fn start(session: &Session<'_>, undo: &mut Undo) -> Result<Self> {
        let plan = session.plan;
        let mut releases = Vec::new();
        let notify = NotifyServer::new()?;
        let early = match plan.unit {
            Unit::Scope { .. } => None,
            Unit::Keep | Unit::Own { .. } => Some(place::make_now(session, undo, &mut releases)?),
        };
        let withheld = withheld(session, early.as_ref());
        let Prepared { stager, init, pty, relays, passed, children_ends } = prepare::run(
            plan,
            &Context {
                tree: &session.tree,
                range: session.range.as_ref().map(|r| r.range),
                uuid: session.uuid,
                notify: &notify,
                stdio: &session.stdio,
                credentials: &session.credentials,
                withheld,
                devices: match early.as_ref().is_some_and(|p| p.no_device_policy) {
                    true => DevicePolicy::Missing,
                    false => DevicePolicy::Holds,
                },
            },
        )?;
        let mut cloned = exec::start(&stager, &init, &passed)?;
        releases.push(undo.push(kill(cloned.pidfd())?, "the process that builds the mounts")?);
        // The children have their copies; the memory of the programs is not needed any more either.
        drop((stager, init, children_ends));
        let place = match early {
            Some(place) => place,
            None => place::scope(session, &mut cloned, undo, &mut releases)?,
        };
        let entered = cloned.enter(plan, place.fd())?;
        releases.push(undo.push(kill(entered.pidfd())?, "the container's first process")?);
        record(session, &place, &entered, undo)?;
        let mapping = entered.map(session.range.as_ref().map(|r| r.range))?;
        let links = link(session, mapping.pid(), undo, &mut releases)?;
        register(session, mapping.pid(), mapping.pidfd(), links, undo, &mut releases)?;
        let mapped = mapping.wait_mounted(plan)?;
        place::enable_controllers(&place);
        let released = mapped.release(plan)?;
        for skipped in &released.skipped {
            session.log.say(Level::Info, &skipped.to_string());
        }
        session.log.set_leader(Pid::from_raw(released.pid));
        let ready = if plan.notify_ready { ReadyWhen::PayloadReady } else { ReadyWhen::Started };
        let manager = Rc::new(RefCell::new(ManagerNotify::new(ready, Instant::now())));
        Ok(Self { released, place, notify, manager, pty, relays, releases })
    }

    /// Serves the container until its first process is gone, then releases what belongs to this boot.
    pub fn serve(mut self, session: &Session<'_>, undo: &mut Undo) -> Result<Outcome> {
        let served = self.supervise(session, undo);
        consumed(session, &self.place);
        if let Ok(outcome) = &served {
            let ending = if *outcome == Outcome::Reboot { Ending::Restarting } else { Ending::Terminating };
            warn(session, self.manager.borrow().ending(ending));
        }
        session.log.set_leader(None);
        for ticket in self.releases.drain(..).rev() {
            warn(session, undo.release(ticket));
        }
        if let (Some(scope), Ok(Outcome::Reboot)) = (&self.place.scope, &served) {
            // The name must be free before it is taken again.
            if let Some(bus) = session.bus.borrow_mut().as_mut() {
                bus.wait_unit_gone(scope)?;
            }
        }
        served
    }

    fn supervise(&mut self, session: &Session<'_>, undo: &mut Undo) -> Result<Outcome> {
        let plan = session.plan;
        let leader = Pid::from_raw(self.released.pid)
            .ok_or_else(|| Diagnostic::new(Code::ChildGone, "the container's first process has no pid"))?;
        let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let mut console = Console::new().fallback_size(supervise::size_from_environment(
            std::env::var_os("COLUMNS").as_deref(),
            std::env::var_os("LINES").as_deref(),
        ));
        if let Some(sink) = unwatched(session) {
            console = console.tap(sink);
        }
        if let Some(pty) = self.pty.take() {
            let viewer = match session.stdio.mode {
                ConsoleMode::Interactive => Viewer::Interactive { input: input.as_fd(), output: output.as_fd() },
                ConsoleMode::ReadOnly => Viewer::ReadOnly { output: output.as_fd() },
                _ => Viewer::Passive,
            };
            console.attach(pty, viewer)?;
        }
        for (n, relay) in std::mem::take(&mut self.relays).into_iter().enumerate() {
            match (n, relay) {
                (_, None) => {}
                (0, Some(pipe)) => console.relay_in(input.as_fd(), pipe)?,
                (1, Some(pipe)) => console.relay_out(pipe, output.as_fd())?,
                (_, Some(pipe)) => console.relay_out(pipe, error.as_fd())?,
            }
        }
        let mut terminals = Vec::new();
        for state in console.saved_states() {
            let release =
                Release::RestoreTerminal { terminal: hold(state.fd)?, attributes: TermState::from_bytes(state.saved) };
            terminals.push(undo.push(release, "the settings of the terminal")?);
        }
        warn(session, self.manager.borrow().started(leader));
        let mut control = Control::listen(&session.runtime)?;
        let mut notify = NotifySource::new(&self.notify, leader, &self.manager);
        let mut control = ControlSource::new(&mut control, session.plan, self.released.pid);
        let mut bus = BusSource::new(session, leader, self.released.pidfd.as_fd());
        let mut sources: Vec<&mut dyn supervise::Source> = vec![&mut notify, &mut control];
        if let Some(bus) = bus.as_mut() {
            sources.push(bus);
        }
        let manager = Rc::clone(&self.manager);
        let outcome = supervise::run(Running {
            leader: Leader { pid: self.released.pid, pidfd: self.released.pidfd.as_fd() },
            console: &mut console,
            signals: session.signals,
            stop: StopPolicy::new(plan.process.kill_signal.map(SignalNumber::from), plan.invocation),
            sources,
            observer: &mut |event| match event {
                Event::Stopping => warn(session, manager.borrow().ending(Ending::Terminating)),
                Event::Warning(d) => session.log.say(Level::Warning, &d.to_string()),
                Event::Killed | Event::Hotkey(_) | Event::ChildEnded { .. } => {}
            },
        });
        drop(console);
        for ticket in terminals {
            undo.forget(ticket);
        }
        outcome
    }
}

fn warn(session: &Session<'_>, outcome: Result<()>) {
    if let Err(d) = outcome {
        session.log.say(Level::Warning, &d.to_string());
    }
}

fn hold(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    fd.try_clone_to_owned().map_err(|e| Diagnostic::new(Code::Prepare, "cannot hold on to a descriptor").io(&e))
}

fn kill(pidfd: BorrowedFd<'_>) -> Result<Release> {
    hold(pidfd).map(Release::KillProcess)
}

/// Capabilities that cannot be given: what we lack ourselves, where no user namespace makes new ones, and the making of
/// device nodes where no policy says which may be used.
fn withheld(session: &Session<'_>, place: Option<&Place>) -> u64 {
    let mut withheld = 0;
    if place.is_some_and(|p| p.no_device_policy) {
        withheld |= CAP_MKNOD;
    }
    if session.range.is_none()
        && let Ok(own) = rustix::thread::capabilities(None)
    {
        withheld |= !own.permitted.bits();
    }
    withheld
}

fn record(session: &Session<'_>, place: &Place, entered: &Entered, undo: &Undo) -> Result<()> {
    let failed = |e: std::io::Error| Diagnostic::new(Code::Prepare, "cannot describe this process").io(&e);
    let mut record = Record::of_this_process().map_err(failed)?;
    record.keeper = undo.keeper().and_then(|k| k.process_id());
    record.scope = place.scope.clone();
    record.leader = ProcessId::of(entered.pid());
    record.undo = undo.recordable();
    session.runtime.write_record(&record)
}

/// The veth pair; returns the interfaces that machined is told of.
fn link(session: &Session<'_>, leader: i32, undo: &mut Undo, releases: &mut Vec<Ticket>) -> Result<Vec<i32>> {
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
        session.log.say(Level::Info, &d.to_string());
    }
    Ok(vec![made.host_index as i32])
}

fn register(
    session: &Session<'_>,
    pid: i32,
    pidfd: BorrowedFd<'_>,
    ifindices: Vec<i32>,
    undo: &mut Undo,
    releases: &mut Vec<Ticket>,
) -> Result<()> {
    let plan = session.plan;
    let wanted = plan.register;
    if wanted == Register::No || (wanted == Register::Auto && session.bus.borrow().is_none() && plan.unit != Unit::Keep)
    {
        return Ok(());
    }
    if plan.unit == Unit::Keep && !bus::is_booted() && wanted == Register::Auto {
        return Ok(());
    }
    let registered = place::connect(session).map_err(Diagnostic::from).and_then(|()| {
        let mut bus = session.bus.borrow_mut();
        bus::register(bus.as_mut(), &registration(session, pid, pidfd, ifindices)?)
    });
    match registered {
        Ok(way) => {
            let how = match way {
                RegisteredBy::Varlink => "Varlink",
                RegisteredBy::DBusProperties | RegisteredBy::DBusPositional => "D-Bus",
            };
            session.log.say(Level::Info, &format!("registered with machined over {how}"));
            let (bus, name): (SharedBus, _) = (Rc::clone(&session.bus), plan.machine.to_string());
            let release = Release::Call(Box::new(move || bus::unregister(bus.borrow_mut().as_mut(), &name)));
            releases.push(undo.push(release, "the registration with machined")?);
            Ok(())
        }
        Err(d) if wanted == Register::Auto && d.code() != Code::NameBusy => {
            session.log.say(Level::Notice, &format!("{}: the machine is not registered", d.headline()));
            Ok(())
        }
        Err(d) => Err(d),
    }
}

/// What machined is told.
pub fn registration<'a>(
    session: &'a Session<'_>,
    pid: i32,
    pidfd: BorrowedFd<'a>,
    ifindices: Vec<i32>,
) -> Result<MachineRegistration<'a>> {
    let plan = session.plan;
    Ok(MachineRegistration {
        name: plan.machine.as_str(),
        id: Some(session.uuid),
        service: "systemd-nspawn",
        leader_pid: Pid::from_raw(pid)
            .ok_or_else(|| Diagnostic::new(Code::ChildGone, "the container's first process has no pid"))?,
        leader_pidfd: pidfd,
        root_directory: (!plan.tree.ephemeral).then(|| plan.tree.path.clone()),
        ifindices,
        authentication: Authentication::Silent,
    })
}

/// Console output that nobody watches goes to the journal.
fn unwatched(session: &Session<'_>) -> Option<supervise::Tap<'static>> {
    let watched = match session.stdio.mode {
        ConsoleMode::Passive => false,
        ConsoleMode::ReadOnly => !session.log.stderr_is_journal(),
        _ => true,
    };
    if watched {
        return None;
    }
    let mut sink = ConsoleSink::open(session.plan.machine.as_str()).ok()?;
    Some(Box::new(move |bytes| sink.write(bytes)))
}

/// What the container consumed, for the journal and `-v`.
fn consumed(session: &Session<'_>, place: &Place) {
    if let (Some(hierarchy), Some(group)) = (&place.hierarchy, place.above.as_ref().or(place.payload.as_ref())) {
        let usage = Usage::read(hierarchy, group);
        session.log.say(Level::Info, &format!("{} {usage}", session.plan.machine));
    }
}
