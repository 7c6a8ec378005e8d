// SPDX-License-Identifier: LGPL-2.1-or-later
//! The files in real shells: what they offer, and what the tab key makes of a line.

use crate::common::{Output, Program, Pty, pty};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

const SOON: Duration = Duration::from_secs(20);

fn shipped(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(name).to_str().expect("a path of text").into()
}

/// The shell; `None`, said, where it is not installed.
fn shell(name: &str) -> Option<Program> {
    let path = ["/usr/bin", "/bin"].iter().map(|dir| Path::new(dir).join(name)).find(|path| path.exists());
    if path.is_none() {
        println!("skipped: {name} is not installed");
    }
    path.map(|path| Program::new(path).env("HOME", "/nonexistent").env("TERM", "dumb").env("LC_ALL", "C.UTF-8"))
}

/// A tree with a user and a program of its own, removed at the end.
struct Tree(PathBuf);

impl Tree {
    fn make(test: &str) -> Self {
        let root = env::temp_dir().join(format!("spawn-test-{test}-{}", std::process::id()));
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("etc/passwd"), "zoe:x:1000:1000::/:/bin/sh\nroot:x:0:0::/:/bin/sh\n").unwrap();
        fs::write(root.join("usr/bin/quux"), "").unwrap();
        let runnable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(root.join("usr/bin/quux"), runnable).unwrap();
        Self(root)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn the_shells_take_the_files() {
    for (name, file) in [("bash", "spawn.bash"), ("zsh", "_spawn"), ("fish", "spawn.fish")] {
        let Some(shell) = shell(name) else { continue };
        let check: Output = shell.args(["-n", &shipped(file)]).run().expect_code(0);
        assert_eq!(check.stderr, "", "{check}");
    }
}

/// What bash offers for the last of the words, as readline parts them.
fn bash_offers(words: &[&str]) -> Option<Vec<String>> {
    let script = "source \"$1\"; shift; COMP_WORDS=(spawn \"$@\"); COMP_CWORD=$#; _spawn spawn; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let run = shell("bash")?.args(["--norc", "--noprofile", "-c", script, "bash", &shipped("spawn.bash")]).args(words);
    let output = run.run().expect_code(0);
    assert_eq!(output.stderr, "", "{output}");
    Some(output.stdout.lines().filter(|line| !line.is_empty()).map(str::to_string).collect())
}

#[test]
fn bash_offers_names_and_values() {
    let tree = Tree::make("bash");
    let root = tree.0.to_str().unwrap();
    let offers = |words: &[&str]| bash_offers(words).unwrap_or_default();
    if bash_offers(&["--consol"]).is_none() {
        return;
    }
    assert_eq!(offers(&["--consol"]), ["--console="]);
    assert_eq!(offers(&["-q", "--console", "=", "p"]), ["passive", "pipe"]);
    assert_eq!(offers(&["-q", "--console", "="]).len(), 5);
    assert_eq!(offers(&["--console", "pa"]), ["passive"]);
    assert_eq!(offers(&["--private-us"]), ["--private-users", "--private-users=", "--private-users-ownership="]);
    assert_eq!(offers(&["--capability", "=", "cap_chown,cap_wa"]), ["cap_chown,cap_wake_alarm"]);
    assert_eq!(offers(&["--system-call-filter", "=", "~@reb"]), ["~@reboot"]);
    assert_eq!(offers(&["--property", "=", "MemoryMa"]), ["MemoryMax="]);
    assert_eq!(offers(&["--kill-signal", "SIGRTMIN+30"]), ["SIGRTMIN+30"]);
    // Users and programs are those of the tree.
    assert_eq!(offers(&["-D", root, "-u", ""]), ["zoe", "root"]);
    assert_eq!(offers(&["-qD", root, "qu"]), ["quux"]);
    assert_eq!(offers(&[&format!("-D{root}"), "--", "qu"]), ["quux"]);
    assert_eq!(offers(&["--directory", "=", root, "quux", "--consol"]), [""; 0]);
    assert!(offers(&["-u", "roo"]).contains(&"root".to_string()));
    // After a colon bash replaces only what follows it.
    assert_eq!(offers(&["--bind", "=", "/a", ":", &format!("{root}/us")]), [format!("{root}/usr")]);
    assert_eq!(offers(&["--directory", &format!("{root}/us")]), [format!("{root}/usr")]);
}

#[test]
fn fish_offers_names_and_values() {
    let tree = Tree::make("fish");
    let root = tree.0.to_str().unwrap();
    let Some(fish) = shell("fish") else { return };
    let fish = fish.env("HOME", root);
    let lines = [
        "spawn --consol",
        "spawn -q --console=p",
        "spawn --capability=cap_chown,cap_wa",
        "spawn --property=MemoryMa",
        &format!("spawn -qD {root} -u z"),
        &format!("spawn --directory={root} -- qu"),
        &format!("spawn --directory={root} quux --consol"),
        &format!("spawn --bind=/a:{root}/us"),
    ];
    let script = "source $argv[1]; for line in $argv[2..-1]; string join -- ' ' '' (complete -C $line | string replace -r '\\t.*' '') .; end";
    let run = fish.args(["--no-config", "-c", script, &shipped("spawn.fish")]).args(lines).run().expect_code(0);
    assert_eq!(run.stderr, "", "{run}");
    let expected = [
        " --console .",
        " --console=passive --console=pipe .",
        " --capability=cap_chown,cap_wake_alarm .",
        " --property=MemoryMax= .",
        " zoe .",
        " quux .",
        " .",
        &format!(" --bind=/a:{root}/usr/ ."),
    ];
    assert_eq!(run.stdout.lines().collect::<Vec<_>>(), expected);
}

/// Types lines with tabs into an interactive shell, where `spawn` is a function that shows its words.
#[track_caller]
fn type_into(shell: &Program, setup: &str, lines: &[(String, String)]) {
    let mut terminal = Pty::open().unwrap();
    terminal.resize(400, 25).unwrap();
    let mut child = terminal.start(shell).unwrap();
    terminal.send(setup).unwrap();
    terminal.expect("ready-2", SOON);
    for (typed, words) in lines {
        terminal.send(&format!("{typed}\n")).unwrap();
        terminal.expect(&format!("ran <{words}>"), SOON);
    }
    terminal.send("exit\n").unwrap();
    pty::wait(&mut child, SOON);
}

fn typed_lines(root: &str, fish: bool) -> Vec<(String, String)> {
    let line = |typed: &str, words: &str| (typed.to_string(), words.to_string());
    vec![
        if fish {
            line("spawn --consol\tpas\t", "--console passive")
        } else {
            line("spawn --consol\tpas\t", "--console=passive")
        },
        line("spawn -q --console=pas\t", "-q --console=passive"),
        line("spawn --resolv-conf=copy-ho\t", "--resolv-conf=copy-host"),
        line("spawn --capability=cap_chown,cap_wa\t", "--capability=cap_chown,cap_wake_alarm"),
        line("spawn --property=MemoryMa\t1G", "--property=MemoryMax=1G"),
        line(&format!("spawn -D {root} -u zo\t"), &format!("-D {root} -u zoe")),
        line(&format!("spawn -D {root} qu\t x"), &format!("-D {root} quux x")),
        line(&format!("spawn --bind={root}/et\tx"), &format!("--bind={root}/etc/x")),
    ]
}

#[test]
fn bash_completes_a_line() {
    let tree = Tree::make("bash-line");
    let Some(bash) = shell("bash") else { return };
    let setup = format!(
        "source {}; spawn() {{ echo \"ran <$*>\"; }}; bind 'set enable-bracketed-paste off'; echo ready-$((1+1))\n",
        shipped("spawn.bash")
    );
    type_into(&bash.args(["--norc", "--noprofile", "-i"]), &setup, &typed_lines(tree.0.to_str().unwrap(), false));
}

#[test]
fn zsh_completes_a_line() {
    let tree = Tree::make("zsh-line");
    let root = tree.0.to_str().unwrap();
    let Some(zsh) = shell("zsh") else { return };
    let setup = format!(
        "fpath=({} $fpath); autoload -Uz compinit; compinit -D -u; spawn() {{ echo \"ran <$*>\"; }}; echo ready-$((1+1))\n",
        shipped("")
    );
    type_into(&zsh.args(["-f", "-i"]).env("HOME", root), &setup, &typed_lines(root, false));
}

#[test]
fn fish_completes_a_line() {
    let tree = Tree::make("fish-line");
    let root = tree.0.to_str().unwrap();
    let Some(fish) = shell("fish") else { return };
    let setup =
        format!("source {}; function spawn; echo \"ran <$argv>\"; end; echo ready-(math 1+1)\n", shipped("spawn.fish"));
    type_into(&fish.args(["--no-config", "-i"]).env("HOME", root), &setup, &typed_lines(root, true));
}
