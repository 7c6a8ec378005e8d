// SPDX-License-Identifier: LGPL-2.1-or-later
//! The records as files (systemd.io/USER_RECORD, GROUP_RECORD; names as in systemd-userdbd.service(8), "Drop-ins").

use super::{BoundUser, HOMES};
use serde::Serialize;

/// Who the records say they come from: what reads them knows containers' users by it.
const SERVICE: &str = "io.systemd.NSpawn";

/// A file or link below `/run/host/userdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// For everybody to read.
    Public(Vec<u8>),
    /// For the container's root alone.
    Private(Vec<u8>),
    /// A link to a file beside it.
    Link(String),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct User<'a> {
    user_name: &'a str,
    uid: u32,
    gid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    disposition: Option<&'a str>,
    home_directory: String,
    service: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    shell: Option<&'a str>,
    member_of: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group<'a> {
    group_name: &'a str,
    gid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    disposition: Option<&'a str>,
    service: &'static str,
}

#[derive(Serialize)]
struct Shadow<'a> {
    privileged: Privileged<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Privileged<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    hashed_password: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    ssh_authorized_keys: Option<&'a [String]>,
}

/// All files of one user.
pub fn entries(user: &BoundUser) -> Vec<Entry> {
    let [of_user, of_group] = user.dispositions.each_ref().map(Option::as_deref);
    let record = User {
        user_name: &user.name,
        uid: user.id,
        gid: user.id,
        disposition: of_user,
        home_directory: format!("{HOMES}/{}", user.name),
        service: SERVICE,
        shell: user.shell.as_deref(),
        member_of: &user.groups,
    };
    let group = Group { group_name: &user.name, gid: user.id, disposition: of_group, service: SERVICE };
    let mut entries = Vec::new();
    let mut both = |suffix: &str, kind: Kind| {
        let name = format!("{}.{suffix}", user.name);
        entries.push(Entry { name: format!("{}.{suffix}", user.id), kind: Kind::Link(name.clone()) });
        entries.push(Entry { name, kind });
    };
    both("group", Kind::Public(json(&group)));
    if !user.secrets.passwords.is_empty() || user.secrets.keys.is_some() {
        let privileged =
            Privileged { hashed_password: &user.secrets.passwords, ssh_authorized_keys: user.secrets.keys.as_deref() };
        both("user-privileged", Kind::Private(json(&Shadow { privileged })));
    }
    both("user", Kind::Public(json(&record)));
    for group in &user.groups {
        let name = format!("{}:{group}.membership", user.name);
        entries.push(Entry { name, kind: Kind::Public(b"{}\n".into()) });
    }
    entries
}

fn json(record: &impl Serialize) -> Vec<u8> {
    // Strings and numbers can always be written.
    let mut bytes = serde_json::to_vec(record).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::Secrets;
    use super::*;
    use crate::error::Origin;

    fn user() -> BoundUser {
        BoundUser {
            name: "a".into(),
            id: 60514,
            host: (1000, 1000),
            home: "/home/a".into(),
            shell: None,
            groups: Vec::new(),
            dispositions: [None, None],
            secrets: Secrets::default(),
            origin: Origin::Default,
        }
    }

    fn shown(user: &BoundUser) -> Vec<(String, String)> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let kind = |kind| match kind {
            Kind::Public(bytes) => text(bytes),
            Kind::Private(bytes) => format!("private {}", text(bytes)),
            Kind::Link(to) => format!("-> {to}"),
        };
        entries(user).into_iter().map(|e| (e.name, kind(e.kind))).collect()
    }

    #[test]
    fn as_little_as_there_is() {
        let expected = [
            ("60514.group", "-> a.group"),
            ("a.group", "{\"groupName\":\"a\",\"gid\":60514,\"service\":\"io.systemd.NSpawn\"}\n"),
            ("60514.user", "-> a.user"),
            (
                "a.user",
                "{\"userName\":\"a\",\"uid\":60514,\"gid\":60514,\"homeDirectory\":\"/run/host/home/a\",\
                 \"service\":\"io.systemd.NSpawn\",\"memberOf\":[]}\n",
            ),
        ];
        assert_eq!(shown(&user()), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn secrets_are_in_files_of_their_own() {
        let secrets = Secrets { passwords: vec!["$6$\"".into()], keys: Some(vec!["ssh x".into()]) };
        let full = BoundUser {
            shell: Some("/bin/sh".into()),
            groups: vec!["wheel".into()],
            dispositions: [Some("regular".into()), Some("system".into())],
            secrets,
            ..user()
        };
        let shown = shown(&full);
        let private = "private {\"privileged\":{\"hashedPassword\":[\"$6$\\\"\"],\"sshAuthorizedKeys\":[\"ssh x\"]}}\n";
        assert_eq!(shown[2], ("60514.user-privileged".into(), "-> a.user-privileged".into()));
        assert_eq!(shown[3], ("a.user-privileged".into(), private.into()));
        assert_eq!(shown[6], ("a:wheel.membership".into(), "{}\n".into()));
        assert!(shown[5].1.contains("\"gid\":60514,\"disposition\":\"regular\",\"homeDirectory\""), "{}", shown[5].1);
        assert!(shown[5].1.ends_with("\"shell\":\"/bin/sh\",\"memberOf\":[\"wheel\"]}\n"), "{}", shown[5].1);
        assert!(shown[1].1.contains("\"disposition\":\"system\""), "{}", shown[1].1);
        assert!(!serde_json::to_string(&full).unwrap().contains("$6$") && !format!("{full:?}").contains("$6$"));
    }
}
