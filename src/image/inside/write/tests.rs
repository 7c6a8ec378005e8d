// SPDX-License-Identifier: LGPL-2.1-or-later

use super::super::Crossing;
use super::*;
use crate::image::testing::{TempDir, is_root};
use rustix::fs::RenameFlags;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::sync::atomic::AtomicBool;

const MODE: Mode = Mode::from_raw_mode(0o644);
const DIR_MODE: Mode = Mode::from_raw_mode(0o755);

struct Scene {
    image: TempDir,
    outside: TempDir,
    root: ImageRoot,
}

/// An image with `etc`, and a folder outside of it with a canary.
fn scene() -> Scene {
    let (image, outside) = (TempDir::new(), TempDir::new());
    fs::create_dir(image.path().join("etc")).unwrap();
    fs::write(outside.path().join("canary"), "untouched").unwrap();
    let root = ImageRoot::open(image.path(), Crossing::Allowed).unwrap();
    Scene { image, outside, root }
}

impl Scene {
    fn assert_outside_untouched(&self) {
        let names: Vec<_> = fs::read_dir(self.outside.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["canary"]);
        assert_eq!(fs::read(self.outside.path().join("canary")).unwrap(), b"untouched");
    }
}

#[test]
fn a_file_is_replaced_whatever_was_there() {
    if !is_root("image::inside a_file_is_replaced_whatever_was_there") {
        return;
    }
    let s = scene();
    let path = s.image.path().join("etc/resolv.conf");
    let owner = Owner { uid: 1000, gid: 1001 };
    let fifo = |p: &Path| rustix::fs::mknodat(rustix::fs::CWD, p, FileType::Fifo, MODE, 0).unwrap();
    for prepare in
        [&|_: &Path| {}, &|p: &Path| symlink(s.outside.path().join("canary"), p).unwrap(), &fifo] as [&dyn Fn(&Path); 3]
    {
        fs::remove_file(&path).ok();
        prepare(&path);
        s.root.replace_file("/etc/resolv.conf".as_ref(), b"new", MODE, owner).unwrap();
        let meta = fs::symlink_metadata(&path).unwrap();
        assert!(meta.is_file());
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o644, 1000, 1001));
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
    assert_eq!(fs::read_dir(s.image.path().join("etc")).unwrap().count(), 1, "no temporary file is left");
    s.assert_outside_untouched();
}

#[test]
fn a_directory_is_not_replaced() {
    let s = scene();
    fs::create_dir(s.image.path().join("etc/x")).unwrap();
    let error = s.root.replace_file("etc/x".as_ref(), b"new", MODE, Owner::ROOT).unwrap_err();
    assert!(error.headline().contains("etc/x"), "{error}");
    assert_eq!(fs::read_dir(s.image.path().join("etc")).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn overwriting_goes_through_nothing() {
    if !is_root("image::inside overwriting_goes_through_nothing") {
        return;
    }
    let s = scene();
    let path = Path::new("etc/resolv.conf");
    let on_host = s.image.path().join(path);
    s.root.overwrite_file(path, b"a longer text", MODE, Owner::ROOT).unwrap();
    s.root.overwrite_file(path, b"short", Mode::empty(), Owner { uid: 5, gid: 5 }).unwrap();
    assert_eq!(fs::read(&on_host).unwrap(), b"short");
    assert_eq!(fs::metadata(&on_host).unwrap().mode() & 0o7777, 0o644, "mode and owner stay");

    fs::remove_file(&on_host).unwrap();
    symlink(s.outside.path().join("canary"), &on_host).unwrap();
    let error = s.root.overwrite_file(path, b"x", MODE, Owner::ROOT).unwrap_err();
    assert!(error.headline().contains("is a symbolic link"), "{error}");
    fs::remove_file(&on_host).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &on_host, FileType::Fifo, MODE, 0).unwrap();
    let error = s.root.overwrite_file(path, b"x", MODE, Owner::ROOT).unwrap_err();
    assert!(error.headline().contains("is a FIFO"), "{error}");
    s.assert_outside_untouched();
}

#[test]
fn directories_are_made_step_by_step_within_the_image() {
    if !is_root("image::inside directories_are_made_step_by_step_within_the_image") {
        return;
    }
    let s = scene();
    symlink(s.outside.path(), s.image.path().join("out")).unwrap();
    symlink("/etc", s.image.path().join("config")).unwrap();
    let owner = Owner { uid: 7, gid: 8 };
    s.root.ensure_dir("/config/a/b".as_ref(), DIR_MODE, owner).unwrap();
    let meta = fs::metadata(s.image.path().join("etc/a/b")).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (7, 8, 0o755));

    let error = s.root.ensure_dir("out/a".as_ref(), DIR_MODE, owner).unwrap_err();
    assert_eq!(error.code(), Code::ImageObject, "{error}");
    assert!(s.root.ensure_dir("etc/missing/../x".as_ref(), DIR_MODE, owner).is_err());

    assert_eq!(s.root.ensure_file("etc/target".as_ref(), MODE, owner).unwrap().stat.st_uid, 7);
    assert_eq!(s.root.ensure_file("etc/target".as_ref(), MODE, Owner::ROOT).unwrap().stat.st_uid, 7);
    symlink("nothing", s.image.path().join("etc/dangling")).unwrap();
    let error = s.root.ensure_file("etc/dangling".as_ref(), MODE, owner).unwrap_err();
    assert_eq!(error.code(), Code::ImageObject, "{error}");
    s.assert_outside_untouched();
}

#[test]
fn links_are_replaced_and_files_removed() {
    let s = scene();
    let path = Path::new("etc/localtime");
    let owner = Owner { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() };
    for target in ["../usr/share/zoneinfo/UTC", "../usr/share/zoneinfo/Europe/Berlin"] {
        s.root.replace_link(path, target.as_ref(), owner).unwrap();
        assert_eq!(s.root.read_link(path).unwrap().unwrap(), Path::new(target));
    }
    s.root.remove_file(path).unwrap();
    s.root.remove_file(path).unwrap();
    s.root.remove_file("missing/localtime".as_ref()).unwrap();
    assert!(s.root.find(path, LastLink::Keep).unwrap().is_none());
}

/// A thread of the image's author keeps swapping `etc` with a link that leads outside.
#[test]
fn swapped_paths_lead_nowhere_outside() {
    if !is_root("image::inside swapped_paths_lead_nowhere_outside") {
        return;
    }
    let s = scene();
    let (real, link) = (s.image.path().join("etc"), s.image.path().join("evil"));
    symlink(s.outside.path(), &link).unwrap();
    let stop = AtomicBool::new(false);
    let (mut done, mut failed) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let cwd = rustix::fs::CWD;
                rustix::fs::renameat_with(cwd, &real, cwd, &link, RenameFlags::EXCHANGE).unwrap();
            }
        });
        for n in 0..4000 {
            let below = PathBuf::from(format!("etc/d{}/e", n % 50));
            let results = [
                s.root.replace_file("etc/canary".as_ref(), b"image", MODE, Owner::ROOT),
                s.root.overwrite_file("etc/canary".as_ref(), b"image", MODE, Owner::ROOT),
                s.root.ensure_dir(&below, DIR_MODE, Owner::ROOT).map(drop),
                s.root.ensure_file(&below.join("f"), MODE, Owner::ROOT).map(drop),
                s.root.replace_link("etc/link".as_ref(), "x".as_ref(), Owner::ROOT),
                s.root
                    .read_file("etc/canary".as_ref(), 100)
                    .map(|bytes| assert_ne!(bytes.as_deref(), Some(&b"untouched"[..]))),
                s.root.remove_file("etc/canary".as_ref()),
            ];
            failed += results.iter().filter(|r| r.is_err()).count();
            done += results.iter().filter(|r| r.is_ok()).count();
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(done > 1000 && failed > 100, "the race was not run: {done} done, {failed} failed");
    s.assert_outside_untouched();
}
