// SPDX-License-Identifier: LGPL-2.1-or-later
//! passwd(5), group(5) and shadow(5) of the host, for where no user database is.

use super::{Found, HostUser, Secrets};
use crate::image::users::{fields, parse_id};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// What the three files say of the user.
pub fn find(passwd: &[u8], group: &[u8], shadow: &[u8], name: &str) -> Found {
    let user = lines(passwd).find_map(|line| {
        let [user, _, uid, gid, _, home, shell]: [&[u8]; 7] = fields(line)?;
        (user == name.as_bytes()).then_some((parse_id(uid)?, parse_id(gid)?, home, shell))
    });
    let Some((uid, gid, home, shell)) = user else { return Found::Unknown };
    let of_group = lines(group).find_map(|line| {
        let [name, _, id, _]: [&[u8]; 4] = fields(line)?;
        (parse_id(id)? == gid).then_some(name)
    });
    let Some(of_group) = of_group else { return Found::Failed(format!("its group {gid} has no name")) };
    let password = lines(shadow).find_map(|line| {
        let [user, password, ..]: [&[u8]; 9] = fields(line)?;
        (user == name.as_bytes()).then_some(password)
    });
    // These two stand for "elsewhere" and "none"; a locked password remains one (shadow(5)).
    let password = password.and_then(|p| std::str::from_utf8(p).ok()).filter(|p| !matches!(*p, "x" | "*"));
    Found::Known(Box::new(HostUser {
        name: name.into(),
        uid,
        gid,
        group: String::from_utf8_lossy(of_group).into_owned(),
        home: OsString::from_vec(home.into()).into(),
        shell: std::str::from_utf8(shell).ok().filter(|s| !s.is_empty()).map(str::to_owned),
        dispositions: [None, None],
        secrets: Secrets { passwords: password.map(str::to_owned).into_iter().collect(), keys: None },
    }))
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|&b| b == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &[u8] = b"root:x:0:0::/root:/bin/sh\nalice:x:1000:1001:A,B:/home/alice:/bin/bash\nlone:x:5:77::/:\n\
        star:x:6:6::/s:\n";
    const GROUP: &[u8] = b"root:x:0:\nalice:x:1001:\nstar:x:6:\n";
    const SHADOW: &[u8] = b"alice:$6$a$b:19000:0:99999:7:::\nstar:*:1::::::\n";

    #[test]
    fn a_user_with_its_group_and_password() {
        let Found::Known(alice) = find(PASSWD, GROUP, SHADOW, "alice") else { panic!() };
        assert_eq!((alice.uid, alice.gid, alice.group.as_str()), (1000, 1001, "alice"));
        assert_eq!((alice.home.to_str(), alice.shell.as_deref()), (Some("/home/alice"), Some("/bin/bash")));
        assert_eq!(alice.secrets.passwords, ["$6$a$b"]);
        let Found::Known(star) = find(PASSWD, GROUP, SHADOW, "star") else { panic!() };
        assert_eq!((star.shell, star.secrets), (None, Secrets::default()));
        assert_eq!(find(PASSWD, GROUP, SHADOW, "bob"), Found::Unknown);
        assert_eq!(find(PASSWD, GROUP, SHADOW, "lone"), Found::Failed("its group 77 has no name".into()));
    }

    proptest! {
        #[test]
        fn no_file_is_too_strange(passwd: Vec<u8>, group: Vec<u8>, shadow: Vec<u8>, name: String) {
            let found = find(&passwd, &group, &shadow, &name);
            prop_assert!(!matches!(found, Found::Known(user) if user.name != name));
        }
    }
}
