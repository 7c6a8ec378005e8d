// SPDX-License-Identifier: LGPL-2.1-or-later
//! Who a user of the host is, and what the image has already.

use super::{Found, HostUser, IDS, Secrets, files};
use crate::bus::userdb::{self, Answer};
use crate::error::Result;
use crate::image::ImageRoot;
use crate::image::users::{DATABASE_MAX, GROUP, PASSWD, fields, parse_id};
use crate::model::Id128;
use crate::sys::small_file;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Looks a user and its primary group up: in the user database where one is served, else in the files.
pub fn look_up(name: &str) -> Found {
    match userdb::user(name) {
        Answer::NoDatabase => in_files(name),
        Answer::Unknown => Found::Unknown,
        Answer::Failed(why) => Found::Failed(why),
        Answer::Record(user) => {
            let machine = small_file::read_to_string("/etc/machine-id").ok().and_then(|id| id.trim().parse().ok());
            let mut found = match of_record(&user, machine) {
                Ok(found) => found,
                Err(why) => return Found::Failed(why.into()),
            };
            match userdb::group(found.gid) {
                Answer::Record(group) => match text(&group, "groupName") {
                    Some(name) => found.group = name,
                    None => return Found::Failed("the record of its group has no name".into()),
                },
                Answer::Failed(why) => return Found::Failed(why),
                Answer::Unknown | Answer::NoDatabase => {
                    return Found::Failed(format!("its group {} has no name", found.gid));
                }
            }
            Found::Known(Box::new(found))
        }
    }
}

fn in_files(name: &str) -> Found {
    let read = |path: &str| std::fs::read(path);
    match (read("/etc/passwd"), read("/etc/group")) {
        // Without shadow(5) there are no passwords to tell.
        (Ok(passwd), Ok(group)) => files::find(&passwd, &group, &read("/etc/shadow").unwrap_or_default(), name),
        (Err(e), _) => Found::Failed(format!("cannot read /etc/passwd: {e}")),
        (_, Err(e)) => Found::Failed(format!("cannot read /etc/group: {e}")),
    }
}

/// The part of a user record (systemd.io/USER_RECORD) that is passed on; the group has no name yet. What the record says
/// of this machine alone comes before what it says in general. The error says why it is none.
pub fn of_record(record: &Value, machine: Option<Id128>) -> std::result::Result<HostUser, &'static str> {
    let here = machine.and_then(|id| record.get("binding")?.get(id.plain()));
    let find = |key: &str| here.and_then(|h| h.get(key)).or_else(|| record.get(key));
    let id = |key| find(key).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    let name = text(record, "userName").ok_or("its record has no name")?;
    let uid = id("uid").ok_or("it has no user id")?;
    let list = |value: Option<&Value>| -> Option<Vec<String>> {
        Some(value?.as_array()?.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
    };
    let privileged = record.get("privileged");
    let usual_home = || format!("/home/{name}");
    Ok(HostUser {
        uid,
        gid: id("gid").unwrap_or(uid),
        group: String::new(),
        home: find("homeDirectory").and_then(Value::as_str).map_or_else(usual_home, str::to_owned).into(),
        shell: text(record, "shell"),
        dispositions: [text(record, "disposition"), None],
        secrets: Secrets {
            passwords: list(privileged.and_then(|p| p.get("hashedPassword"))).unwrap_or_default(),
            keys: list(privileged.and_then(|p| p.get("sshAuthorizedKeys"))),
        },
        name,
    })
}

fn text(record: &Value, key: &str) -> Option<String> {
    record.get(key)?.as_str().map(str::to_owned)
}

/// What the image's own files have of names and ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The names that were asked for and that its users have.
    pub users: BTreeSet<String>,
    /// The same for its groups.
    pub groups: BTreeSet<String>,
    /// Ids of [`IDS`] that users or groups have.
    pub ids: BTreeSet<u32>,
}

impl Taken {
    /// Looks into passwd(5) and group(5) of the image.
    ///
    /// # Errors
    /// E0206 where they are not what they must be.
    pub fn in_image(root: &ImageRoot, names: &[&str]) -> Result<Self> {
        let passwd = root.read_file(Path::new(PASSWD), DATABASE_MAX)?.unwrap_or_default();
        let group = root.read_file(Path::new(GROUP), DATABASE_MAX)?.unwrap_or_default();
        Ok(Self::of(&passwd, &group, names))
    }

    /// The same by the bytes of the two files.
    pub fn of(passwd: &[u8], group: &[u8], names: &[&str]) -> Self {
        let mut taken = Self::default();
        for line in passwd.split(|&b| b == b'\n') {
            let Some([name, _, uid, ..]) = fields::<7>(line) else { continue };
            taken.users.extend(asked(names, name));
            taken.ids.extend(parse_id(uid).filter(|id| IDS.contains(id)));
        }
        for line in group.split(|&b| b == b'\n') {
            let Some([name, _, gid, _]) = fields::<4>(line) else { continue };
            taken.groups.extend(asked(names, name));
            taken.ids.extend(parse_id(gid).filter(|id| IDS.contains(id)));
        }
        taken
    }
}

fn asked(names: &[&str], name: &[u8]) -> Option<String> {
    names.iter().find(|n| n.as_bytes() == name).map(|n| (*n).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Crossing, testing::TempDir};
    use serde_json::json;

    #[test]
    fn a_record_says_more_of_this_machine() {
        let id: Id128 = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let record = json!({"userName": "a", "uid": 1, "shell": "/bin/sh", "disposition": "regular",
            "privileged": {"hashedPassword": ["p"], "sshAuthorizedKeys": ["k"]},
            "binding": {"0123456789abcdef0123456789abcdef": {"uid": 60001, "gid": 60001, "homeDirectory": "/h/a"}}});
        let user = of_record(&record, Some(id)).unwrap();
        assert_eq!((user.uid, user.gid, user.home.to_str()), (60001, 60001, Some("/h/a")));
        assert_eq!(user.dispositions, [Some("regular".into()), None]);
        assert_eq!((user.secrets.passwords, user.secrets.keys), (vec!["p".into()], Some(vec!["k".into()])));
        let elsewhere = of_record(&record, None).unwrap();
        assert_eq!((elsewhere.uid, elsewhere.gid, elsewhere.home.to_str()), (1, 1, Some("/home/a")));
        assert_eq!(of_record(&json!({"userName": "a"}), None), Err("it has no user id"));
        assert_eq!(of_record(&json!({"uid": 1u64 << 40, "userName": "a"}), None), Err("it has no user id"));
    }

    #[test]
    fn names_and_ids_of_the_image() {
        let dir = TempDir::new();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/passwd"), "a:x:60514:1::/:\nb:x:7:7::/:\nc:x:60578:1::/:\n").unwrap();
        std::fs::write(dir.path().join("etc/group"), "a:x:60516:\nd:x:60577:\n").unwrap();
        let root = ImageRoot::open(dir.path(), Crossing::Allowed).unwrap();
        let taken = Taken::in_image(&root, &["a", "d", "e"]).unwrap();
        assert_eq!(taken.users, BTreeSet::from(["a".to_owned()]));
        assert_eq!(taken.groups, BTreeSet::from(["a".to_owned(), "d".to_owned()]));
        assert_eq!(taken.ids, BTreeSet::from([60514, 60516, 60577]));
    }
}
