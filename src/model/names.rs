// SPDX-License-Identifier: LGPL-2.1-or-later
//! Names: machines, hosts, units, interfaces.

use serde::Serialize;
use std::fmt;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
        pub struct $name(pub(super) String);
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type!(
    /// A machine name: host name syntax, at most 64 bytes (hostname(7), systemd's `hostname_is_valid`).
    MachineName
);
name_type!(
    /// A host name, at most 64 bytes.
    Hostname
);
name_type!(
    /// A slice unit's name, with its `.slice`.
    SliceName
);
name_type!(
    /// A network interface name, 1 to 15 bytes (`ifname_valid` of systemd).
    InterfaceName
);

/// `HOST[:CONTAINER]` of the network options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkPair {
    /// The link on the host.
    pub host: InterfaceName,
    /// Its name in the container, when given.
    pub container: Option<InterfaceName>,
}

/// `NAME=VALUE` of `--property=`, not looked at any further here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnitProperty {
    /// The property ("MemoryMax").
    pub name: String,
    /// Its value as text.
    pub value: String,
}
