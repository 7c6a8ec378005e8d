// SPDX-License-Identifier: LGPL-2.1-or-later
//! `.nspawn` files: found, weighed and shown.

use crate::common::{Case, Outcome, Reason};
use crate::support::*;
use std::path::{Path, PathBuf};

const SHOW: &str = "cat /proc/sys/kernel/hostname; echo $A; ls /shown 2>/dev/null";

/// Files below `/run/systemd/nspawn`, which go with the value.
struct Configured(Vec<PathBuf>);

impl Configured {
    fn write(&mut self, name: &str, text: &str) -> Result<PathBuf, Reason> {
        let path = Path::new("/run/systemd/nspawn").join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        std::fs::write(&path, text)?;
        self.0.push(path.clone());
        Ok(path)
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        for path in &self.0 {
            // What is not there any more is as good.
            let _ = std::fs::remove_file(path);
            let _ = std::fs::remove_dir(path.parent().unwrap_or(Path::new("/")));
        }
    }
}

pub fn a_file_beside_the_tree(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let file = case.dir().join("tree.nspawn");
    std::fs::create_dir(tree.path.join("shown"))?;
    let text = "[Exec]\nHostname=beside\nEnvironment=A=1\nKillSignal=nonsense\n[Files]\nBind=/etc:/shown\nFoo=bar\n";
    std::fs::write(&file, text)?;
    let at = file.display().to_string();
    for name in BOTH {
        let run = |options: &[&str]| -> Result<_, Reason> {
            Ok(tree
                .called(case, name, options)?
                .arg("--console=pipe")
                .args(["/bin/sh", "-c", SHOW])
                .run()
                .expect_code(0))
        };
        let plain = run(&[])?;
        assert_eq!(plain.stdout, "beside\n1\n");
        for words in [
            format!("{at}:4: KillSignal=nonsense: must be the name"),
            format!("{at}:6: Bind= is left out, since a file next to the image"),
            format!("{at}:7: there is no key Foo= in [Files]; it is left out"),
        ] {
            assert_says(&plain, &words);
        }
        let trusted = run(&["--settings=trusted"])?;
        assert!(trusted.stdout.starts_with("beside\n1\n") && trusted.stdout.contains("passwd"), "{trusted}");
        let off = run(&["--settings=no"])?;
        assert_eq!((off.stdout.as_str(), off.stderr.contains("nspawn:")), ("tree\n\n", false), "{off}");
        assert_eq!(run(&["-M", "other"])?.stdout, "other\n\n");
        assert_eq!(run(&["--hostname=line"])?.stdout, "line\n1\n");
    }
    let plan = tree.spawn(case, &["--settings=trusted", "--dry-run"]).arg("true").run().expect_code(0);
    assert!(plan.stdout.contains(&format!("[{at}:6 Bind=]")), "{plan}");
    Ok(())
}

pub fn d44_files_and_drop_ins_of_the_administrator(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    std::fs::create_dir(tree.path.join("shown"))?;
    std::fs::write(case.dir().join("tree.nspawn"), "[Exec]\nHostname=weak\n")?;
    let mut configured = Configured(Vec::new());
    let main = "[Exec]\nHostname=main\nEnvironment=A=main\n[Files]\nBindReadOnly=/etc:/shown\n";
    configured.write("tree.nspawn", main)?;
    configured.write("tree.nspawn.d/10-name.conf", "[Exec]\nHostname=dropped-in\n")?;
    let words = |name, options: &[&str]| -> Result<_, Reason> {
        let run =
            tree.called(case, name, options)?.arg("--console=pipe").args(["/bin/sh", "-c", SHOW]).run().expect_code(0);
        Ok(run.stdout.lines().take(2).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(words(Name::Spawn, &[])?, "dropped-in main");
    assert_eq!(words(Name::Nspawn, &[])?, "main main");
    // An option hides the group that it belongs to there, and its own key here.
    for name in BOTH {
        assert_eq!(words(name, &["--hostname=line", "-E", "A=line"])?, "line line");
    }
    assert_eq!(words(Name::Nspawn, &["--hostname=line", "--settings=override"])?, "main main");
    assert_eq!(words(Name::Spawn, &["--hostname=line", "--settings=override"])?, "dropped-in main");
    let shown = |name| -> Result<_, Reason> {
        let run = tree.called(case, name, &["--tmpfs=/mnt"])?.args(["/bin/ls", "/shown"]).run().expect_code(0);
        Ok(run.stdout.contains("passwd"))
    };
    assert_eq!((shown(Name::Nspawn)?, shown(Name::Spawn)?), (false, true));
    Ok(())
}

pub fn what_keeps_a_file_from_being_used(case: &mut Case) -> Outcome {
    let tree = Tree::new(case)?;
    let mut configured = Configured(Vec::new());
    for (text, line, words) in [
        ("[Exec\n", 1, "the section header has no ']' at its end"),
        ("[Exec]\n\nPrivateUsersDelegate=1\n", 3, "PrivateUsersDelegate= is not built yet"),
        ("[Files]\nBind=/etc:/x:nope\n", 2, "'nope' is not an option of a bind"),
    ] {
        let file = configured.write("tree.nspawn", text)?;
        for name in BOTH {
            let status = if name == Name::Spawn { 125 } else { 1 };
            let run = tree.called(case, name, &[])?.arg("true").run().expect_code(status);
            assert_says(&run, words);
            assert_says(&run, &format!("{}:{line}", file.display()));
        }
    }
    let file = configured.write("tree.nspawn", "")?;
    std::fs::remove_file(&file)?;
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)?;
    let run = tree.spawn(case, &[]).arg("true").run().expect_code(125);
    assert_says(&run, &format!("cannot read the settings file {}: it is neither a regular file", file.display()));
    tree.spawn(case, &["--settings=no"]).arg("true").run().expect_code(0);
    Ok(())
}
