// SPDX-License-Identifier: LGPL-2.1-or-later
//! Resource limits of the payload (getrlimit(2); systemd `src/nspawn/nspawn.c`, `DEFAULT_*` of the limits).

use super::{Facts, Limits, Told};
use crate::config::{Invocation, Settings};
use crate::error::{Origin, Sourced};
use crate::model::{Capability, Rlimit, RlimitResource, SettingsMode};

const INFINITY: u64 = u64::MAX;

/// systemd-nspawn's defaults for resources that nobody sets. Without CAP_SYS_RESOURCE all are clamped to our own hard
/// limits, which is said of those that were asked for.
pub fn limits(s: &Settings, f: &Facts, told: &mut Told) -> Limits {
    let may_raise = f.powers.contains(Capability::SYS_RESOURCE);
    // systemd-nspawn --settings=no leaves out its own defaults as well (src/nspawn/nspawn.c, `initialize_rlimits()`).
    let inherited = s.invocation == Invocation::SystemdNspawn
        && s.settings_mode.as_ref().is_some_and(|m| m.value == SettingsMode::No);
    let rlimits = defaults(f).into_iter().zip(RlimitResource::all()).filter_map(|((soft, hard), resource)| {
        let n = usize::from(resource.number());
        let asked = s.rlimits.iter().rev().find(|r| usize::from(r.value.resource.number()) == n);
        if inherited && asked.is_none() {
            return None;
        }
        let (soft, hard) = asked.map_or((soft, hard), |r| (r.value.soft, r.value.hard));
        let cap = if may_raise { INFINITY } else { f.hard_limits[n] };
        let value = Rlimit { resource, soft: soft.min(cap), hard: hard.min(cap) };
        if let Some(asked) = asked.filter(|a| a.value != value) {
            told.warnings.push(format!("{} is more than we may give: it is {value}", asked.origin));
        }
        Some(Sourced::new(value, asked.map_or(Origin::Default, |r| r.origin.clone())))
    });
    Limits {
        rlimits: rlimits.collect(),
        oom_score_adjust: s.oom_score_adjust.clone(),
        cpu_affinity: s.cpu_affinity.clone(),
        personality: s.personality.clone(),
    }
}

/// In the order of the kernel's numbers.
fn defaults(f: &Facts) -> [(u64, u64); 16] {
    let [nproc, sigpending] = f.host.pid1_limits;
    [
        (INFINITY, INFINITY),                   // CPU
        (INFINITY, INFINITY),                   // FSIZE
        (INFINITY, INFINITY),                   // DATA
        (8 << 20, INFINITY),                    // STACK
        (0, INFINITY),                          // CORE
        (INFINITY, INFINITY),                   // RSS
        nproc,                                  // NPROC
        (1024, f.host.nr_open.min(512 * 1024)), // NOFILE
        (8 << 20, 8 << 20),                     // MEMLOCK
        (INFINITY, INFINITY),                   // AS
        (INFINITY, INFINITY),                   // LOCKS
        sigpending,                             // SIGPENDING
        (819_200, 819_200),                     // MSGQUEUE
        (0, 0),                                 // NICE
        (0, 0),                                 // RTPRIO
        (INFINITY, INFINITY),                   // RTTIME
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{facts, settings};
    use super::*;

    fn of(line: &str, f: &Facts) -> (Vec<String>, Told) {
        let mut told = Told::default();
        let limits = limits(&settings(line), f, &mut told);
        (limits.rlimits.iter().map(|l| l.value.to_string()).collect(), told)
    }

    #[test]
    fn defaults_are_those_of_systemd_nspawn() {
        let mut f = facts();
        f.host.nr_open = 1 << 30;
        f.host.pid1_limits = [(10, 20), (30, 40)];
        let (shown, told) = of("", &f);
        let expected = "CPU=infinity:infinity FSIZE=infinity:infinity DATA=infinity:infinity STACK=8388608:infinity \
                        CORE=0:infinity RSS=infinity:infinity NPROC=10:20 NOFILE=1024:524288 MEMLOCK=8388608:8388608 \
                        AS=infinity:infinity LOCKS=infinity:infinity SIGPENDING=30:40 MSGQUEUE=819200:819200 NICE=0:0 \
                        RTPRIO=0:0 RTTIME=infinity:infinity";
        assert_eq!(shown.join(" ").replace("RLIMIT_", ""), expected);
        assert!(told.warnings.is_empty());
    }

    #[test]
    fn d07_without_files_the_limits_are_the_defaults() {
        let (usual, _) = of("", &facts());
        assert_eq!(of("--settings=no", &facts()).0, usual);
        let s = Settings { invocation: Invocation::SystemdNspawn, ..settings("--settings=no --rlimit=NOFILE=5") };
        let only = limits(&s, &facts(), &mut Told::default()).rlimits;
        assert_eq!(only.iter().map(|l| l.value.to_string()).collect::<Vec<_>>(), ["NOFILE=5:5"]);
    }

    #[test]
    fn the_last_one_said_wins_whatever_the_settings_mode() {
        for line in ["", "--settings=no", "--settings=override"] {
            let (shown, _) = of(&format!("--rlimit=NOFILE=5 --rlimit=NOFILE=7:9 {line}"), &facts());
            assert!(shown[7].ends_with("NOFILE=7:9"), "{shown:?}");
        }
    }

    #[test]
    fn without_the_power_all_are_clamped_and_those_asked_for_are_told() {
        let mut f = facts();
        f.powers.remove(Capability::SYS_RESOURCE);
        f.hard_limits = [100; 16];
        let (shown, told) = of("--rlimit=NOFILE=200 --rlimit=RTPRIO=5", &f);
        assert!(shown[0].ends_with("CPU=100:100") && shown[7].ends_with("NOFILE=100:100"), "{shown:?}");
        assert_eq!(told.warnings.len(), 1);
        assert!(told.warnings[0].contains("--rlimit=NOFILE=200"), "{told:?}");
    }
}
