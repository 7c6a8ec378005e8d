// SPDX-License-Identifier: LGPL-2.1-or-later
//! Limits of the payload.

use crate::config::file::values as grammar;
use crate::config::{Key, Section::Exec, Takes::*, Topic::Resources};
use crate::model::{Rlimit, RlimitResource};

/// One key of a file for each resource; the option names the resource in its value.
macro_rules! limit {
    ($file:literal, $bit:literal, $help:literal) => {
        Key::only_file(
            Exec,
            $file,
            Resources,
            "SOFT[:HARD]",
            $help,
            |s, v| {
                let resource = $file.parse::<RlimitResource>()?;
                v.add(&mut s.rlimits, Rlimit::parse_for(resource, v.text()?)?)
            },
            |s| s.rlimits.retain(|limit| format!("Limit{}", limit.value.resource) != $file),
        )
        .trusted()
        .mask($bit)
        .since("v239")
    };
}

pub(super) const KEYS: &[Key] = &[
    Key::option("rlimit", Resources, Value("NAME=SOFT[:HARD]"), "Limit a resource", |s, v| v.many(&mut s.rlimits))
        .since("v239")
        .values(|| RlimitResource::all().map(|r| format!("{r}\n")).collect()),
    limit!("LimitCPU", 35, "CPU time"),
    limit!("LimitFSIZE", 36, "Size of files that are written"),
    limit!("LimitDATA", 37, "Size of the data segment"),
    limit!("LimitSTACK", 38, "Size of the stack"),
    limit!("LimitCORE", 39, "Size of core dumps"),
    limit!("LimitRSS", 40, "Resident memory; without effect on Linux"),
    limit!("LimitNPROC", 41, "Number of processes of the user"),
    limit!("LimitNOFILE", 42, "Number of open files"),
    limit!("LimitMEMLOCK", 43, "Size of locked memory"),
    limit!("LimitAS", 44, "Size of the address space"),
    limit!("LimitLOCKS", 45, "Number of file locks; without effect on Linux"),
    limit!("LimitSIGPENDING", 46, "Number of queued signals"),
    limit!("LimitMSGQUEUE", 47, "Size of POSIX message queues"),
    limit!("LimitNICE", 48, "Highest nice level"),
    limit!("LimitRTPRIO", 49, "Highest real-time priority"),
    limit!("LimitRTTIME", 50, "Real-time CPU time without a blocking call"),
    Key::option("oom-score-adjust", Resources, Value("N"), "OOM score adjustment, -1000 to 1000", |s, v| {
        v.put(&mut s.oom_score_adjust, grammar::oom_score_adjust(v.text()?)?)
    })
    .file(Exec, "OOMScoreAdjust", |s| s.oom_score_adjust = None)
    .reads(grammar::oom_score)
    .trusted()
    .mask(19)
    .since("v239"),
    Key::option("cpu-affinity", Resources, Value("CPUS"), "CPUs to run on, as in 0-3,7", |s, v| {
        v.one_or_reset(&mut s.cpu_affinity)
    })
    .file(Exec, "CPUAffinity", |s| s.cpu_affinity = None)
    .reads(grammar::cpu_affinity)
    .adds_up()
    .trusted()
    .mask(20)
    .since("v239"),
    Key::option("personality", Resources, Value("ARCH"), "Architecture that uname shows", |s, v| {
        v.one(&mut s.personality)
    })
    .file(Exec, "Personality", |s| s.personality = None)
    .reads(|s, v| v.one_or_reset(&mut s.personality))
    .mask(5)
    .since("v209"),
];
