// SPDX-License-Identifier: LGPL-2.1-or-later
//! The system bus: scopes from systemd, registration with machined. No zbus type leaves this folder.
//!
//! Everything runs on the caller's thread (see `runtime`). [`Bus`] is a connection: its calls wait, bounded by
//! [`WAIT`]; between calls its [`Bus::fd`] belongs into the caller's own epoll set.

mod failure;
mod inbox;
mod machine;
pub mod properties;
mod proxies;
mod runtime;
mod scope;
pub mod userdb;
pub mod varlink;

pub use inbox::BusEvent;
pub use machine::{
    Authentication, MachineRegistration, RegisterError, RegisteredBy, Registering, pidfd_id, register, unregister,
};
pub use scope::{DeviceAccess, KillPolicy, ScopeRequest, ScopeStart};

use crate::error::{Code, Diagnostic, Result};
use inbox::Inbox;
use proxies::{DaemonProxy, MachinedProxy, ResolvedProxy, SystemdProxy};
use runtime::Runtime;
use rustix::fd::BorrowedFd;
use std::future::Future;
use std::io;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use zbus::proxy::CacheProperties;
use zbus::runtime::traits::Runtime as _;
use zbus::{Connection, MessageStream, connection::Builder};

/// How long any one exchange may take. PID 1 answers within milliseconds even while fifty containers start at once, but
/// stands still while it reloads its units, which takes seconds on a large host. A start that loses a message has a second
/// left to undo what it has made before anybody takes it for hanging.
pub const WAIT: Duration = Duration::from_secs(4);

/// A connection to the system bus.
pub struct Bus {
    daemon: DaemonProxy<'static>,
    systemd: SystemdProxy<'static>,
    machined: MachinedProxy<'static>,
    conn: Connection,
    inbox: Inbox,
    /// The unit whose start was not waited for to its end, or in which no process is known to have lived since.
    unfinished: Option<String>,
    /// Match rules of this connection.
    rules: Vec<String>,
    rt: Runtime,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// No bus runs here: its socket is missing or nobody listens on it.
    NoBus(Diagnostic),
    /// There is one, and it cannot be used.
    Failed(Diagnostic),
}

impl From<ConnectError> for Diagnostic {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::NoBus(diagnostic) | ConnectError::Failed(diagnostic) => diagnostic,
        }
    }
}

/// Whether systemd is the init system here (sd_booted(3)).
pub fn is_booted() -> bool {
    rustix::fs::lstat("/run/systemd/system")
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory)
}

impl Bus {
    /// Connects to the system bus (`$DBUS_SYSTEM_BUS_ADDRESS`, else `/run/dbus/system_bus_socket`) within `timeout`.
    pub fn connect(timeout: Duration) -> std::result::Result<Self, ConnectError> {
        let diagnostic = || Diagnostic::new(Code::BusUnavailable, "cannot connect to the system bus");
        let help = "see systemctl status dbus.service, or run without the bus (--register=no --scope=no)";
        let failed = |cause: String| ConnectError::Failed(diagnostic().cause(cause).help(help));
        let rt = Runtime::new().map_err(|e| ConnectError::Failed(diagnostic().io(&e)))?;
        let build = Builder::system().method_timeout(WAIT).runtime(rt.clone()).build();
        let conn = match rt.block_on(rt.timeout(build, timeout)) {
            Ok(Some(Ok(conn))) => conn,
            Ok(Some(Err(error))) if nobody_listens(&error) => {
                let diagnostic = Diagnostic::new(Code::BusUnavailable, "there is no system bus")
                    .cause(failure::reason(&error))
                    .help("start dbus, or run without it (--register=no --scope=no)");
                return Err(ConnectError::NoBus(diagnostic));
            }
            Ok(Some(Err(error))) => return Err(failed(failure::reason(&error))),
            Ok(None) => return Err(failed(format!("no answer within {:.1} s", timeout.as_secs_f32()))),
            Err(error) => return Err(ConnectError::Failed(diagnostic().io(&error))),
        };
        Self::over(rt, conn).map_err(|error| failed(failure::reason(&error)))
    }

    fn over(rt: Runtime, conn: Connection) -> zbus::Result<Self> {
        macro_rules! proxy {
            ($proxy:ident) => {
                rt.block_on($proxy::builder(&conn).cache_properties(CacheProperties::No).build())??
            };
        }
        let daemon = proxy!(DaemonProxy);
        let asker = daemon.clone();
        let owner = async move { asker.get_name_owner(inbox::SYSTEMD).await };
        let mut bus = Self {
            systemd: proxy!(SystemdProxy),
            machined: proxy!(MachinedProxy),
            daemon,
            inbox: Inbox::new(MessageStream::from(&conn), rt.spawn("owner of systemd", owner)),
            unfinished: None,
            rules: Vec::new(),
            conn,
            rt,
        };
        bus.watch_owner(inbox::SYSTEMD)?;
        Ok(bus)
    }

    /// Our own name on the bus (":1.42").
    pub fn unique_name(&self) -> &str {
        self.conn.unique_name().map_or("", |name| name.as_str())
    }

    /// Readable when [`Bus::turn`] has something to do: a descriptor for the caller's epoll set.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.rt.fd()
    }

    /// When [`Bus::turn`] must be called at the latest; `None` when only [`Bus::fd`] counts.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.rt.next_deadline()
    }

    /// Takes in what has arrived, without waiting.
    pub fn turn(&mut self) -> Result<()> {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            self.rt.turn().map_err(|e| failure::wait(&e))?;
            self.inbox.poll(&mut cx);
            // Emptying the inbox may let the connection read on.
            if self.rt.next_deadline().is_none_or(|at| at > Instant::now()) {
                return Ok(());
            }
        }
    }

    /// Takes in what has arrived and gives what concerns a running container, oldest first.
    pub fn poll_events(&mut self) -> Result<Vec<BusEvent>> {
        self.turn()?;
        Ok(std::iter::from_fn(|| self.inbox.next_event()).collect())
    }

    /// Replaces a broken connection by a new one; match rules are made anew. The scope's controller stays lost: systemd
    /// cannot be given another one, so `systemctl stop` kills hard from now on.
    pub fn reconnect(&mut self, timeout: Duration) -> std::result::Result<(), ConnectError> {
        let fresh = Self::connect(timeout)?;
        let old = std::mem::replace(self, fresh);
        let lost = |e: zbus::Error| {
            let diagnostic = Diagnostic::new(Code::BusUnavailable, "lost the system bus again");
            ConnectError::Failed(diagnostic.cause(failure::reason(&e)))
        };
        old.rules.into_iter().try_for_each(|rule| self.add_match(rule)).map_err(lost)
    }

    /// PID 1's version ("257" of "257.13-1~deb13u1").
    pub fn systemd_version(&mut self) -> Result<u32> {
        let version = self.systemd.clone();
        let text = self
            .call(async move { version.version().await })?
            .map_err(|e| failure::call("cannot ask systemd for its version", &e))?;
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().map_err(|_| {
            Diagnostic::new(Code::BusCall, "cannot ask systemd for its version").cause(format!("it answered {text:?}"))
        })
    }

    /// What systemd-resolved's stub listener listens on ("yes", "no", "udp", "tcp"); `None` when it does not run.
    pub fn dns_stub_listener(&mut self) -> Result<Option<String>> {
        let daemon = self.daemon.clone();
        let conn = self.conn.clone();
        let answer = self.call(async move {
            // A property cannot be read without starting its service, so see first whether it runs.
            daemon.get_name_owner("org.freedesktop.resolve1").await?;
            let resolved = ResolvedProxy::builder(&conn).cache_properties(CacheProperties::No).build().await?;
            resolved.dns_stub_listener().await
        })?;
        match answer {
            Ok(mode) => Ok(Some(mode)),
            Err(error) if failure::is(&error, &[NO_OWNER, SERVICE_UNKNOWN]) => Ok(None),
            Err(error) => Err(failure::call("cannot ask systemd-resolved for its stub listener", &error)),
        }
    }

    /// Drives one call to its end; the inbox is emptied meanwhile. Calls have their own time limit.
    fn call<F: Future>(&mut self, future: F) -> Result<F::Output> {
        self.rt.block_on(self.inbox.drive(future)).map_err(|e| failure::wait(&e))
    }

    /// Adds a match rule, without waiting for the bus to confirm it.
    fn add_match(&mut self, rule: String) -> zbus::Result<()> {
        if !self.rules.contains(&rule) {
            self.rt.block_on(self.inbox.drive(self.daemon.add_match(&rule)))??;
            self.rules.push(rule);
        }
        Ok(())
    }

    /// Takes a match rule back.
    fn remove_match(&mut self, rule: &str) -> zbus::Result<()> {
        if let Some(index) = self.rules.iter().position(|known| known == rule) {
            self.rules.swap_remove(index);
            self.rt.block_on(self.inbox.drive(self.daemon.remove_match(rule)))??;
        }
        Ok(())
    }

    /// From now on the owner of `name` is followed.
    fn watch_owner(&mut self, name: &str) -> zbus::Result<()> {
        self.add_match(format!(
            "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',\
             member='NameOwnerChanged',arg0='{name}'"
        ))
    }
}

const NO_OWNER: &str = "org.freedesktop.DBus.Error.NameHasNoOwner";
const SERVICE_UNKNOWN: &str = "org.freedesktop.DBus.Error.ServiceUnknown";
const UNKNOWN_METHOD: &str = "org.freedesktop.DBus.Error.UnknownMethod";

fn nobody_listens(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::Connection(e, _)
        if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused))
}
