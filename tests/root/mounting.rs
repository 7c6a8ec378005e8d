// SPDX-License-Identifier: LGPL-2.1-or-later
//! The mounts of a container: places, kinds, flags, content, masks.

use crate::common::{Case, Outcome, Program};
use crate::support::*;
use std::collections::BTreeSet;

const RSD: &str = "nodev,noexec,nosuid";

/// Mount point, kind, flags (sorted), options that must be there.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

const EVERYWHERE: &[Row] = &[
    ("/tmp", "tmpfs", "nodev,nosuid,rw", &["nr_inodes=409600"]),
    ("/dev", "tmpfs", "nosuid,rw", &["mode=755", "size=4096k", "nr_inodes=65536"]),
    ("/dev/pts", "devpts", "noexec,nosuid,rw", &["mode=600", "ptmxmode=666"]),
    ("/dev/shm", "tmpfs", "nodev,nosuid,rw", &["nr_inodes=409600"]),
    ("/dev/mqueue", "mqueue", "nodev,noexec,nosuid,rw", &[]),
    ("/run", "tmpfs", "nodev,nosuid,rw", &["mode=755", "nr_inodes=819200"]),
    ("/run/host", "tmpfs", "nodev,noexec,nosuid,ro", &["mode=755"]),
    ("/proc", "proc", "nodev,noexec,nosuid,rw", &[]),
    ("/proc/sys", "proc", "nodev,noexec,nosuid,ro", &[]),
    ("/proc/sys/kernel/random/boot_id", "tmpfs", "nodev,noexec,nosuid,ro", &[]),
    ("/proc/kmsg", "tmpfs", "nodev,noexec,nosuid,ro", &[]),
    ("/sys/fs/cgroup", "cgroup2", "nodev,noexec,nosuid,rw", &[]),
];
const SHARED_NETWORK: &[Row] = &[("/sys", "sysfs", "nodev,noexec,nosuid,ro", &[])];
const OWN_NETWORK: &[Row] = &[
    ("/sys", "tmpfs", "nodev,noexec,nosuid,ro", &["size=4096k", "nr_inodes=1024"]),
    ("/sys/block", "sysfs", "nodev,noexec,nosuid,ro", &[]),
    ("/sys/bus", "sysfs", "nodev,noexec,nosuid,ro", &[]),
    ("/sys/class", "sysfs", "nodev,noexec,nosuid,ro", &[]),
    ("/sys/dev", "sysfs", "nodev,noexec,nosuid,ro", &[]),
    ("/sys/devices", "sysfs", "nodev,noexec,nosuid,ro", &[]),
    ("/sys/kernel", "sysfs", "nodev,noexec,nosuid,ro", &[]),
    ("/proc/sys/net", "proc", "nodev,noexec,nosuid,rw", &[]),
];
const MASKED_FILES: [&str; 5] = ["kallsyms", "kcore", "keys", "sysrq-trigger", "timer_list"];
const READ_ONLY_DIRS: [&str; 7] = ["acpi", "apm", "asound", "bus", "fs", "irq", "scsi"];

/// A tree may hold no more than `/usr`: the rest of its root is made, as the container's root, and kept.
pub fn what_a_root_lacks_is_made(case: &mut Case) -> Outcome {
    for name in BOTH {
        for users in ["--private-users=pick", "--private-users=no"] {
            let tree = Tree::new(case)?;
            let bare = "cd \"$1\"; rm -rf bin lib sbin root proc sys dev run var etc; mkdir usr/lib64; \
                        touch usr/lib64/ld-linux-x86-64.so.2";
            Program::new("sh").args(["-ec", bare, "sh"]).arg(&tree.path).run().expect_code(0);
            let run = tree.called(case, name, &[users])?.args(["sh", "-c", "cd; pwd; id -u"]).run().expect_code(0);
            assert_eq!(run.stdout.replace('\r', ""), "/root\n0\n", "{name:?} {users}");
            let look = "cd \"$1\"; stat -c '%n %a %u' root proc sys dev run var etc; readlink bin lib sbin lib64";
            let seen = Program::new("sh").args(["-ec", look, "sh"]).arg(&tree.path).run().expect_code(0).stdout;
            let modes = "root 750 0\nproc 555 0\nsys 555 0\ndev 555 0\nrun 555 0\nvar 755 0\netc 755 0\n";
            assert_eq!(seen, format!("{modes}usr/bin\nusr/lib\nusr/sbin\nusr/lib64\n"), "{name:?} {users}");
            // What is there stays.
            Program::new("chmod").arg("700").arg(tree.path.join("var")).run().expect_code(0);
            tree.called(case, name, &[users])?.arg("true").run().expect_code(0);
            let kept = std::fs::metadata(tree.path.join("var"))?.permissions();
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&kept) & 0o777, 0o700);
            std::fs::remove_dir_all(&tree.path)?;
        }
    }
    Ok(())
}

/// `/run/host` is read-only, but what was asked for is mounted below it.
pub fn mounts_below_run_host(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let (folder, file) = (case.dir().join("folder"), case.dir().join("file"));
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("in-it"), "folder")?;
    std::fs::write(&file, "file")?;
    let options = [
        format!("--bind={}:/run/host/deep/folder", folder.display()),
        format!("--bind-ro={}:/run/host/file", file.display()),
        format!("--bind-ro={}:/run/host/os-release", file.display()),
        "--tmpfs=/run/host/memory".to_owned(),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    for users in ["--private-users=pick", "--private-users=no"] {
        let script = "cd /run/host; cat deep/folder/in-it file os-release; : >memory/x; stat -c ' %u' deep memory; \
                      touch deep/x 2>/dev/null || echo ro";
        let said = tree.script(case, &[&options[..], &[users]].concat(), script);
        assert_eq!(said, "folderfilefile 0\n 0\nro\n", "{users}");
    }
    Ok(())
}

/// With and without a user namespace and a network of its own: exactly these mounts with these flags.
pub fn mounts_and_flags_are_these(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    for users in ["--private-users=pick", "--private-users=no"] {
        for network in [None, Some("--private-network")] {
            // The host's zone would be one more mount where the image lacks it.
            let options: Vec<&str> = [users, "--timezone=off"].into_iter().chain(network).collect();
            let shown = mounts(&tree.script(case, &options, "cat /proc/self/mountinfo"));
            let rows = EVERYWHERE.iter().chain(if network.is_some() { OWN_NETWORK } else { SHARED_NETWORK });
            let mut expected: BTreeSet<String> = ["/".to_owned()].into();
            for (point, kind, flags, has) in rows {
                let m = shown.get(*point).unwrap_or_else(|| panic!("{options:?}: nothing on {point}: {shown:#?}"));
                assert_eq!((m.kind.as_str(), m.flags.as_str()), (*kind, *flags), "{point} {options:?}");
                let words: Vec<&str> = m.options.split(',').collect();
                assert!(has.iter().all(|o| words.contains(o)), "{point} {options:?}: {words:?}");
                expected.insert((*point).to_owned());
            }
            for name in MASKED_FILES.iter().chain(&READ_ONLY_DIRS) {
                let path = format!("/proc/{name}");
                if std::path::Path::new(&path).exists() {
                    assert_eq!(shown[&path].flags, format!("{RSD},ro"), "{path} {options:?}");
                    expected.insert(path);
                }
            }
            assert_eq!(shown.keys().cloned().collect::<BTreeSet<_>>(), expected, "{options:?}");
        }
    }
    Ok(())
}

/// What a container sees of a private /sys, and that nothing else is there.
pub fn d47_a_network_of_its_own_has_a_sys_of_its_own(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    for users in ["--private-users=pick", "--private-users=no"] {
        let script =
            "ls /sys /sys/fs | tr '\\n' ' '; ls /sys/class/net; stat -c %a /sys; touch /sys/x 2>/dev/null || echo ro";
        let said = tree.script(case, &["--private-network", users], script);
        assert_eq!(said, "/sys: block bus class dev devices fs kernel  /sys/fs: bpf cgroup lo\n555\nro\n", "{users}");
    }
    Ok(())
}

pub fn masked_files_are_empty_and_stay_so(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    for users in ["--private-users=pick", "--private-users=no"] {
        let script = "for f in kallsyms kcore keys sysrq-trigger timer_list; do test ! -e /proc/$f || { \
                      stat -c \"%n %a %s\" /proc/$f; head -c1 /proc/$f | wc -c; }; done 2>/dev/null";
        let said = tree.script(case, &[users], script);
        let expected: String = MASKED_FILES
            .iter()
            .filter(|f| std::path::Path::new("/proc").join(f).exists())
            .map(|f| format!("/proc/{f} 0 0\n0\n"))
            .collect();
        assert_eq!(said, expected, "{users}");
    }
    Ok(())
}

/// Where a container's root can undo masks (nothing locks them without a user namespace), the values refuse still where
/// they are the host's; with one the kernel refuses the undoing itself.
pub fn masks_and_sysctls_refuse(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let host = |p: &str| std::fs::read_to_string(p).unwrap_or_default();
    let watched = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/panic", "/proc/sys/vm/swappiness"];
    let before = watched.map(host);
    let script = "for f in kernel/core_pattern kernel/panic vm/swappiness kernel/sysrq; do \
                  test ! -e /proc/sys/$f || { (echo 1 >/proc/sys/$f) 2>/dev/null && echo \"$f written\"; }; done; \
                  (echo x >/proc/sysrq-trigger) 2>/dev/null && test -e /proc/sysrq-trigger && echo triggered; \
                  mount -o remount,bind,rw /proc/sys 2>/dev/null && echo remounted; \
                  umount /proc/sys 2>/dev/null && echo unmounted; \
                  umount /proc/kallsyms 2>/dev/null && echo unmasked; \
                  umount /run/host 2>/dev/null && echo uncovered; \
                  (echo 1 >/proc/sys/kernel/core_pattern) 2>/dev/null && echo written; true";
    assert_eq!(tree.script(case, &["-U"], script), "");
    // With the powers of the host's root the read-only mount is all there is; without CAP_SYS_ADMIN it holds.
    assert_eq!(tree.script(case, &["--private-users=no", "--drop-capability=CAP_SYS_ADMIN"], script), "");
    assert_eq!(watched.map(host), before);
    Ok(())
}

pub fn content_of_dev(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let mut expected = String::new();
    for (name, major, minor) in
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)]
    {
        expected += &format!("/dev/{name} 666 0:0 character special file {major:x}:{minor:x}\n");
        expected += &format!("/dev/char/{major}:{minor} ../{name}\n");
    }
    let script = "for d in null zero full random urandom tty; do stat -c '%n %a %u:%g %F %t:%T' /dev/$d; \
                  for l in /dev/char/*; do test $(readlink $l) != ../$d || echo $l ../$d; done; done";
    for users in ["--private-users=pick", "--private-users=no"] {
        assert_eq!(tree.script(case, &[users], script), expected, "{users}");
        let links = "for l in fd stdin stdout stderr ptmx; do echo $l $(readlink /dev/$l); done; ls -d /dev/console /dev/kmsg /dev/log /dev/loop* 2>/dev/null; echo x >/dev/null";
        let said = tree.script(case, &[users, "-P"], links);
        assert_eq!(
            said,
            "fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\nptmx pts/ptmx\n"
        );
        let console = "readlink /dev/console; stat -c '%a %u:%g' /dev/pts/0";
        let said = tree.script(case, &[users, "--console=read-only"], console);
        assert_eq!(said.replace('\r', ""), "pts/0\n600 0:5\n", "{users}");
    }
    Ok(())
}

/// A device that is not on the list cannot be made use of, even by a root with CAP_MKNOD.
pub fn device_policy_holds(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "mknod /root/disk b 254 0 2>/dev/null && head -c1 /root/disk >/dev/null 2>&1 && echo read; \
                  mknod /root/kmsg c 1 11 2>/dev/null && head -c1 /root/kmsg >/dev/null 2>&1 && echo kmsg; \
                  rm -f /root/zero; mknod /root/zero c 1 5 2>/dev/null && head -c1 /root/zero | wc -c; true";
    let said = tree.spawn(case, &["--private-users=no"]).args(["sh", "-c", script]).run().expect_code(0);
    // Without a device policy (no BPF here) there is no CAP_MKNOD, which is said.
    let without_policy = said.stderr.contains("may not make device nodes");
    assert_eq!(said.stdout, if without_policy { "" } else { "1\n" }, "{said}");
    Ok(())
}

/// Path, type, mode and owner of everything in /run/host.
pub fn d26_content_of_run_host(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "cd /run/host; for f in . container-manager container-uuid os-release notify proc-kmsg incoming \
                  inaccessible inaccessible/reg inaccessible/dir inaccessible/fifo inaccessible/sock; do \
                  stat -c '%n %F %a %u:%g' $f; done; cat container-manager container-uuid os-release";
    let os_release =
        std::fs::read_to_string("/etc/os-release").or_else(|_| std::fs::read_to_string("/usr/lib/os-release"))?;
    let uuid = "--uuid=0102030405060708090a0b0c0d0e0f10";
    for (name, users) in BOTH.into_iter().flat_map(|name| ["pick", "no"].map(|users| (name, users))) {
        let options = ["-P", uuid, &format!("--private-users={users}")];
        let said = tree.called(case, name, &options)?.args(["sh", "-c", script]).run().expect_code(0).stdout;
        let expected = format!(
            ". directory 755 0:0\ncontainer-manager regular file 444 0:0\ncontainer-uuid regular file 444 0:0\n\
             os-release regular file 644 0:0\nnotify socket 200 0:0\nproc-kmsg fifo 600 0:0\nincoming directory 600 0:0\n\
             inaccessible directory 555 0:0\ninaccessible/reg regular empty file 0 0:0\n\
             inaccessible/dir directory 0 0:0\ninaccessible/fifo fifo 0 0:0\ninaccessible/sock socket 0 0:0\n\
             systemd-nspawn\n01020304-0506-0708-090a-0b0c0d0e0f10\n{os_release}"
        );
        assert_eq!(said, expected, "{name:?} {users}");
    }
    let script =
        "touch /run/host/x 2>/dev/null || echo ro; mount -o remount,bind,rw /run/host 2>/dev/null || echo locked";
    assert_eq!(tree.script(case, &["-U"], script), "ro\nlocked\n");
    Ok(())
}

pub fn modes_of_api_directories(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let script = "stat -c '%n %a %u:%g' /tmp /dev /dev/shm /run /run/host; test -w /sys/fs/cgroup && mkdir /sys/fs/cgroup/x && rmdir /sys/fs/cgroup/x && echo own";
    for users in ["--private-users=pick", "--private-users=no"] {
        let said = tree.script(case, &[users], script);
        assert_eq!(said, "/tmp 1777 0:0\n/dev 755 0:0\n/dev/shm 1777 0:0\n/run 755 0:0\n/run/host 755 0:0\nown\n");
    }
    Ok(())
}

pub fn every_boot_has_an_id_of_its_own(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let read = || tree.script(case, &[], "cat /proc/sys/kernel/random/boot_id");
    let (first, second) = (read(), read());
    assert_ne!(first, second);
    assert_ne!(first, std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?);
    assert_eq!(first.len(), 37);
    Ok(())
}

pub fn tmp_of_the_image_stays_when_asked(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    tree.write("tmp/kept", "")?;
    let program = tree.spawn(case, &[]).env("SYSTEMD_NSPAWN_TMPFS_TMP", "0");
    assert_eq!(program.args(["ls", "/tmp"]).run().expect_code(0).stdout, "kept\n");
    assert_eq!(tree.script(case, &[], "ls /tmp"), "");
    Ok(())
}
