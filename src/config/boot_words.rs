// SPDX-License-Identifier: LGPL-2.1-or-later
//! Words after `-b` that are meant for the environment rather than for init.

use crate::model::{EnvAssignment, is_env_name};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Parts the words after the options of a boot: `KEY=VALUE` becomes a variable as the kernel makes it of its own command
/// line (dashes in KEY are underscores then), unless KEY has a dot, which is a module's parameter; the rest stays for
/// init.
pub fn split_boot_words(argv: &[OsString]) -> (Vec<EnvAssignment>, Vec<OsString>) {
    let mut environment = Vec::new();
    let mut rest = Vec::new();
    for word in argv {
        match assignment(word) {
            Some(variable) => environment.push(variable),
            None => rest.push(word.clone()),
        }
    }
    (environment, rest)
}

fn assignment(word: &OsStr) -> Option<EnvAssignment> {
    let at = word.as_bytes().iter().position(|&b| b == b'=')?;
    let (name, value) = word.as_bytes().split_at(at);
    let name = std::str::from_utf8(name).ok()?.replace('-', "_");
    is_env_name(&name).then(|| EnvAssignment { name, value: Some(OsStr::from_bytes(&value[1..]).into()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_leave_the_arguments_of_init() {
        let argv = ["single", "a-b=1", "x.y=2", "SYSTEMD_LOG=3=4", "=5", "1x=6", "--unit=x"].map(OsString::from);
        let (environment, rest) = split_boot_words(&argv);
        let environment: Vec<_> = environment.into_iter().map(|e| (e.name, e.value.unwrap())).collect();
        assert_eq!(
            environment,
            [("a_b".to_string(), "1".into()), ("SYSTEMD_LOG".into(), "3=4".into()), ("__unit".into(), "x".into())]
        );
        assert_eq!(rest, ["single", "x.y=2", "=5", "1x=6"]);
    }
}
