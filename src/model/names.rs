// SPDX-License-Identifier: LGPL-2.1-or-later
//! Names: machines, hosts, units, interfaces.

use serde::Serialize;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

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

name_type!(
    /// The name or an alternative name of a network interface that exists, 1 to 127 bytes (`ifname_valid_full` of systemd).
    LinkReference
);

/// `HOST[:CONTAINER]` of the network options. By default the host's link is one to be made, which needs a proper name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LinkPair<Host = InterfaceName> {
    /// The link on the host.
    pub host: Host,
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

/// The longest host name that the kernel keeps (uname(2)).
const HOST_NAME_MAX: usize = 64;

fn check_hostname(text: &str) -> Result<(), String> {
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if text.is_empty() || text.len() > HOST_NAME_MAX {
        return Err(format!("must be 1 to {HOST_NAME_MAX} characters long"));
    }
    if !text.split('.').all(label) {
        return Err("must be labels of letters, digits and dashes with single dots between them; \
                    no label starts or ends with a dash"
            .into());
    }
    Ok(())
}

impl FromStr for MachineName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        check_hostname(text).map(|()| Self(text.into()))
    }
}

impl Hostname {
    /// The machine's name, which is one.
    pub fn of_machine(machine: &MachineName) -> Self {
        Self(machine.0.clone())
    }
}

impl FromStr for Hostname {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        check_hostname(text).map(|()| Self(text.into()))
    }
}

impl MachineName {
    /// The name that the last component of a directory gives once everything is dropped that a host name cannot
    /// hold (`hostname_cleanup` of systemd). `None` for `/` and where nothing is left.
    pub fn from_directory(directory: &Path) -> Option<Self> {
        let mut name = String::new();
        for c in directory.file_name()?.to_string_lossy().chars() {
            let fits = match c {
                '.' => name.ends_with(|l: char| l.is_ascii_alphanumeric()),
                '-' => !name.is_empty() && !name.ends_with('.'),
                other => other.is_ascii_alphanumeric(),
            };
            if fits && name.len() < HOST_NAME_MAX {
                name.push(c);
            }
        }
        name.trim_end_matches(['-', '.']).parse().ok()
    }
}

/// What names and alternative names have in common (`ifname_valid_full` of systemd).
fn check_link_name(text: &str, longest: usize) -> Result<(), String> {
    let allowed = |b: u8| (33..127).contains(&b) && !matches!(b, b':' | b'/' | b'%');
    if text.is_empty() || text.len() > longest {
        return Err(format!("an interface name is 1 to {longest} characters long"));
    }
    if !text.bytes().all(allowed) {
        return Err("an interface name holds no blanks, ':', '/', '%' or non-ASCII characters".into());
    }
    // What could be an index, in any base, is none.
    let index = super::words::number(text).is_some_and(|n| (1..1 << 31).contains(&n));
    if index || text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("an interface name is not a number".into());
    }
    if matches!(text, "." | ".." | "all" | "default") {
        return Err(format!("{text} cannot be an interface name"));
    }
    Ok(())
}

impl FromStr for InterfaceName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        check_link_name(text, 15).map(|()| Self(text.into()))
    }
}

impl FromStr for LinkReference {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        check_link_name(text, 127).map(|()| Self(text.into()))
    }
}

impl<Host: FromStr<Err = String>> FromStr for LinkPair<Host> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (host, container) = match text.split_once(':') {
            Some((host, container)) => (host, Some(container.parse()?)),
            None => (text, None),
        };
        Ok(Self { host: host.parse()?, container })
    }
}

impl<Host: FromStr<Err = String>> LinkPair<Host> {
    /// A list with blanks between the pairs; never empty.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let list: Vec<Self> = text.split_ascii_whitespace().map(str::parse).collect::<Result<_, String>>()?;
        if list.is_empty() { Err("must be HOST[:CONTAINER]".into()) } else { Ok(list) }
    }
}

impl<Host: fmt::Display> fmt::Display for LinkPair<Host> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.container {
            Some(container) => write!(f, "{}:{container}", self.host),
            None => self.host.fmt(f),
        }
    }
}

/// The longest unit name (`UNIT_NAME_MAX` of systemd).
const UNIT_NAME_MAX: usize = 255;

impl SliceName {
    /// Where machines go unless told otherwise (systemd.special(7)).
    pub fn machine() -> Self {
        Self("machine.slice".into())
    }

    /// Its control group below that of the root slice: a dash stands for a level (systemd.slice(5)).
    pub fn group(&self) -> std::path::PathBuf {
        let stem = self.0.strip_suffix(".slice").unwrap_or(&self.0);
        let dashes = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]).filter(|at| *at > 0);
        dashes.filter_map(|at| stem.get(..at)).filter(|s| *s != "-").map(|s| format!("{s}.slice")).collect()
    }
}

impl FromStr for SliceName {
    type Err = String;
    /// Escapes what a unit name cannot hold and appends `.slice` (`unit_name_mangle_with_suffix`).
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("must name a slice".into());
        }
        if text.starts_with('/') {
            return Err("must be the name of a slice, not a path".into());
        }
        let mut name = String::new();
        for b in text.bytes() {
            match b {
                b'/' => name.push('-'),
                b if b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b) => name.push(b.into()),
                b => name.push_str(&format!("\\x{b:02x}")),
            }
        }
        const OTHERS: &[&str] = &[
            ".service",
            ".socket",
            ".target",
            ".device",
            ".mount",
            ".automount",
            ".swap",
            ".timer",
            ".path",
            ".scope",
        ];
        if OTHERS.iter().any(|suffix| name.ends_with(suffix)) {
            return Err("must end in .slice or have no unit suffix".into());
        }
        if !name.ends_with(".slice") {
            name.push_str(".slice");
        }
        let stem = &name[..name.len() - ".slice".len()];
        if stem != "-" && (stem.is_empty() || stem.split('-').any(str::is_empty)) {
            return Err("a slice's name has single dashes between its parts, none at the ends".into());
        }
        if name.len() > UNIT_NAME_MAX {
            return Err(format!("a unit name is at most {UNIT_NAME_MAX} characters long"));
        }
        Ok(Self(name))
    }
}

impl FromStr for UnitProperty {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
        let word =
            name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
        if !word {
            return Err("must be NAME=VALUE with a NAME of letters and digits".into());
        }
        Ok(Self { name: name.into(), value: value.into() })
    }
}

impl fmt::Display for UnitProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// A name that every tool of Unix takes (`valid_user_group_name` of systemd, its strict form).
pub fn is_user_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first)
        && name.len() <= 31
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        for good in ["a", "foo", "foo-bar.example", "A1", "1", "a--b", &"x".repeat(64)] {
            assert_eq!(good.parse::<MachineName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", ".a", "a.", "a..b", "a.-b", "a-.b", "a_b", "ä", "a b", &"x".repeat(65)] {
            assert!(bad.parse::<MachineName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_directories() {
        let name = |p: &str| MachineName::from_directory(Path::new(p)).map(|n| n.to_string());
        assert_eq!(name("/var/lib/machines/debian_12"), Some("debian12".into()));
        assert_eq!(name("/x/.-foo..bar--"), Some("foo.bar".into()));
        assert_eq!(name("/x/a-.b/"), Some("a-b".into()));
        assert_eq!(name("/"), None);
        assert_eq!(name("/x/__"), None);
        assert_eq!(name(&format!("/{}", "y".repeat(80))), Some("y".repeat(64)));
    }

    #[test]
    fn interfaces() {
        for good in ["eth0", "a", "br-lan.5", "123456789012345x".get(1..).unwrap()] {
            assert!(good.parse::<InterfaceName>().is_ok(), "{good}");
        }
        for bad in ["", "1", ".", "..", "all", "default", "a:b", "a/b", "a%d", "a b", "ü", "1234567890abcdef"] {
            assert!(bad.parse::<InterfaceName>().is_err(), "{bad}");
        }
        assert_eq!(<LinkPair>::parse_list(" a:b  c ").unwrap().len(), 2);
        assert!(<LinkPair>::parse_list(" ").is_err());
        let long = "an-alternative-name-of-a-link";
        assert!(long.parse::<LinkPair>().is_err() && format!("x:{long}").parse::<LinkPair<LinkReference>>().is_err());
        assert_eq!(long.parse::<LinkPair<LinkReference>>().unwrap().host.as_str(), long);
    }

    #[test]
    fn slices() {
        let group = |s: &str| s.parse::<SliceName>().unwrap().group();
        assert_eq!(group("a-b-c").to_str(), Some("a.slice/a-b.slice/a-b-c.slice"));
        assert_eq!((group("machine").to_str(), group("-.slice").to_str()), (Some("machine.slice"), Some("")));
        let name = |s: &str| s.parse::<SliceName>().map(|n| n.to_string());
        assert_eq!(name("machine"), Ok("machine.slice".into()));
        assert_eq!(name("a-b.slice"), Ok("a-b.slice".into()));
        assert_eq!(name("a/b c"), Ok("a-b\\x20c.slice".into()));
        assert_eq!(name("-"), Ok("-.slice".into()));
        for bad in ["", "/a", "a--b", "-a", "a-", "x.service", ".slice"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_users() {
        for name in ["a", "_x", "Alice-2"] {
            assert!(is_user_name(name), "{name}");
        }
        for name in ["", "1a", "a.b", "a/b", "-a", "..", "ä", &"a".repeat(32)] {
            assert!(!is_user_name(name), "{name}");
        }
    }
}
