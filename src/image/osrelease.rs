// SPDX-License-Identifier: LGPL-2.1-or-later
//! What a tree says it is: os-release(5), machine-id(5).

use super::inside::ImageRoot;
use crate::error::{Code, Diagnostic, Result};
use crate::model::{Id128, StartMode};
use crate::sys::small_file;
use std::path::Path;

/// Where os-release is, in order of precedence (os-release(5)).
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
/// No real os-release comes near this.
const OS_RELEASE_MAX: u64 = 64 * 1024;
/// No real machine-id comes near this.
const MACHINE_ID_MAX: u64 = 4096;

/// The fields of an os-release file, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OsRelease(Vec<(String, String)>);

impl OsRelease {
    /// Reads the text of a file: `NAME=value` lines in the shell's syntax without expansion. Lines that are not that
    /// are passed over, as the format asks for.
    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(parse_line).collect())
    }

    /// The value of a field; the last one counts.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The os-release of an image; `None` when it has none. Fails with E0206 when it is not a regular file.
    pub fn of_image(root: &ImageRoot) -> Result<Option<Self>> {
        for path in OS_RELEASE {
            if let Some(bytes) = root.read_file(Path::new(path), OS_RELEASE_MAX)? {
                return Ok(Some(Self::parse(&String::from_utf8_lossy(&bytes))));
            }
        }
        Ok(None)
    }

    /// The os-release of the host; empty when it cannot be read.
    pub fn of_host() -> Self {
        let text = OS_RELEASE.iter().find_map(|path| small_file::read(Path::new("/").join(path)).ok());
        text.map(|bytes| Self::parse(&String::from_utf8_lossy(&bytes))).unwrap_or_default()
    }
}

fn parse_line(line: &str) -> Option<(String, String)> {
    let (name, value) = line.trim().split_once('=')?;
    let first = name.bytes().next()?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if first.is_ascii_digit() || !name.bytes().all(allowed) {
        return None;
    }
    Some((name.to_string(), unquote(value)?))
}

/// Takes quotes and backslashes away as a shell would; `None` when a quote is not closed.
fn unquote(value: &str) -> Option<String> {
    let mut plain = String::with_capacity(value.len());
    let mut quote = None;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(q), c) if c == q => quote = None,
            (Some('"'), '\\') => match chars.next()? {
                c @ ('"' | '\\' | '$' | '`') => plain.push(c),
                c => plain.extend(['\\', c]),
            },
            (None, '\\') => plain.push(chars.next()?),
            (_, c) => plain.push(c),
        }
    }
    quote.is_none().then_some(plain)
}

/// Checks that a tree looks like an operating system: to boot it needs an os-release file, for anything else a
/// directory `/usr`, to which a link may lead (systemd-nspawn(1), `--directory=`). Fails with E0202, or E0206 where something is
/// there that must not be.
pub fn check_is_os(root: &ImageRoot, mode: StartMode) -> Result<()> {
    let missing = match mode {
        StartMode::Boot if OsRelease::of_image(root)?.is_none() => {
            "it has neither /etc/os-release nor /usr/lib/os-release"
        }
        StartMode::Boot => return Ok(()),
        StartMode::Pid1 | StartMode::Pid2 if root.find_dir(Path::new("usr"))?.is_none() => "it has no directory /usr",
        StartMode::Pid1 | StartMode::Pid2 => return Ok(()),
    };
    let what = format!("the tree {} does not look like an operating system", root.shown().display());
    Err(Diagnostic::new(Code::TreeNotAnOs, what).cause(missing).help("name the root directory of an installed system"))
}

/// The id in an image's `/etc/machine-id`; `None` when there is no such file, or it is empty, zero or "uninitialized"
/// (machine-id(5), "First boot semantics"). Fails with E0206 when it is anything else.
pub fn machine_id(root: &ImageRoot) -> Result<Option<Id128>> {
    let path = Path::new("etc/machine-id");
    let Some(bytes) = root.read_file(path, MACHINE_ID_MAX)? else { return Ok(None) };
    parse_machine_id(&bytes).ok_or_else(|| {
        let what = format!("{} does not hold a machine id", root.show(path));
        Diagnostic::new(Code::ImageObject, what).help("empty the file, or write 32 hexadecimal digits to it")
    })
}

/// The host's own id; `None` when it has none.
pub fn host_machine_id() -> Option<Id128> {
    parse_machine_id(&small_file::read("/etc/machine-id").ok()?)?
}

/// The id in the bytes of a machine-id file; the inner `None` is one that is not set yet, the outer one no such file.
pub fn parse_machine_id(bytes: &[u8]) -> Option<Option<Id128>> {
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if line.is_empty() || line == b"uninitialized" {
        return Some(None);
    }
    if line.len() != 32 || !line.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let id = u128::from_str_radix(std::str::from_utf8(line).ok()?, 16).ok()?;
    Some(Id128::from_bytes(id.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Crossing, testing::TempDir};
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn image() -> (TempDir, ImageRoot) {
        let dir = TempDir::new();
        let root = ImageRoot::open(dir.path(), Crossing::Allowed).unwrap();
        (dir, root)
    }

    #[test]
    fn quotes_and_escapes() {
        let os = OsRelease::parse(
            "# comment\nID=debian\nNAME=\"A \\\"big\\\" \\$ \\n\"\nX='it''s'\nY=a\\ b\nID=later\nBAD=\"open\n1X=2\n=3\nno line\nEMPTY=\n",
        );
        assert_eq!(os.get("ID"), Some("later"));
        assert_eq!(os.get("NAME"), Some("A \"big\" $ \\n"));
        assert_eq!(os.get("X"), Some("its"));
        assert_eq!(os.get("Y"), Some("a b"));
        assert_eq!(os.get("EMPTY"), Some(""));
        assert_eq!((os.get("BAD"), os.get("1X"), os.0.len()), (None, None, 6));
    }

    #[test]
    fn what_looks_like_an_os() {
        let (dir, root) = image();
        let code = |mode| check_is_os(&root, mode).map_err(|e| e.code());
        assert_eq!(code(StartMode::Pid1), Err(Code::TreeNotAnOs));
        symlink("/gone", dir.path().join("usr")).unwrap();
        assert_eq!(code(StartMode::Pid2), Err(Code::TreeNotAnOs));
        fs::create_dir(dir.path().join("gone")).unwrap();
        assert_eq!(code(StartMode::Pid2), Ok(()));
        fs::remove_file(dir.path().join("usr")).unwrap();
        fs::create_dir_all(dir.path().join("usr/lib")).unwrap();
        assert_eq!(code(StartMode::Pid1), Ok(()));
        assert_eq!(code(StartMode::Boot), Err(Code::TreeNotAnOs));
        fs::create_dir(dir.path().join("etc")).unwrap();
        symlink("../usr/lib/os-release", dir.path().join("etc/os-release")).unwrap();
        assert_eq!(code(StartMode::Boot), Err(Code::TreeNotAnOs));
        fs::write(dir.path().join("usr/lib/os-release"), "ID=x\n").unwrap();
        assert_eq!(code(StartMode::Boot), Ok(()));
        fs::remove_file(dir.path().join("etc/os-release")).unwrap();
        fs::create_dir(dir.path().join("etc/os-release")).unwrap();
        assert_eq!(code(StartMode::Boot), Err(Code::ImageObject));
    }

    #[test]
    fn machine_ids() {
        let (dir, root) = image();
        assert_eq!(machine_id(&root).unwrap(), None);
        fs::create_dir(dir.path().join("etc")).unwrap();
        let path = dir.path().join("etc/machine-id");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            machine_id(&root).map(|id| id.map(|id| id.plain())).map_err(|e| e.code())
        };
        let plain = "0123456789abcdef0123456789abcdef";
        assert_eq!(read(&format!("{plain}\n")), Ok(Some(plain.into())));
        assert_eq!(read(plain), Ok(Some(plain.into())));
        for none in ["", "\n", "uninitialized\n", &"0".repeat(32)] {
            assert_eq!(read(none), Ok(None), "{none:?}");
        }
        for bad in ["x", &plain[1..], &format!("+{}", &plain[1..]), &format!("{plain}\n\n"), &"a".repeat(5000)] {
            assert_eq!(read(bad), Err(Code::ImageObject), "{bad:?}");
        }
    }

    proptest! {
        /// Whatever an image holds there: no panic, and only names and values that a file can have.
        #[test]
        fn any_os_release(text in "([A-Z_0-9]{0,6}=?[\"'\\\\ a-z$=é#\t]{0,12}\n?){0,8}|\\PC{0,80}") {
            let os = OsRelease::parse(&text);
            for (name, value) in &os.0 {
                prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.is_empty());
                prop_assert!(!value.contains('\n') && value.len() <= text.len());
            }
        }

        #[test]
        fn a_quoted_value_comes_back(value in "[ -~é]{0,40}") {
            let quoted: String =
                value.chars().flat_map(|c| "\"\\$`".contains(c).then_some('\\').into_iter().chain([c])).collect();
            let os = OsRelease::parse(&format!("A=1\nX=\"{quoted}\"\n"));
            prop_assert_eq!(os.get("X"), Some(value.as_str()));
        }

        #[test]
        fn any_machine_id(bytes in proptest::collection::vec(prop_oneof![Just(b'0'), Just(b'f'), Just(b'\n'), any::<u8>()], 0..40)) {
            if let Some(Some(id)) = parse_machine_id(&bytes) {
                let text = id.plain();
                prop_assert!(bytes.to_ascii_lowercase().starts_with(text.as_bytes()) && bytes.len() <= 33);
            }
        }

        #[test]
        fn a_machine_id_comes_back(number in 1u128..) {
            let id = parse_machine_id(format!("{number:032x}\n").as_bytes()).flatten();
            prop_assert_eq!(id.map(|id| id.plain().to_string()), Some(format!("{number:032x}")));
        }
    }
}
