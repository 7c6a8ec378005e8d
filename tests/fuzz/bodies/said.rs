// SPDX-License-Identifier: LGPL-2.1-or-later
//! What people and their programs say: options, variables, files, values.

use super::facts::facts;
use spawn::bus::properties::TypedProperty;
use spawn::cli::{self, Caller, Command, parse, render};
use spawn::config::file::effective::effective;
use spawn::config::file::layer::Layer;
use spawn::config::file::{Loaded, combine};
use spawn::config::{Does, Invocation, Said, Settings, Trust, keys, split_boot_words};
use spawn::error::{Diagnostic, Origin, Sourced};
use spawn::model::{
    Bind, CapabilitySet, Credential, CredentialSource, CustomMount, FilterWords, Overlay, PivotRoot, Tmpfs,
    UnitProperty,
};
use spawn::plan::mount_options;
use spawn::plan::{self, Facts, Plan};
use spawn::seccomp;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::OnceLock;

const NAMES: [&str; 2] = ["spawn", "systemd-nspawn"];

/// The settings of a command line that has no mistake.
pub(super) fn settings(line: &[&str]) -> Settings {
    match parse(line.iter().map(Into::into).collect(), &Caller::default()) {
        Ok(Command::Run(settings)) => *settings,
        other => panic!("{other:?}"),
    }
}

/// Settings become a plan or mistakes, and both are said in words.
pub(super) fn made(settings: &Settings, facts: &Facts) -> Option<Plan> {
    match plan::build(settings, facts) {
        Ok(made) => {
            let told = plan::explain(&made);
            assert!(!told.is_empty() && !told.contains(harmful), "{told:?}");
            Some(made)
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            in_words(&mistakes);
            None
        }
    }
}

/// A machine with systemd.
fn host() -> Facts {
    Facts { systemd: true, bus: true, ..facts() }
}

/// A file together with a drop-in of the same content and a command line, by both names, trusted and not, up to the plan.
/// A file that is not trusted widens nothing.
pub fn nspawn_file(bytes: &[u8]) {
    static LINES: OnceLock<[Settings; 2]> = OnceLock::new();
    let lines = LINES.get_or_init(|| NAMES.map(|name| settings(&[name, "--settings=override", "--bind=/x"])));
    for said in lines {
        for trust in [Trust::Trusted, Trust::Anyone] {
            let layer = |path: &str| Layer::parse(Path::new(path), bytes, trust, said.invocation);
            let loaded = combine(said.clone(), vec![layer("/a.nspawn"), layer("/b.conf")]);
            loaded
                .warnings
                .iter()
                .for_each(|w| assert!(!w.text.is_empty() && (1..=w.at.last_line).contains(&w.at.line)));
            in_words(&loaded.mistakes);
            assert!(effective(&loaded).len() < (1 << 20) + bytes.len() * 64);
            if trust == Trust::Anyone {
                widens_nothing(&loaded);
            }
            if loaded.mistakes.is_empty() {
                made(&loaded.settings, &host());
            }
        }
    }
}

fn widens_nothing(loaded: &Loaded) {
    let s = &loaded.settings;
    if s.invocation == Invocation::Spawn {
        assert!(s.capability.is_empty() && s.properties.is_empty() && s.mounts.len() == 1, "widened");
    }
    // A file that cannot be used at all is not sifted.
    for entry in loaded.layers.iter().flat_map(|layer| &layer.entries).filter(|_| loaded.mistakes.is_empty()) {
        let narrows = match entry.file.name {
            "SystemCallFilter" => entry.value.starts_with('~'),
            _ => entry.key.trust == Trust::Anyone,
        };
        assert!(narrows || entry.value.is_empty(), "{} counts", entry.file.name);
    }
}

/// A command line, its words separated by NUL, up to the plan and its words. What is hidden of it is part of its words.
pub fn options(bytes: &[u8]) {
    let shown: Vec<&[u8]> = bytes.split(|b| *b == 0).collect();
    let hidden = cli::secrets(&shown);
    assert_eq!(hidden.len(), shown.len());
    for (part, word) in hidden.into_iter().zip(&shown) {
        assert!(part.start <= part.end && part.end <= word.len());
    }
    for name in NAMES {
        let words = shown.iter().map(|word| OsStr::from_bytes(word).to_owned());
        let argv = std::iter::once(name.into()).chain(words).collect();
        match parse(argv, &Caller { environment: Vec::new(), directory: Some("/here".into()) }) {
            Ok(Command::Run(settings)) => {
                let (variables, rest) = split_boot_words(&settings.argv);
                assert_eq!(variables.len() + rest.len(), settings.argv.len());
                if let Some(made) = made(&settings, &host()) {
                    serde_json::to_string(&made).expect("a plan can be said in JSON");
                }
            }
            Ok(show) => {
                assert!(render::output(&show, settings(&[name]).invocation).is_some_and(|text| !text.is_empty()))
            }
            Err(mistakes) => in_words(&mistakes),
        }
    }
}

/// `NAME=VALUE` lines of the environment, separated by NUL, up to the plan.
pub fn environment(bytes: &[u8]) {
    let pair = |line: &[u8]| {
        let at = line.iter().position(|b| *b == b'=')?;
        Some((OsString::from_vec(line[..at].to_vec()), OsString::from_vec(line[at + 1..].to_vec())))
    };
    let environment = bytes.split(|b| *b == 0).filter_map(pair).collect();
    match parse(vec!["spawn".into(), "-D/t".into()], &Caller { environment, directory: None }) {
        Ok(Command::Run(settings)) => drop(made(&settings, &host())),
        Ok(other) => panic!("{other:?}"),
        Err(mistakes) => in_words(&mistakes),
    }
}

/// Values of the options that mount something, and options of a tmpfs. What was understood reads back as the same thing.
pub fn mounts(bytes: &[u8]) {
    let value = OsStr::from_bytes(bytes);
    // What is not UTF-8 is shown with replacements.
    let exact = value.to_str().is_some();
    for base in [None, Some(Path::new("/base"))] {
        if let Ok(bind) = Bind::parse_os(value, base) {
            assert!(!exact || bind.to_string().parse() == Ok(bind.clone()), "{bind:?}");
            assert!(CustomMount::Bind(bind).target().is_absolute());
        }
        if let Ok(overlay) = Overlay::parse_os(value, base) {
            assert!(!exact || overlay.to_string().parse() == Ok(overlay.clone()), "{overlay:?}");
            assert!(!overlay.lower.is_empty() && CustomMount::Overlay(overlay).target().is_absolute());
        }
    }
    if let Ok(tmpfs) = Tmpfs::parse_os(value) {
        assert!(!exact || tmpfs.to_string().parse() == Ok(tmpfs.clone()), "{tmpfs:?}");
        let (attributes, left) = mount_options::split(&tmpfs.options, rustix::mount::MountAttrFlags::empty());
        assert!(left.split(',').all(|word| tmpfs.options.split(',').any(|option| option == word) || word.is_empty()));
        assert_eq!(mount_options::split(&left, attributes), (attributes, left.clone()));
        assert!(CustomMount::Tmpfs(tmpfs).target().is_absolute());
    }
    if let Ok(pivot) = PivotRoot::parse_os(value) {
        assert!(!exact || pivot.to_string().parse() == Ok(pivot.clone()), "{pivot:?}");
        assert!([Some(&pivot.new), pivot.old.as_ref()].into_iter().flatten().all(|path| path.is_absolute()));
    }
}

/// Values of `--set-credential=` and `--load-credential=`. Any bytes can be said as a value.
pub fn credentials(bytes: &[u8]) {
    let value = OsStr::from_bytes(bytes);
    let set = Credential::parse_set(value);
    let load = [None, Some(Path::new("/base"))].map(|base| Credential::parse_load(value, base));
    let is_name = |name: &str| (1..=255).contains(&name.len()) && !name.contains(['/', ':']) && name != "..";
    for credential in std::iter::once(set).chain(load).flatten() {
        assert!(is_name(&credential.id));
        match credential.source {
            CredentialSource::Value(value) => assert!(value.len() <= bytes.len()),
            CredentialSource::Path(path) => assert!(path.is_absolute()),
            CredentialSource::Name(name) => assert!(is_name(&name)),
        }
    }
    let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    let said = Credential::parse_set(format!("id:{escaped}").as_ref()).expect("escapes can say everything");
    assert!(matches!(said.source, CredentialSource::Value(value) if value == bytes));
}

/// The bytes as the value of every setting of the table, on the command line and in a file, and of every variable.
pub fn values(bytes: &[u8]) {
    let value = OsStr::from_bytes(bytes);
    let said = |base| Said { value: Some(value), origin: Origin::Default, base };
    let told = |id: &str, result: Result<(), String>| {
        if let Err(why) = result {
            assert!(!why.is_empty(), "{id}");
        }
    };
    for key in keys::all() {
        if let Does::Set(apply) = key.does {
            told(key.id, apply(&mut Settings::default(), &said(Some(Path::new("/base")))));
        }
        if let Some(file) = key.file {
            for invocation in [Invocation::Spawn, Invocation::SystemdNspawn] {
                told(file.name, (file.apply)(&mut Settings { invocation, ..Settings::default() }, &said(None)));
                (file.bad)(invocation, value);
            }
        }
    }
    for variable in keys::environment::VARIABLES {
        let set = [(variable.name.into(), value.to_owned())];
        in_words(&keys::environment::apply_environment(&mut Settings::default(), &set));
    }
}

/// `--property=`, up to the type that is sent.
pub fn properties(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(property) = text.parse::<UnitProperty>() {
        let typed = TypedProperty::parse(&Sourced::new(property, Origin::Default));
        typed.map_or_else(|wrong| in_words(&[wrong]), |typed| drop(format!("{typed:?}")));
    }
}

/// The words of a system call filter or of the address families, up to the program for the kernel.
pub fn filters(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (Ok(words), Some(machine)) = (text.parse::<FilterWords>(), seccomp::Machine::NATIVE) else { return };
    let words = [Sourced::new(words, Origin::Default)];
    for (edits, address_families) in [(&words[..], &[][..]), (&[], &words)] {
        let made = seccomp::compile(&seccomp::FilterRequest {
            machine,
            capabilities: CapabilitySet::ALL,
            edits,
            address_families,
            posture: seccomp::Posture::Spawn,
            socketcall: seccomp::SocketCall::Guarded,
            sync: seccomp::Sync::Honoured,
            log: seccomp::Log::Nothing,
            keyrings: seccomp::Keyrings::Own,
        });
        match made {
            Ok(filter) => assert!((1..=seccomp::MAX_INSTRUCTIONS).contains(&filter.program.len())),
            Err(wrong) => in_words(&wrong),
        }
    }
}

/// A terminal may not be sent it.
fn harmful(c: char) -> bool {
    c.is_control() && c != '\n'
}

/// Every mistake has its code and says what is wrong; what it repeats of the bytes does not reach the terminal as it is.
fn in_words(mistakes: &[Diagnostic]) {
    for mistake in mistakes {
        assert!(!mistake.headline().is_empty() && mistake.to_string().contains(&format!("[{}]", mistake.code())));
    }
    assert!(!render::diagnostics(Invocation::Spawn, mistakes).contains(harmful));
}
