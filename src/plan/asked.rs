// SPDX-License-Identifier: LGPL-2.1-or-later
//! Which settings the parts of a plan follow from that do not say it themselves.

use crate::config::{One, Settings};
use crate::error::{Origin, Sourced};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Parts as `--dry-run` names them, each with who asked for it. What nobody asked for is the default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Asked(BTreeMap<String, Vec<Origin>>);

impl Asked {
    /// Of everything that was said.
    pub fn of(s: &Settings) -> Self {
        let mut all = Self::default();
        all.put("machine", [said(&s.machine)]);
        all.put("hostname", [said(&s.hostname)]);
        all.put("id", [said(&s.uuid)]);
        let tree = [said(&s.directory), said(&s.ephemeral), said(&s.read_only), said(&s.volatile), said(&s.pivot_root)];
        all.put("tree", tree.into_iter().chain([said(&s.lock)]));
        all.put("users", [said(&s.private_users), said(&s.ownership), said(&s.delegate)]);
        all.put("network", [said(&s.private_network), said(&s.network_namespace_path)]);
        let unit = [said(&s.slice), said(&s.scope), said(&s.keep_unit)];
        all.put("unit", unit.into_iter().chain(each(&s.properties)));
        all.put("machined", [said(&s.register), said(&s.container_service), said(&s.share_uts)]);
        all.put("journal", [said(&s.link_journal)]);
        let limits = [said(&s.forward_journal_max_use), said(&s.forward_journal_keep_free)];
        let more = [said(&s.forward_journal_max_file_size), said(&s.forward_journal_max_files)];
        all.put("forwarded", [said(&s.forward_journal)].into_iter().chain(limits).chain(more));
        all.put("console", [said(&s.console)]);
        all.put("terminal", [said(&s.background)]);
        let more = each(&s.capability).chain(each(&s.drop_capability)).chain(each(&s.ambient_capability));
        all.put("caps", more.chain([said(&s.no_new_privileges)]));
        let filter = [said(&s.suppress_sync), said(&s.seccomp), said(&s.log_seccomp)];
        all.put("filter", each(&s.system_call_filter).chain(each(&s.address_families)).chain(filter));
        all.put("program", [said(&s.start_mode), words(s)]);
        all.put("directory", [said(&s.chdir)]);
        all.put("signal", [said(&s.kill_signal)]);
        all.put("ready", [said(&s.notify_ready)]);
        for variable in &s.environment {
            all.put(&format!("variable {}", variable.value.name), [Some(variable.origin.clone())]);
        }
        all
    }

    fn put(&mut self, part: &str, by: impl IntoIterator<Item = Option<Origin>>) {
        let by: Vec<Origin> = by.into_iter().flatten().collect();
        // A variable that is said again: the last one holds.
        if !by.is_empty() {
            self.0.insert(part.into(), by);
        }
    }

    /// Who asked for a part, for people.
    pub fn words(&self, part: &str) -> String {
        let by = self.0.get(part).map(Vec::as_slice);
        let by: Vec<String> = by.unwrap_or_default().iter().map(Origin::to_string).collect();
        if by.is_empty() { "  [default]".into() } else { format!("  [{}]", by.join(", ")) }
    }
}

/// As a map.
impl Serialize for Asked {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(&self.0)
    }
}

fn said<T>(setting: &One<T>) -> Option<Origin> {
    setting.as_ref().map(|s| s.origin.clone())
}

fn each<T>(list: &[Sourced<T>]) -> impl Iterator<Item = Option<Origin>> {
    list.iter().map(|s| Some(s.origin.clone()))
}

/// Who named the program, or the words of init.
fn words(s: &Settings) -> Option<Origin> {
    let line = || Origin::Option("the words of the command line".into());
    (!s.argv.is_empty()).then(|| s.argv_origin.clone().unwrap_or_else(line))
}
