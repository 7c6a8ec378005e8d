// SPDX-License-Identifier: LGPL-2.1-or-later
//! A small Varlink client (varlink.org): one JSON object and a NUL byte each way over a stream socket, descriptors beside
//! the call by SCM_RIGHTS.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::mem::MaybeUninit;
use std::path::Path;
use std::time::{Duration, Instant};

/// The longest reply that is read. Those that are waited for have a few hundred bytes.
const LONGEST_REPLY: usize = 1 << 20;
/// The most descriptors that one call takes along.
const MOST_FDS: usize = 8;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody serves this socket: it is missing, or a file that nobody listens on.
    #[error("nobody listens: {}", crate::error::describe_errno(.0.raw_os_error()))]
    NotThere(Errno),
    /// The service hung up before it had answered.
    #[error("the service hung up")]
    HungUp,
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// A system call failed.
    #[error("{}", crate::error::describe_errno(.0.raw_os_error()))]
    Io(#[from] Errno),
    /// The answer is longer than any should be.
    #[error("the answer is longer than {LONGEST_REPLY} bytes")]
    TooLong,
    /// The answer is not what the protocol or the method promises, or the call cannot be said in JSON.
    #[error("not understood: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The service's own error.
    #[error("{name}{}", parameters_text(.parameters))]
    Service {
        /// "io.systemd.Machine.MachineExists"
        name: String,
        /// What it says about it.
        parameters: serde_json::Value,
    },
}

fn parameters_text(parameters: &serde_json::Value) -> String {
    match parameters.as_object() {
        Some(fields) if !fields.is_empty() => format!(" {parameters}"),
        _ => String::new(),
    }
}

impl CallError {
    /// Whether the call never reached a service, so that another way may be tried.
    pub(super) fn unreached(&self) -> bool {
        matches!(self, Self::NotThere(_) | Self::HungUp)
    }

    /// The service's error name, when it sent one.
    pub(super) fn service_error(&self) -> Option<&str> {
        match self {
            Self::Service { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// A connection to one service.
#[derive(Debug)]
pub(super) struct Client {
    socket: OwnedFd,
    limit: Duration,
}

#[derive(Serialize)]
struct Call<'a, P> {
    method: &'a str,
    parameters: &'a P,
}

#[derive(Deserialize)]
struct Reply {
    error: Option<String>,
    #[serde(default)]
    parameters: serde_json::Value,
}

impl Client {
    /// Connects to the service at `path`; every exchange may take `limit`.
    pub(super) fn connect(path: &Path, limit: Duration) -> Result<Self, CallError> {
        let address = SocketAddrUnix::new(path)?;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Bounds connect(2) as well, which waits while the service's backlog is full.
        set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => Ok(Self { socket, limit }),
            Err(errno @ (Errno::NOENT | Errno::CONNREFUSED | Errno::NOTDIR)) => Err(CallError::NotThere(errno)),
            Err(Errno::AGAIN) => Err(CallError::TimedOut(limit)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Calls `method` ("io.systemd.Machine.Register") and waits for its one reply.
    pub(super) fn call<T: DeserializeOwned>(
        &mut self,
        method: &str,
        parameters: &impl Serialize,
        fds: &[BorrowedFd<'_>],
    ) -> Result<T, CallError> {
        let mut message = serde_json::to_vec(&Call { method, parameters })?;
        message.push(0);
        self.send(&message, fds)?;
        read_reply(&self.receive()?)
    }

    fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), CallError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Errno::TOOMANYREFS.into());
        }
        let mut rest = message;
        while !rest.is_empty() {
            match rustix::net::sendmsg(&self.socket, &[IoSlice::new(rest)], &mut beside, SendFlags::NOSIGNAL) {
                // They travel with the first byte; a second part must not carry them again.
                Ok(sent) => {
                    rest = &rest[sent..];
                    beside.clear();
                }
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(CallError::HungUp),
                Err(Errno::AGAIN) => return Err(CallError::TimedOut(self.limit)),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// One message without its NUL.
    fn receive(&self) -> Result<Vec<u8>, CallError> {
        let deadline = Instant::now() + self.limit;
        let mut message = Vec::new();
        let mut part = [0_u8; 4096];
        loop {
            self.wait_until(deadline)?;
            match rustix::net::recv(&self.socket, &mut part, RecvFlags::DONTWAIT) {
                Ok((_, 0)) | Err(Errno::CONNRESET) => return Err(CallError::HungUp),
                Ok((_, length)) => {
                    let part = &part[..length];
                    let end = part.iter().position(|byte| *byte == 0);
                    message.extend_from_slice(&part[..end.unwrap_or(length)]);
                    if message.len() > LONGEST_REPLY {
                        return Err(CallError::TooLong);
                    }
                    if end.is_some() {
                        return Ok(message);
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn wait_until(&self, deadline: Instant) -> Result<(), CallError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&left)) {
            Ok(0) => Err(CallError::TimedOut(self.limit)),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// What a reply without its NUL says: the parameters that the method promises, or the service's error.
///
/// # Errors
/// [`CallError::Malformed`] and [`CallError::Service`].
pub fn read_reply<T: DeserializeOwned>(message: &[u8]) -> Result<T, CallError> {
    let reply: Reply = serde_json::from_slice(message)?;
    match reply.error {
        Some(name) => Err(CallError::Service { name, parameters: reply.parameters }),
        None => Ok(serde_json::from_value(reply.parameters)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage};
    use serde_json::json;
    use std::io::{IoSliceMut, Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;
    use std::thread::JoinHandle;

    const LIMIT: Duration = Duration::from_millis(200);

    /// A service for one connection. `answer` gets the connection after the call was read.
    fn serve<T: Send + 'static>(
        name: &str,
        answer: impl FnOnce(UnixStream) -> T + Send + 'static,
    ) -> (PathBuf, JoinHandle<T>) {
        let path = std::env::temp_dir().join(format!("spawn-varlink-{}-{name}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let thread = std::thread::spawn(move || answer(listener.accept().unwrap().0));
        (path, thread)
    }

    fn read_call(stream: &mut UnixStream) -> serde_json::Value {
        let mut message = Vec::new();
        let mut byte = [1];
        while stream.read_exact(&mut byte).is_ok() && byte[0] != 0 {
            message.push(byte[0]);
        }
        serde_json::from_slice(&message).unwrap()
    }

    /// Calls a service that answers with `reply` and hangs up.
    fn call_of(name: &str, reply: &'static [u8]) -> Result<serde_json::Value, CallError> {
        let (path, thread) = serve(name, move |mut stream| {
            let call = read_call(&mut stream);
            // The client may have given up already.
            let _ = stream.write_all(reply);
            call
        });
        let result = Client::connect(&path, LIMIT).unwrap().call("io.test.Do", &json!({"n": 7}), &[]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(thread.join().unwrap(), json!({"method": "io.test.Do", "parameters": {"n": 7}}));
        result
    }

    #[test]
    fn a_reply_is_typed_and_an_error_has_its_name() {
        assert_eq!(call_of("reply", b"{\"parameters\":{\"x\":\"y\"}}\0").unwrap(), json!({"x": "y"}));
        let error = call_of("error", b"{\"error\":\"io.test.Nope\",\"parameters\":{\"why\":1}}\0").unwrap_err();
        assert_eq!(error.service_error(), Some("io.test.Nope"));
        assert_eq!(error.to_string(), "io.test.Nope {\"why\":1}");
        assert!(!error.unreached());
    }

    #[test]
    fn a_broken_reply_is_not_an_answer() {
        assert!(matches!(call_of("broken", b"{\"parame\0"), Err(CallError::Malformed(_))));
        let error = call_of("hangup", b"{\"parameters\":{}}").unwrap_err();
        assert!(matches!(error, CallError::HungUp) && error.unreached());
    }

    #[test]
    fn silence_and_floods_are_bounded() {
        let (path, thread) = serve("silent", |mut stream| stream.read_to_end(&mut Vec::new()).unwrap());
        let mut client = Client::connect(&path, LIMIT).unwrap();
        let start = Instant::now();
        let error = client.call::<serde_json::Value>("io.test.Do", &json!({}), &[]).unwrap_err();
        assert!(matches!(error, CallError::TimedOut(_)) && !error.unreached());
        assert!(start.elapsed() >= LIMIT);
        drop(client);
        std::fs::remove_file(&path).unwrap();
        thread.join().unwrap();

        let (path, thread) = serve("flood", |mut stream| {
            let chunk = [b' '; 4096];
            while stream.write_all(&chunk).is_ok() {}
        });
        let mut client = Client::connect(&path, Duration::from_secs(5)).unwrap();
        assert!(matches!(client.call::<serde_json::Value>("io.test.Do", &json!({}), &[]), Err(CallError::TooLong)));
        drop(client);
        std::fs::remove_file(&path).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn a_missing_and_a_dead_socket_are_not_there() {
        let path = std::env::temp_dir().join(format!("spawn-varlink-{}-dead", std::process::id()));
        drop(UnixListener::bind(&path).unwrap());
        assert!(matches!(Client::connect(&path, LIMIT), Err(CallError::NotThere(Errno::CONNREFUSED))));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Client::connect(&path, LIMIT), Err(CallError::NotThere(Errno::NOENT))));
    }

    #[test]
    fn descriptors_travel_beside_the_call() {
        let (path, thread) = serve("fds", |stream| {
            let mut bytes = [0; 256];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
            let mut beside = RecvAncillaryBuffer::new(&mut space);
            let mut slices = [IoSliceMut::new(&mut bytes)];
            rustix::net::recvmsg(&stream, &mut slices, &mut beside, RecvFlags::CMSG_CLOEXEC).unwrap();
            let fds: Vec<OwnedFd> = beside
                .drain()
                .flat_map(|message| match message {
                    RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
                    _ => Vec::new(),
                })
                .collect();
            (&stream).write_all(b"{\"parameters\":{}}\0").unwrap();
            rustix::fs::fstat(&fds[0]).unwrap().st_rdev
        });
        let null = std::fs::File::open("/dev/null").unwrap();
        let mut client = Client::connect(&path, LIMIT).unwrap();
        client.call::<serde_json::Value>("io.test.Take", &json!({}), &[null.as_fd()]).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(thread.join().unwrap(), rustix::fs::fstat(&null).unwrap().st_rdev);
    }

    proptest! {
        /// Any reply is taken apart or refused, without a panic.
        #[test]
        fn any_reply(text in "[{}\\[\\]\":,a-z0-9\\\\ ]{0,60}|\\{\"(error|parameters)\":[\"{}a-z.0-9:]{0,20}\\}") {
            if let Ok(reply) = serde_json::from_str::<Reply>(&text) {
                // A name may be empty: the words are the service's.
                let named = reply.error.clone();
                let refused = reply.error.map(|name| CallError::Service { name, parameters: reply.parameters });
                prop_assert!(refused.is_none_or(|e| e.to_string().contains(&named.unwrap_or_default())));
            }
        }
    }
}
