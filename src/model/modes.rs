// SPDX-License-Identifier: LGPL-2.1-or-later
//! The modes that options choose from.

use super::UidRange;
use serde::Serialize;

macro_rules! modes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vdoc])* #[doc = $text] $variant),* }
        impl $name {
            /// Every mode with the word that chooses it, in the order of the help.
            pub const ALL: &'static [(&'static str, $name)] = &[$(($text, $name::$variant)),*];
            /// The word that chooses it.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.word()) }
        }
    )*};
}

modes! {
    /// `--dry-run=`
    DryRun { Text = "text", Json = "json" }
    /// `--settings=`
    SettingsMode { Yes = "yes", No = "no", Override = "override", Trusted = "trusted" }
    /// `--volatile=`
    Volatile { No = "no", Yes = "yes", State = "state", Overlay = "overlay" }
    /// `-a`, `-b` or neither.
    StartMode { Pid1 = "pid1", Pid2 = "pid2", Boot = "boot" }
    /// `--register=`
    Register { No = "no", Yes = "yes", Auto = "auto" }
    /// `--scope=`
    ScopeMode { No = "no", Require = "require", Auto = "auto" }
    /// `--private-users-ownership=`
    Ownership { Off = "off", Chown = "chown", Map = "map", Foreign = "foreign", Auto = "auto" }
    /// `--resolv-conf=`
    ResolvConf {
        Off = "off", CopyHost = "copy-host", CopyStatic = "copy-static", CopyUplink = "copy-uplink",
        CopyStub = "copy-stub", ReplaceHost = "replace-host", ReplaceStatic = "replace-static",
        ReplaceUplink = "replace-uplink", ReplaceStub = "replace-stub", BindHost = "bind-host",
        BindStatic = "bind-static", BindUplink = "bind-uplink", BindStub = "bind-stub", Delete = "delete",
        Auto = "auto",
    }
    /// `--timezone=`
    Timezone { Off = "off", Copy = "copy", Bind = "bind", Symlink = "symlink", Delete = "delete", Auto = "auto" }
    /// `--link-journal=`
    LinkJournal {
        No = "no", Auto = "auto", Host = "host", Guest = "guest", TryHost = "try-host", TryGuest = "try-guest",
    }
    /// `--console=`
    ConsoleMode {
        Interactive = "interactive", ReadOnly = "read-only", Passive = "passive", Pipe = "pipe",
        Autopipe = "autopipe",
    }
}

/// `--private-users=`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrivateUsers {
    /// No user namespace.
    No,
    /// `yes`: the range is the one that the tree's root directory belongs to.
    FromTree,
    /// `pick`: a free range, taken under a lock.
    Pick,
    /// `identity`: 0..65535 onto itself.
    Identity,
    /// `managed`: a range from systemd-nsresourced.
    Managed,
    /// `UID[:N]`.
    Fixed(UidRange),
}
