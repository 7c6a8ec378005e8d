// SPDX-License-Identifier: LGPL-2.1-or-later
//! The modes that options choose from.

use super::{UidRange, parse_bool};
use serde::Serialize;
use std::str::FromStr;

/// `Name (Yes / No) { … }`: the boolean words choose these two modes as well.
macro_rules! modes {
    ($($(#[$doc:meta])* $name:ident $(($yes:ident / $no:ident))? { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? })*) => {$(
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
        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                if let Some((_, mode)) = Self::ALL.iter().find(|(word, _)| *word == text) {
                    return Ok(*mode);
                }
                $(if let Ok(on) = parse_bool(text) {
                    return Ok(if on { $name::$yes } else { $name::$no });
                })?
                let words: Vec<_> = Self::ALL.iter().map(|(word, _)| *word).collect();
                Err(format!("must be one of {}", words.join(", ")))
            }
        }
    )*};
}

modes! {
    /// `--dry-run=`
    DryRun { Text = "text", Json = "json" }
    /// `--settings=`
    SettingsMode (Yes / No) { Yes = "yes", No = "no", Override = "override", Trusted = "trusted" }
    /// `--volatile=`
    Volatile (Yes / No) { No = "no", Yes = "yes", State = "state", Overlay = "overlay" }
    /// `-a`, `-b` or neither.
    StartMode { Pid1 = "pid1", Pid2 = "pid2", Boot = "boot" }
    /// `$SYSTEMD_NSPAWN_API_VFS_WRITABLE`
    ApiVfs (Yes / No) { No = "no", Yes = "yes", Network = "network" }
    /// `--register=`
    Register (Yes / No) { No = "no", Yes = "yes", Auto = "auto" }
    /// `--scope=`
    ScopeMode { No = "no", Require = "require", Auto = "auto" }
    /// `--private-users-ownership=`
    Ownership (Auto / Off) { Off = "off", Chown = "chown", Map = "map", Foreign = "foreign", Auto = "auto" }
    /// `--resolv-conf=`
    ResolvConf (Auto / Off) {
        Off = "off", CopyHost = "copy-host", CopyStatic = "copy-static", CopyUplink = "copy-uplink",
        CopyStub = "copy-stub", ReplaceHost = "replace-host", ReplaceStatic = "replace-static",
        ReplaceUplink = "replace-uplink", ReplaceStub = "replace-stub", BindHost = "bind-host",
        BindStatic = "bind-static", BindUplink = "bind-uplink", BindStub = "bind-stub", Delete = "delete",
        Auto = "auto",
    }
    /// `--timezone=`
    Timezone (Auto / Off) { Off = "off", Copy = "copy", Bind = "bind", Symlink = "symlink", Delete = "delete", Auto = "auto" }
    /// `--link-journal=`
    LinkJournal (Auto / No) {
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

impl FromStr for PrivateUsers {
    type Err = String;
    /// The grammar of the command line, where digits are always a user id and never a boolean.
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        match text {
            "pick" => Ok(Self::Pick),
            "identity" => Ok(Self::Identity),
            "managed" => Ok(Self::Managed),
            _ if !digits && let Ok(on) = parse_bool(text) => Ok(if on { Self::FromTree } else { Self::No }),
            _ => text.parse().map(Self::Fixed).map_err(|why: String| {
                match text.starts_with(|c: char| c.is_ascii_digit()) {
                    true => why,
                    false => "must be one of yes, no, pick, identity, managed, or UID[:N]".into(),
                }
            }),
        }
    }
}

impl std::fmt::Display for PrivateUsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::FromTree => f.write_str("yes"),
            Self::Pick => f.write_str("pick"),
            Self::Identity => f.write_str("identity"),
            Self::Managed => f.write_str("managed"),
            Self::Fixed(range) => range.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_choose_modes() {
        assert_eq!("on".parse(), Ok(Volatile::Yes));
        assert_eq!("true".parse(), Ok(Ownership::Auto));
        assert_eq!("0".parse(), Ok(ResolvConf::Off));
        assert_eq!("y".parse(), Ok(Timezone::Auto));
        assert_eq!("off".parse(), Ok(LinkJournal::No));
        assert_eq!("1".parse(), Ok(Register::Yes));
        assert!("yes".parse::<ConsoleMode>().is_err());
        assert_eq!("maybe".parse::<Register>(), Err("must be one of no, yes, auto".into()));
    }

    #[test]
    fn digits_are_user_ids() {
        assert_eq!("0".parse(), Ok(PrivateUsers::Fixed(UidRange { base: 0, size: 65536 })));
        assert_eq!("1:5".parse(), Ok(PrivateUsers::Fixed(UidRange { base: 1, size: 5 })));
        assert_eq!("yes".parse(), Ok(PrivateUsers::FromTree));
        assert_eq!("f".parse(), Ok(PrivateUsers::No));
        for bad in ["", "1:0", "x", "1x", "65535"] {
            assert!(bad.parse::<PrivateUsers>().is_err(), "{bad}");
        }
    }
}
