// SPDX-License-Identifier: LGPL-2.1-or-later
//! Who `--user=` is, by the image's own passwd(5) and group(5), read here: no code of the image runs for it.

use super::inside::ImageRoot;
use crate::error::{Code, Diagnostic, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// More of a passwd or group file is not read: it would have room for some 50000 users.
pub(crate) const DATABASE_MAX: u64 = 4 << 20;
/// Most groups that a process can be in (`NGROUPS_MAX`, linux/limits.h).
const GROUPS_MAX: usize = 65536;
/// passwd(5) in an image.
pub(crate) const PASSWD: &str = "etc/passwd";
/// group(5) in an image.
pub(crate) const GROUP: &str = "etc/group";

/// Who the payload runs as; the ids are those of the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserIdentity {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids, sorted, without the primary one.
    pub groups: Vec<u32>,
    /// Home directory, absolute.
    pub home: PathBuf,
    /// User name; the number when it has no name.
    pub name: OsString,
    /// Login shell, when the image names one.
    pub shell: Option<PathBuf>,
}

/// Resolves a user name or number. The superuser needs no entry; neither does a number, which then gets itself as group
/// too, no supplementary groups and `/` as home. Fails with E1001 for any other that is not there, with E0206 when the
/// files are not what they must be.
pub fn resolve_user(root: &ImageRoot, wanted: &OsStr) -> Result<UserIdentity> {
    let passwd = root.read_file(Path::new(PASSWD), DATABASE_MAX)?.unwrap_or_default();
    let Some(mut user) = find_user(&passwd, wanted.as_bytes()) else {
        let what = format!("the user {} is not known in the image", wanted.display());
        let why = format!("{} has no entry for it", root.show(Path::new(PASSWD)));
        return Err(Diagnostic::new(Code::UserUnknown, what).cause(why).help("add it to the image, or use a number"));
    };
    let group = root.read_file(Path::new(GROUP), DATABASE_MAX)?.unwrap_or_default();
    user.groups = groups_of(&group, &user);
    Ok(user)
}

/// The ids of groups of the image, sorted. A group that it does not have is left out. Fails with E0206 when the file is
/// not what it must be.
pub fn group_ids(root: &ImageRoot, names: &[String]) -> Result<Vec<u32>> {
    Ok(ids_of_groups(&root.read_file(Path::new(GROUP), DATABASE_MAX)?.unwrap_or_default(), names))
}

/// The same by the bytes of a group file: sorted, each once.
pub fn ids_of_groups(group: &[u8], names: &[String]) -> Vec<u32> {
    let id = |line: &[u8]| {
        let [name, _, gid, _] = fields(line)?;
        names.iter().any(|wanted| wanted.as_bytes() == name).then(|| parse_id(gid)).flatten()
    };
    let mut ids: Vec<u32> = group.split(|&b| b == b'\n').filter_map(id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Who a name or number is by the bytes of a passwd file, without supplementary groups; the rules are those of
/// [`resolve_user`].
pub fn find_user(passwd: &[u8], wanted: &[u8]) -> Option<UserIdentity> {
    let number = parse_id(wanted);
    if wanted == b"root" || number == Some(0) {
        return Some(entries(passwd).find(|u| u.uid == 0).unwrap_or_else(superuser));
    }
    let fits = |u: &UserIdentity| match number {
        Some(uid) => u.uid == uid,
        None => u.name.as_bytes() == wanted,
    };
    let nameless = |uid: u32| UserIdentity {
        uid,
        gid: uid,
        groups: Vec::new(),
        home: "/".into(),
        name: uid.to_string().into(),
        shell: None,
    };
    entries(passwd).find(fits).or_else(|| number.map(nameless))
}

fn superuser() -> UserIdentity {
    UserIdentity { uid: 0, gid: 0, groups: Vec::new(), home: "/root".into(), name: "root".into(), shell: None }
}

/// The entries of a passwd file. Lines that are none are passed over.
fn entries(passwd: &[u8]) -> impl Iterator<Item = UserIdentity> + '_ {
    passwd.split(|&b| b == b'\n').filter_map(|line| {
        let fields: [&[u8]; 7] = fields(line)?;
        let [name, _, uid, gid, _, home, shell] = fields;
        let path = |bytes: &[u8]| bytes.starts_with(b"/").then(|| OsString::from_vec(bytes.to_vec()).into());
        Some(UserIdentity {
            uid: parse_id(uid)?,
            gid: parse_id(gid)?,
            groups: Vec::new(),
            home: path(home).unwrap_or_else(|| "/".into()),
            name: OsString::from_vec(name.to_vec()),
            shell: path(shell),
        })
    })
}

/// The supplementary groups that the bytes of a group file give to a user: sorted, each once, without the primary one.
pub fn groups_of(group: &[u8], user: &UserIdentity) -> Vec<u32> {
    let member = |line: &[u8]| {
        let [_, _, gid, members] = fields(line)?;
        let gid = parse_id(gid).filter(|&gid| gid != user.gid)?;
        members.split(|&b| b == b',').any(|m| m == user.name.as_bytes()).then_some(gid)
    };
    let mut groups: Vec<u32> = group.split(|&b| b == b'\n').filter_map(member).collect();
    groups.sort_unstable();
    groups.dedup();
    groups.truncate(GROUPS_MAX);
    groups
}

/// The fields of a line; `None` when there are more or fewer, the first is empty, or one holds a NUL.
pub(crate) fn fields<const N: usize>(line: &[u8]) -> Option<[&[u8]; N]> {
    let mut parts = line.splitn(N, |&b| b == b':');
    let fields = std::array::from_fn(|_| parts.next().unwrap_or(b":"));
    let whole = !fields.contains(&&b":"[..]) && !fields[N - 1].contains(&b':');
    (whole && !fields[0].is_empty() && !line.contains(&0)).then_some(fields)
}

/// A decimal id; -1 and its 16-bit form mean "none" to the kernel and are no ids.
pub(crate) fn parse_id(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let id = std::str::from_utf8(text).ok()?.parse().ok()?;
    (id != u32::MAX && id != u32::from(u16::MAX)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Crossing, testing::TempDir};
    use proptest::prelude::*;
    use std::fs;

    const USERS: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\ngarbage\na:b\nbad:x:-1:0::/:/bin/sh\nmax:x:4294967295:1::/:\n\
        www:x:33:33::/var/www:/usr/sbin/nologin\nwww:x:34:34::/late:/late\nnohome:x:40:40::relative:\nlong:x:41:41::/:/x:y\n\xff:x:50:50::/\xff:/s";
    const GROUPS: &[u8] = b"root:x:0:\nwww:x:33:www\nssl:x:110:a,www\nadm:x:4:www,syslog\nssl2:x:110:www\nx:x:y:www\n:x:9:www\nlast:x:7:wwwx";

    fn image() -> (TempDir, ImageRoot) {
        let dir = TempDir::new();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join(PASSWD), USERS).unwrap();
        fs::write(dir.path().join(GROUP), GROUPS).unwrap();
        let root = ImageRoot::open(dir.path(), Crossing::Allowed).unwrap();
        (dir, root)
    }

    #[test]
    fn names_and_numbers() {
        let (_dir, root) = image();
        let www = resolve_user(&root, "www".as_ref()).unwrap();
        assert_eq!((www.uid, www.gid, &www.groups[..]), (33, 33, &[4, 110][..]));
        assert_eq!((www.home.to_str(), www.shell.as_deref()), (Some("/var/www"), Some(Path::new("/usr/sbin/nologin"))));
        assert_eq!(resolve_user(&root, "33".as_ref()).unwrap(), www);
        let nobody = resolve_user(&root, "12345".as_ref()).unwrap();
        assert_eq!((nobody.uid, nobody.gid, nobody.home.to_str()), (12345, 12345, Some("/")));
        assert_eq!(resolve_user(&root, "nohome".as_ref()).unwrap().home, Path::new("/"));
        let bytes = resolve_user(&root, OsStr::from_bytes(b"\xff")).unwrap();
        assert_eq!((bytes.uid, bytes.home.as_os_str().as_bytes()), (50, &b"/\xff"[..]));
        for unknown in ["nobody", "garbage", "bad", "max", "long", "4294967295", "65535", "-1", "+33", "", "x:y"] {
            let error = resolve_user(&root, unknown.as_ref()).unwrap_err();
            assert_eq!(error.code(), Code::UserUnknown, "{unknown}");
        }
    }

    #[test]
    fn the_superuser_needs_no_entry() {
        let dir = TempDir::new();
        let root = ImageRoot::open(dir.path(), Crossing::Allowed).unwrap();
        for name in ["root", "0"] {
            assert_eq!(resolve_user(&root, name.as_ref()).unwrap(), superuser());
        }
        assert_eq!(resolve_user(&root, "www".as_ref()).unwrap_err().code(), Code::UserUnknown);
    }

    #[test]
    fn a_hostile_root_entry_changes_no_ids() {
        let user = find_user(b"root:x:5:5::/:/x\nadmin:x:0:0::/a:/b\n", b"root").unwrap();
        assert_eq!((user.uid, user.home.to_str()), (0, Some("/a")));
    }

    #[test]
    fn files_that_are_none_are_an_error_and_not_a_wait() {
        let (dir, root) = image();
        let passwd = dir.path().join(PASSWD);
        fs::remove_file(&passwd).unwrap();
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(rustix::fs::CWD, &passwd, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(resolve_user(&root, "www".as_ref()).unwrap_err().code(), Code::ImageObject);
        fs::remove_file(&passwd).unwrap();
        fs::File::create(&passwd).unwrap().set_len(10 << 30).unwrap();
        assert_eq!(resolve_user(&root, "www".as_ref()).unwrap_err().code(), Code::ImageObject);
    }

    proptest! {
        #[test]
        fn no_file_is_too_strange(passwd: Vec<u8>, group: Vec<u8>, wanted: Vec<u8>) {
            if let Some(user) = find_user(&passwd, &wanted) {
                prop_assert!(groups_of(&group, &user).is_sorted());
                prop_assert!(user.home.is_absolute());
            }
        }
    }
}
