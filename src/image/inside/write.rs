// SPDX-License-Identifier: LGPL-2.1-or-later
//! Writing into an image. Everything is made in a directory that was resolved in the image and is held open, under a
//! name that must not exist yet, so that nothing the image holds ready is ever followed or written through.

use super::{EMPTY_PATH, Found, ImageRoot, LastLink};
use crate::error::{Code, Diagnostic, Result};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many temporary names are tried before giving up.
const NAME_TRIES: u32 = 100;

/// The owner of something that is made in an image, as on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// The superuser of the host, or of a tree that is mapped as a whole.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };

    fn ids(self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
    }
}

impl ImageRoot {
    /// Puts a new file with these bytes at the path, in one step, in place of whatever is there (but a directory). The
    /// directory it is in must exist.
    pub fn replace_file(&self, path: &Path, bytes: &[u8], mode: Mode, owner: Owner) -> Result<()> {
        let (dir, name) = self.parent(path)?;
        let (temporary, file) = self.with_new_name(path, |name| create_new(&dir, name))?;
        let filled = fill(file.into(), bytes, mode, owner);
        let placed = filled.and_then(|()| Ok(rustix::fs::renameat(&dir, &temporary, &dir, &name)?));
        placed.map_err(|e| self.drop_temporary(&dir, &temporary, "replace", path, &e))
    }

    /// Puts a symbolic link at the path, in one step, in place of whatever is there (but a directory).
    pub fn replace_link(&self, path: &Path, target: &Path, owner: Owner) -> Result<()> {
        let (dir, name) = self.parent(path)?;
        let (temporary, ()) = self.with_new_name(path, |name| rustix::fs::symlinkat(target, &dir, name))?;
        let (uid, gid) = owner.ids();
        let placed = rustix::fs::chownat(&dir, &temporary, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .and_then(|()| rustix::fs::renameat(&dir, &temporary, &dir, &name));
        placed.map_err(|e| self.drop_temporary(&dir, &temporary, "replace", path, &e.into()))
    }

    /// Writes these bytes over the regular file at the path, which keeps its mode and owner; makes it with the ones
    /// given when there is none. Anything else there, a symbolic link too, is left alone: E0206.
    pub fn overwrite_file(&self, path: &Path, bytes: &[u8], mode: Mode, owner: Owner) -> Result<()> {
        let (dir, name) = self.parent(path)?;
        let handle = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let written = match rustix::fs::openat(&dir, &name, handle, Mode::empty()) {
            Ok(fd) => {
                let stat = rustix::fs::fstat(&fd).map_err(|e| self.failed("examine", path, e))?;
                let found = Found { fd, stat };
                self.expect_type(path, &found, FileType::RegularFile)?;
                self.reopen(path, &found, OFlags::WRONLY | OFlags::TRUNC)?.write_all(bytes)
            }
            Err(Errno::NOENT) => {
                let file = create_new(&dir, &name).map_err(|e| self.failed("create", path, e))?;
                fill(file.into(), bytes, mode, owner)
            }
            Err(e) => return Err(self.failed("open", path, e)),
        };
        written.map_err(|e| Diagnostic::new(Code::Prepare, format!("cannot write {}", self.show(path))).io(&e))
    }

    /// Removes what is at the path, if it is not a directory. What is not there is removed.
    pub fn remove_file(&self, path: &Path) -> Result<()> {
        let Some((dir, name)) = self.existing_parent(path)? else { return Ok(()) };
        match rustix::fs::unlinkat(&dir, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(self.failed("remove", path, e)),
        }
    }

    /// Finds what is at the path, or makes an empty file there, for something to be mounted on.
    pub fn ensure_file(&self, path: &Path, mode: Mode, owner: Owner) -> Result<Found> {
        if let Some(found) = self.find(path, LastLink::Follow)? {
            return Ok(found);
        }
        let (dir, name) = self.parent(path)?;
        let fd = create_new(&dir, &name).map_err(|e| match e {
            Errno::EXIST => self.dangling(path),
            e => self.failed("create", path, e),
        })?;
        set_owner_and_mode(&fd, mode, owner).map_err(|e| self.failed("set up", path, e))?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| self.failed("examine", path, e))?;
        Ok(Found { fd, stat })
    }

    /// A handle of the directory at the path; it and the ones above are made, with this mode and owner, as far as they
    /// are missing. Links on the way are followed within the image. The path may not contain `..`.
    pub fn ensure_dir(&self, path: &Path, mode: Mode, owner: Owner) -> Result<OwnedFd> {
        if let Some(dir) = self.find_dir(path)? {
            return Ok(dir);
        }
        let mut above = self.find_dir(Path::new("/"))?.ok_or_else(|| self.failed("find", path, Errno::NOENT))?;
        let mut so_far = PathBuf::from("/");
        for part in path.components() {
            let name = match part {
                Component::Normal(name) => name,
                Component::RootDir | Component::CurDir => continue,
                _ => return Err(self.failed("create", path, Errno::INVAL)),
            };
            so_far.push(name);
            above = match self.find_dir(&so_far)? {
                Some(dir) => dir,
                None => self.make_dir(&above, name, &so_far, mode, owner)?,
            };
        }
        Ok(above)
    }

    fn make_dir(&self, above: &OwnedFd, name: &OsStr, path: &Path, mode: Mode, owner: Owner) -> Result<OwnedFd> {
        let made = rustix::fs::mkdirat(above, name, mode);
        if let Err(e) = made
            && e != Errno::EXIST
        {
            return Err(self.failed("create", path, e));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(above, name, flags, Mode::empty()).map_err(|e| match e {
            Errno::LOOP | Errno::NOTDIR => self.dangling(path),
            e => self.failed("open", path, e),
        })?;
        if made.is_ok() {
            set_owner_and_mode(&dir, mode, owner).map_err(|e| self.failed("set up", path, e))?;
        }
        Ok(dir)
    }

    /// The directory that the path's last part is in, and that part.
    fn parent(&self, path: &Path) -> Result<(OwnedFd, OsString)> {
        self.existing_parent(path)?.ok_or_else(|| self.failed("find the directory of", path, Errno::NOENT))
    }

    fn existing_parent(&self, path: &Path) -> Result<Option<(OwnedFd, OsString)>> {
        let Some(Component::Normal(name)) = path.components().next_back() else {
            return Err(self.failed("find", path, Errno::INVAL));
        };
        let above = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("/"));
        Ok(self.find_dir(above)?.map(|dir| (dir, name.into())))
    }

    fn with_new_name<T>(
        &self,
        path: &Path,
        mut make: impl FnMut(&OsStr) -> std::result::Result<T, Errno>,
    ) -> Result<(OsString, T)> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        for _ in 0..NAME_TRIES {
            let name = format!(".#spawn-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let name = OsString::from(name);
            match make(&name) {
                Ok(made) => return Ok((name, made)),
                Err(Errno::EXIST) => {}
                Err(e) => return Err(self.failed("make a temporary file for", path, e)),
            }
        }
        Err(self.failed("make a temporary file for", path, Errno::EXIST))
    }

    fn drop_temporary(&self, dir: &OwnedFd, name: &OsStr, verb: &str, path: &Path, e: &std::io::Error) -> Diagnostic {
        let shown = Diagnostic::new(Code::Prepare, format!("cannot {verb} {}", self.show(path))).io(e);
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => shown,
            Err(_) => shown.note(format!("the temporary file {} stays behind", Path::new(name).display())),
        }
    }

    fn dangling(&self, path: &Path) -> Diagnostic {
        let what = format!("{} is a symbolic link to nothing, or was just replaced", self.show(path));
        Diagnostic::new(Code::ImageObject, what).help("repair the image")
    }
}

fn create_new(dir: &OwnedFd, name: &OsStr) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)
}

fn fill(mut file: File, bytes: &[u8], mode: Mode, owner: Owner) -> std::io::Result<()> {
    file.write_all(bytes)?;
    Ok(set_owner_and_mode(&file, mode, owner)?)
}

/// Owner first: chown(2) takes set-id bits away.
fn set_owner_and_mode(fd: impl AsFd, mode: Mode, owner: Owner) -> std::result::Result<(), Errno> {
    let (uid, gid) = owner.ids();
    rustix::fs::chownat(fd.as_fd(), "", uid, gid, EMPTY_PATH)?;
    rustix::fs::fchmod(fd, mode)
}

#[cfg(test)]
mod tests;
