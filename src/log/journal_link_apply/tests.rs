// SPDX-License-Identifier: LGPL-2.1-or-later
use super::*;
use std::os::unix::fs::{MetadataExt, symlink};

struct Scene {
    dir: PathBuf,
    id: Id128,
}

impl Scene {
    fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("spawn-test-link-{test}-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("tree")).unwrap();
        std::fs::create_dir_all(dir.join("host")).unwrap();
        Self { dir, id: Id128::from_bytes([7; 16]).unwrap() }
    }

    fn entry(&self) -> PathBuf {
        self.dir.join("host").join(self.id.plain())
    }

    fn in_tree(&self) -> PathBuf {
        self.dir.join("tree/var/log/journal").join(self.id.plain())
    }

    fn observe(&self) -> HostEntry {
        observe(HostJournal::open(&self.dir.join("host")).unwrap().as_ref(), self.id).unwrap()
    }

    fn guest(&self, existing: Existing) -> LinkPlan {
        LinkPlan::Guest { id: self.id, target: self.in_tree(), existing }
    }

    fn apply(&self, plan: &LinkPlan, undo: &mut Vec<LinkUndo>) -> Result<Applied> {
        let journal = HostJournal::open(&self.dir.join("host")).unwrap().unwrap();
        let tree_path = self.dir.join("tree");
        let tree = std::fs::File::open(&tree_path).unwrap();
        let me = tree.metadata().unwrap();
        apply(plan, &journal, Some((tree.as_fd(), &tree_path)), Owner { uid: me.uid(), gid: me.gid() }, undo)
    }

    fn take_back(&self, undo: Vec<LinkUndo>) {
        for step in undo.iter().rev() {
            step.run().unwrap();
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

#[test]
fn a_link_is_made_and_taken_back() {
    let scene = Scene::new("made");
    assert_eq!(scene.observe(), HostEntry::Absent);
    let mut undo = Vec::new();
    scene.apply(&scene.guest(Existing::Nothing), &mut undo).unwrap();
    std::fs::write(scene.entry().join("system.journal"), "").unwrap();
    assert!(scene.in_tree().join("system.journal").exists());
    assert_eq!(scene.observe(), HostEntry::Link(scene.in_tree()));
    std::fs::remove_file(scene.in_tree().join("system.journal")).unwrap();
    scene.take_back(undo);
    assert_eq!(scene.observe(), HostEntry::Absent);
    assert!(!scene.dir.join("tree/var").exists());
}

#[test]
fn what_was_replaced_comes_back() {
    let scene = Scene::new("replaced");
    let mut undo = Vec::new();
    symlink("/nonexistent/journal", scene.entry()).unwrap();
    let dead = HostEntry::DeadLink("/nonexistent/journal".into());
    assert_eq!(scene.observe(), dead);
    scene.apply(&scene.guest(Existing::Replaceable), &mut undo).unwrap();
    scene.take_back(std::mem::take(&mut undo));
    assert_eq!(scene.observe(), dead);

    std::fs::remove_file(scene.entry()).unwrap();
    std::fs::create_dir(scene.entry()).unwrap();
    std::fs::set_permissions(scene.entry(), std::os::unix::fs::PermissionsExt::from_mode(0o2750)).unwrap();
    assert_eq!(scene.observe(), HostEntry::EmptyDirectory);
    scene.apply(&scene.guest(Existing::Replaceable), &mut undo).unwrap();
    assert_eq!(scene.observe(), HostEntry::Link(scene.in_tree()));
    scene.take_back(undo);
    assert_eq!(scene.observe(), HostEntry::EmptyDirectory);
    assert_eq!(std::fs::metadata(scene.entry()).unwrap().mode() & 0o7777, 0o2750);
}

#[test]
fn a_directory_of_the_host_is_handed_out() {
    let scene = Scene::new("host");
    let mut undo = Vec::new();
    let plan = LinkPlan::Host { id: scene.id, existing: Existing::Nothing };
    let Applied::Bind { source, target } = scene.apply(&plan, &mut undo).unwrap() else { panic!("no bind") };
    assert_eq!(rustix::fs::fstat(&source).unwrap().st_ino, std::fs::metadata(scene.entry()).unwrap().ino());
    assert_eq!(target, Path::new(JOURNAL_DIRECTORY).join(scene.id.plain()));
    std::fs::write(scene.entry().join("f"), "").unwrap();
    assert_eq!(scene.observe(), HostEntry::Directory);
    // Not empty any more: it stays.
    scene.take_back(undo);
    assert_eq!(scene.observe(), HostEntry::Directory);
}

#[test]
fn links_and_files_in_the_tree_are_refused_and_lead_nowhere() {
    let scene = Scene::new("hostile");
    let canary = scene.dir.join("canary");
    std::fs::create_dir(&canary).unwrap();
    for hostile in ["var", "var/log", "var/log/journal"] {
        let at = scene.dir.join("tree").join(hostile);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(&canary, &at).unwrap();
        let mut undo = Vec::new();
        let error = scene.apply(&scene.guest(Existing::Nothing), &mut undo).unwrap_err();
        assert_eq!(error.code(), Code::ImageObject, "{error}");
        scene.take_back(undo);
        assert_eq!(std::fs::read_dir(&canary).unwrap().count(), 0);
        assert_eq!(scene.observe(), HostEntry::Absent);
        std::fs::remove_file(&at).unwrap();
    }
    std::fs::write(scene.dir.join("tree/var/log/journal"), "").unwrap();
    assert!(scene.apply(&scene.guest(Existing::Nothing), &mut Vec::new()).is_err());
}

#[test]
fn other_entries_are_told_apart() {
    let scene = Scene::new("kinds");
    std::fs::write(scene.entry(), "").unwrap();
    assert_eq!(scene.observe(), HostEntry::Other);
    assert_eq!(observe(None, scene.id).unwrap(), HostEntry::NoJournal);
    assert!(HostJournal::open(&scene.dir.join("missing")).unwrap().is_none());
}
