// SPDX-License-Identifier: LGPL-2.1-or-later
//! What the payload may do.

use crate::config::file::values as grammar;
use crate::config::{Key, Section::Exec, Takes::*, Topic::Security};
use crate::model::{CapabilityWords, FilterWords, capability_names};

pub(super) const KEYS: &[Key] = &[
    Key::option("capability", Security, Value("CAP,…"), "Let the payload have more capabilities", |s, v| {
        v.many(&mut s.capability)
    })
    .file(Exec, "Capability", |s| s.capability.clear())
    .reads(|s, v| grammar::capabilities(&mut s.capability, v))
    .adds_up()
    .trusted()
    .mask(3)
    .since("v186")
    .values(capability_names),
    Key::option("drop-capability", Security, Value("CAP,…"), "Take capabilities away", |s, v| {
        v.many(&mut s.drop_capability)
    })
    .file(Exec, "DropCapability", |s| s.drop_capability.clear())
    .reads(|s, v| grammar::capabilities(&mut s.drop_capability, v))
    .adds_up()
    .mask(3)
    .since("v209")
    .values(capability_names),
    Key::option(
        "ambient-capability",
        Security,
        Value("CAP,…"),
        "Capabilities of a payload that is not root",
        |s, v| match v.text()?.parse()? {
            CapabilityWords::All => Err("must name capabilities; 'all' cannot be ambient".into()),
            list => v.add(&mut s.ambient_capability, list),
        },
    )
    .file(Exec, "AmbientCapability", |s| s.ambient_capability.clear())
    .reads(|s, v| grammar::capabilities(&mut s.ambient_capability, v))
    .adds_up()
    .trusted()
    .mask(3)
    .since("v248")
    .values(capability_names),
    Key::option("no-new-privileges", Security, Value("BOOL"), "Let no exec gain privileges", |s, v| {
        v.flag(&mut s.no_new_privileges)
    })
    .file(Exec, "NoNewPrivileges", |s| s.no_new_privileges = None)
    .reads(|s, v| v.tristate(&mut s.no_new_privileges))
    .default_is("no")
    .mask(18)
    .since("v239"),
    Key::option(
        "system-call-filter",
        Security,
        Value("[~]LIST"),
        "Allow or (~) deny system calls and @groups",
        |s, v| v.many(&mut s.system_call_filter),
    )
    .file(Exec, "SystemCallFilter", |s| s.system_call_filter.clear())
    .reads(grammar::system_calls)
    .adds_up()
    .trusted()
    .mask(16)
    .since("v235"),
    Key::option(
        "restrict-address-families",
        Security,
        Value("[~]LIST"),
        "Allow or (~) deny socket families",
        |s, v| {
            let words: FilterWords = v.text()?.parse()?;
            if words.words.is_empty() && !words.deny {
                s.address_families.clear();
                return Ok(());
            }
            let none = words.words == ["none"] && !words.deny;
            match words.words.iter().find(|w| !w.starts_with("AF_") && !none) {
                Some(word) => Err(format!("'{word}' is not an address family such as AF_INET, nor 'none' alone")),
                None => v.add(&mut s.address_families, words),
            }
        },
    )
    .file(Exec, "RestrictAddressFamilies", |s| s.address_families.clear())
    .reads(grammar::address_families)
    .adds_up()
    .mask(34)
    .since("v261"),
    Key::option("selinux-context", Security, Value("LABEL"), "SELinux label of the payload", |s, v| {
        v.string(&mut s.selinux_context)
    })
    .short('Z')
    .since("v209")
    .own_file(Exec, "SELinuxContext", |s| s.selinux_context = None),
    Key::option("selinux-apifs-context", Security, Value("LABEL"), "SELinux label of the API file systems", |s, v| {
        v.string(&mut s.selinux_apifs_context)
    })
    .short('L')
    .since("v209")
    .own_file(Exec, "SELinuxAPIFSContext", |s| s.selinux_apifs_context = None),
];
