// SPDX-License-Identifier: LGPL-2.1-or-later
//! Which namespaces a container has, and whose ids its users are.

use crate::common::{Case, HostState, Outcome, Program, Reason};
use crate::support::*;
use std::os::unix::fs::MetadataExt;

const ALWAYS: [&str; 5] = ["mnt", "pid", "ipc", "uts", "cgroup"];

fn host(name: &str) -> Result<String, Reason> {
    Ok(std::fs::read_link(format!("/proc/self/ns/{name}"))?.to_string_lossy().into_owned())
}

pub fn namespaces_are_as_asked(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    for (options, user, net) in [
        (&[][..], true, false),
        (&["--private-users=no"], false, false),
        (&["--private-users=no", "--private-network"], false, true),
        (&["--private-network"], true, true),
        (&["--private-users=identity"], true, false),
    ] {
        let facts = tree.probe(case, options);
        for name in ALWAYS {
            assert_ne!(facts[format!("ns.{name}").as_str()], host(name)?, "{name} {options:?}");
        }
        assert_eq!(facts["ns.user"] != host("user")?, user, "{options:?}");
        assert_eq!(facts["ns.net"] != host("net")?, net, "{options:?}");
    }
    Ok(())
}

pub fn namespaces_of_the_host_are_shared_where_asked(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    for name in BOTH {
        for users in ["--private-users=pick", "--private-users=no"] {
            for (variable, shared, own) in
                [("SYSTEMD_NSPAWN_SHARE_NS_IPC", "ipc", "uts"), ("SYSTEMD_NSPAWN_SHARE_NS_UTS", "uts", "ipc")]
            {
                let run = tree.called(case, name, &[users, "--pipe"])?.env(variable, "yes").arg("/probe").run();
                let facts = Facts::of(&run.expect_code(0).stdout);
                assert_eq!(facts[format!("ns.{shared}").as_str()], host(shared)?, "{name:?} {users}");
                for other in [own, "pid", "mnt"] {
                    assert_ne!(facts[format!("ns.{other}").as_str()], host(other)?, "{name:?} {users} {variable}");
                }
            }
        }
    }
    Ok(())
}

/// The whole hierarchy is seen then, and of it only the container's own group can be changed.
pub fn without_a_cgroup_namespace_only_the_own_group_can_be_changed(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let script = "own=$(sed -n s/^0:://p /proc/self/cgroup); echo $own; mkdir /sys/fs/cgroup$own/made && echo made; \
        rmdir /sys/fs/cgroup$own/made; mkdir /sys/fs/cgroup/made 2>&1; mkdir /sys/fs/cgroup$own/../made 2>&1; true";
    for options in [&["--private-users=no"][..], &["--private-users=no", "--private-network"], &[], &["-n"]] {
        let spawn = || tree.spawn(case, options).env("SYSTEMD_NSPAWN_USE_CGNS", "no");
        let facts = Facts::of(&spawn().arg("/probe").run().expect_code(0).stdout);
        assert_eq!(facts["ns.cgroup"], host("cgroup")?, "{options:?}");
        let run = spawn().args(["sh", "-c", script]).run().expect_code(0);
        let lines: Vec<&str> = run.stdout.lines().collect();
        assert!(lines.len() == 4 && lines[0].ends_with("/payload") && lines[1] == "made", "{options:?}: {run}");
        assert!(lines[2].ends_with("Read-only file system") && lines[3].ends_with("Read-only file system"), "{run}");
    }
    Ok(())
}

pub fn api_file_systems_are_opened_as_asked(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let (private, shared) = (&["--private-users=no", "--private-network"][..], &["--private-users=no"][..]);
    let script = "awk '$2 ~ \"^(/sys|/proc/sys|/proc/sys/net|/proc/kcore|/sys/kernel)$\" { split($4, o, \",\"); \
        print $2 \"=\" o[1] }' /proc/mounts | sort -u | tr '\\n' ' '";
    for (value, options, expected) in [
        ("no", shared, "/proc/kcore=ro /proc/sys=ro /sys=ro "),
        ("yes", shared, "/sys=rw "),
        ("yes", private, "/sys/kernel=rw /sys=rw "),
        ("network", shared, "/proc/kcore=ro /proc/sys/net=rw /proc/sys=ro /sys/kernel=ro /sys=ro "),
        ("network", private, "/proc/kcore=ro /proc/sys/net=rw /proc/sys=ro /sys/kernel=ro /sys=ro "),
    ] {
        let spawn = |options: &[&str]| tree.spawn(case, options).env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", value);
        let run = spawn(options).args(["sh", "-c", script]).run().expect_code(0);
        let mut seen: Vec<&str> = run.stdout.split_whitespace().filter(|at| !at.starts_with("/proc/kcore")).collect();
        let mut wanted: Vec<&str> = expected.split_whitespace().filter(|at| !at.starts_with("/proc/kcore")).collect();
        seen.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(seen, wanted, "{value} {options:?}");
        // Not every kernel has it.
        let has_kcore = std::path::Path::new("/proc/kcore").exists();
        assert_eq!(run.stdout.contains("/proc/kcore=ro"), has_kcore && expected.contains("kcore"), "{run}");
        // Nothing of the host's can be opened to a user namespace: the usual one is given up, an own wish is refused.
        let opens_host = value == "yes" || value == "network" && options == shared;
        let usual = spawn(&options[1..]).arg("true").run().expect_code(0);
        assert_eq!(usual.stderr.contains("without a user namespace"), opens_host, "{value} {options:?}: {usual}");
        let asked = spawn(&[&["-U"], &options[1..]].concat()).arg("true").run();
        assert_eq!(asked.stderr.contains("exclude each other"), opens_host, "{value} {options:?}: {asked}");
    }
    Ok(())
}

fn map(tree: &Tree, case: &Case, name: Name, options: &[&str]) -> Result<Vec<String>, Reason> {
    let script = "cat /proc/self/uid_map /proc/self/gid_map";
    let run = tree.called(case, name, options)?.arg("-P").args(["sh", "-c", script]).run().expect_code(0);
    Ok(run.stdout.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
}

/// Every mode, under both names; the map is one line and the same for users and groups.
pub fn d02_user_namespace_modes(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let whole = "0 0 4294967295";
    for name in BOTH {
        for (option, expected) in [
            ("--private-users=no", whole),
            ("--private-users=identity", "0 0 65536"),
            ("--private-users=1000000", "0 1000000 65536"),
            ("--private-users=1000000:4096", "0 1000000 4096"),
            // The tree belongs to root, so this is the range from 0 on.
            ("--private-users=yes", "0 0 65536"),
        ] {
            let shown = map(&tree, case, name, &[option, "--private-users-ownership=off"])?;
            assert_eq!(shown, [expected, expected], "{name:?} {option}");
        }
        for option in ["--private-users=pick", "-U"] {
            let shown = map(&tree, case, name, &[option])?;
            let words: Vec<u32> = shown[0].split(' ').map(str::parse).collect::<Result<_, _>>()?;
            assert_eq!(shown[0], shown[1]);
            assert_eq!((words[0], words[1] & 0xffff, words[2]), (0, 0, 65536), "{name:?} {option}");
            assert!((0x80000..=0x6fff_0000).contains(&words[1]), "{name:?} {option}");
        }
    }
    // Without a word spawn picks, systemd-nspawn takes none.
    assert_ne!(map(&tree, case, Name::Spawn, &[])?[0], whole);
    assert_eq!(map(&tree, case, Name::Nspawn, &[])?[0], whole);
    Ok(())
}

/// The name decides on the range, as with systemd-nspawn; one that is taken is left alone.
pub fn d41_pick_takes_the_range_of_the_name(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let first = map(&tree, case, Name::Spawn, &["-M", "nlock"])?;
    assert_eq!(first[0], "0 755302400 65536");
    let locks = std::path::Path::new("/run/systemd/nspawn-uid");
    std::fs::create_dir_all(locks)?;
    let lock = std::fs::File::create(locks.join("755302400"))?;
    // Any open file description with an OFD lock will do: this process is another one.
    let locked = rustix::fs::fcntl_lock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive);
    locked?;
    let second = map(&tree, case, Name::Spawn, &["-M", "nlock"])?;
    assert_ne!(second[0], first[0]);
    Ok(())
}

/// No file changes owner; inside everything belongs to the container, and what is made there is root's on disk.
pub fn owners_through_an_idmapped_tree(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let owner = |path: &str| std::fs::metadata(tree.path.join(path)).map(|m| (m.uid(), m.gid()));
    let script =
        "stat -c '%n %u:%g' / /etc/passwd /home/user; touch /made; mkdir /home/user/d; chown 1000:1000 /home/user/d";
    for name in BOTH {
        let run = tree.called(case, name, &["-U", "-P"])?.args(["sh", "-c", script]).run().expect_code(0);
        assert_eq!(run.stdout, "/ 0:0\n/etc/passwd 0:0\n/home/user 1000:1000\n");
        assert_eq!((owner("")?, owner("etc/passwd")?, owner("made")?), ((0, 0), (0, 0), (0, 0)));
        assert_eq!((owner("home/user")?, owner("home/user/d")?), ((1000, 1000), (1000, 1000)));
        std::fs::remove_file(tree.path.join("made"))?;
        std::fs::remove_dir(tree.path.join("home/user/d"))?;
    }
    Ok(())
}

pub fn ownership_off_map_auto(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "stat -c %u:%g /home/user";
    let seen = |options: &[&str]| tree.script(case, options, script).trim().to_owned();
    assert_eq!(seen(&["--private-users=1048576", "--private-users-ownership=off"]), "65534:65534");
    assert_eq!(seen(&["--private-users=1048576", "--private-users-ownership=map"]), "1000:1000");
    assert_eq!(seen(&["--private-users=1048576", "--private-users-ownership=auto"]), "1000:1000");
    assert_eq!(seen(&["--private-users=1048576"]), "65534:65534", "a fixed range is for a tree that belongs to it");
    // A tree that belongs to a range already.
    Program::new("chown").args(["-R", "--no-dereference", "1048576:1048576"]).arg(&tree.path).run().expect_code(0);
    let root = "cat /proc/self/uid_map; stat -c %u:%g /etc/passwd";
    for options in [
        &["--private-users=yes"][..],
        &["--private-users=1048576"],
        &["-U"],
        &[],
        &["-U", "--private-users-ownership=auto"],
    ] {
        let said = tree.script(case, options, root);
        let words: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(words, ["0", "1048576", "65536", "0:0"], "{options:?}");
    }
    Ok(())
}

/// A mount below the tree (tmpfs can be mapped) does not stand in the way.
pub fn d11_mounts_below_the_tree_are_mapped_too(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let below = tree.path.join("mnt");
    Program::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&below).run().expect_code(0);
    std::fs::write(below.join("file"), "")?;
    let run =
        |name| Ok::<_, Reason>(tree.called(case, name, &["-U", "-P"])?.args(["stat", "-c", "%u", "/mnt/file"]).run());
    let said = BOTH.map(run);
    Program::new("umount").arg(&below).run().expect_code(0);
    for run in said {
        assert_eq!(run?.expect_code(0).stdout, "0\n");
    }
    // No file has changed its owner for it.
    assert_eq!(std::fs::metadata(tree.path.join("etc/passwd"))?.uid(), 0);
    Ok(())
}

/// Where a part of the tree cannot be mapped: by default none, with one notice; asked for: an error naming the mount.
pub fn a_tree_that_cannot_be_mapped(case: &mut Case) -> Outcome {
    let tree = Tree::with_probe(case)?;
    let below = tree.path.join("mnt");
    Program::new("mount").args(["-t", "ramfs", "ramfs"]).arg(&below).run().expect_code(0);
    let before = HostState::take(case.dir());
    let named = format!("{} (ramfs)", below.display());

    let run = tree.spawn(case, &[]).arg("/probe").run().expect_code(0);
    let facts = Facts::of(&run.stdout);
    assert_eq!(&facts["ns.user"], host("user")?);
    assert_says(&run, &named);
    assert_eq!(run.stderr.matches("user namespace").count(), 1, "{run}");
    for options in [&["-U"][..], &["--private-users=pick"], &["--private-users=65536", "--private-users-ownership=map"]]
    {
        let run = tree.spawn(case, options).arg("/probe").run().expect_code(125);
        assert_says(&run, &named);
        assert_says(
            &run,
            &format!("asked for by {}", options[options.len() - 1])
                .replace("--private-users-ownership=map", "--private-users"),
        );
    }
    let run = tree.spawn(case, &["--private-users=no"]).arg("/probe").run().expect_code(0);
    assert_silent_about(&run, "ramfs");
    // systemd-nspawn changes the owners on disk then.
    let run = tree
        .called(case, Name::Nspawn, &["-U", "--pipe"])?
        .args(["stat", "-c", "%u", "/", "/mnt"])
        .run()
        .expect_code(0);
    assert_eq!(run.stdout, "0\n0\n");
    assert!(std::os::unix::fs::MetadataExt::uid(&below.metadata()?) >= 0x80000);
    before.assert_unchanged();
    Program::new("umount").arg(&below).run().expect_code(0);
    Ok(())
}

/// Owners on disk follow the range, with access lists and file capabilities; a run that was interrupted is finished.
pub fn files_are_given_to_a_range(case: &mut Case) -> Outcome {
    use std::os::unix::fs::{MetadataExt, chown};
    let tree = Tree::new(case)?;
    tree.write("home/user/file", "")?;
    let file = tree.path.join("home/user/file");
    let owner = |path: &std::path::Path| path.symlink_metadata().map(|m| (m.uid(), m.gid()));
    chown(&file, Some(1000), Some(50))?;
    let script = "stat -c %u:%g / /home/user /home/user/file; touch /made";
    let seen = |options: &[&str]| tree.script(case, options, script);
    let expected = "0:0\n1000:1000\n1000:50\n";
    assert_eq!(seen(&["--private-users=1048576", "--private-users-ownership=chown"]), expected);
    assert_eq!((owner(&tree.path)?, owner(&file)?), ((1048576, 1048576), (1048576 + 1000, 1048576 + 50)));
    assert_eq!(owner(&tree.path.join("made"))?, (1048576, 1048576));
    // The range that it belongs to is taken again; without a map, too.
    assert_eq!(seen(&["-U", "--private-users-ownership=off"]), expected);
    // Half given: nothing else is done with it.
    chown(&tree.path, Some(0xfffe_0000), Some(0xfffe_0000))?;
    chown(tree.path.join("home/user"), Some(2_097_152 + 1000), Some(2_097_152 + 1000))?;
    for options in [&["-U"][..], &[], &["--private-users=yes"], &["-U", "-x"]] {
        let run = tree.spawn(case, options).arg("true").run().expect_code(125);
        assert_says(&run, "given to a range of ids in part");
        assert_says(&run, "--private-users-ownership=chown");
    }
    assert_eq!(seen(&["--private-users=2097152", "--private-users-chown"]), expected);
    assert_eq!(owner(&tree.path)?, (2_097_152, 2_097_152));
    // And back.
    assert_eq!(seen(&["--private-users=0", "--private-users-ownership=chown"]), expected);
    assert_eq!((owner(&tree.path)?, owner(&file)?), ((0, 0), (1000, 50)));
    // Thrown away, nothing on disk changes.
    assert_eq!(seen(&["--private-users=1048576", "--private-users-ownership=chown", "-x"]), expected);
    assert_eq!((owner(&tree.path)?, owner(&file)?), ((0, 0), (1000, 50)));
    let run = tree.spawn(case, &["--private-users=1048577", "--private-users-ownership=chown"]).arg("true").run();
    assert_says(&run.expect_code(125), "use a multiple of 65536");
    Ok(())
}

/// An idmapped tree that other users of the host can reach is a remark for `-v` that says how to close it.
pub fn d54_a_tree_that_others_can_reach_is_remarked(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let warning = format!("chmod 0700 {}", tree.path.display());
    let mode = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
    };
    let says = |program: Program| program.arg("true").run().expect_code(0).stderr.matches(warning.as_str()).count();
    let spawn = |options: &[&str]| tree.spawn(case, &["--verbose"]).args(options);
    mode(case.dir(), 0o755)?;
    mode(&tree.path, 0o755)?;
    assert_eq!(says(spawn(&[])), 1);
    assert_eq!(says(tree.spawn(case, &[])), 0, "not at every start");
    assert_eq!(says(spawn(&["--private-users=no"])), 0, "there is no map");
    assert_eq!(says(spawn(&["-x"])), 0, "nothing of it reaches the disk");
    assert_eq!(says(spawn(&["--read-only"])), 0, "nothing of it reaches the disk");
    assert_eq!(says(tree.called(case, Name::Nspawn, &["-U"])?), 0);
    mode(&tree.path, 0o700)?;
    assert_eq!(says(spawn(&[])), 0, "the tree is closed");
    mode(&tree.path, 0o755)?;
    mode(case.dir(), 0o700)?;
    assert_eq!(says(spawn(&[])), 0, "a folder above is closed");
    Ok(())
}

/// However few files may be open: the start works as it should, or the limit is what is named.
pub fn few_descriptors_are_told_of(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = r#"ulimit -n "$1"; shift; exec "$@" -D "$0" -U --bind=/etc:/mnt:idmap cat /proc/self/uid_map"#;
    let (mut refused, mut ran) = (0, 0);
    tree.spawn(case, &[]).arg("true").run().expect_code(0);
    let before = HostState::take(case.dir());
    for name in BOTH {
        for limit in 3..60 {
            let spawn = match name {
                Name::Spawn => Case::spawn_path(),
                Name::Nspawn => {
                    case.spawn_as_nspawn()?;
                    case.dir().join("systemd-nspawn")
                }
            };
            let run = Program::new("sh").args(["-c", script]).arg(&tree.path).arg(limit.to_string()).arg(spawn).run();
            if run.status.success() {
                ran += 1;
                assert!(!run.stdout.trim_start().starts_with("0          0"), "{limit}: {run}");
            // With fewer no program can be loaded.
            } else if !run.stderr.contains("error while loading shared libraries") {
                refused += 1;
                assert_says(&run, "Too many open files (EMFILE)");
                assert_says(&run, "raise the number of files that this process may open");
                assert_silent_about(&run, "another file system");
                before.assert_unchanged();
            }
        }
    }
    assert!(refused > 10 && ran > 10, "{refused} refused, {ran} ran");
    Ok(())
}
