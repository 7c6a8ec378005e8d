// SPDX-License-Identifier: LGPL-2.1-or-later
//! Settings and facts for tests of the rules.

use super::{Facts, HostFacts, KernelVersion, NetworkFacts, Terminal, TreeFacts, UserFacts};
use crate::config::{Does, Repeat, Said, Settings, keys};
use crate::error::Origin;
use crate::model::CapabilitySet;
use crate::supervise::{FdKind, StdioFacts};

/// Settings of options as they are written, built or not.
pub fn settings(line: &str) -> Settings {
    let mut settings = Settings::default();
    for word in line.split_whitespace() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.as_ref())),
            None => (word, None),
        };
        let key = keys::all().find(|key| {
            key.long.is_some_and(|long| name == format!("--{long}"))
                || key.short.is_some_and(|c| name == format!("-{c}"))
        });
        let key = key.unwrap_or_else(|| panic!("{name} is not in the table"));
        let Does::Set(apply) = key.does else { panic!() };
        // As on the command line: what may be secret is not part of who asked.
        let shown = match key.repeat {
            Repeat::UpTo(byte) => {
                let value = word.get(name.len() + 1..).and_then(|v| v.split(char::from(byte)).next());
                &word[..name.len() + value.map_or(0, |v| v.len() + 1)]
            }
            Repeat::Whole => word,
        };
        let said = Said { value, origin: Origin::Option(shown.into()), base: None };
        apply(&mut settings, &said).unwrap_or_else(|why| panic!("{word}: {why}"));
    }
    settings
}

/// A machine with everything but systemd, and a tree at `/t` that is an operating system.
pub fn facts() -> Facts {
    Facts {
        kernel: KernelVersion { major: 6, minor: 12 },
        root: true,
        powers: CapabilitySet::ALL,
        systemd: false,
        bus: false,
        user_namespaces: true,
        stdio: StdioFacts([FdKind::Plain; 3]),
        terminal: Terminal::default(),
        listen_fds: Vec::new(),
        listen_names: None,
        fd_store: false,
        tree: TreeFacts {
            path: "/t".into(),
            template: None,
            owner: (0, 0),
            os_release: true,
            usr: true,
            split_usr: false,
            machine_id: None,
            read_only: false,
            is_host_root: false,
            unmappable: Vec::new(),
            open_to_others: false,
        },
        host: HostFacts { nr_open: 1 << 20, ..HostFacts::default() },
        network: NetworkFacts::default(),
        users: UserFacts::default(),
        journal_remote: None,
        host_name: Some("host".into()),
        hard_limits: [u64::MAX; 16],
        random: 7,
    }
}
