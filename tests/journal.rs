// SPDX-License-Identifier: LGPL-2.1-or-later
//! Messages and console output arrive in a real journald, which runs in a mount namespace of its own.

use serde_json::Value;
use spawn::error::{Code, Diagnostic, Origin};
use spawn::log::console_sink::ConsoleSink;
use spawn::log::{self, Audience, LogSetup, Logger, MessageId, StderrIs};
use std::process::Command;

/// Arguments: this program. Starts journald on an empty /run, lets `emit` write, shows the journal.
const SCRIPT: &str = r#"
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/log/journal
printf '[Journal]\nReadKMsg=no\nAudit=no\nStorage=volatile\n' >/run/systemd/journald.conf.d/test.conf
for daemon in /usr/lib/systemd/systemd-journald /lib/systemd/systemd-journald; do [ -x $daemon ] && break; done
[ -x $daemon ] || { echo "skipped: journald is not installed"; exit 0; }
timeout 30 $daemon 2>/run/said & daemon=$!
i=0; while [ ! -S /run/systemd/journal/socket ]; do i=$((i+1)); [ $i -lt 100 ] || break; sleep 0.1; done
[ -S /run/systemd/journal/socket ] || { echo "skipped: journald does not start:"; cat /run/said; kill $daemon; exit 0; }
"$1" --ignored --exact emit >&2
journalctl --sync >&2 || true
i=0
while [ $i -lt 50 ]; do
    i=$((i+1))
    journalctl --directory=/run/log/journal --output=json --no-pager >/run/shown
    ! grep -q '"the last one"' /run/shown || break
    sleep 0.1
done
cat /run/shown
kill $daemon
"#;

#[test]
#[ignore = "writes to the journal; messages_reach_journald runs it beside a journald of its own"]
fn emit() {
    let logger = Logger::new(LogSetup { identifier: "spawn", audience: Audience::Quiet, stderr: StderrIs::Journal });
    logger.set_machine("m1");
    logger.set_leader(rustix::process::Pid::from_raw(42));
    log::notice!(&logger, MessageId::Started, "started {}", 1);
    log::info!(&logger, MessageId::Consumed, step: "end", "consumed");
    log::failure(
        &logger,
        &Diagnostic::new(Code::TreeMissing, "cannot open /x")
            .cause("no\x1b[31m way")
            .origin(&Origin::Option("-D /x".into()))
            .help("make it"),
    );
    let mut console = ConsoleSink::open("m1").unwrap();
    console.write("Grüße \x1b[1mbold\x1b[0m\x07\nthe last one".as_bytes());
    console.flush();
    assert_eq!(console.take_lost(), 0);
}

#[test]
fn messages_reach_journald() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: needs root");
    }
    let me = std::env::current_exe().unwrap();
    let output = Command::new("timeout")
        .args(["60", "unshare", "--mount", "--propagation=private", "sh", "-c", SCRIPT, "sh"])
        .arg(me)
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    if shown.starts_with("skipped:") {
        return eprintln!("{shown}");
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // stderr counts as the journal, so nothing is there twice.
    assert!(!said.contains("started 1") && !said.contains("cannot open /x"), "{said}");
    let entries: Vec<Value> = shown.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let find = |message: &str| {
        let found: Vec<&Value> = entries.iter().filter(|e| e["MESSAGE"] == message).collect();
        assert_eq!(found.len(), 1, "{message:?} in {shown}");
        found[0]
    };
    let check = |entry: &Value, fields: &[(&str, &str)]| {
        for (name, value) in fields {
            assert_eq!(entry[*name], *value, "{name} of {entry}");
        }
    };
    let common = [("SYSLOG_IDENTIFIER", "spawn"), ("SPAWN_MACHINE", "m1"), ("SPAWN_LEADER", "42")];
    let started = find("started 1");
    check(started, &common);
    check(
        started,
        &[
            ("MESSAGE_ID", MessageId::Started.as_str()),
            ("PRIORITY", "5"),
            ("CODE_FILE", "tests/journal.rs"),
            ("CODE_FUNC", "journal::emit"),
        ],
    );
    assert!(started["CODE_LINE"].is_string());
    check(find("consumed"), &[("PRIORITY", "6"), ("SPAWN_STEP", "end")]);
    let failed = entries.iter().find(|e| e["SPAWN_CODE"] == "E0201").expect("the failure");
    check(failed, &common);
    check(failed, &[("PRIORITY", "3"), ("MESSAGE_ID", MessageId::Failed.as_str()), ("SPAWN_HELP", "make it")]);
    check(failed, &[("SPAWN_ORIGIN", "-D /x")]);
    // spawn-journal(7) has every field, and no other; journald adds those with an underscore.
    let ours = entries.iter().filter(|e| e["SPAWN_MACHINE"] == "m1");
    let names = ours.flat_map(|e| e.as_object().unwrap().keys()).filter(|name| !name.starts_with('_'));
    let mut seen: Vec<&str> = names.map(String::as_str).collect();
    let mut documented: Vec<&str> = log::FIELDS.iter().map(|(name, _)| *name).collect();
    seen.sort_unstable();
    seen.dedup();
    documented.sort_unstable();
    assert_eq!(seen, documented);
    for console in ["Grüße bold\\x07", "the last one"] {
        check(find(console), &[("SYSLOG_IDENTIFIER", "m1"), ("SPAWN_MACHINE", "m1"), ("PRIORITY", "6")]);
    }
}
