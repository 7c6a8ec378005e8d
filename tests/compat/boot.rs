// SPDX-License-Identifier: LGPL-2.1-or-later
//! A real system: booted by both to a marker, then powered off from inside.

use super::compare::differences;
use super::facts::Facts;
use crate::common::{Case, Outcome, Program, skip};
use std::fs;
use std::path::Path;
use std::time::Duration;

const DEBIAN: &str = "/var/lib/machines/debian";
/// Says what the booted system thinks of itself, then powers it off.
const UNIT: &str = "[Unit]\nDescription=Marker\nAfter=basic.target\n[Service]\nType=oneshot\n\
    StandardOutput=file:/marker\nExecStart=/bin/sh -c 'systemd-detect-virt; hostname; \
    systemctl show --property=Virtualization,ConfidentialVirtualization,DefaultTasksMax --value; \
    systemctl list-units --failed --plain --no-legend; cat /proc/1/comm; cat /proc/self/cgroup; \
    systemctl show-environment | sort; grep -E \"Cap|Seccomp:|NoNew\" /proc/1/status; readlink /dev/console'\n\
    StandardError=null\nExecStartPost=-/bin/systemctl --no-block poweroff\n[Install]\nWantedBy=multi-user.target\n";

pub fn debian_boots_and_powers_off(case: &mut Case) -> Outcome {
    if !Path::new(DEBIAN).is_dir() {
        return skip(format!("there is no tree {DEBIAN}"));
    }
    drop(case.spawn_as_nspawn()?);
    let nspawn = boot(case, Path::new("/usr/bin/systemd-nspawn"))?;
    let spawn = boot(case, &case.dir().join("systemd-nspawn"))?;
    assert!(nspawn.get("marker").is_some_and(|text| text.starts_with("systemd-nspawn")), "{nspawn:?}");
    let found = differences("--boot", &nspawn, &spawn);
    for difference in &found {
        println!("{}\nnspawn:\n{}\nspawn:\n{}", difference.field, difference.nspawn, difference.spawn);
    }
    assert!(found.is_empty(), "the booted systems are not the same");
    Ok(())
}

fn boot(case: &Case, launcher: &Path) -> Result<Facts, crate::common::Reason> {
    let tree = case.dir().join("debian");
    crate::common::tree::copy(Path::new(DEBIAN), &tree);
    fs::write(tree.join("etc/systemd/system/marker.service"), UNIT)?;
    let wants = tree.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    std::os::unix::fs::symlink("/etc/systemd/system/marker.service", wants.join("marker.service"))?;
    let run = Program::new(launcher)
        .args(["--quiet", "--boot", "--machine=booted", "--private-network", "--directory"])
        .arg(&tree)
        .limit(Duration::from_secs(60))
        .run();
    let mut facts = Facts::default();
    facts.add("end", format!("{:?}", run.status.code()));
    facts.add("marker", fs::read_to_string(tree.join("marker")).unwrap_or_default());
    facts.add("stdout.powers-off", run.stdout.contains("Powering off").to_string());
    Program::new("rm").args(["-rf", "--one-file-system", "--"]).arg(&tree).run().expect_code(0);
    Ok(facts)
}
