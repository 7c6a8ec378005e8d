// SPDX-License-Identifier: LGPL-2.1-or-later
//! Users of the host that a container gets to see: looked up on the host, and written down as records that nss-systemd(8)
//! and systemd-userdbd.service(8) of the container read below `/run/host/userdb`.

pub mod files;
mod lookup;
mod record;

pub use lookup::{Taken, look_up, of_record};
pub use record::{Entry, Kind, entries};

use crate::error::Origin;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// First and last id that such users have in containers (systemd `src/basic/user-util.h`, `MAP_UID_MIN`, `MAP_UID_MAX`).
pub const IDS: std::ops::RangeInclusive<u32> = 60514..=60577;
/// Where homes are shown in the container.
pub const HOMES: &str = "/run/host/home";
/// Where records are in the container.
pub const RECORDS: &str = "/run/host/userdb";

/// A user of the host and its own group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostUser {
    /// The name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Id of the primary group.
    pub gid: u32,
    /// Name of the primary group.
    pub group: String,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell, when the database names one.
    pub shell: Option<String>,
    /// `disposition` of the user's and of the group's record, when they have one.
    pub dispositions: [Option<String>; 2],
    /// What nobody else may read.
    pub secrets: Secrets,
}

/// Hashed passwords and SSH keys; they show nowhere.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secrets {
    /// `hashedPassword` of the user's record.
    pub passwords: Vec<String>,
    /// `sshAuthorizedKeys` of it, when it has some.
    pub keys: Option<Vec<String>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// What became of looking a user up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The user.
    Known(Box<HostUser>),
    /// The host has no user of that name.
    Unknown,
    /// Why it is not known, in words.
    Failed(String),
}

/// A user of the host as the container gets to see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoundUser {
    /// Name of user and group.
    pub name: String,
    /// User and group id in the container.
    pub id: u32,
    /// User and group id on the host.
    pub host: (u32, u32),
    /// Its home on the host.
    #[serde(serialize_with = "crate::model::shown::path")]
    pub home: PathBuf,
    /// Its shell in the container, when it is not left to the container.
    pub shell: Option<String>,
    /// Groups of the container that it joins.
    pub groups: Vec<String>,
    /// `disposition` of the records.
    #[serde(skip)]
    pub dispositions: [Option<String>; 2],
    /// What nobody else may read.
    #[serde(skip)]
    pub secrets: Secrets,
    /// Who asked for it.
    pub origin: Origin,
}

impl BoundUser {
    /// Its home in the container.
    pub fn home_inside(&self) -> PathBuf {
        Path::new(HOMES).join(&self.name)
    }
}
