// SPDX-License-Identifier: LGPL-2.1-or-later
//! A machine for tests of the rules. `tests/fuzz` takes this file in by its path, so it names the library as tests do.

use spawn::model::CapabilitySet;
use spawn::plan::{Facts, HostFacts, KernelVersion, NetworkFacts, Terminal, TreeFacts, UserFacts};
use spawn::supervise::{FdKind, StdioFacts};

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
            named: "/t".into(),
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
