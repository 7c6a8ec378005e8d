// SPDX-License-Identifier: LGPL-2.1-or-later
//! What differs in streams, programs that do not run and what is said.

use super::Accepted;

pub const ROWS: &[Accepted] = &[
    Accepted {
        suites: "",
        lines: "--as-pid2",
        fields: "env.LISTEN_PID",
        nspawn: "1",
        spawn: "2",
        reason: "the program is PID 2: it takes descriptors only when $LISTEN_PID says so (sd_listen_fds(3))",
    },
    Accepted {
        suites: "",
        lines: "*",
        fields: "env.LISTEN_FDNAMES",
        nspawn: "-",
        spawn: "a:b",
        reason: "descriptors keep the names that they were passed with",
    },
    Accepted {
        suites: "sid",
        lines: "*--quiet*|*--pipe*|*--console=pipe*|*--console=autopipe",
        fields: "stderr",
        nspawn: "words",
        spawn: "nothing",
        reason: "systemd 262 announces a future default on every start; there is nothing that spawn would change",
    },
    Accepted {
        suites: "",
        lines: "*[run true]",
        fields: "end",
        nspawn: "status 0",
        spawn: "status 1",
        reason: "refused by name until it is built",
    },
    Accepted {
        suites: "",
        lines: "*[run true]",
        fields: "tree.*",
        nspawn: "*",
        spawn: "-",
        reason: "refused by name until it is built",
    },
    Accepted {
        suites: "sid",
        lines: "--quiet [terminal]|--pipe [terminal]",
        fields: "stdout",
        nspawn: "words",
        spawn: "nothing",
        reason: "systemd 262 announces a future default on every start; there is nothing that spawn would change",
    },
    Accepted {
        suites: "bookworm trixie",
        lines: "--pipe [terminal]",
        fields: "stdout",
        nspawn: "*",
        spawn: "*",
        reason: "the console is relayed",
    },
    Accepted {
        suites: "",
        lines: "--pipe [terminal]",
        fields: "fd.*|isatty.*|termios.*|winsize.*|stdin",
        nspawn: "*",
        spawn: "*",
        reason: "a terminal of the host is never handed into the container: its bytes are relayed through pipes",
    },
    Accepted {
        suites: "",
        lines: "--console=passive",
        fields: "winsize.*",
        nspawn: "0 0",
        spawn: "24 80",
        reason: "a console that nobody watches has the usual size, not none",
    },
    Accepted {
        suites: "",
        lines: "*[run */*]|*[run does-not-exist]",
        fields: "stdout",
        nspawn: "words",
        spawn: "nothing",
        reason: "a program that cannot be executed is reported on stderr, not on the container's console",
    },
];
