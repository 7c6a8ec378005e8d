// SPDX-License-Identifier: LGPL-2.1-or-later
//! The keeper: outlives the supervisor and undoes what it had acquired, should it be killed.
//!
//! Descriptor 0 is the connection to the supervisor, 1 its pidfd. Messages are described in `wire.rs`. The list is run
//! when the connection ends, or the supervisor does, without a `Done`.
#![no_std]
#![no_main]

#[path = "calls.rs"]
mod calls;
#[path = "group.rs"]
mod group;
#[path = "list.rs"]
mod list;
#[path = "network.rs"]
mod network;
#[path = "remove.rs"]
mod remove;
#[path = "rt.rs"]
mod rt;
#[path = "wire.rs"]
mod wire;

use calls::{POLLIN, Poll, Time};
use core::ffi::CStr;
use list::List;
use wire::Op;

const SUPERVISOR: i32 = 0;
const SUPERVISOR_PIDFD: i32 = 1;
/// How long messages are left in the connection once some have come, where the supervisor says that they may: a start sends
/// two dozen within some milliseconds, and each would wake us. The connection holds hundreds; a supervisor that fills it
/// waits for us.
const GATHER_MS: u64 = 50;
/// How long one release may wait for something to be gone.
const PATIENCE_MS: u64 = 2000;
/// How long systemd may take to make the scope that the killed supervisor has asked for, or to clear it away.
const SCOPE_MS: u64 = 500;
/// How long a group is empty that systemd does not see.
const EMPTY_MS: u64 = 150;

static mut LIST: List = List::EMPTY;

fn main(_: rt::Arguments) -> i32 {
    // Without this a ^C meant for somebody else could end the keeper; it can hardly fail, and if so, going on is best.
    let _blocked = calls::block_signals();
    calls::set_name(c"(spawn-keeper)");
    #[allow(static_mut_refs, reason = "one thread, one borrow")]
    // SAFETY: this is the only place that names LIST and it runs once, so the borrow is the only one there ever is.
    let list = unsafe { &mut LIST };
    if let Ending::Done = listen(list) {
        return 0;
    }
    list.each_backwards(|op, fd, text| {
        // Each stands for itself: nobody is left to hear of a failure, and the next one may still succeed.
        let _outcome = undo(op, fd, text);
        if fd >= 0 {
            let _closed = calls::close(fd);
        }
    });
    0
}

enum Ending {
    Done,
    Abandoned,
}

/// Follows the supervisor until it is done or gone.
fn listen(list: &mut List) -> Ending {
    let mut buffer = [0u8; wire::HEADER + wire::MAX_ONE_TEXT];
    let (mut gathers, mut more_follows) = (false, false);
    loop {
        // The end of the connection shows in any case (POLLHUP).
        let (wanted, limit) = if more_follows { (0, Some(Time::milliseconds(GATHER_MS))) } else { (POLLIN, None) };
        let mut polls =
            [Poll { fd: SUPERVISOR, wanted, got: 0 }, Poll { fd: SUPERVISOR_PIDFD, wanted: POLLIN, got: 0 }];
        if calls::poll(&mut polls, limit) == Err(calls::EINTR) {
            continue;
        }
        more_follows = false;
        // The messages first: what a killed supervisor had sent is still to be taken in.
        loop {
            let (length, fd) = match calls::receive(SUPERVISOR, &mut buffer) {
                Ok((0, _)) => return Ending::Abandoned,
                Ok(message) => message,
                Err(calls::EINTR) => continue,
                Err(calls::EAGAIN) => break,
                Err(_) => return Ending::Abandoned,
            };
            gathers |= matches!(wire::parse(&buffer[..length]), Some((Op::Gather, ..)));
            if let Some(ending) = take_in(list, &buffer[..length], fd) {
                return ending;
            }
            more_follows = gathers;
        }
        // A clone of the supervisor may hold the other end of the connection open, so its death is looked for as well.
        if polls[1].got != 0 {
            return Ending::Abandoned;
        }
    }
}

fn take_in(list: &mut List, message: &[u8], fd: Option<i32>) -> Option<Ending> {
    let unwanted = match wire::parse(message) {
        Some((Op::Done, ..)) => return Some(Ending::Done),
        Some((Op::Released, id, _)) => list.remove(id).flatten(),
        Some((Op::StayInGroup, ..)) => {
            // A start is only slower without it.
            let _moved = group::stay();
            fd
        }
        Some((Op::Occupy, _, text)) => {
            // We may have been busy. Once the connection has ended the group is being taken down, and must not be entered again.
            if let (Ok(path), Some(socket)) = (CStr::from_bytes_until_nul(text), fd)
                && calls::poll(&mut [Poll { fd: socket, wanted: POLLIN, got: 0 }], Some(Time::milliseconds(0))) == Ok(0)
            {
                // Only figures are lost without it.
                let _occupied = group::occupy(path, socket);
            }
            fd
        }
        Some((op, id, text)) if list.push(id, op, fd, text) => None,
        _ => fd,
    };
    if let Some(fd) = unwanted {
        let _closed = calls::close(fd);
    }
    None
}

fn undo(op: Op, fd: i32, text: &[u8]) -> calls::Result<()> {
    let path = CStr::from_bytes_until_nul(text).map_err(|_| calls::ENOENT)?;
    match op {
        Op::Done | Op::Released | Op::Hold | Op::StayInGroup | Op::Occupy | Op::Gather => {}
        Op::KillProcess => end(fd, calls::SIGKILL, PATIENCE_MS).map(|_| ())?,
        Op::EndProcess => {
            if !end(fd, calls::SIGTERM, wire::MOMENT_MS)? {
                end(fd, calls::SIGKILL, PATIENCE_MS)?;
            }
        }
        Op::KillCgroup => kill_cgroup(fd)?,
        Op::RestoreTerminal => {
            let attributes = text.first_chunk::<44>().ok_or(calls::ENOENT)?;
            calls::set_terminal(fd, attributes)?;
        }
        Op::Unmount => {
            calls::unmount(path)?;
        }
        Op::RemoveFile => {
            calls::unlink(calls::AT_FDCWD, path, 0)?;
        }
        Op::RemoveDir => {
            calls::unlink(calls::AT_FDCWD, path, calls::AT_REMOVEDIR)?;
        }
        Op::RemoveTree => remove::tree(path)?,
        Op::RemoveCopy => remove::copy(path)?,
        Op::RemoveInside => remove::inside(fd, path)?,
        Op::RemoveCgroup => remove::cgroups(path, PATIENCE_MS)?,
        Op::DeleteLink => network::request(wire::delete_link_message(path.to_bytes()))?,
        Op::ReturnLink => network::return_link(path.to_bytes_with_nul())?,
        Op::DeleteInside => {
            let index = wire::decimal(path.to_bytes()).ok_or(calls::ENOENT)?;
            network::request_on(fd, wire::delete_index_message(index))?;
        }
        Op::RemoveZone => network::remove_zone(path)?,
        Op::StopForward => network::stop_forward(path.to_bytes())?,
        Op::Visit => visit(path, fd)?,
    }
    Ok(())
}

/// Sends the signal; whether the process is gone within that time.
fn end(pidfd: i32, signal: i32, limit: u64) -> calls::Result<bool> {
    calls::pidfd_kill(pidfd, signal)?;
    let gone = calls::poll(&mut [Poll { fd: pidfd, wanted: POLLIN, got: 0 }], Some(Time::milliseconds(limit)))?;
    Ok(gone > 0)
}

/// A control group that never had a process never tells systemd that it is empty, and its scope stays: so we go in and
/// out. What systemd clears away by itself is left to it; what it leaves is removed.
fn visit(path: &CStr, home: i32) -> calls::Result<()> {
    let (started, mut empty_since) = (calls::now(), None);
    while calls::now() < started.saturating_add(SCOPE_MS) {
        match (calls::open_dir(calls::AT_FDCWD, path), empty_since) {
            (Ok(group), _) => {
                let empty = is_empty(group) == Ok(true);
                let since = empty_since.unwrap_or_else(calls::now);
                empty_since = empty.then_some(since);
                if empty && calls::now() >= since.saturating_add(EMPTY_MS) {
                    let moved = enter(group).and_then(|()| enter(home));
                    calls::close(group)?;
                    moved?;
                    return remove_left(path);
                }
                calls::close(group)?;
            }
            // It was there and is gone.
            (Err(_), Some(_)) => return Ok(()),
            (Err(_), None) => {}
        }
        calls::sleep(Time::milliseconds(2));
    }
    Ok(())
}

fn enter(group: i32) -> calls::Result<()> {
    let file = calls::open(group, c"cgroup.procs", calls::O_WRONLY)?;
    // 0 is the writer itself (cgroups(7)).
    let entered = calls::write(file, b"0");
    calls::close(file)?;
    entered.map(|_| ())
}

fn remove_left(path: &CStr) -> calls::Result<()> {
    let deadline = calls::now().saturating_add(SCOPE_MS);
    while calls::now() < deadline {
        match calls::open_dir(calls::AT_FDCWD, path) {
            Ok(group) => calls::close(group)?,
            Err(_) => return Ok(()),
        };
        calls::sleep(Time::milliseconds(2));
    }
    remove::cgroups(path, EMPTY_MS)
}

fn is_empty(group: i32) -> calls::Result<bool> {
    let events = calls::open(group, c"cgroup.events", 0)?;
    let mut buffer = [0; 128];
    let length = calls::read(events, &mut buffer);
    calls::close(events)?;
    Ok(buffer[..length?].windows(11).any(|part| part == b"populated 0"))
}

/// Kills everything in a control group (cgroup.kill, Linux 5.14) and waits until it is empty.
fn kill_cgroup(group: i32) -> calls::Result<()> {
    let kill = calls::open(group, c"cgroup.kill", calls::O_WRONLY)?;
    let written = calls::write(kill, b"1");
    calls::close(kill)?;
    written?;
    let deadline = calls::now().saturating_add(PATIENCE_MS);
    while calls::now() < deadline {
        if is_empty(group)? {
            break;
        }
        calls::sleep(Time::milliseconds(2));
    }
    Ok(())
}
