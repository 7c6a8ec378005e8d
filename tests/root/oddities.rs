// SPDX-License-Identifier: LGPL-2.1-or-later
//! Odd trees and odd callers that all the same get a container, or one error that says what to do.

use crate::common::{Case, HostState, Outcome, Program};
use crate::support::*;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

/// `sh -c PRELUDE; exec spawn …`
fn after(prelude: &str, spawn: &Program) -> Program {
    let command = spawn.command();
    let script = format!("{prelude}; exec \"$@\"");
    Program::new("/bin/sh").args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args())
}

/// A link gives the machine its name, and the file beside the link is the machine's.
pub fn a_link_to_a_tree_names_the_machine(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let link = case.dir().join("web");
    symlink(&tree.path, &link)?;
    let start = |name| -> Result<String, crate::common::Reason> {
        let program = if name == Name::Spawn { case.spawn() } else { case.spawn_as_nspawn()? };
        Ok(program.arg("-D").arg(&link).args(["-q", "-P", "/bin/hostname"]).run().expect_code(0).stdout)
    };
    for name in BOTH {
        assert_eq!(start(name)?, "web\n", "{name:?}");
    }
    std::fs::write(case.dir().join("web.nspawn"), "[Exec]\nHostname=beside-the-link\n")?;
    for name in BOTH {
        assert_eq!(start(name)?, "beside-the-link\n", "{name:?}");
    }
    // A path that ends in no name is that of a directory all the same.
    std::fs::remove_file(case.dir().join("web.nspawn"))?;
    let run = case.spawn().args(["-D", "..", "/bin/hostname"]).dir(tree.path.join("etc")).run().expect_code(0);
    assert_eq!(run.stdout, "tree\n");
    Ok(())
}

/// With a user namespace as well, directories that only another user may enter are on the way to mount points, and
/// what is made there belongs to the container's root.
pub fn directories_of_other_users_are_passed(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    for (dir, mode) in [("", 0o700), ("mnt", 0o700), ("etc", 0o000)] {
        let dir = tree.path.join(dir);
        chown(&dir, Some(1000), Some(1000))?;
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(mode))?;
    }
    let options = ["--bind=/usr:/mnt/made/here", "--timezone=copy"];
    let script = "stat -c '%u %a' / /mnt /etc /mnt/made /etc/localtime";
    for users in ["--private-users=pick", "--private-users=no"] {
        let shown = tree.script(case, &[&[users][..], &options].concat(), script);
        assert_eq!(shown, "1000 700\n1000 700\n1000 0\n0 755\n0 644\n", "{users}");
    }
    Ok(())
}

/// `/usr` may be a link, as long as it leads to a directory of the tree.
pub fn usr_may_be_a_link(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    std::fs::rename(tree.path.join("usr"), tree.path.join("system"))?;
    symlink("/system", tree.path.join("usr"))?;
    for name in BOTH {
        for options in [&["-q"][..], &["-q", "--volatile=yes"]] {
            tree.called(case, name, options)?.arg("/bin/true").run().expect_code(0);
        }
    }
    std::fs::remove_file(tree.path.join("usr"))?;
    // On the host this is a directory.
    symlink("/bin", tree.path.join("usr"))?;
    std::fs::remove_file(tree.path.join("bin"))?;
    let run = tree.spawn(case, &[]).arg("/bin/true").run().expect_code(125);
    assert_says(&run, "has no /usr directory");
    Ok(())
}

/// What a tree of `/usr` alone lacks is made, as systemd-nspawn makes it; what cannot be made is left out.
pub fn a_tree_of_usr_alone_is_completed(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    std::fs::create_dir(tree.path.join("usr/lib64"))?;
    tree.write("usr/lib64/ld-linux-x86-64.so.2", "")?;
    let bare = || -> Result<(), crate::common::Reason> {
        for entry in std::fs::read_dir(&tree.path)?.collect::<Result<Vec<_>, _>>()? {
            match entry.file_name() {
                name if name == "usr" => {}
                _ if entry.file_type()?.is_dir() => std::fs::remove_dir_all(entry.path())?,
                _ => std::fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    };
    let links = "for l in bin lib sbin lib64; do readlink /$l; done; stat -c '%n %a %u' /root /var /etc";
    let script = ["/bin/sh", "-c", links];
    let shown = "usr/bin\nusr/lib\nusr/sbin\nusr/lib64\n/root 750 0\n/var 755 0\n/etc 755 0\n";
    for name in BOTH {
        for options in [&["-q", "-P"][..], &["-q", "-P", "--volatile=yes"]] {
            bare()?;
            let run = after("umask 077", &tree.called(case, name, options)?.args(script)).run();
            assert_eq!(run.expect_code(0).stdout, shown, "{name:?} {options:?}");
        }
    }
    // A link that is there is left alone, wherever it leads.
    bare()?;
    symlink("/nowhere", tree.path.join("var"))?;
    tree.spawn(case, &["-q"]).arg("/usr/bin/true").run().expect_code(0);
    assert_eq!(std::fs::read_link(tree.path.join("var"))?, std::path::Path::new("/nowhere"));
    Ok(())
}

/// A limit of file sizes is a refusal in words, not the death of spawn.
pub fn a_limit_of_file_sizes_is_told(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let state = HostState::take(case.dir());
    let run = after("ulimit -f 0", &tree.spawn(case, &[]).arg("/bin/true")).run();
    run.expect_code(125);
    let run = after("ulimit -f 1", &tree.spawn(case, &[]).arg("/bin/true")).run().expect_code(125);
    assert_says(&run, "File too large (EFBIG)");
    assert_says(&run, "ulimit -f");
    state.assert_unchanged();
    // The payload has the signal.
    let ignored = tree.spawn(case, &[]).args(["/bin/grep", "SigIgn", "/proc/self/status"]).run().expect_code(0);
    assert_eq!(ignored.stdout.split_whitespace().last(), Some("0000000000000000"));
    Ok(())
}

/// What cannot be written to standard output is told.
pub fn a_full_standard_output_is_told(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    for options in [&["--help"][..], &["--dry-run"], &["--dry-run=json"], &["--version"]] {
        // The other name has no dry run.
        for name in BOTH.into_iter().filter(|n| *n == Name::Spawn || !options[0].starts_with("--dry-run")) {
            let program = tree.called(case, name, options)?;
            let run = after("exec >/dev/full", &program).run().expect_code(failure(name));
            assert_says(&run, "cannot write to standard output: No space left on device");
        }
    }
    Ok(())
}

/// A current directory that is gone matters only where a tree is looked for there.
pub fn a_current_directory_that_is_gone(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let gone = case.dir().join("gone");
    for (program, status) in [(tree.spawn(case, &[]), 0), (case.spawn(), 125)] {
        std::fs::create_dir(&gone)?;
        let run = after("rmdir ../gone", &program.arg("/bin/true")).dir(&gone).run().expect_code(status);
        if status != 0 {
            assert_says(&run, "cannot find out the current directory");
            assert_says(&run, "help: change to a directory that exists");
        }
    }
    Ok(())
}

/// Without procfs there is one error that says what to do.
pub fn a_host_without_procfs_is_told(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let state = HostState::take(case.dir());
    let command = tree.spawn(case, &["--private-users=no"]).arg("/bin/true").command();
    let bare = ["--mount", "/bin/sh", "-c", "umount -l /proc && exec \"$@\"", "sh"];
    let run = Program::new("unshare").args(bare).arg(command.get_program()).args(command.get_args()).run();
    assert_says(&run.expect_code(125), "help: mount procfs");
    state.assert_unchanged();
    Ok(())
}

/// A script that names no interpreter is the shell's, as execvp(3) has it; a program of another machine is not.
pub fn scripts_without_an_interpreter_run(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let executable = |name: &str, bytes: &[u8]| -> Outcome {
        std::fs::write(tree.path.join(name), bytes)?;
        Ok(std::fs::set_permissions(tree.path.join(name), PermissionsExt::from_mode(0o755))?)
    };
    executable("usr/bin/plain", b"echo \"$0 $# $2\"\nexit 7\n")?;
    executable("usr/bin/empty", b"")?;
    executable("usr/bin/foreign", b"\x7fELF\x02\x01\x01\0\0\0\n")?;
    for name in BOTH {
        for options in [&["--private-users=no"][..], &["-U"], &["-U", "-a"], &["--private-users=no", "-a"]] {
            let start = |words: &[&str]| -> Result<_, crate::common::Reason> {
                Ok(tree.called(case, name, &["-q", "-P"])?.args(options).args(words).run())
            };
            let what = format!("{name:?} {options:?}");
            for program in ["plain", "/usr/bin/plain"] {
                let run = start(&[program, "a", "b c"])?.expect_code(7);
                assert_eq!(run.stdout, "/usr/bin/plain 2 b c\n", "{what} {program}");
            }
            start(&["empty"])?.expect_code(0);
            let status = if name == Name::Spawn { 126 } else { 1 };
            assert_says(&start(&["foreign"])?.expect_code(status), "cannot execute foreign: Exec format error");
        }
    }
    std::fs::remove_file(tree.path.join("usr/bin/sh"))?;
    let run = tree.spawn(case, &["-q"]).arg("/usr/bin/plain").run().expect_code(126);
    assert_says(&run, "Exec format error");
    Ok(())
}

/// Who hides the devices that standard input is taken from gets to know that it was so.
pub fn a_hidden_dev_is_told(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let program = tree.spawn(case, &["-P", "--tmpfs=/dev"]).arg("/bin/true");
    let run = after("exec </dev/null", &program).run().expect_code(125);
    assert_says(&run, "asked for by --tmpfs=/dev");
    assert_says(&run, "help: leave /dev of the container as it is");
    Ok(())
}

/// A throw-away copy that is read-only takes no changes.
pub fn a_read_only_copy_is_read_only(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    for name in BOTH {
        for users in ["--private-users=no", "-U"] {
            let program = tree.called(case, name, &["-q", "-P", "-x", "--read-only", users])?;
            let script = "touch /made; mount -o remount,rw / 2>/dev/null; touch /var/made; touch /tmp/made && echo tmp";
            let run = program.args(["/bin/sh", "-c", script]).run().expect_code(0);
            assert_says(&run, "touch: /made: Read-only file system");
            assert_eq!(run.stdout, "tmp\n");
            // Without a user namespace root may mount anew.
            if users == "-U" {
                assert_says(&run, "touch: /var/made: Read-only file system");
            }
        }
    }
    Ok(())
}
