// SPDX-License-Identifier: LGPL-2.1-or-later
//! Environment variables and credentials for the payload: what is shown of them is their name, since values may be secret.

use super::words::{absolute, path_of, split_colons, unescape_c};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// `NAME[=VALUE]` of `-E`.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvAssignment {
    /// The variable.
    pub name: String,
    /// Its value; `None` takes it from the caller's environment.
    pub value: Option<OsString>,
}

impl fmt::Debug for EnvAssignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

impl fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(<hidden>)"),
            Self::Path(p) => write!(f, "Path({p:?})"),
            Self::Name(n) => write!(f, "Name({n:?})"),
        }
    }
}

impl EnvAssignment {
    /// Bytes as the command line holds them. The error does not repeat the value.
    pub fn parse_os(text: &OsStr) -> Result<Self, String> {
        let bytes = text.as_bytes();
        let (name, value) = match bytes.iter().position(|&b| b == b'=') {
            Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]).to_os_string())),
            None => (bytes, None),
        };
        let name = std::str::from_utf8(name).ok().filter(|n| is_env_name(n));
        let name =
            name.ok_or("must be NAME[=VALUE] with a NAME of letters, digits and '_' that starts with no digit")?;
        Ok(Self { name: name.into(), value })
    }
}

/// Whether a word can name an environment variable (`env_name_is_valid` of systemd).
pub fn is_env_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl FromStr for EnvAssignment {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse_os(text.as_ref())
    }
}

/// The name only: values may be secret.
impl fmt::Display for EnvAssignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Ids must do as file names and as names of file descriptors (`credential_name_valid` of systemd).
fn credential_name(name: &[u8]) -> Result<String, String> {
    let allowed = |b: &u8| (32..127).contains(b) && *b != b'/' && *b != b':';
    if name.is_empty() || name.len() > 255 || name == b"." || name == b".." || !name.iter().all(allowed) {
        return Err("the id must be a file name of 1 to 255 printable ASCII characters without ':'".into());
    }
    Ok(String::from_utf8_lossy(name).into_owned())
}

impl Credential {
    fn split(text: &OsStr, want: &str) -> Result<(String, Vec<u8>), String> {
        let mut parts = split_colons(text.as_bytes(), 2).map_err(|_| want.to_string())?.into_iter();
        let id = parts.next().unwrap_or_default();
        Ok((credential_name(&id)?, parts.next().ok_or(want)?))
    }

    /// `ID:VALUE` of `--set-credential=`, C escapes in the value. The error does not repeat the value.
    pub fn parse_set(text: &OsStr) -> Result<Self, String> {
        let (id, value) = Self::split(text, "must be ID:VALUE")?;
        let value = unescape_c(&value).map_err(|why| format!("the value of {id} {why}"))?;
        Ok(Self { id, source: CredentialSource::Value(value) })
    }

    /// `ID:PATH` or `ID:NAME` of `--load-credential=`; a relative path (with a slash) is made absolute against `base`.
    pub fn parse_load(text: &OsStr, base: Option<&Path>) -> Result<Self, String> {
        let (id, from) = Self::split(text, "must be ID:PATH or ID:NAME")?;
        let source = if from.contains(&b'/') {
            CredentialSource::Path(absolute(&path_of(from), base)?)
        } else {
            let bad = |_| "after the id there must be a path with a slash, or the name of a credential".to_string();
            CredentialSource::Name(credential_name(&from).map_err(bad)?)
        };
        Ok(Self { id, source })
    }
}

/// The id only.
impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment() {
        let name = |s: &str| s.parse::<EnvAssignment>().map(|e| (e.name, e.value));
        assert_eq!(name("A=b=c"), Ok(("A".into(), Some("b=c".into()))));
        assert_eq!(name("A"), Ok(("A".into(), None)));
        for bad in ["", "=x", "1A=x", "A-B=x", "ä=x"] {
            assert!(name(bad).is_err_and(|why| !why.contains("=x")), "{bad}");
        }
    }

    #[test]
    fn credentials() {
        let set = |s: &str| Credential::parse_set(s.as_ref());
        assert_eq!(set(r"a.b:x:\x00y").unwrap().source, CredentialSource::Value(b"x:\0y".to_vec()));
        assert_eq!(set("a:").unwrap().source, CredentialSource::Value(vec![]));
        for bad in ["", "a", ":x", "..:x", "a/b:x", r"a:secret\q", "ä:x"] {
            assert!(set(bad).is_err_and(|why| !why.contains("secret")), "{bad}");
        }
        let load = |s: &str| Credential::parse_load(s.as_ref(), Some(Path::new("/cwd"))).map(|c| c.source);
        assert_eq!(load("a:./f"), Ok(CredentialSource::Path("/cwd/f".into())));
        assert_eq!(load("a:f"), Ok(CredentialSource::Name("f".into())));
        assert!(load("a:").is_err());
    }
}
