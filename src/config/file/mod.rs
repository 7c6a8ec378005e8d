// SPDX-License-Identifier: LGPL-2.1-or-later
//! `.nspawn` files (systemd.nspawn(5)): which apply, whose they are, what they say, and what remains of it.
//!
//! [`lines`] knows the grammar of lines, [`values`] that of values, [`layer`] makes a file of both; [`search`] finds
//! files, [`trust`] weighs them; [`masking`] merges as systemd-nspawn does, [`merge`] as spawn does.

pub mod effective;
pub mod layer;
pub mod lines;
pub mod masking;
pub mod merge;
pub mod search;
pub mod trust;
pub mod values;

use super::{Built, Invocation, Settings, Trust, keys};
use crate::error::{Code, Diagnostic};
use crate::model::{MachineName, SettingsMode, parse_bool};
use layer::{Layer, Warning};
use search::{Directories, Found};
use std::path::PathBuf;

/// The machine whose files are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// Its name, without what is added for throw-away copies.
    pub name: MachineName,
    /// Its tree, as it was named.
    pub tree: PathBuf,
}

/// Settings of command line and files together.
#[derive(Default)]
pub struct Loaded {
    /// The settings, unless something keeps them from being used.
    pub settings: Settings,
    /// What a person should hear of the files.
    pub warnings: Vec<Warning>,
    /// Why the start must be refused.
    pub mistakes: Vec<Diagnostic>,
    /// The files, the weakest first, with what counts of them.
    pub layers: Vec<Layer>,
}

/// Adds the files of the machine to what the command line says. `whereabouts` is asked when the tree matters; `None`
/// means that there is no tree, which is for others to complain about.
pub fn load(
    said: Settings,
    directories: &Directories,
    whereabouts: &dyn Fn(&Settings) -> Option<Whereabouts>,
) -> Loaded {
    let mode = said.settings_mode.as_ref().map_or(SettingsMode::Yes, |m| m.value);
    if mode == SettingsMode::No || said.oci_bundle.is_some() {
        return Loaded { settings: said, ..Loaded::default() };
    }
    let found = match find(&said, directories, whereabouts) {
        Ok(found) => found,
        Err(refusal) => return Loaded { settings: said, mistakes: vec![refusal], ..Loaded::default() },
    };
    let mut layers = Vec::new();
    for file in found {
        let trust = if mode == SettingsMode::Trusted { Trust::Trusted } else { file.trust };
        layers.push(Layer::parse(&file.path, &file.bytes, trust, said.invocation));
    }
    combine(said, layers)
}

/// Puts the files together with the command line; the weakest file comes first.
pub fn combine(said: Settings, mut layers: Vec<Layer>) -> Loaded {
    let broken: Vec<_> = layers.iter_mut().filter_map(|layer| Some(layer.broken.take()?.1)).collect();
    if layers.is_empty() || !broken.is_empty() {
        let warnings = layers.iter_mut().flat_map(|layer| std::mem::take(&mut layer.warnings)).collect();
        return Loaded { settings: said, warnings, mistakes: broken, layers };
    }
    let (settings, mut mistakes) = match said.invocation {
        Invocation::Spawn => merge::merge(&said, &mut layers),
        Invocation::SystemdNspawn => {
            let files_win = said.settings_mode.as_ref().is_some_and(|m| m.value == SettingsMode::Override);
            let masked = if files_win { masking::Masked::default() } else { masking::Masked::of(&said) };
            let mut settings = said;
            let refused = layers.iter_mut().flat_map(|l| masking::merge(&mut settings, l, masked)).collect();
            (settings, refused)
        }
    };
    if mistakes.is_empty() {
        mistakes = keys::values_not_built(&settings);
    }
    let mut warnings: Vec<_> = layers.iter_mut().flat_map(|layer| std::mem::take(&mut layer.warnings)).collect();
    warnings.sort_by_key(|w| (w.path.clone(), w.at.line, w.at.column));
    Loaded { settings, warnings, mistakes, layers }
}

/// The files of the machine, the weakest first.
fn find(
    said: &Settings,
    directories: &Directories,
    whereabouts: &dyn Fn(&Settings) -> Option<Whereabouts>,
) -> Result<Vec<Found>, Diagnostic> {
    let mut name = said.machine.as_ref().map(|m| m.value.clone());
    let mut main = name.as_ref().map(|n| search::of_administrator(directories, n.as_str())).transpose()?.flatten();
    if main.is_none()
        && let Some(place) = whereabouts(said)
    {
        if name.is_none() {
            main = search::of_administrator(directories, place.name.as_str())?;
        }
        if main.is_none() {
            main = search::beside(&place.tree, place.name.as_str())?;
        }
        name = Some(place.name);
    }
    let mut found: Vec<_> = main.into_iter().collect();
    if let Some(name) = name.filter(|_| said.invocation == Invocation::Spawn) {
        found.extend(search::drop_ins(directories, name.as_str())?);
    }
    Ok(found)
}

/// Why what the layer says must be refused: values that cannot be left out, and what is not built.
fn refusals(layer: &Layer) -> Vec<Diagnostic> {
    let mut refused = Vec::new();
    for entry in &layer.entries {
        refused.extend(layer.refuses(entry));
        if let Built::No(reason) = entry.key.built
            && entry.wrong.is_none()
            && !entry.value.is_empty()
            // "no" asks for nothing.
            && parse_bool(&entry.value) != Ok(false)
        {
            let what = format!("{}= is not built yet", entry.file.name);
            refused.push(Diagnostic::new(Code::NotBuiltYet, what).origin(&layer.origin(entry)).note(reason));
        }
    }
    refused
}

#[cfg(test)]
mod tests;
