// SPDX-License-Identifier: LGPL-2.1-or-later
//! The table of journal fields that spawn's messages have (systemd.journal-fields(7) has those of all programs).

/// Each field with what it holds, in one sentence without a full stop.
pub const FIELDS: &[(&str, &str)] = &[
    ("MESSAGE", "The message as it is shown on standard error; of a failure all its lines"),
    ("MESSAGE_ID", "The kind of the message, see below; lines of a console have none"),
    (
        "PRIORITY",
        "3 for a failure, 4 for a warning, 5 for a notice, 6 for what is shown with `-v` only and for consoles",
    ),
    (
        "SYSLOG_IDENTIFIER",
        "The name that the program was called by, `spawn` or `systemd-nspawn`; the machine's name for its console",
    ),
    ("SPAWN_MACHINE", "Name of the machine"),
    ("SPAWN_LEADER", "Process id of the machine's first process on the host, while it runs"),
    ("SPAWN_STEP", "The step that the message is about, such as `register` or `mount`"),
    ("SPAWN_CODE", "Number of a failure, see spawn-errors(7)"),
    ("SPAWN_ORIGIN", "Who asked for what failed: an option as it was typed, a variable, or a line of a file"),
    ("SPAWN_HELP", "What to do about a failure"),
    ("SPAWN_CALLER", "Where in the source a failure was reported"),
    ("CODE_FILE", "Source file of the message"),
    ("CODE_LINE", "Line in it"),
    ("CODE_FUNC", "Function in it; a failure has none"),
    ("TARGET", "Module of the source"),
];
