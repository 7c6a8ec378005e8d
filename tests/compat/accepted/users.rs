// SPDX-License-Identifier: LGPL-2.1-or-later
//! What differs with users and user namespaces.

use super::Accepted;

pub const ROWS: &[Accepted] = &[
    Accepted {
        suites: "",
        lines: "*-U*--overlay*",
        fields: "node./mnt*|mkdir./mnt",
        nspawn: "*",
        spawn: "*",
        reason: "layers of an overlay are mapped as the tree is, and changes in memory belong to the container; systemd-nspawn shows owners that nobody inside is",
    },
    Accepted {
        suites: "sid",
        lines: "*--private-users*|*-U*|*PrivateUsers=*",
        fields: "keyring.session",
        nspawn: "keyring;65534*",
        spawn: "keyring;0*",
        reason: "the session keyring belongs to the container's root",
    },
    Accepted {
        suites: "",
        lines: "*--private-users*|*-U*|*PrivateUsers=*",
        fields: "node./dev/char/*",
        nspawn: "link 0777 65534:*",
        spawn: "link 0777 0:0*",
        reason: "what is made for the container belongs to its root",
    },
    Accepted {
        suites: "",
        lines: "*--private-users*|*-U*|*PrivateUsers=*",
        fields: "node./run/host/*|node./var|read./run/host/incoming|open./run/host/incoming|mkdir./run/host/incoming|mkdir./var*",
        nspawn: "*",
        spawn: "*",
        reason: "what is made for the container belongs to its root",
    },
    Accepted {
        suites: "",
        lines: "*--private-users*|*-U*|*PrivateUsers=*",
        fields: "tree./etc/localtime",
        nspawn: "*",
        spawn: "*",
        reason: "files in the image are made as the container's root, not as an owner that has no name",
    },
    Accepted {
        suites: "",
        lines: "-U --as-pid2",
        fields: "read./proc/1/environ|read./proc/1/mem",
        nspawn: "EACCES",
        spawn: "ok",
        reason: "PID 1 is a small program of its own: there is nothing of the host in its memory",
    },
    Accepted {
        suites: "",
        lines: "--as-pid2*-u *",
        fields: "node./proc/self|node./proc/thread-self|process.*|session|status.Tgid|tty.foreground",
        nspawn: "*",
        spawn: "*",
        reason: "the program is PID 2, although the user was looked up; systemd-nspawn looks it up by helpers inside, which take numbers",
    },
    Accepted {
        suites: "",
        lines: "*-u *|*--user=*|*--uid=*|*User=*",
        fields: "node./dev/pts/0",
        nspawn: "chr 06*0 1*",
        spawn: "chr 0600 1*:5 *",
        reason: "the console is of group tty, as terminals are",
    },
];
