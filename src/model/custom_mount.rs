// SPDX-License-Identifier: LGPL-2.1-or-later
//! Mounts that were asked for.

use super::words::{container_path, escape_colons, path_of, split_colons};
use serde::Serialize;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// One mount option of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CustomMount {
    /// `--bind=`, `--bind-ro=`
    Bind(Bind),
    /// `--tmpfs=`
    Tmpfs(Tmpfs),
    /// `--overlay=`, `--overlay-ro=`
    Overlay(Overlay),
    /// `--inaccessible=`: an absolute path in the container.
    Inaccessible(#[serde(serialize_with = "crate::model::shown::path")] PathBuf),
}

/// Where a bind's source lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindSource {
    /// On the host, absolute.
    Host(#[serde(serialize_with = "crate::model::shown::path")] PathBuf),
    /// `+PATH`: in the image, resolved inside its root.
    Image(#[serde(serialize_with = "crate::model::shown::path")] PathBuf),
    /// Empty: a temporary directory below `/var/tmp`.
    Temporary,
}

/// How the owners of a bind appear in a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindIdmap {
    /// `noidmap`
    #[default]
    None,
    /// `idmap`
    Range,
    /// `rootidmap`
    Root,
    /// `owneridmap`
    Owner,
}

/// `SOURCE[:TARGET[:OPTIONS]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bind {
    /// What is mounted.
    pub source: BindSource,
    /// Where, absolute, in the container.
    #[serde(serialize_with = "crate::model::shown::path")]
    pub target: PathBuf,
    /// `--bind-ro=`
    pub read_only: bool,
    /// `rbind` (default) or `norbind`.
    pub recursive: bool,
    /// The owners' map.
    pub idmap: BindIdmap,
}

/// `PATH[:OPTIONS]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tmpfs {
    /// Where, absolute, in the container.
    #[serde(serialize_with = "crate::model::shown::path")]
    pub target: PathBuf,
    /// Mount options as given; `mode=0755` when none.
    pub options: String,
}

/// `LOWER[:LOWER…]:UPPER:TARGET`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overlay {
    /// Lower directories, the topmost last, as given.
    pub lower: Vec<BindSource>,
    /// The writable one.
    pub upper: BindSource,
    /// Where, absolute, in the container.
    #[serde(serialize_with = "crate::model::shown::path")]
    pub target: PathBuf,
    /// `--overlay-ro=`
    pub read_only: bool,
}

/// `NEW[:OLD]` of `--pivot-root=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PivotRoot {
    /// Becomes the root.
    #[serde(serialize_with = "crate::model::shown::path")]
    pub new: PathBuf,
    /// Where the old root goes.
    #[serde(serialize_with = "crate::model::shown::some_path")]
    pub old: Option<PathBuf>,
}

impl BindSource {
    /// Relative host paths are made absolute against `base`; without one they are refused.
    fn parse(bytes: Vec<u8>, base: Option<&Path>) -> Result<Self, String> {
        if bytes.is_empty() {
            return Ok(Self::Temporary);
        }
        if let Some(inner) = bytes.strip_prefix(b"+") {
            return container_path(inner).map(Self::Image);
        }
        super::absolute(&path_of(bytes), base).map(Self::Host)
    }

    /// The path, unless it is a temporary directory.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Host(path) | Self::Image(path) => Some(path),
            Self::Temporary => None,
        }
    }

    /// Where it appears in the container when nothing else is said.
    fn same_path(&self) -> Result<PathBuf, String> {
        let path = self.path().ok_or("needs a path in the container for a temporary directory")?;
        container_path(path.as_os_str().as_bytes())
    }
}

impl fmt::Display for BindSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(path) => f.write_str(&escape_colons(path)),
            Self::Image(path) => write!(f, "+{}", escape_colons(path)),
            Self::Temporary => Ok(()),
        }
    }
}

impl BindIdmap {
    /// Every map with the option that chooses it.
    pub const ALL: &'static [(&'static str, BindIdmap)] =
        &[("noidmap", Self::None), ("idmap", Self::Range), ("rootidmap", Self::Root), ("owneridmap", Self::Owner)];

    /// The option that chooses it.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "noidmap",
            Self::Range => "idmap",
            Self::Root => "rootidmap",
            Self::Owner => "owneridmap",
        }
    }
}

impl Bind {
    /// Bytes as the command line holds them; a relative source is made absolute against `base`. Writable: `--bind-ro=`
    /// sets `read_only` afterwards.
    pub fn parse_os(value: &OsStr, base: Option<&Path>) -> Result<Self, String> {
        let mut parts = split_colons(value.as_bytes(), 3)?.into_iter();
        let source = BindSource::parse(parts.next().unwrap_or_default(), base)?;
        let target = match parts.next() {
            Some(target) => container_path(&target)?,
            None => source.same_path()?,
        };
        let mut bind = Self { source, target, read_only: false, recursive: true, idmap: BindIdmap::None };
        let options = parts.next().unwrap_or_default();
        for option in options.split(|&b| b == b',').filter(|o| !o.is_empty()) {
            let option = String::from_utf8_lossy(option);
            match &*option {
                "rbind" => bind.recursive = true,
                "norbind" => bind.recursive = false,
                word => match BindIdmap::ALL.iter().find(|(name, _)| *name == word) {
                    Some((_, idmap)) => bind.idmap = *idmap,
                    None => {
                        return Err(format!(
                            "'{word}' is not an option of a bind: rbind, norbind, noidmap, idmap, rootidmap, owneridmap"
                        ));
                    }
                },
            }
        }
        Ok(bind)
    }
}

impl FromStr for Bind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse_os(text.as_ref(), None)
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recursive = if self.recursive { "rbind" } else { "norbind" };
        write!(f, "{}:{}:{recursive},{}", self.source, escape_colons(&self.target), self.idmap.word())
    }
}

impl Tmpfs {
    /// Bytes as the command line holds them.
    pub fn parse_os(value: &OsStr) -> Result<Self, String> {
        let mut parts = split_colons(value.as_bytes(), 2)?.into_iter();
        let target = container_path(&parts.next().unwrap_or_default())?;
        let options = match parts.next() {
            Some(options) if !options.is_empty() => {
                String::from_utf8(options).map_err(|_| "the mount options must be UTF-8 text")?
            }
            _ => "mode=0755".into(),
        };
        Ok(Self { target, options })
    }
}

impl FromStr for Tmpfs {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse_os(text.as_ref())
    }
}

impl fmt::Display for Tmpfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", escape_colons(&self.target), self.options)
    }
}

impl Overlay {
    /// Bytes as the command line holds them; relative host paths are made absolute against `base`. Writable:
    /// `--overlay-ro=` sets `read_only` afterwards.
    pub fn parse_os(value: &OsStr, base: Option<&Path>) -> Result<Self, String> {
        let mut parts = split_colons(value.as_bytes(), usize::MAX)?;
        let target = match parts.len() {
            0 | 1 => return Err("must be LOWER[:LOWER…]:UPPER[:PATH], at least two paths".into()),
            2 => None,
            _ => parts.pop(),
        };
        let upper = BindSource::parse(parts.pop().unwrap_or_default(), base)?;
        let target = match target {
            Some(target) => container_path(&target)?,
            None => upper.same_path()?,
        };
        let lower: Vec<_> = parts.into_iter().map(|p| BindSource::parse(p, base)).collect::<Result<_, _>>()?;
        if lower.contains(&BindSource::Temporary) {
            return Err("a lower directory must not be empty".into());
        }
        Ok(Self { lower, upper, target, read_only: false })
    }
}

impl FromStr for Overlay {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse_os(text.as_ref(), None)
    }
}

impl fmt::Display for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for lower in &self.lower {
            write!(f, "{lower}:")?;
        }
        write!(f, "{}:{}", self.upper, escape_colons(&self.target))
    }
}

impl PivotRoot {
    /// Bytes as the command line holds them.
    pub fn parse_os(value: &OsStr) -> Result<Self, String> {
        let parts = split_colons(value.as_bytes(), usize::MAX)?;
        match parts.as_slice() {
            [new] => Ok(Self { new: container_path(new)?, old: None }),
            [new, old] => Ok(Self { new: container_path(new)?, old: Some(container_path(old)?) }),
            _ => Err("must be NEW[:OLD]".into()),
        }
    }
}

impl FromStr for PivotRoot {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse_os(text.as_ref())
    }
}

impl fmt::Display for PivotRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_colons(&self.new))?;
        self.old.iter().try_for_each(|old| write!(f, ":{}", escape_colons(old)))
    }
}

impl CustomMount {
    /// Where it appears, absolute, in the container.
    pub fn target(&self) -> &Path {
        match self {
            Self::Bind(bind) => &bind.target,
            Self::Tmpfs(tmpfs) => &tmpfs.target,
            Self::Overlay(overlay) => &overlay.target,
            Self::Inaccessible(path) => path,
        }
    }
}

impl fmt::Display for CustomMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(bind) => bind.fmt(f),
            Self::Tmpfs(tmpfs) => tmpfs.fmt(f),
            Self::Overlay(overlay) => overlay.fmt(f),
            Self::Inaccessible(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds() {
        let bind: Bind = "/a".parse().unwrap();
        assert_eq!((bind.source, bind.target.as_path()), (BindSource::Host("/a".into()), Path::new("/a")));
        let bind: Bind = r"/a\:b:/c\\d:norbind,idmap".parse().unwrap();
        assert_eq!(bind.source, BindSource::Host("/a:b".into()));
        assert_eq!((bind.target.as_path(), bind.recursive, bind.idmap), (Path::new(r"/c\d"), false, BindIdmap::Range));
        let bind: Bind = "+/etc".parse().unwrap();
        assert_eq!((bind.source, bind.target.as_path()), (BindSource::Image("/etc".into()), Path::new("/etc")));
        assert_eq!(":/tmp/x".parse::<Bind>().unwrap().source, BindSource::Temporary);
        let relative = Bind::parse_os("a//b".as_ref(), Some(Path::new("/cwd"))).unwrap();
        assert_eq!(relative.target, Path::new("/cwd/a/b"));
        let above = Bind::parse_os("../a:/b".as_ref(), Some(Path::new("/cwd"))).unwrap();
        assert_eq!(above.source, BindSource::Host("/cwd/../a".into()));
        for bad in ["", ":", "a", "/a:b", "/a:/b:nope", "/a/../b", "+a", "/a:/b:rbind:x", "/a\\"] {
            assert!(bad.parse::<Bind>().is_err(), "{bad}");
        }
        let bytes = Bind::parse_os(OsStr::from_bytes(b"/\xff"), None).unwrap();
        assert_eq!(bytes.target.as_os_str().as_bytes(), b"/\xff");
    }

    #[test]
    fn overlays() {
        let two: Overlay = "/l:/u".parse().unwrap();
        assert_eq!((two.lower.len(), two.target.as_path()), (1, Path::new("/u")));
        let four: Overlay = "/l1:+/l2::/t".parse().unwrap();
        assert_eq!((four.lower.len(), &four.upper), (2, &BindSource::Temporary));
        for bad in ["", "/a", "/a:", ":/a", "::/a", "/a:/b:c"] {
            assert!(bad.parse::<Overlay>().is_err(), "{bad}");
        }
    }

    #[test]
    fn tmpfs_and_pivot() {
        assert_eq!("/x".parse::<Tmpfs>().unwrap().options, "mode=0755");
        assert_eq!("/x:".parse::<Tmpfs>().unwrap().options, "mode=0755");
        assert_eq!("/x:size=1M,mode=1777".parse::<Tmpfs>().unwrap().options, "size=1M,mode=1777");
        assert!("x".parse::<Tmpfs>().is_err());
        assert_eq!("/a:/b".parse::<PivotRoot>().unwrap().old, Some("/b".into()));
        assert!("/a:/b:/c".parse::<PivotRoot>().is_err());
    }
}
