// SPDX-License-Identifier: LGPL-2.1-or-later
//! Files and command line under our own name: key by key, in the order of how much each may say. Lists add up, an empty
//! value takes back what its key has said before, of everything else the last one counts.
//!
//! From weak to strong: the file next to the image; `NAME.nspawn` and its drop-ins; the command line; the environment.
//! With `--settings=override` the command line comes before the trusted files, but never before the untrusted one.

use super::layer::{Entry, Layer};
use super::{masking::Masked, trust};
use crate::config::keys::environment::apply_environment;
use crate::config::{Does, Said, Settings, Trust};
use crate::error::Diagnostic;
use crate::model::SettingsMode;
use std::collections::BTreeSet;

/// Keys that choose the program: words on the command line are a choice of their own.
fn chooses_program(entry: &Entry) -> bool {
    matches!(entry.file.name, "Boot" | "ProcessTwo" | "Parameters")
}

/// Makes the settings of a command line and of files; in `layers` the weakest comes first. What does not count is taken
/// out of the layers.
pub fn merge(said: &Settings, layers: &mut [Layer]) -> (Settings, Vec<Diagnostic>) {
    let files_win = said.settings_mode.as_ref().is_some_and(|m| m.value == SettingsMode::Override);
    sift(said, layers, files_win);
    let mut settings = Settings { invocation: said.invocation, ..Settings::default() };
    let mut refused = Vec::new();
    let (below, above): (Vec<&Layer>, Vec<&Layer>) =
        layers.iter().partition(|layer| !files_win || layer.trust == Trust::Anyone);
    for layer in below {
        refused.extend(put(layer, &mut settings));
    }
    put_line(said, &mut settings);
    for layer in above {
        if layer.entries.iter().any(chooses_program) {
            settings.argv.clear();
        }
        refused.extend(put(layer, &mut settings));
    }
    // They were understood before.
    let _ = apply_environment(&mut settings, &said.variables);
    (settings, refused)
}

/// Takes out what does not count, with a warning where somebody might wonder.
fn sift(said: &Settings, layers: &mut [Layer], files_win: bool) {
    let masked = Masked::of(said);
    let trusted: BTreeSet<&'static str> = layers
        .iter()
        .filter(|layer| layer.trust == Trust::Trusted)
        .flat_map(|layer| layer.entries.iter().map(|entry| entry.file.name))
        .collect();
    let words_said = !said.argv.is_empty();
    for layer in layers {
        let weak = layer.trust == Trust::Anyone;
        trust::sift(layer, &|_| false);
        for entry in std::mem::take(&mut layer.entries) {
            let hidden = chooses_program(&entry) && words_said && (weak || !files_win);
            if weak && !trust::only_narrows(&entry) && trusted.contains(entry.file.name) {
                layer.warn(entry.at, trust::overruled(&entry, "a file of the administrator says it"));
            } else if weak && files_win && !trust::only_narrows(&entry) && masked.hides(entry.key) {
                layer.warn(entry.at, trust::overruled(&entry, "an option of the command line says it"));
            } else if !hidden {
                layer.entries.push(entry);
            }
        }
    }
}

fn put(layer: &Layer, settings: &mut Settings) -> Vec<Diagnostic> {
    let mut alone = Settings { invocation: layer.invocation, ..Settings::default() };
    for entry in &layer.entries {
        // What is wrong was said when the file was read.
        let _ = layer.apply(entry, &mut alone);
    }
    let links = alone.network_veth.as_ref().is_some_and(|v| v.value)
        || alone.network_bridge.is_some()
        || alone.network_zone.is_some()
        || !alone.network_veth_extra.is_empty()
        || [&alone.network_interface, &alone.network_macvlan, &alone.network_ipvlan]
            .iter()
            .any(|list| !list.is_empty());
    if alone.private_network.as_ref().is_some_and(|private| !private.value) && !links {
        no_links(settings);
    }
    for entry in &layer.entries {
        let _ = layer.apply(entry, settings);
    }
    super::refusals(layer)
}

/// `Private=no` from somebody stronger takes back the links of the weaker, which would mean a namespace again.
fn no_links(settings: &mut Settings) {
    settings.network_veth = None;
    settings.network_bridge = None;
    settings.network_zone = None;
    settings.network_interface.clear();
    settings.network_macvlan.clear();
    settings.network_ipvlan.clear();
    settings.network_veth_extra.clear();
}

fn put_line(said: &Settings, settings: &mut Settings) {
    settings.line = said.line.clone();
    settings.variables = said.variables.clone();
    for assigned in &said.line {
        let Does::Set(apply) = assigned.key.does else { continue };
        let value = assigned.value.as_deref();
        let base = assigned.base.as_deref();
        // It was understood before.
        let _ = apply(settings, &Said { value, origin: assigned.origin.clone(), base });
    }
    if !said.argv.is_empty() {
        settings.argv = said.argv.clone();
        settings.argv_origin = None;
    }
}
