// SPDX-License-Identifier: LGPL-2.1-or-later
//! Environment variables that make settings.

use crate::config::{Apply, Said, Settings};
use crate::error::{Code, Diagnostic, Origin};
use crate::model::parse_bool;
use std::ffi::{OsStr, OsString};

/// A variable that makes a setting. An empty one counts as unset.
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// What it does.
    pub does: VariableDoes,
}

impl Variable {
    /// Whether all its values do something.
    pub fn is_built(&self) -> bool {
        matches!(self.does, VariableDoes::Set(_))
    }
}

/// What a variable does.
#[derive(Clone, Copy)]
pub enum VariableDoes {
    /// Makes a setting.
    Set(Apply),
    /// Would do something that is not built for the values that this function finds.
    NotBuilt(fn(&str) -> Result<bool, String>),
}

use VariableDoes::{NotBuilt, Set};

const fn set(name: &'static str, help: &'static str, apply: Apply) -> Variable {
    Variable { name, help, does: Set(apply) }
}

const fn lacking(name: &'static str, help: &'static str, lacks: fn(&str) -> Result<bool, String>) -> Variable {
    Variable { name, help, does: NotBuilt(lacks) }
}

/// Every variable, read after the command line: where both can say something the variable wins.
pub const VARIABLES: &[Variable] = &[
    set("SYSTEMD_NSPAWN_LOCK", "no: take no lock on the tree", |s, v| v.flag(&mut s.lock)),
    set("SYSTEMD_NSPAWN_CHECK_OS_RELEASE", "no: boot trees without os-release", |s, v| v.flag(&mut s.check_os_release)),
    set("SYSTEMD_NSPAWN_TMPFS_TMP", "no: leave /tmp of the tree in place", |s, v| v.flag(&mut s.tmpfs_tmp)),
    set("SYSTEMD_NSPAWN_CONTAINER_SERVICE", "what $container says in the container", |s, v| {
        match v.text()?.chars().any(char::is_control) {
            true => Err("must not contain control characters".into()),
            false => v.string(&mut s.container_service),
        }
    }),
    set("SYSTEMD_NSPAWN_NETWORK_MAC", "MAC address of host0", |s, v| {
        let mac = parse_mac(v.text()?).ok_or("must be a MAC address such as 02:00:00:00:00:01, of one machine")?;
        v.put(&mut s.network_mac, mac)
    }),
    set("SYSTEMD_NSPAWN_USE_CGNS", "no: make no cgroup namespace", |s, v| v.flag(&mut s.cgroup_namespace)),
    set("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes or network: /sys and /proc/sys are writable", |s, v| {
        v.one(&mut s.api_vfs)
    }),
    set("SYSTEMD_SUPPRESS_SYNC", "as --suppress-sync=", |s, v| v.flag(&mut s.suppress_sync)),
    set("SYSTEMD_SECCOMP", "no: do not filter system calls", |s, v| v.flag(&mut s.seccomp)),
    set("SYSTEMD_LOG_SECCOMP", "yes: log filtered system calls", |s, v| v.flag(&mut s.log_seccomp)),
    set("SYSTEMD_TINT_BACKGROUND", "no: do not tint the terminal", |s, v| v.flag(&mut s.tint_background)),
    set("SYSTEMD_ADJUST_TERMINAL_TITLE", "no: leave the window title alone", |s, v| v.flag(&mut s.terminal_title)),
    set("SYSTEMD_NSPAWN_SHARE_NS_IPC", "yes: share the IPC namespace", |s, v| v.flag(&mut s.share_ipc)),
    lacking("SYSTEMD_NSPAWN_SHARE_NS_PID", "yes: share the PID namespace", parse_bool),
    set("SYSTEMD_NSPAWN_SHARE_NS_UTS", "yes: share the UTS namespace", |s, v| v.flag(&mut s.share_uts)),
    lacking("SYSTEMD_NSPAWN_SHARE_SYSTEM", "yes: share all three", parse_bool),
];

/// The variables of an environment that make settings.
pub fn known(environment: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
    let makes_one = |name: &OsString| VARIABLES.iter().any(|variable| name == variable.name);
    environment.iter().filter(|(name, _)| makes_one(name)).cloned().collect()
}

/// Reads the variables into the settings; each wrong or not built one is a diagnostic.
pub fn apply_environment(settings: &mut Settings, environment: &[(OsString, OsString)]) -> Vec<Diagnostic> {
    let mut refused = Vec::new();
    for variable in VARIABLES {
        let found = environment.iter().find(|(name, value)| name == variable.name && !value.is_empty());
        let Some((_, value)) = found else { continue };
        let origin = Origin::Environment(variable.name.into());
        match apply_one(variable, settings, value, &origin) {
            Ok(None) => {}
            Ok(Some(diagnostic)) => refused.push(diagnostic),
            Err(why) => {
                let what = format!("${}={}", variable.name, value.display());
                refused.push(Diagnostic::new(Code::OptionValue, what).cause(why));
            }
        }
    }
    refused
}

fn apply_one(
    variable: &Variable,
    settings: &mut Settings,
    value: &OsStr,
    origin: &Origin,
) -> Result<Option<Diagnostic>, String> {
    let said = Said { value: Some(value), origin: origin.clone(), base: None };
    match variable.does {
        Set(apply) => apply(settings, &said).map(|()| None),
        NotBuilt(lacks) => Ok(lacks(said.text()?)?.then(|| {
            let what = format!("${}={} is not built yet", variable.name, value.display());
            Diagnostic::new(Code::NotBuiltYet, what).note(variable.help)
        })),
    }
}

/// Six bytes with colons or dashes between them; neither all zero nor a group address.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let separator = if text.contains('-') { '-' } else { ':' };
    let mut mac = [0; 6];
    let mut parts = text.split(separator);
    for byte in &mut mac {
        let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    (parts.next().is_none() && mac != [0; 6] && mac[0] & 1 == 0).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ApiVfs;

    fn read(variables: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let environment: Vec<_> = variables.iter().map(|(n, v)| (n.into(), v.into())).collect();
        let mut settings = Settings::default();
        let refused = apply_environment(&mut settings, &environment);
        (settings, refused.iter().map(Diagnostic::headline).collect())
    }

    #[test]
    fn variables_make_settings() {
        let (settings, refused) = read(&[
            ("SYSTEMD_NSPAWN_LOCK", "0"),
            ("SYSTEMD_NSPAWN_NETWORK_MAC", "02-00-00-00-00-0A"),
            ("SYSTEMD_SECCOMP", ""),
            ("SYSTEMD_NSPAWN_USE_CGNS", "no"),
            ("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network"),
            ("SYSTEMD_NSPAWN_SHARE_SYSTEM", "no"),
        ]);
        assert_eq!(refused, Vec::<String>::new());
        assert_eq!(settings.network_mac.map(|m| m.value), Some([2, 0, 0, 0, 0, 10]));
        let lock = settings.lock.unwrap();
        assert_eq!((lock.value, lock.origin.to_string()), (false, "$SYSTEMD_NSPAWN_LOCK".into()));
        assert_eq!(settings.seccomp, None);
        assert_eq!(settings.cgroup_namespace.map(|on| on.value), Some(false));
        assert_eq!(settings.api_vfs.map(|mode| mode.value), Some(ApiVfs::Network));
        let (settings, _) = read(&[("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "1")]);
        assert_eq!(settings.api_vfs.map(|mode| mode.value), Some(ApiVfs::Yes));
    }

    #[test]
    fn wrong_and_lacking_ones_are_all_named() {
        let (_, refused) = read(&[
            ("SYSTEMD_NSPAWN_LOCK", "perhaps"),
            ("SYSTEMD_NSPAWN_NETWORK_MAC", "01:00:00:00:00:00"),
            ("SYSTEMD_NSPAWN_SHARE_NS_PID", "yes"),
            ("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "all"),
        ]);
        assert_eq!(refused.len(), 4, "{refused:?}");
        assert_eq!(refused[0], "$SYSTEMD_NSPAWN_LOCK=perhaps: must be yes or no");
        assert!(refused.contains(&"$SYSTEMD_NSPAWN_SHARE_NS_PID=yes is not built yet".to_owned()), "{refused:?}");
    }
}
