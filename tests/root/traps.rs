// SPDX-License-Identifier: LGPL-2.1-or-later
//! Traps of systemd-nspawn's that no other topic has; names begin with their numbers in `docs/differences.md`.

use super::network::own_network;
use crate::common::{Case, HostState, Outcome, Program, Reason};
use crate::support::*;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const USERS: [&str; 2] = ["--private-users=pick", "--private-users=no"];

/// Below a stub as well, with any name for the manager.
pub fn d04_pid_1_says_what_the_container_is(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "tr '\\0' '\\n' </proc/1/environ | grep ^container=; echo $container";
    for name in BOTH {
        for users in USERS {
            for manager in ["systemd-nspawn", "other"] {
                let run = tree.called(case, name, &["-a", "-P", "-q", users])?.args(["sh", "-c", script]);
                let run = run.env("SYSTEMD_NSPAWN_CONTAINER_SERVICE", manager).run().expect_code(0);
                assert_eq!(run.stdout, format!("container={manager}\n{manager}\n"), "{name:?} {users}");
            }
        }
    }
    Ok(())
}

/// Images with their sidecars, stacks of layers, bundles and delegated ranges are not built: they are refused by name, whatever
/// stands beside them, before anything is begun.
pub fn d17_d18_d20_d40_what_is_not_built_is_refused_whole(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let at = |name: &str| case.dir().join(name).to_string_lossy().into_owned();
    std::fs::write(at("disk.raw"), vec![0; 4096])?;
    std::fs::write(at("disk.verity"), "")?;
    std::fs::create_dir_all(at("stack.mstack/layer@0"))?;
    std::fs::create_dir(at("bundle"))?;
    let hooks = r#"{"ociVersion":"1.0.0","root":{"path":"../tree"},"linux":{"sysctl":{"kernel.domainname":"x"}},
        "hooks":{"prestart":[{"path":"/usr/bin/touch","args":["touch","/ran"]}]}}"#;
    std::fs::write(at("bundle/config.json"), hooks)?;
    let directory = format!("--directory={}", tree.path.display());
    let managed = ["--private-users=managed", "--private-network", "--cleanup"];
    let rows = [
        (vec!["--ephemeral".to_string(), format!("--image={}", at("disk.raw"))], "--image="),
        (vec![format!("--mstack={}", at("stack.mstack"))], "--mstack="),
        (vec![format!("--oci-bundle={}", at("bundle"))], "--oci-bundle="),
        (managed[..2].iter().map(|o| o.to_string()).chain([directory.clone()]).collect(), "--private-users=managed"),
        // Not even to clean up: what such a container leaves is not known.
        (managed.iter().map(|o| o.to_string()).chain([directory.clone()]).collect(), "--private-users=managed"),
    ];
    let before = HostState::take(case.dir());
    for name in BOTH {
        for (options, refused) in &rows {
            let program = if name == Name::Spawn { case.spawn() } else { case.spawn_as_nspawn()? };
            let run = program.args(options).args(["touch", "/ran"]).run().expect_code(failure(name));
            assert_says(&run, &format!("{refused} is not built yet"));
            assert_eq!(run.stderr.matches("[E0106]").count(), 1, "{run}");
            assert!(!tree.path.join("ran").exists(), "{options:?}");
        }
    }
    before.assert_unchanged();
    Ok(())
}

/// Asked for, it is a warning that says who asked; by default it is nothing to talk about. The start goes on.
pub fn d19_a_file_that_cannot_be_copied_is_told(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let absent = "/run/systemd/resolve/stub-resolv.conf";
    assert!(!std::path::Path::new(absent).exists(), "there is one");
    for name in BOTH {
        for option in ["--resolv-conf=copy-stub", "--resolv-conf=bind-stub", "--resolv-conf=replace-stub"] {
            let run = tree.called(case, name, &["-q", option])?.arg("true").run().expect_code(0);
            for words in [absent, "ENOENT", &format!("asked for by {option}"), "the start goes on"] {
                assert_says(&run, words);
            }
        }
        // A directory in its place.
        let place = tree.path.join("etc/resolv.conf");
        std::fs::create_dir(&place)?;
        let run = tree.called(case, name, &["-q"])?.arg("true").run().expect_code(0);
        assert_eq!(run.stderr, "", "{name:?}");
        std::fs::remove_dir(&place)?;
    }
    Ok(())
}

pub fn d21_an_empty_machine_name_is_refused(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    for name in BOTH {
        for option in [&["-M", ""][..], &["--machine="]] {
            let run = tree.called(case, name, option)?.arg("true").run().expect_code(failure(name));
            assert_says(&run, "must be 1 to 64 characters long [E0103]");
            assert_says(&run, option[0]);
        }
    }
    before.assert_unchanged();
    Ok(())
}

/// No announcement of what a later version will do, whatever is said of address families.
pub fn d22_no_notice_of_a_later_default(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    for name in BOTH {
        for option in [&[][..], &["--restrict-address-families="], &["--restrict-address-families=AF_UNIX"]] {
            let run = tree.called(case, name, &["-q"])?.args(option).arg("true").run().expect_code(0);
            assert_eq!(run.stderr, "", "{name:?} {option:?}");
        }
    }
    Ok(())
}

pub fn d28_nothing_is_mounted_twice(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "cut -d' ' -f5 /proc/self/mountinfo | sort | uniq -d";
    for name in BOTH {
        for users in USERS {
            for network in [None, Some("--private-network")] {
                let run = tree.called(case, name, &["-P", users])?.args(network).args(["sh", "-c", script]).run();
                assert_eq!(run.expect_code(0).stdout, "", "{name:?} {users} {network:?}");
            }
        }
    }
    Ok(())
}

/// The first links are there when the last one cannot be made.
pub fn d29_a_start_that_fails_leaves_no_link(case: &mut Case) -> Outcome {
    own_network()?;
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    for name in BOTH {
        let options = ["-n", "--network-veth-extra=first:a", "--network-veth-extra=l1:b"];
        let started = Instant::now();
        let run = tree.called(case, name, &options)?.arg("true").run();
        let took = started.elapsed();
        assert_says(&run, "cannot make the veth pair l1 and b");
        assert!(!run.status.success());
        before.assert_unchanged();
        // A link that stays is not waited for as one is that is about to go.
        assert!(took < Duration::from_secs(3), "{name:?}: {took:?}");
    }
    Ok(())
}

pub fn d33_links_need_no_machine_id_of_the_host(case: &mut Case) -> Outcome {
    own_network()?;
    let tree = Tree::new(case)?;
    let before = HostState::take(case.dir());
    let without = "mount --bind /dev/null /etc/machine-id || exit 77; exec \"$@\"";
    for name in BOTH {
        let spawn = tree.called(case, name, &["-n", "-P", "-q"])?.args(["cat", "/sys/class/net/host0/address"]);
        let spawn = spawn.command();
        let run = Program::new("unshare").args(["-m", "--propagation", "private", "sh", "-c", without, "sh"]);
        let run = run.arg(spawn.get_program()).args(spawn.get_args()).run();
        if run.status.code() == Some(77) {
            return crate::common::skip("the host has no /etc/machine-id");
        }
        assert_eq!(run.expect_code(0).stdout.trim().len(), 17, "{name:?}");
        before.assert_unchanged();
    }
    Ok(())
}

/// Below a stub as well; where a user cannot read them, that is told.
pub fn d35_users_read_their_credentials(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let words = ["cat", "/run/host/credentials/a"];
    let run = |name, options: &[&str]| {
        let program = tree.called(case, name, &["-P", "-q", "-u", "user", "--set-credential=a:one"])?;
        Ok::<_, Reason>(program.args(options).args(words).run())
    };
    for users in USERS {
        for way in [&[][..], &["-a"]] {
            let read = run(Name::Spawn, &[&[users, "--no-new-privileges=yes"], way].concat())?.expect_code(0);
            assert_eq!(read.stdout, "one", "{users} {way:?}");
            assert_silent_about(&read, "the user user");
            let refused = run(Name::Spawn, &[&[users], way].concat())?.expect_code(1);
            assert_says(&refused, "the user user cannot read the credentials");
            assert_says(&refused, "with --no-new-privileges=yes it can");
        }
    }
    assert_eq!(run(Name::Nspawn, &["--no-new-privileges=yes"])?.expect_code(0).stdout, "one");
    assert_silent_about(&run(Name::Nspawn, &["-a", "--no-new-privileges=yes"])?.expect_code(1), "the user user");
    Ok(())
}

/// No program of the image runs before the payload, and a number needs no entry.
pub fn d36_users_are_looked_up_without_the_images_programs(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    std::fs::create_dir_all(tree.path.join("usr/local/bin"))?;
    for path in ["usr/bin/getent", "usr/local/bin/getent"] {
        tree.write(path, "#!/bin/sh\necho user:x:0:0::/:/bin/sh | tee -a /ran\n")?;
        std::fs::set_permissions(tree.path.join(path), PermissionsExt::from_mode(0o755))?;
    }
    for name in BOTH {
        for (user, ids) in [("user", "1000:1000"), ("4711", "4711:4711"), ("0", "0:0")] {
            let script = "echo $(id -u):$(id -g)";
            let run = tree.called(case, name, &["-P", "-u", user])?.args(["sh", "-c", script]).run();
            assert_eq!(run.expect_code(0).stdout.trim(), ids, "{name:?} {user}");
        }
    }
    assert!(!tree.path.join("ran").exists());
    Ok(())
}

/// There is no verb for a running machine, but what it is can be read: the plan, and who runs it where.
pub fn d37_a_running_machine_is_written_down(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "touch /ready; while :; do sleep 1; done";
    for name in BOTH {
        let program = tree.called(case, name, &["-M", "told", "-P"])?.args(["sh", "-c", script]);
        let machine = Background::start(&program, &tree.path.join("ready"));
        let read = |file: &str| -> Result<serde_json::Value, Reason> {
            Ok(serde_json::from_str(&std::fs::read_to_string(format!("/run/spawn/told/{file}"))?)?)
        };
        let plan = read("plan.json")?;
        assert_eq!((&plan["machine"], &plan["process"]["argv"][2]), (&"told".into(), &script.into()), "{name:?}");
        assert_eq!(plan["tree"]["path"], tree.path.to_string_lossy().as_ref());
        let record = read("record")?;
        assert_eq!(record["leader"]["pid"], machine.leader(), "{record}");
        assert_eq!(record["supervisor"]["pid"], machine.child.id(), "{record}");
        drop(machine);
        assert!(!std::path::Path::new("/run/spawn/told").exists(), "{name:?}");
        std::fs::remove_file(tree.path.join("ready"))?;
    }
    for verb in ["exec", "ps", "shell"] {
        let run = case.spawn().args([verb, "told"]).dir(case.dir()).run();
        assert_says(&run, "verbs are not built yet");
        assert_eq!(run.status.code(), Some(125));
    }
    Ok(())
}

/// Whatever is in the tree, a throw-away copy costs nothing and leaves nothing.
pub fn d55_a_throw_away_copy_of_a_huge_file_takes_no_time(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    std::fs::File::create(tree.path.join("huge"))?.set_len(10 << 30)?;
    let before = HostState::take(case.dir());
    for name in BOTH {
        let started = Instant::now();
        let run = tree.called(case, name, &["-x", "-P"])?.args(["stat", "-c", "%s", "/huge"]).run().expect_code(0);
        assert_eq!(run.stdout.trim(), (10_u64 << 30).to_string());
        assert!(started.elapsed() < Duration::from_secs(5), "{name:?}: {:?}", started.elapsed());
        before.assert_unchanged();
    }
    Ok(())
}
