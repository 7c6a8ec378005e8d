// SPDX-License-Identifier: LGPL-2.1-or-later
//! Where the tree of a machine is when only its name, or nothing, was said.

use crate::error::{Code, Diagnostic, Result};
use crate::model::MachineName;
use std::path::{Path, PathBuf};

/// The machine directories, in the order they are searched (systemd `src/shared/discover-image.c`; machinectl(1),
/// "Files and Directories").
pub const MACHINE_DIRS: [&str; 6] = [
    "/etc/machines",
    "/run/machines",
    "/var/lib/machines",
    "/var/lib/container",
    "/usr/local/lib/machines",
    "/usr/lib/machines",
];

/// What a machine directory may hold for a name besides a directory of that name, in the order that systemd looks for it.
const OTHER_KINDS: [(&str, &str); 5] = [
    (".raw", "disk images are"),
    (".mstack", "mount stacks are"),
    (".v", "versioned directories are"),
    (".raw.v", "versioned disk images are"),
    (".mstack.v", "versioned mount stacks are"),
];

/// The tree of a machine: the first directory of its name in the machine directories; links are followed.
///
/// Fails with E0106 when something else than a directory comes first that systemd-nspawn would take, with E0201 when
/// there is nothing.
pub fn find_machine(machine: &MachineName) -> Result<PathBuf> {
    find_in(&MACHINE_DIRS.map(Path::new), machine.as_str())
}

/// The tree when neither a directory nor a name was said: the current one.
pub fn default_tree() -> Result<PathBuf> {
    std::env::current_dir().map_err(|e| {
        Diagnostic::new(Code::TreeMissing, "cannot find out the current directory")
            .io(&e)
            .help("change to a directory that exists, or name a tree with -D DIRECTORY or a machine with -M NAME")
    })
}

fn find_in(dirs: &[&Path], name: &str) -> Result<PathBuf> {
    for dir in dirs {
        let path = dir.join(name);
        if path.is_dir() {
            return Ok(path);
        }
        for (suffix, kind) in OTHER_KINDS {
            let other = dir.join(format!("{name}{suffix}"));
            if other.exists() {
                let what = format!("the machine {name} is {}, and {kind} not built yet", other.display());
                return Err(Diagnostic::new(Code::NotBuiltYet, what).help("name a directory with --directory="));
            }
        }
    }
    let searched: Vec<String> = dirs.iter().map(|dir| dir.display().to_string()).collect();
    Err(Diagnostic::new(Code::TreeMissing, format!("no tree was found for the machine {name}"))
        .cause(format!("there is no directory {name} in {}", searched.join(", ")))
        .help("name the directory with --directory="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::testing::TempDir;
    use std::fs;

    #[test]
    fn the_first_directory_that_has_it_wins() {
        let (a, b) = (TempDir::new(), TempDir::new());
        let find = |name: &str| find_in(&[Path::new("/nonexistent"), a.path(), b.path()], name);
        fs::create_dir(b.path().join("foo")).unwrap();
        assert_eq!(find("foo").unwrap(), b.path().join("foo"));
        std::os::unix::fs::symlink(b.path().join("foo"), a.path().join("foo")).unwrap();
        assert_eq!(find("foo").unwrap(), a.path().join("foo"));

        let error = find("bar").unwrap_err();
        assert_eq!(error.code(), Code::TreeMissing);
        assert!(error.to_string().contains(b.path().to_str().unwrap()), "{error}");
        fs::write(b.path().join("bar"), "a file is no tree").unwrap();
        assert_eq!(find("bar").unwrap_err().code(), Code::TreeMissing);
    }

    #[test]
    fn an_image_that_comes_first_is_refused_by_name() {
        let (a, b) = (TempDir::new(), TempDir::new());
        fs::create_dir(b.path().join("foo")).unwrap();
        fs::write(a.path().join("foo.raw"), "").unwrap();
        let error = find_in(&[a.path(), b.path()], "foo").unwrap_err();
        assert_eq!(error.code(), Code::NotBuiltYet);
        assert!(error.headline().contains("foo.raw"), "{error}");
        assert_eq!(find_in(&[b.path(), a.path()], "foo").unwrap(), b.path().join("foo"));
    }
}
