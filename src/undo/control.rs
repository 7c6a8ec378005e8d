// SPDX-License-Identifier: LGPL-2.1-or-later
//! The control socket of a running machine, `/run/spawn/NAME/control`.
//!
//! A `SOCK_SEQPACKET` socket; each packet is one JSON object. Form 1 of the protocol:
//! `{"version":1,"method":"Status"}` is answered by `{"version":1,"result":{…}}`, everything else by
//! `{"version":1,"error":"…"}`.

use super::runtime_dir::RuntimeDir;
use crate::error::{Code, Diagnostic, Result};
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const VERSION: u64 = 1;
/// Callers that are connected at the same time; a further one is turned away.
const MAX_CALLERS: usize = 16;
const MAX_REQUEST: usize = 4096;
/// Key of the listening socket among those of the callers.
const LISTENER: u64 = 0;

/// The listening socket and those who are connected to it. Never waits for anybody.
#[derive(Debug)]
pub struct Control {
    ready: OwnedFd,
    listener: OwnedFd,
    callers: BTreeMap<u64, OwnedFd>,
    last: u64,
}

#[derive(Deserialize)]
struct Request {
    version: u64,
    method: String,
}

impl Control {
    /// Opens it. The socket goes away with the directory; that of an earlier boot of the machine is replaced.
    ///
    /// # Errors
    /// [`Code::Prepare`].
    pub fn listen(runtime: &RuntimeDir) -> Result<Self> {
        let path = runtime.path().join("control");
        let open = || -> rustix::io::Result<Self> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
            match rustix::fs::unlink(&path) {
                Err(Errno::NOENT) | Ok(()) => {}
                Err(errno) => return Err(errno),
            }
            rustix::net::bind(&listener, &SocketAddrUnix::new(&path)?)?;
            rustix::net::listen(&listener, MAX_CALLERS as i32)?;
            let ready = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            epoll::add(&ready, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
            Ok(Self { ready, listener, callers: BTreeMap::new(), last: LISTENER })
        };
        open().map_err(|errno| {
            Diagnostic::new(Code::Prepare, format!("cannot listen on {}", path.display())).errno(errno)
        })
    }

    /// Accepts who wants to connect and answers every request that is there; `status` makes the answer to `Status`.
    /// To be called when the descriptor is readable.
    ///
    /// # Errors
    /// Those of epoll_wait(2), `EINTR` is none to stop for. What a caller does wrong ends its connection only.
    pub fn serve(&mut self, status: impl Fn() -> Value) -> rustix::io::Result<()> {
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); MAX_CALLERS + 1];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let (ready, _) = epoll::wait(&self.ready, &mut events, Some(&now))?;
        for event in ready.iter() {
            match event.data.u64() {
                LISTENER => self.accept(),
                caller => self.answer(caller, &status),
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        while let Ok(caller) = rustix::net::accept_with(&self.listener, flags) {
            let key = self.last + 1;
            let data = epoll::EventData::new_u64(key);
            if self.callers.len() < MAX_CALLERS && epoll::add(&self.ready, &caller, data, epoll::EventFlags::IN).is_ok()
            {
                self.last = key;
                self.callers.insert(key, caller);
            }
        }
    }

    fn answer(&mut self, key: u64, status: &impl Fn() -> Value) {
        let Some(caller) = self.callers.get(&key) else { return };
        let mut request = [0; MAX_REQUEST];
        let answer = match rustix::net::recv(caller, &mut request[..], RecvFlags::TRUNC) {
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(_) | Ok((_, 0)) => None,
            Ok((_, length)) => Some(answer_to(request.get(..length), status).to_string()),
        };
        let sent = answer.map(|text| rustix::net::send(caller, text.as_bytes(), SendFlags::NOSIGNAL));
        if !matches!(sent, Some(Ok(_))) {
            // Closed by the caller, or it does not read its answers.
            self.callers.remove(&key);
        }
    }
}

impl AsFd for Control {
    /// Readable when [`serve`](Control::serve) has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

/// The answer to a request; `None` is one that was too long. `status` makes the answer to `Status`.
pub fn answer_to(request: Option<&[u8]>, status: &impl Fn() -> Value) -> Value {
    let error = |text: String| json!({"version": VERSION, "error": text});
    let Some(request) = request else { return error(format!("a request has at most {MAX_REQUEST} bytes")) };
    // A list of the fields' values would do for serde.
    if !request.trim_ascii_start().starts_with(b"{") {
        return error("not a request: it is no JSON object".into());
    }
    match serde_json::from_slice::<Request>(request) {
        Err(problem) => error(format!("not a request: {problem}")),
        Ok(Request { version, .. }) if version != VERSION => error(format!("version {VERSION} is spoken here")),
        Ok(Request { method, .. }) if method == "Status" => json!({"version": VERSION, "result": status()}),
        Ok(_) => error("no such method; there is: Status".into()),
    }
}
