// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every example of the manual does what it is there for. They are found in the pages: one that has no check here fails.

use crate::common::{Case, HostState, Outcome, Program, fail};
use crate::guest::{BOOT, Folder, Guest, debian_copy, unit};
use crate::pages::{Example, Kind, examples};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

const SPAWN_1: &str = include_str!("../../man/spawn.1");
const SPAWN_NSPAWN_5: &str = include_str!("../../man/spawn.nspawn.5");
const SPAWN_ERRORS_7: &str = include_str!("../../man/spawn-errors.7");
const SPAWN_JOURNAL_7: &str = include_str!("../../man/spawn-journal.7");

/// Owner of the one file in the directory that the examples share.
const OWNER: u32 = 1234;

/// What the examples need: the tree `deb`, `/srv/data`, and `spawn` in the search path.
struct Stage<'a> {
    case: &'a Case,
    before: HostState,
    _folders: [Folder; 3],
}

impl<'a> Stage<'a> {
    fn set(case: &'a Case) -> Result<Self, crate::common::Reason> {
        let settings = ["/etc/systemd/nspawn/deb.nspawn", "/etc/systemd/nspawn/deb.nspawn.d"];
        let taken = ["/var/lib/machines/deb", "/srv/data", "/srv/www", settings[0], settings[1]];
        if let Some(taken) = taken.into_iter().find(|path| Path::new(path).exists()) {
            return fail(format!("{taken}, a name of the examples, is taken here"));
        }
        let tree = debian_copy("deb")?;
        let data = Folder("/srv/data".into());
        fs::create_dir_all(&data.0)?;
        fs::write(data.0.join("file"), "shared\n")?;
        chown(data.0.join("file"), Some(OWNER), Some(OWNER))?;
        symlink(Case::spawn_path(), case.dir().join("spawn"))?;
        fs::create_dir_all(settings[1])?;
        let before = HostState::take(case.dir());
        // The file beside the folder of drop-ins goes when its case is through with it.
        Ok(Self { case, before, _folders: [tree, data, Folder(settings[1].into())] })
    }

    /// A line as the page has it, with nobody at the keyboard but `typed`.
    fn program(&self, line: &str, typed: &str) -> Program {
        let path =
            format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", self.case.dir().display());
        Program::new("/bin/sh").args(["-c", &format!("exec {line}")]).env("PATH", path).stdin(typed).limit(BOOT)
    }

    /// What it says when it goes well.
    fn says(&self, line: &str, typed: &str) -> String {
        let said = self.program(line, typed).run().expect_code(0).stdout;
        self.before.assert_unchanged();
        said
    }

    /// Boots it, looks at it, and ends it.
    fn boots(&self, line: &str, look: impl FnOnce(&Guest) -> Outcome) -> Outcome {
        let mut guest = Guest::of(self.program(line, "").start(), "deb");
        guest.wait_booted();
        look(&guest)?;
        Program::new("machinectl").args(["poweroff", "deb"]).run().expect_code(0);
        assert_eq!(guest.end(BOOT).code(), Some(0), "{line}");
        self.before.assert_unchanged();
        Ok(())
    }
}

fn commands(example: &Example) -> &[String] {
    assert_eq!(example.kind(), Kind::Commands, "an example without a check: {example:#?}");
    &example.lines
}

#[track_caller]
fn assert_has(said: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(said.contains(part), "{part:?} is not in what was said:\n{said}"));
}

pub fn examples_of_spawn_work(case: &mut Case) -> Outcome {
    let stage = Stage::set(case)?;
    let found = examples(SPAWN_1);
    assert!(found.len() >= 4, "{found:#?}");
    for line in found.iter().flat_map(commands) {
        match line.as_str() {
            "spawn -D /var/lib/machines/deb" => {
                assert_has(&stage.says(line, "echo $((6 * 7)) in $(uname -n)\n"), &["42 in deb"]);
            }
            "spawn -D /var/lib/machines/deb uname -a" => assert_has(&stage.says(line, ""), &["Linux deb "]),
            "spawn -b -D /var/lib/machines/deb --property=MemoryMax=1G --network-veth" => {
                stage.boots(line, |guest| {
                    assert_eq!(unit(&guest.scope(), "MemoryMax"), (1u32 << 30).to_string());
                    assert!(Path::new("/sys/class/net/ve-deb").exists());
                    Ok(())
                })?
            }
            "spawn -b -D /var/lib/machines/deb --network-veth --dry-run" => {
                assert_has(
                    &stage.says(line, ""),
                    &["tree         /var/lib/machines/deb", "ve-deb", "[--network-veth]"],
                );
            }
            "spawn -x -D /var/lib/machines/deb --bind=/srv/data:/data:idmap" => {
                let said = stage.says(line, "stat -c 'owned by %u' /data/file; touch /gone && echo written\n");
                assert_has(&said, &[&format!("owned by {OWNER}\n"), "written"]);
                assert!(!Path::new("/var/lib/machines/deb/gone").exists(), "the layer was not thrown away");
            }
            _ => return fail(format!("an example of spawn(1) without a check: {line}")),
        }
    }
    Ok(())
}

/// What a settings file of spawn.nspawn(5) is there for: lines of `spawn cat --effective` without who said them, lines
/// that are no longer in it, parts of the plan.
struct Meaning {
    path: &'static str,
    holds: &'static [&'static str],
    gone: &'static [&'static str],
    plan: &'static [&'static str],
}

const MEANINGS: [Meaning; 3] = [
    Meaning {
        path: "/etc/systemd/nspawn/deb.nspawn",
        holds: &["Boot=yes", "PrivateUsers=pick", "Bind=/srv/data:/data:idmap", "VirtualEthernet=yes"],
        gone: &["ProcessTwo=yes"],
        plan: &["a free range of ids", "mount /srv/data on /data rw", "ve-deb"],
    },
    Meaning {
        path: "/etc/systemd/nspawn/deb.nspawn.d/50-limits.conf",
        holds: &["Property=MemoryMax=1G", "LimitNOFILE=4096"],
        gone: &[],
        plan: &["MemoryMax=1G", "mount /srv/data on /data rw", "NOFILE=4096"],
    },
    Meaning {
        path: "/etc/systemd/nspawn/deb.nspawn.d/60-data.conf",
        holds: &["BindReadOnly=/srv/data:/data:idmap"],
        gone: &["Bind=/srv/data:/data:idmap"],
        plan: &["mount /srv/data on /data ro"],
    },
];

pub fn examples_of_settings_files_work(case: &mut Case) -> Outcome {
    let stage = Stage::set(case)?;
    let found = examples(SPAWN_NSPAWN_5);
    let (files, others): (Vec<_>, Vec<_>) = found.iter().partition(|example| example.kind() == Kind::File);
    assert_eq!(
        files.len(),
        MEANINGS.len(),
        "an example of spawn.nspawn(5) without a check, or none for it: {files:#?}"
    );
    let mut written = Vec::new();
    for (file, meaning) in files.into_iter().zip(&MEANINGS) {
        assert_eq!(file.path.as_deref(), Some(meaning.path), "{file:#?}");
        fs::write(meaning.path, file.text())?;
        written.push(Folder(meaning.path.into()));
        assert_eq!(stage.says(&format!("spawn verify {}", meaning.path), ""), "");
        let said = stage.says("spawn cat --effective deb", "");
        let lines: Vec<(&str, &str)> = said.lines().filter_map(|line| line.split_once(" # ")).collect();
        let holds = |text: &str| lines.iter().find(|(said, _)| said.trim_end() == text).map(|(_, who)| *who);
        for text in meaning.holds {
            let number = file.lines.iter().position(|line| line == text).expect("the example says it") + 1;
            assert_eq!(holds(text), Some(format!("{}:{number}", meaning.path).as_str()), "{text} in {said}");
        }
        for text in meaning.gone {
            assert_eq!(holds(text), None, "{said}");
        }
        assert_has(&stage.says("spawn -M deb --dry-run", ""), meaning.plan);
        if written.len() == 1 {
            stage.boots("spawn -M deb", whole_configuration)?;
        }
    }
    for line in others.into_iter().flat_map(commands) {
        let said = stage.says(line, "");
        match line.as_str() {
            "spawn cat deb" => assert_has(&said, &MEANINGS.each_ref().map(|meaning| meaning.path)),
            "spawn cat --effective deb" => assert_has(&said, &["LimitNOFILE=4096", "/50-limits.conf:3"]),
            "spawn -M deb --dry-run" => {
                assert_has(&said, &["/data ro", "[/etc/systemd/nspawn/deb.nspawn.d/60-data.conf:4"])
            }
            line if line.starts_with("spawn verify /etc/") => assert_eq!(said, ""),
            _ => return fail(format!("an example of spawn.nspawn(5) without a check: {line}")),
        }
    }
    Ok(())
}

/// The first file of the page, booted.
fn whole_configuration(guest: &Guest) -> Outcome {
    let leader = guest.leader();
    let map = fs::read_to_string(format!("/proc/{leader}/uid_map"))?;
    let [inside, outside, count] = map.split_whitespace().collect::<Vec<_>>()[..] else {
        return fail(format!("one range of ids, not {map}"));
    };
    let base: u32 = outside.parse()?;
    assert!(inside == "0" && base >= 65536 && count == "65536", "{map}");
    let shared = fs::metadata(format!("/proc/{leader}/root/data/file"))?;
    assert_eq!(shared.uid(), base + OWNER, "the owner inside is not that of the host");
    assert!(Path::new("/sys/class/net/ve-deb").exists());
    let host0 = Program::new("nsenter").args(["-n", "-t", &leader.to_string(), "cat", "/proc/net/dev"]).run();
    assert_has(&host0.expect_code(0).stdout, &["host0:"]);
    Ok(())
}

pub fn examples_of_messages_are_what_is_said(case: &mut Case) -> Outcome {
    let stage = Stage::set(case)?;
    let found = examples(SPAWN_ERRORS_7);
    assert!(!found.is_empty());
    for example in found {
        assert_eq!(example.kind(), Kind::Message, "an example of spawn-errors(7) without a check: {example:#?}");
        let asked = example.lines.iter().find_map(|line| line.trim_start().strip_prefix("asked for by "));
        let option = asked.expect("the message says which option asked for it");
        let run = stage.program(&format!("spawn -D /var/lib/machines/deb {option} true"), "").run();
        assert_eq!((run.stderr.as_str(), run.status.code()), (example.text().as_str(), Some(125)), "{run}");
        stage.before.assert_unchanged();
    }
    Ok(())
}

pub fn examples_of_the_journal_find_it(case: &mut Case) -> Outcome {
    let stage = Stage::set(case)?;
    // Something to show: a start, its end, and a failure.
    stage.says("spawn -D /var/lib/machines/deb true", "");
    stage.program("spawn -D /var/lib/machines/deb /no/such/program", "").run().expect_code(127);
    Program::new("journalctl").arg("--sync").run();
    let found = examples(SPAWN_JOURNAL_7);
    assert!(found.len() >= 3, "{found:#?}");
    for line in found.iter().flat_map(commands) {
        let said = stage.says(&format!("{line} --no-pager"), "");
        match line.split(' ').skip(1).collect::<Vec<_>>()[..] {
            ["SPAWN_MACHINE=deb"] | ["-x", "SPAWN_MACHINE=deb", "SYSLOG_IDENTIFIER=spawn"] => {
                assert_has(&said, &["deb", "/no/such/program"]);
            }
            ["-b", id] if id == message("Machine \\fINAME\\fR has started") => assert_has(&said, &["deb"]),
            ["-b", id] if id == message("Resources consumed by machine \\fINAME\\fR") => {
                assert_has(&said, &["deb", "CPU"]);
            }
            [id, fields, "-o", "json"] if id == message("Machine \\fINAME\\fR could not be run") => {
                assert!(fields.starts_with("--output-fields="));
                let failures: Vec<serde_json::Value> =
                    said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
                assert!(failures.iter().any(|f| f["SPAWN_MACHINE"] == "deb" && f["SPAWN_CODE"].is_string()), "{said}");
            }
            _ => return fail(format!("an example of spawn-journal(7) without a check: {line}")),
        }
    }
    Ok(())
}

/// The match for messages of that heading, as the page itself lists it.
fn message(heading: &str) -> &'static str {
    let after = SPAWN_JOURNAL_7.split_once(&format!("{heading}\n")).expect("the page has the heading").1;
    let line = after.lines().nth(1).expect("the id follows");
    line.trim_start_matches("\\fB").trim_end_matches("\\fR")
}
