// SPDX-License-Identifier: LGPL-2.1-or-later
//! A file below the command line as systemd-nspawn does it: by groups of settings. An option hides its whole group in
//! the file; a group of the file takes the place of what was there (`merge_settings()` of its `nspawn.c`).

use super::layer::{Entry, Layer};
use super::trust;
use crate::config::settings::{Many, One};
use crate::config::{Key, Settings};
use crate::error::{Diagnostic, Sourced};
use crate::model::{CapabilitySet, CapabilityWords, PrivateUsers};

/// The first bit of a limit; the resource's number is added.
const FIRST_LIMIT: u8 = 35;

/// The groups that options have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Masked(u64);

impl Masked {
    /// Those of a command line.
    pub fn of(said: &Settings) -> Self {
        let mut bits = said.line.iter().filter_map(|a| a.key.mask).fold(0u64, |bits, bit| bits | 1 << bit);
        if !said.argv.is_empty() {
            bits |= 1;
        }
        for limit in &said.rlimits {
            bits |= 1 << (FIRST_LIMIT + limit.value.resource.number());
        }
        Self(bits)
    }

    /// Whether an option has made the key's group.
    pub fn hides(self, key: &Key) -> bool {
        key.mask.is_some_and(|bit| self.0 & 1 << bit != 0)
    }
}

/// Puts what the file says into the settings, and returns why the start must be refused.
pub fn merge(settings: &mut Settings, layer: &mut Layer, masked: Masked) -> Vec<Diagnostic> {
    trust::sift(layer, &|entry: &Entry| masked.hides(entry.key));
    layer.entries.retain(|entry| !masked.hides(entry.key));
    let mut from = Settings { invocation: settings.invocation, ..Settings::default() };
    for entry in &layer.entries {
        // What is wrong was said when the file was read.
        let _ = layer.apply(entry, &mut from);
    }
    // Without one of the two the words are not looked at.
    if from.start_mode.is_none() {
        layer.entries.retain(|entry| entry.file.name != "Parameters");
    }
    take(settings, &mut from);
    super::refusals(layer)
}

fn one<T>(to: &mut One<T>, from: &mut One<T>) {
    if from.is_some() {
        *to = from.take();
    }
}

fn many<T>(to: &mut Many<T>, from: &mut Many<T>) {
    if !from.is_empty() {
        *to = std::mem::take(from);
    }
}

fn take(to: &mut Settings, from: &mut Settings) {
    if from.start_mode.is_some() {
        (to.start_mode, to.start_mode_clash) = (from.start_mode.take(), None);
        to.argv = std::mem::take(&mut from.argv);
        to.argv_origin = from.argv_origin.take();
    }
    many(&mut to.environment, &mut from.environment);
    one(&mut to.user, &mut from.user);
    one(&mut to.kill_signal, &mut from.kill_signal);
    one(&mut to.personality, &mut from.personality);
    one(&mut to.uuid, &mut from.uuid);
    many(&mut to.ports, &mut from.ports);
    one(&mut to.read_only, &mut from.read_only);
    one(&mut to.volatile, &mut from.volatile);
    many(&mut to.mounts, &mut from.mounts);
    one(&mut to.chdir, &mut from.chdir);
    one(&mut to.notify_ready, &mut from.notify_ready);
    one(&mut to.pivot_root, &mut from.pivot_root);
    many(&mut to.system_call_filter, &mut from.system_call_filter);
    one(&mut to.hostname, &mut from.hostname);
    one(&mut to.no_new_privileges, &mut from.no_new_privileges);
    one(&mut to.oom_score_adjust, &mut from.oom_score_adjust);
    one(&mut to.cpu_affinity, &mut from.cpu_affinity);
    one(&mut to.resolv_conf, &mut from.resolv_conf);
    one(&mut to.link_journal, &mut from.link_journal);
    one(&mut to.timezone, &mut from.timezone);
    one(&mut to.ephemeral, &mut from.ephemeral);
    many(&mut to.bind_user, &mut from.bind_user);
    one(&mut to.bind_user_shell, &mut from.bind_user_shell);
    one(&mut to.suppress_sync, &mut from.suppress_sync);
    many(&mut to.address_families, &mut from.address_families);
    capabilities(to, from);
    network(to, from);
    users(to, from);
    for limit in std::mem::take(&mut from.rlimits) {
        to.rlimits.retain(|before| before.value.resource != limit.value.resource);
        to.rlimits.push(limit);
    }
}

/// They are added to what there is: the file gives even what the command line has dropped.
fn capabilities(to: &mut Settings, from: &mut Settings) {
    let added = from.capability.iter().fold(CapabilitySet::EMPTY, |set, words| set.union(words.value.set()));
    for dropped in to.drop_capability.iter_mut().filter(|_| !added.is_empty()) {
        dropped.value = CapabilityWords::List(dropped.value.set().minus(added));
    }
    to.capability.append(&mut from.capability);
    to.drop_capability.append(&mut from.drop_capability);
    to.ambient_capability.append(&mut from.ambient_capability);
}

/// Everything of the network but the ports, as soon as the file says anything of it.
fn network(to: &mut Settings, from: &mut Settings) {
    let one_said = from.private_network.is_some()
        || from.network_veth.is_some()
        || from.network_bridge.is_some()
        || from.network_zone.is_some()
        || from.network_namespace_path.is_some();
    let lists = [&from.network_interface, &from.network_macvlan, &from.network_ipvlan];
    if !one_said && lists.iter().all(|list| list.is_empty()) && from.network_veth_extra.is_empty() {
        return;
    }
    to.private_network = from.private_network.take();
    to.network_veth = from.network_veth.take();
    to.network_bridge = from.network_bridge.take();
    to.network_zone = from.network_zone.take();
    to.network_namespace_path = from.network_namespace_path.take();
    to.network_interface = std::mem::take(&mut from.network_interface);
    to.network_macvlan = std::mem::take(&mut from.network_macvlan);
    to.network_ipvlan = std::mem::take(&mut from.network_ipvlan);
    to.network_veth_extra = std::mem::take(&mut from.network_veth_extra);
}

/// Mode and owners belong together: owners alone mean that there is no namespace.
fn users(to: &mut Settings, from: &mut Settings) {
    if from.private_users.is_none() && from.ownership.is_none() && from.delegate.is_none() {
        return;
    }
    let ownership = from.ownership.take();
    let mode = from.private_users.take();
    to.private_users = mode.or_else(|| ownership.as_ref().map(|o| Sourced::new(PrivateUsers::No, o.origin.clone())));
    to.ownership = ownership;
    to.delegate = from.delegate.take();
}
