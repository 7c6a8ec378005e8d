// SPDX-License-Identifier: LGPL-2.1-or-later
//! Comparing works: equal command lines show nothing, different ones do.

use super::compare::{differences, glob};
use super::lines::line;
use super::{run, topics};
use crate::common::{Case, Outcome};
use std::path::Path;

const NSPAWN: &str = "/usr/bin/systemd-nspawn";

pub fn globs(_: &mut Case) -> Outcome {
    for (pattern, text, expected) in [
        ("*", "", true),
        ("", "", true),
        ("", "a", false),
        ("a*c", "abc", true),
        ("a*c", "abcd", false),
        ("a*", "abc", true),
        ("*c", "abc", true),
        ("a*b*c", "axbxc", true),
        ("a*b*c", "axc", false),
        ("abc", "abc", true),
    ] {
        assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
    }
    Ok(())
}

pub fn nspawn_agrees_with_itself(case: &mut Case) -> Outcome {
    run::prepare_sources(case, &topics::probe()?)?;
    let once = run::run(case, &line(""), Path::new(NSPAWN))?;
    let again = run::run(case, &line(""), Path::new(NSPAWN))?;
    assert!(once.fields.len() > 500, "{} fields only", once.fields.len());
    let found = differences("", &once, &again);
    assert!(found.is_empty(), "{found:#?}");
    Ok(())
}

pub fn probe_sees_a_difference(case: &mut Case) -> Outcome {
    run::prepare_sources(case, &topics::probe()?)?;
    let once = run::run(case, &line(""), Path::new(NSPAWN))?;
    let other = run::run(case, &line("--drop-capability=CAP_CHOWN"), Path::new(NSPAWN))?;
    let fields: Vec<_> = differences("", &once, &other).into_iter().map(|d| d.field).collect();
    assert_eq!(fields, ["status.CapBnd", "status.CapEff", "status.CapInh", "status.CapPrm"]);
    Ok(())
}
