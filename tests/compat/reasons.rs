// SPDX-License-Identifier: LGPL-2.1-or-later
//! Why an option, a key or a variable has no line that both programs are compared on. What is not built needs none: it
//! is refused by name.

/// The option as it is written, `KEY=` of a file, or `$VARIABLE`, and the reason.
pub const REASONS: &[(&str, &str)] = &[
    ("Directory=", OWN_KEY),
    ("Template=", OWN_KEY),
    ("Slice=", OWN_KEY),
    ("Property=", OWN_KEY),
    ("Register=", OWN_KEY),
    ("Scope=", OWN_KEY),
    ("--bind-user", RECORDS),
    ("--bind-user-shell", RECORDS),
    ("--bind-user-group", RECORDS),
    ("BindUser=", RECORDS),
    ("BindUserShell=", RECORDS),
    ("BindUserGroup=", OWN_KEY),
    ("Background=", OWN_KEY),
    ("$SYSTEMD_TINT_BACKGROUND", BYTES),
    ("$SYSTEMD_ADJUST_TERMINAL_TITLE", BYTES),
    ("SELinuxContext=", OWN_KEY),
    ("SELinuxAPIFSContext=", OWN_KEY),
    ("KeepUnit=", OWN_KEY),
    ("Console=", OWN_KEY),
    ("SetCredential=", OWN_KEY),
    ("LoadCredential=", OWN_KEY),
    ("ForwardJournal=", OWN_KEY),
    ("ForwardJournalMaxUse=", OWN_KEY),
    ("ForwardJournalKeepFree=", OWN_KEY),
    ("ForwardJournalMaxFileSize=", OWN_KEY),
    ("ForwardJournalMaxFiles=", OWN_KEY),
    ("--verbose", "systemd-nspawn has no such option; tests/root/namespaces.rs reads what it shows"),
    ("--dry-run", "systemd-nspawn has no such option; tests/root/planning.rs reads what it shows"),
    ("--scope", "systemd-nspawn has no such option; tests/host/scope.rs looks at the scope that is made or not"),
];

const OWN_KEY: &str = "systemd-nspawn has no such key; src/plan/tests/keys.rs sees what it does to the plan";

const RECORDS: &str = "both programs' records and homes are compared by tests/compat/bind_user.rs";

const BYTES: &str = "what the terminal gets is not what payload or host see; tests/root/terminal.rs reads it";
