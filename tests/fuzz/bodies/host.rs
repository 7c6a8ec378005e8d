// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the host's files and services say of its users.

use super::facts::facts;
use super::said::{made, settings};
use spawn::bus::userdb::{Answer, answer_of};
use spawn::bus::varlink::read_reply;
use spawn::config::Settings;
use spawn::image::nss::{asks_others, ids_of};
use spawn::image::uid_range::Database;
use spawn::image::{BUSY_BASE, ReservedIds};
use spawn::model::Id128;
use spawn::plan::UserFacts;
use spawn::userdb::{Found, entries, files, of_record};
use std::sync::OnceLock;

/// passwd(5), group(5) and shadow(5), separated by NUL; all of it as subuid(5) as well. No container is given the id of a
/// user that was found.
pub fn host_users(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |b| *b == 0);
    let [passwd, group, shadow] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    let mut reserved = ReservedIds::default();
    reserved.read(passwd, Database::Single);
    reserved.read(group, Database::Single);
    for name in ["root", "user", ""] {
        let Found::Known(user) = files::find(passwd, group, shadow, name) else { continue };
        assert!(user.name == name && !user.group.is_empty() && user.secrets.passwords.len() <= 1);
        assert!([user.uid, user.gid].iter().all(|id| !reserved.spare(id & 0xffff_0000)));
    }
    reserved.read(bytes, Database::Ranges);
    reserved.add(BUSY_BASE);
    assert!(!reserved.spare(BUSY_BASE));
}

/// What getent(1) prints, and nsswitch.conf(5).
pub fn getent(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let ids: Vec<u32> = ids_of(bytes).collect();
    assert!(ids.len() <= bytes.split(|b| *b == b'\n').count());
    assert!(ids.iter().all(|id| text.contains(&id.to_string())));
    assert!(!asks_others(&text) || text.contains(':'));
}

/// The user database's reply about a user, up to the records that a container gets. They are files of one folder.
pub fn userdb(bytes: &[u8]) {
    static LINE: OnceLock<Settings> = OnceLock::new();
    let line = LINE.get_or_init(|| settings(&["spawn", "-D/t", "-U", "--bind-user=a"]));
    let record = match answer_of(read_reply(bytes)) {
        Answer::Record(record) => record,
        Answer::Failed(why) => return assert!(!why.is_empty()),
        Answer::Unknown | Answer::NoDatabase => return,
    };
    let machine = Id128::from_bytes([1; 16]);
    match (of_record(&record, None), of_record(&record, machine)) {
        (Err(why), _) | (_, Err(why)) => assert!(!why.is_empty()),
        (Ok(user), Ok(here)) => {
            assert_eq!(user.name, here.name);
            for mut user in [user, here] {
                user.group = user.name.clone();
                let found = vec![("a".into(), Found::Known(user.into()))];
                let facts = spawn::plan::Facts { users: UserFacts { found, ..UserFacts::default() }, ..facts() };
                let bound = made(line, &facts).map(|plan| plan.bound_users).unwrap_or_default();
                for entry in bound.iter().flat_map(entries) {
                    assert!(!entry.name.contains('/') && entry.name.len() < 256, "{}", entry.name);
                }
            }
        }
    }
}
