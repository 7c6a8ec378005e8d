// SPDX-License-Identifier: LGPL-2.1-or-later
//! What people and their programs say: options, variables, files, values.

use spawn::bus::properties::TypedProperty;
use spawn::cli::{self, Caller, Command, parse};
use spawn::config::file::combine;
use spawn::config::file::effective::effective;
use spawn::config::file::layer::Layer;
use spawn::config::{Does, Invocation, Said, Settings, Trust, keys, split_boot_words};
use spawn::error::{Diagnostic, Origin, Sourced};
use spawn::model::{
    Bind, CapabilitySet, Credential, CredentialSource, CustomMount, FilterWords, Overlay, PivotRoot, Tmpfs,
    UnitProperty,
};
use spawn::plan::{self, Facts, HostFacts, KernelVersion, NetworkFacts, Terminal, TreeFacts};
use spawn::seccomp;
use spawn::supervise::{FdKind, StdioFacts};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::OnceLock;

const NAMES: [&str; 2] = ["spawn", "systemd-nspawn"];

/// Everything that is done with a file before anything is opened.
pub fn nspawn_file(bytes: &[u8]) {
    static LINES: OnceLock<[Settings; 2]> = OnceLock::new();
    let lines = LINES.get_or_init(|| {
        NAMES.map(|name| {
            match parse(vec![name.into(), "--settings=override".into(), "--bind=/x".into()], &Caller::default()) {
                Ok(Command::Run(settings)) => *settings,
                other => panic!("{other:?}"),
            }
        })
    });
    for said in lines {
        for trust in [Trust::Trusted, Trust::Anyone] {
            let layer = |path: &str| Layer::parse(Path::new(path), bytes, trust, said.invocation);
            let loaded = combine(said.clone(), vec![layer("/a.nspawn"), layer("/b.conf")]);
            loaded.warnings.iter().for_each(|w| assert!(!w.to_string().is_empty()));
            in_words(&loaded.mistakes);
            assert!(effective(&loaded).len() < (1 << 20) + bytes.len() * 64);
            if trust == Trust::Anyone && said.invocation == Invocation::Spawn {
                let s = &loaded.settings;
                assert!(s.capability.is_empty() && s.properties.is_empty() && s.mounts.len() == 1, "widened");
            }
        }
    }
}

/// A command line, its words separated by NUL, up to the plan and its words.
pub fn options(bytes: &[u8]) {
    let words: Vec<OsString> = bytes.split(|b| *b == 0).map(|word| OsStr::from_bytes(word).to_owned()).collect();
    let shown: Vec<&[u8]> = bytes.split(|b| *b == 0).collect();
    for (part, word) in cli::secrets(&shown).into_iter().zip(&shown) {
        assert!(part.start <= part.end && part.end <= word.len());
    }
    for name in NAMES {
        let argv = std::iter::once(name.into()).chain(words.iter().cloned()).collect();
        match parse(argv, &Caller { environment: Vec::new(), directory: Some("/here".into()) }) {
            Ok(Command::Run(settings)) => {
                split_boot_words(&settings.argv);
                match plan::build(&settings, &facts()) {
                    Ok(made) => {
                        assert!(!plan::explain(&made).is_empty());
                        serde_json::to_string(&made).expect("a plan can be said in JSON");
                    }
                    Err(wrong) => in_words(&wrong),
                }
            }
            Ok(show) => drop(format!("{show:?}")),
            Err(mistakes) => in_words(&mistakes),
        }
    }
}

/// `NAME=VALUE` lines of the environment, separated by NUL.
pub fn environment(bytes: &[u8]) {
    let pair = |line: &[u8]| {
        let at = line.iter().position(|b| *b == b'=')?;
        Some((OsString::from_vec(line[..at].to_vec()), OsString::from_vec(line[at + 1..].to_vec())))
    };
    let environment = bytes.split(|b| *b == 0).filter_map(pair).collect();
    match parse(vec!["spawn".into(), "-D/t".into()], &Caller { environment, directory: None }) {
        Ok(Command::Run(settings)) => drop(plan::build(&settings, &facts()).map_err(|wrong| in_words(&wrong))),
        Ok(other) => panic!("{other:?}"),
        Err(mistakes) => in_words(&mistakes),
    }
}

/// Values of the options that mount something. What was understood reads back as the same thing.
pub fn mounts(bytes: &[u8]) {
    let value = OsStr::from_bytes(bytes);
    for base in [None, Some(Path::new("/base"))] {
        let bind = Bind::parse_os(value, base).map(CustomMount::Bind);
        let overlay = Overlay::parse_os(value, base).map(CustomMount::Overlay);
        for mount in [bind, overlay, Tmpfs::parse_os(value).map(CustomMount::Tmpfs)].into_iter().flatten() {
            assert!(mount.target().is_absolute(), "{mount:?}");
        }
    }
    if let Ok(pivot) = PivotRoot::parse_os(value) {
        assert!(pivot.new.is_absolute());
    }
}

/// Values of `--set-credential=` and `--load-credential=`.
pub fn credentials(bytes: &[u8]) {
    let value = OsStr::from_bytes(bytes);
    let set = Credential::parse_set(value);
    let load = [None, Some(Path::new("/base"))].map(|base| Credential::parse_load(value, base));
    for credential in std::iter::once(set).chain(load).flatten() {
        assert!(!credential.id.is_empty() && !credential.id.contains('/'));
        match credential.source {
            CredentialSource::Value(value) => assert!(value.len() <= bytes.len()),
            CredentialSource::Path(path) => assert!(path.is_absolute()),
            CredentialSource::Name(name) => assert!(!name.contains('/')),
        }
    }
}

/// The bytes as the value of every setting of the table, and of every variable.
pub fn values(bytes: &[u8]) {
    let value = OsStr::from_bytes(bytes);
    for key in keys::all() {
        let Does::Set(apply) = key.does else { continue };
        let said = Said { value: Some(value), origin: Origin::Default, base: Some(Path::new("/base")) };
        if let Err(why) = apply(&mut Settings::default(), &said) {
            assert!(!why.is_empty(), "{}", key.id);
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

/// Mistakes are told, and do not break the line or the terminal that they are told on.
fn in_words(mistakes: &[Diagnostic]) {
    for mistake in mistakes {
        let text = mistake.to_string();
        assert!(text.starts_with("[E") || !text.is_empty());
    }
}

/// A machine with everything but systemd, and a tree that is an operating system.
fn facts() -> Facts {
    Facts {
        kernel: KernelVersion { major: 6, minor: 12 },
        root: true,
        powers: CapabilitySet::ALL,
        systemd: true,
        bus: true,
        user_namespaces: true,
        stdio: StdioFacts([FdKind::Plain; 3]),
        terminal: Terminal::default(),
        listen_fds: Vec::new(),
        listen_names: None,
        fd_store: false,
        journal_remote: None,
        users: Default::default(),
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
        host_name: Some("host".into()),
        hard_limits: [u64::MAX; 16],
        random: 7,
    }
}
