// SPDX-License-Identifier: LGPL-2.1-or-later
//! Which files there are for a machine (systemd.nspawn(5)), and their bytes.

use crate::config::Trust;
use crate::error::{Code, Diagnostic, Result};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// More than any file that a person or a tool writes; what is longer is no settings file. What is made of a file may take
/// a few hundred times as much memory.
const SIZE_MAX: u64 = 1 << 20;

/// Where files are looked for.
#[derive(Debug, Clone)]
pub struct Directories {
    /// Of `NAME.nspawn`: the first that has it wins.
    pub files: Vec<PathBuf>,
    /// Of `NAME.nspawn.d/*.conf`: of one name the first wins.
    pub drop_ins: Vec<PathBuf>,
}

impl Default for Directories {
    fn default() -> Self {
        let paths = |bases: &[&str]| bases.iter().map(|base| Path::new(base).join("systemd/nspawn")).collect();
        Self { files: paths(&["/etc", "/run"]), drop_ins: paths(&["/etc", "/run", "/usr/local/lib", "/usr/lib"]) }
    }
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// Whose it is, unless `--settings=` says otherwise.
    pub trust: Trust,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// `NAME.nspawn` in the directories of the administrator.
pub fn of_administrator(directories: &Directories, name: &str) -> Result<Option<Found>> {
    for directory in &directories.files {
        let path = directory.join(format!("{name}.nspawn"));
        if let Some(bytes) = read(&path)? {
            return Ok(Some(Found { path, trust: Trust::Trusted, bytes }));
        }
    }
    Ok(None)
}

/// `NAME.nspawn` next to the tree; the root directory has none.
pub fn beside(tree: &Path, name: &str) -> Result<Option<Found>> {
    let Some(path) = tree.parent().map(|parent| parent.join(format!("{name}.nspawn"))) else { return Ok(None) };
    Ok(read(&path)?.map(|bytes| Found { path, trust: Trust::Anyone, bytes }))
}

/// `NAME.nspawn.d/*.conf` of all directories, by file name.
pub fn drop_ins(directories: &Directories, name: &str) -> Result<Vec<Found>> {
    let mut found: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for directory in directories.drop_ins.iter().map(|d| d.join(format!("{name}.nspawn.d"))) {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => continue,
            Err(e) => return Err(unreadable(&directory).io(&e)),
        };
        for entry in entries {
            let name = entry.map_err(|e| unreadable(&directory).io(&e))?.file_name();
            if name.as_encoded_bytes().ends_with(b".conf") && !name.as_encoded_bytes().starts_with(b".") {
                let path = directory.join(&name);
                found.entry(name).or_insert(path);
            }
        }
    }
    let read = |path: PathBuf| Ok(read(&path)?.map(|bytes| Found { path, trust: Trust::Trusted, bytes }));
    found.into_values().filter_map(|path| read(path).transpose()).collect()
}

fn unreadable(path: &Path) -> Diagnostic {
    Diagnostic::new(Code::SettingsFile, format!("cannot read the settings file {}", path.display()))
        .help("correct it, or say --settings=no to start without it")
}

/// The bytes of a file, `None` where there is none. A link to `/dev/null` is an empty one, which is how files are
/// masked; nothing else but a regular file is opened for reading, as it might not end.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(unreadable(path).errno(errno)),
    };
    let stat = rustix::fs::fstat(&fd).map_err(|errno| unreadable(path).errno(errno))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::CharacterDevice if stat.st_rdev == rustix::fs::makedev(1, 3) => return Ok(Some(Vec::new())),
        _ => return Err(unreadable(path).cause("it is neither a regular file nor a link to /dev/null")),
    }
    let mut bytes = Vec::new();
    let count = File::from(fd).take(SIZE_MAX).read_to_end(&mut bytes).map_err(|e| unreadable(path).io(&e))?;
    match count as u64 {
        SIZE_MAX.. => Err(unreadable(path).cause("it is longer than a megabyte")),
        _ => Ok(Some(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn directories(at: &Path) -> Directories {
        let paths = |names: &[&str]| names.iter().map(|n| at.join(n)).collect();
        Directories { files: paths(&["etc", "run"]), drop_ins: paths(&["etc", "run", "local", "usr"]) }
    }

    fn scratch(name: &str) -> PathBuf {
        let at = std::env::temp_dir().join(format!("spawn-search-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&at);
        std::fs::create_dir_all(&at).unwrap();
        at
    }

    fn put(path: PathBuf, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn the_first_file_wins_and_the_one_beside_is_nobodys() {
        let at = scratch("first");
        let dirs = directories(&at);
        assert_eq!(of_administrator(&dirs, "m").unwrap(), None);
        put(at.join("run/m.nspawn"), "run");
        assert_eq!(of_administrator(&dirs, "m").unwrap().unwrap().bytes, b"run");
        put(at.join("etc/m.nspawn"), "etc");
        assert_eq!(of_administrator(&dirs, "m").unwrap().unwrap().bytes, b"etc");
        put(at.join("m.nspawn"), "beside");
        let found = beside(&at.join("m"), "m").unwrap().unwrap();
        assert_eq!((found.trust, found.bytes), (Trust::Anyone, b"beside".to_vec()));
        assert_eq!(beside(Path::new("/"), "m").unwrap(), None);
        std::fs::remove_dir_all(at).unwrap();
    }

    #[test]
    fn drop_ins_come_by_name_and_the_first_directory_wins() {
        let at = scratch("dropins");
        for (file, text) in [
            ("usr/m.nspawn.d/10-a.conf", "usr a"),
            ("etc/m.nspawn.d/20-b.conf", "etc b"),
            ("local/m.nspawn.d/20-b.conf", "local b"),
            ("run/m.nspawn.d/05-c.conf", "run c"),
            ("run/m.nspawn.d/05-c.txt", "no"),
            ("run/m.nspawn.d/.x.conf", "no"),
            ("usr/m.nspawn.d/30-d.conf", "usr d"),
        ] {
            put(at.join(file), text);
        }
        symlink("/dev/null", at.join("etc/m.nspawn.d/30-d.conf")).unwrap();
        let found = drop_ins(&directories(&at), "m").unwrap();
        let texts: Vec<_> = found.iter().map(|f| String::from_utf8_lossy(&f.bytes).into_owned()).collect();
        assert_eq!(texts, ["run c", "usr a", "etc b", ""]);
        std::fs::remove_dir_all(at).unwrap();
    }

    #[test]
    fn only_files_are_read() {
        let at = scratch("kinds");
        rustix::fs::mknodat(rustix::fs::CWD, at.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        symlink("/dev/null", at.join("null")).unwrap();
        symlink("loop", at.join("loop")).unwrap();
        std::fs::write(at.join("long"), vec![b'#'; 1 << 20]).unwrap();
        assert_eq!(read(&at.join("null")).unwrap(), Some(Vec::new()));
        for bad in ["fifo", "loop", "long", ""] {
            assert_eq!(read(&at.join(bad)).unwrap_err().code(), Code::SettingsFile, "{bad}");
        }
        std::fs::remove_dir_all(at).unwrap();
    }
}
