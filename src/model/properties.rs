// SPDX-License-Identifier: LGPL-2.1-or-later
//! Properties of all value types: what is shown is read back as the same value, and no input makes a parser panic.

use super::*;
use proptest::prelude::*;
use std::ffi::OsStr;
use std::fmt::{Debug, Display};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

/// Parses; a value that comes out must survive being shown and read back.
fn survives<T: FromStr<Err = String> + Display + PartialEq + Debug>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string().parse::<T>().as_ref(), Ok(&value), "{text:?} is shown as {value}"),
        Err(why) => assert!(!why.is_empty() && !why.ends_with('.'), "{text:?}: {why:?}"),
    }
}

fn all_survive(text: &str) {
    survives::<MachineName>(text);
    survives::<Hostname>(text);
    survives::<SliceName>(text);
    survives::<InterfaceName>(text);
    survives::<LinkPair>(text);
    survives::<UnitProperty>(text);
    survives::<Id128>(text);
    survives::<UidRange>(text);
    survives::<PrivateUsers>(text);
    survives::<DryRun>(text);
    survives::<SettingsMode>(text);
    survives::<Volatile>(text);
    survives::<StartMode>(text);
    survives::<Register>(text);
    survives::<ScopeMode>(text);
    survives::<Ownership>(text);
    survives::<ResolvConf>(text);
    survives::<Timezone>(text);
    survives::<LinkJournal>(text);
    survives::<ConsoleMode>(text);
    survives::<Signal>(text);
    survives::<RlimitResource>(text);
    survives::<Rlimit>(text);
    survives::<CpuList>(text);
    survives::<Personality>(text);
    survives::<FilterWords>(text);
    survives::<PortForward>(text);
    survives::<Bind>(text);
    survives::<Tmpfs>(text);
    survives::<Overlay>(text);
    survives::<PivotRoot>(text);
}

#[test]
fn every_mode_survives() {
    fn each<T: FromStr<Err = String> + Copy + PartialEq + Debug + 'static>(all: &[(&str, T)]) {
        all.iter().for_each(|(word, mode)| assert_eq!(word.parse(), Ok(*mode)));
    }
    each(DryRun::ALL);
    each(SettingsMode::ALL);
    each(Volatile::ALL);
    each(StartMode::ALL);
    each(Register::ALL);
    each(ScopeMode::ALL);
    each(Ownership::ALL);
    each(ResolvConf::ALL);
    each(Timezone::ALL);
    each(LinkJournal::ALL);
    each(ConsoleMode::ALL);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text(text in any::<String>()) {
        all_survive(&text);
    }

    /// Made of pieces that the grammars know, so that many are valid.
    #[test]
    fn likely_text(pieces in proptest::collection::vec(proptest::sample::select(vec![
        "a", "B9", "0", "1", "7", "64", "65536", "4294967295", "18446744073709551615", "-", "--", ".", ":", "\\", "\\:", "/",
        "/x", "+", "=", ",", " ", "~", "@", "tcp:", "udp:", "SIG", "RTMIN", "RTMAX", "NOFILE=", "CPU=", "NICE=", "AS=",
        "RTTIME=", "infinity", "K", "1.5", "h", "min", "yes", "no", "pick", "idmap", "norbind", "..", "é",
    ]), 0..7)) {
        all_survive(&pieces.concat());
    }

    #[test]
    fn structured_values(soft in any::<u64>(), hard in any::<u64>(), number in 1u8..=64, base in any::<u32>(), size in any::<u32>(),
                         id in any::<u128>(), ports in any::<(u16, u16)>(), cpus in proptest::collection::vec(0u32..70000, 0..9)) {
        survives::<Rlimit>(&format!("NOFILE={soft}:{hard}"));
        survives::<Signal>(&number.to_string());
        survives::<UidRange>(&format!("{base}:{size}"));
        survives::<Id128>(&format!("{id:032x}"));
        survives::<PortForward>(&format!("udp:{}:{}", ports.0, ports.1));
        survives::<CpuList>(&cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
    }

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let value = OsStr::from_bytes(&bytes);
        let cwd = Some(Path::new("/cwd"));
        for bind in [Bind::parse_os(value, cwd), Bind::parse_os(value, None)].into_iter().flatten() {
            prop_assert!(bind.target.is_absolute());
        }
        if let Ok(overlay) = Overlay::parse_os(value, cwd) {
            prop_assert!(overlay.target.is_absolute() && !overlay.lower.is_empty());
        }
        let _ = (Tmpfs::parse_os(value), PivotRoot::parse_os(value), EnvAssignment::parse_os(value));
        let _ = (Credential::parse_set(value), Credential::parse_load(value, cwd), value.to_str().map(|text| (split_quoted(text), split_blanks(text))));
        if let Some(name) = MachineName::from_directory(Path::new(value)) {
            prop_assert_eq!(name.as_str().parse::<MachineName>(), Ok(name.clone()));
        }
    }
}
