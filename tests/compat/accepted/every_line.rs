// SPDX-License-Identifier: LGPL-2.1-or-later
//! What differs on every line.

use super::Accepted;

pub const ROWS: &[Accepted] = &[
    Accepted {
        suites: "",
        lines: "*",
        fields: "prctl.pdeathsig",
        nspawn: "0",
        spawn: "9",
        reason: "the payload dies with its supervisor, also when that is killed; systemd-nspawn's goes on without one",
    },
    Accepted {
        suites: "",
        lines: "*",
        fields: "status.Seccomp_filters",
        nspawn: "*",
        spawn: "1",
        reason: "one compiled filter instead of one for each purpose and architecture",
    },
    Accepted {
        suites: "",
        lines: "*",
        fields: "call.nfsservctl",
        nspawn: "ENOSYS",
        spawn: "EPERM",
        reason: "a call that Linux 3.1 removed: refused like the other obsolete ones",
    },
    Accepted {
        suites: "",
        lines: "*",
        fields: "mount./proc/*.root|mount./proc/*.super|mount./proc/*.flags|mount./run/host.*",
        nspawn: "*",
        spawn: "*",
        reason: "/run/host is a file system of its own, read-only before anybody can see it, instead of a remounted part of /run; what is bound from it shows that",
    },
    Accepted {
        suites: "",
        lines: "*",
        fields: "mount.*#times",
        nspawn: "2",
        spawn: "-",
        reason: "each mount is made once; systemd-nspawn's shared parents make some of them twice",
    },
    Accepted {
        suites: "",
        lines: "*",
        fields: "mount./run/host/os-release.*",
        nspawn: "*",
        spawn: "-",
        reason: "a copy of the host's os-release: no file of the host is mounted in the container",
    },
    Accepted {
        suites: "",
        lines: "*",
        fields: "mount./run/host/incoming.*",
        nspawn: "*",
        spawn: "*",
        reason: "the directory for machined's mounts cannot run set-uid programs or open devices",
    },
    Accepted {
        suites: "",
        lines: "*",
        fields: "mount./run/host/unix-export.*|node./run/host/unix-export|mkdir./run/host/unix-export",
        nspawn: "*",
        spawn: "*",
        reason: "it belongs to the container's root and is a mount of its own",
    },
    Accepted {
        suites: "",
        lines: "*",
        fields: "node./var/log/journal|tree.*/var/log/journal",
        nspawn: "*",
        spawn: "*",
        reason: "/var/log/journal is made in the image when there is something to link, not on every start",
    },
    Accepted {
        suites: "sid",
        lines: "*",
        fields: "machine.Subgroup",
        nspawn: "-",
        spawn: "payload",
        reason: "the first process is born in its group, so machined knows it; systemd-nspawn moves it there after the registration",
    },
];
