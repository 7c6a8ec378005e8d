// SPDX-License-Identifier: LGPL-2.1-or-later
//! Limits, signals, environment, credentials, ports.

use serde::Serialize;
use std::ffi::OsString;
use std::path::PathBuf;

/// A signal by number, 1 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Signal(pub(super) u8);

impl Signal {
    /// The kernel's number.
    pub fn number(self) -> i32 {
        self.0.into()
    }
}

/// `NAME[=VALUE]` of `-E`.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvAssignment {
    /// The variable.
    pub name: String,
    /// Its value; `None` takes it from the caller's environment.
    pub value: Option<OsString>,
}

impl std::fmt::Debug for EnvAssignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=<hidden>", self.name)
    }
}

/// A credential to pass (systemd.exec(5), `SetCredential=`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its id: a valid file name, at most 255 bytes.
    pub id: String,
    /// Where its bytes come from.
    pub source: CredentialSource,
}

/// Where a credential's bytes come from.
#[derive(Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// Given on the command line.
    Value(Vec<u8>),
    /// A file, or a stream socket to read from.
    Path(PathBuf),
    /// A file of this name in our own `$CREDENTIALS_DIRECTORY`.
    Name(String),
}

impl std::fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(<hidden>)"),
            Self::Path(p) => write!(f, "Path({p:?})"),
            Self::Name(n) => write!(f, "Name({n:?})"),
        }
    }
}

/// The resources of setrlimit(2), in the kernel's numbering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct RlimitResource(pub(super) u8);

impl RlimitResource {
    /// The kernel's number.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// `NAME=SOFT[:HARD]` of `--rlimit=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rlimit {
    /// Which.
    pub resource: RlimitResource,
    /// `u64::MAX` is infinity.
    pub soft: u64,
    /// `u64::MAX` is infinity. Never below `soft`.
    pub hard: u64,
}

/// CPUs of `--cpu-affinity=`, sorted, without repetition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CpuList(pub(super) Vec<u32>);

impl CpuList {
    /// The CPUs' numbers.
    pub fn cpus(&self) -> &[u32] {
        &self.0
    }
}

/// `--personality=`: a value for personality(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Personality(pub(super) u64);

impl Personality {
    /// The value for personality(2).
    pub fn raw(self) -> u64 {
        self.0
    }
}

/// One value of `--system-call-filter=` or `--restrict-address-families=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FilterWords {
    /// Introduced by `~`.
    pub deny: bool,
    /// Names, `@groups`, address families or `none`.
    pub words: Vec<String>,
}

/// Transport protocol of a forwarded port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

/// `[PROTO:]HOST[:CONTAINER]` of `--port=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct PortForward {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port on the host.
    pub host: u16,
    /// Port in the container.
    pub container: u16,
}
