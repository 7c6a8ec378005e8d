// SPDX-License-Identifier: LGPL-2.1-or-later
//! Capabilities (capabilities(7)).

use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Names by number, without `CAP_` (`linux/capability.h`).
#[rustfmt::skip]
const NAMES: [&str; 41] = [
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
];

/// One capability, by number: 0 to 62.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Capability(pub(super) u8);

macro_rules! known {
    ($($name:ident = $number:literal),* $(,)?) => {
        impl Capability {
            $(#[doc = concat!("`CAP_", stringify!($name), "`")] pub const $name: Self = Self($number);)*
        }
    };
}

known! {
    CHOWN = 0, DAC_OVERRIDE = 1, DAC_READ_SEARCH = 2, FOWNER = 3, FSETID = 4, KILL = 5, SETGID = 6, SETUID = 7,
    SETPCAP = 8, LINUX_IMMUTABLE = 9, NET_BIND_SERVICE = 10, NET_BROADCAST = 11, NET_ADMIN = 12, NET_RAW = 13,
    IPC_LOCK = 14, IPC_OWNER = 15, SYS_MODULE = 16, SYS_RAWIO = 17, SYS_CHROOT = 18, SYS_PTRACE = 19, SYS_PACCT = 20,
    SYS_ADMIN = 21, SYS_BOOT = 22, SYS_NICE = 23, SYS_RESOURCE = 24, SYS_TIME = 25, SYS_TTY_CONFIG = 26, MKNOD = 27,
    LEASE = 28, AUDIT_WRITE = 29, AUDIT_CONTROL = 30, SETFCAP = 31, MAC_OVERRIDE = 32, MAC_ADMIN = 33, SYSLOG = 34,
    WAKE_ALARM = 35, BLOCK_SUSPEND = 36, AUDIT_READ = 37, PERFMON = 38, BPF = 39, CHECKPOINT_RESTORE = 40,
}

impl Capability {
    /// The highest number that is taken (`CAP_LIMIT` of systemd): sets are 64 bits, all of them set means "all".
    pub const LIMIT: u8 = 62;

    /// Every capability that has a name, by number.
    pub fn known() -> impl Iterator<Item = Self> {
        (0..NAMES.len() as u8).map(Self)
    }
    /// The kernel's number.
    pub fn number(self) -> u8 {
        self.0
    }
    /// The bit in a set.
    const fn bit(self) -> u64 {
        1 << self.0
    }
}

/// A word that is no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a capability; 'help' lists them")]
pub struct UnknownCapability(pub String);

impl FromStr for Capability {
    type Err = UnknownCapability;

    /// A name in any case, with or without `CAP_`, or a number up to [`Capability::LIMIT`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownCapability(text.to_owned());
        if text.starts_with(|c: char| c.is_ascii_digit() || c == '+') {
            let number = super::words::number(text).and_then(|n| u8::try_from(n).ok());
            return number.filter(|n| *n <= Self::LIMIT).map(Self).ok_or_else(unknown);
        }
        let name = match text.get(..4) {
            Some(prefix) if prefix.eq_ignore_ascii_case("cap_") => &text[4..],
            _ => text,
        };
        let number = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
        number.map(|n| Self(n as u8)).ok_or_else(unknown)
    }
}

impl fmt::Display for Capability {
    /// `CAP_CHOWN`; the number when there is no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0)) {
            Some(name) => write!(f, "CAP_{}", name.to_ascii_uppercase()),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Capability {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A set of capabilities, bit n for capability n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// None.
    pub const EMPTY: Self = Self(0);
    /// All, those without a name included.
    pub const ALL: Self = Self(u64::MAX);

    /// The set of these.
    pub const fn of(capabilities: &[Capability]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < capabilities.len() {
            bits |= capabilities[at].bit();
            at += 1;
        }
        Self(bits)
    }
    /// Adds one.
    pub fn insert(&mut self, capability: Capability) {
        self.0 |= capability.bit();
    }
    /// Takes one away.
    pub fn remove(&mut self, capability: Capability) {
        self.0 &= !capability.bit();
    }
    /// Whether it is there.
    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }
    /// Those in either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Those in both.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
    /// Those that `other` lacks.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    /// Whether `other` has all of these.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The members by number, up to [`Capability::LIMIT`].
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        (0..=Capability::LIMIT).map(Capability).filter(move |c| self.contains(*c))
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self(capabilities.into_iter().fold(0, |bits, c| bits | c.bit()))
    }
}

impl fmt::Display for CapabilitySet {
    /// Names, separated by blanks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, capability) in self.iter().enumerate() {
            write!(f, "{}{capability}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl Serialize for CapabilitySet {
    /// `"all"`, or a list of names.
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if *self == Self::ALL { s.serialize_str("all") } else { s.collect_seq(self.iter()) }
    }
}

/// What a payload's bounding set holds when nothing is said (systemd-nspawn(1), `--capability=`).
pub const DEFAULT_BOUNDING: CapabilitySet = {
    use Capability as C;
    CapabilitySet::of(&[
        C::AUDIT_CONTROL,
        C::AUDIT_WRITE,
        C::CHOWN,
        C::DAC_OVERRIDE,
        C::DAC_READ_SEARCH,
        C::FOWNER,
        C::FSETID,
        C::IPC_OWNER,
        C::KILL,
        C::LEASE,
        C::LINUX_IMMUTABLE,
        C::MKNOD,
        C::NET_BIND_SERVICE,
        C::NET_BROADCAST,
        C::NET_RAW,
        C::SETFCAP,
        C::SETGID,
        C::SETPCAP,
        C::SETUID,
        C::SYS_ADMIN,
        C::SYS_BOOT,
        C::SYS_CHROOT,
        C::SYS_NICE,
        C::SYS_PTRACE,
        C::SYS_RESOURCE,
        C::SYS_TTY_CONFIG,
    ])
};

/// One value of a capability option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapabilityWords {
    /// `all`
    All,
    /// A list of names.
    List(CapabilitySet),
}

impl CapabilityWords {
    /// The capabilities meant.
    pub fn set(&self) -> CapabilitySet {
        match self {
            Self::All => CapabilitySet::ALL,
            Self::List(set) => *set,
        }
    }
}

impl FromStr for CapabilityWords {
    type Err = String;

    /// Words separated by commas or blanks; `all` among them means all.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split([',', ' ', '\t', '\n', '\r']).filter(|word| !word.is_empty());
        let mut set = CapabilitySet::EMPTY;
        let mut all = false;
        for word in words {
            if word == "all" {
                all = true
            } else {
                set.insert(word.parse().map_err(|e: UnknownCapability| e.to_string())?)
            }
        }
        Ok(if all { Self::All } else { Self::List(set) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_of_the_kernel() {
        for (text, number) in [
            ("CAP_CHOWN", 0),
            ("cap_net_admin", 12),
            ("Sys_Admin", 21),
            ("AUDIT_READ", 37),
            ("checkpoint_restore", 40),
            ("0", 0),
            ("62", 62),
            ("40", 40),
        ] {
            assert_eq!(text.parse(), Ok(Capability(number)), "{text}");
        }
        for text in ["", "cap_", "CAP_", "CAP_CAP_KILL", "63", "-1", "1x", "all", "chown ", "cäp_kill"] {
            assert_eq!(text.parse::<Capability>(), Err(UnknownCapability(text.into())), "{text}");
        }
        assert_eq!(Capability::BPF, Capability(39));
    }

    #[test]
    fn display_is_the_way_back() {
        for number in 0..=Capability::LIMIT {
            assert_eq!(Capability(number).to_string().parse(), Ok(Capability(number)));
        }
        assert_eq!(Capability(41).to_string(), "41");
        assert_eq!(Capability::known().count(), 41);
    }

    #[test]
    fn words() {
        let list = |names: &[Capability]| Ok(CapabilityWords::List(CapabilitySet::of(names)));
        for (text, want) in [
            ("", list(&[])),
            ("CAP_KILL", list(&[Capability::KILL])),
            ("CAP_KILL,cap_chown", list(&[Capability::KILL, Capability::CHOWN])),
            (" KILL ,\tCHOWN  27", list(&[Capability::KILL, Capability::CHOWN, Capability::MKNOD])),
            ("all", Ok(CapabilityWords::All)),
            ("KILL,all", Ok(CapabilityWords::All)),
            ("KILL,CAP_NONE", Err(UnknownCapability("CAP_NONE".into()))),
        ] {
            assert_eq!(text.parse().ok(), want.ok(), "{text}");
        }
    }

    #[test]
    fn set_operations() {
        let (a, b) = (CapabilitySet::of(&[Capability::KILL, Capability::BPF]), CapabilitySet::of(&[Capability::BPF]));
        assert!(b.is_subset(a) && !a.is_subset(b) && a.contains(Capability::KILL));
        assert_eq!(a.minus(b).to_string(), "CAP_KILL");
        assert_eq!(a.minus(b).union(b), a);
        assert_eq!(a.intersection(b), b);
        assert_eq!(a.iter().collect::<CapabilitySet>(), a);
        let mut c = a;
        c.remove(Capability::BPF);
        c.insert(Capability::CHOWN);
        assert_eq!(serde_json::to_string(&c).unwrap(), r#"["CAP_CHOWN","CAP_KILL"]"#);
        assert_eq!(serde_json::to_string(&CapabilitySet::ALL).unwrap(), r#""all""#);
    }

    #[test]
    fn default_bounding_set_has_26_members() {
        assert_eq!(DEFAULT_BOUNDING.iter().count(), 26);
        for absent in [Capability::NET_ADMIN, Capability::SYS_MODULE, Capability::SYS_TIME, Capability::IPC_LOCK] {
            assert!(!DEFAULT_BOUNDING.contains(absent), "{absent}");
        }
    }
}
