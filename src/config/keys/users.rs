// SPDX-License-Identifier: LGPL-2.1-or-later
//! User namespaces.

use super::{lacking_mode, words};
use crate::config::file::values as grammar;
use crate::config::{Key, Listing, Section::*, Takes::*, Topic::Users};
use crate::model::{Ownership, PrivateUsers, number};

pub(super) const KEYS: &[Key] = &[
    Key::option(
        "private-users",
        Users,
        Optional("MODE"),
        "User namespace: no, yes, pick, identity, UID[:N]",
        |s, v| match v.value {
            None => v.put(&mut s.private_users, PrivateUsers::FromTree),
            Some(_) => v.one(&mut s.private_users),
        },
    )
    .file(Exec, "PrivateUsers", |s| s.private_users = None)
    .reads(grammar::private_users)
    .bad_value(grammar::bad_users)
    .mistakable(|value| match value {
        "0" => Some("means no here, and not a range from 0 on as --private-users=0 does; write no, or identity"),
        "1" => Some("means yes here, and not a range from 1 on as --private-users=1 does; write yes"),
        _ => None,
    })
    .default_is("no")
    .trusted()
    .mask(13)
    .since("v220")
    .partly(|s| lacking_mode(&s.private_users, "--private-users=", |mode| *mode == PrivateUsers::Managed)),
    Key::option("private-users-ownership", Users, Value("MODE"), "How owners appear: off, map, auto", |s, v| {
        v.one(&mut s.ownership)
    })
    .file(Files, "PrivateUsersOwnership", |s| s.ownership = None)
    .trusted()
    .mask(13)
    .since("v230")
    .values(|| words(Ownership::ALL))
    .partly(|s| lacking_mode(&s.ownership, "--private-users-ownership=", |m| *m == Ownership::Foreign)),
    // The value of the option never meant anything; in a file it is a boolean.
    Key::option("private-users-chown", Users, Optional("ANY"), "Change the owners of the tree", |s, v| {
        v.put(&mut s.ownership, Ownership::Chown)
    })
    .file(Files, "PrivateUsersChown", |s| s.ownership = None)
    .reads(grammar::chown)
    .trusted()
    .mask(13)
    .since("v230")
    .listing(Listing::Hidden),
    Key::option("private-users-delegate", Users, Value("N"), "Ranges of ids to delegate", |s, v| {
        let number = number(v.text()?).and_then(|n| u32::try_from(n).ok()).ok_or("must be a number of ranges")?;
        v.put(&mut s.delegate, number)
    })
    .file(Exec, "PrivateUsersDelegate", |s| s.delegate = None)
    .default_is("0")
    .trusted()
    .mask(13)
    .since("v260")
    .not_built("ranges cannot be delegated yet"),
    Key::letter("U", 'U', Users, "As --private-users=pick, if the kernel can", |s, v| {
        v.put(&mut s.private_users, PrivateUsers::Pick)
    })
    .mask(13)
    .since("v230"),
];
