// SPDX-License-Identifier: LGPL-2.1-or-later
//! What an image holds that is read on its behalf.

use spawn::image::give::{moved_capabilities, moved_list};
use spawn::image::osrelease::{OsRelease, parse_machine_id};
use spawn::image::users::{find_user, groups_of, ids_of_groups};
use spawn::userdb::{IDS, Taken};

/// The name that is looked for, the image's passwd file and its group file, separated by NUL.
pub fn users(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |b| *b == 0);
    let [wanted, passwd, group] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    for wanted in [wanted, b"root", b"0", b"user"] {
        let Some(user) = find_user(passwd, wanted) else { continue };
        assert!(user.home.is_absolute() && user.shell.as_ref().is_none_or(|shell| shell.is_absolute()));
        assert!(![user.uid, user.gid].iter().any(|id| [u32::MAX, 0xffff].contains(id)));
        assert!(user.uid == 0 || ![&b"root"[..], b"0"].contains(&wanted));
        let groups = groups_of(group, &user);
        assert!(groups.is_sorted_by(|a, b| a < b) && !groups.contains(&user.gid));
    }
    let names = [String::from_utf8_lossy(wanted).into_owned(), "root".into(), "user".into()];
    assert!(ids_of_groups(group, &names).is_sorted_by(|a, b| a < b));
    let taken = Taken::of(passwd, group, &names.each_ref().map(String::as_str));
    assert!(taken.users.iter().chain(&taken.groups).all(|name| names.contains(name)));
    assert!(taken.ids.iter().all(|id| IDS.contains(id)));
}

/// os-release(5) and machine-id(5).
pub fn os_release(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let release = OsRelease::parse(&text);
    for name in ["ID", "VERSION_ID", "PRETTY_NAME", ""] {
        assert!(release.get(name).is_none_or(|value| value.len() <= text.len() && !value.contains('\n')));
    }
    assert_eq!(release.get(""), None);
    if let Some(Some(id)) = parse_machine_id(bytes) {
        assert!(id.plain().len() == 32 && bytes.to_ascii_lowercase().starts_with(id.plain().as_bytes()));
    }
}

/// Access lists and file capabilities, with the base of a range in front. What has been moved is not moved once more.
pub fn attributes(bytes: &[u8]) {
    let Some((base, value)) = bytes.split_first_chunk::<2>() else { return };
    let base = u32::from(u16::from_ne_bytes(*base)) << 16;
    if let Some(moved) = moved_list(value.to_vec(), base) {
        assert_eq!(moved.len(), value.len());
        assert_eq!(moved_list(moved, base), None, "moved twice");
    }
    if let Some(moved) = moved_capabilities(value, base) {
        assert_eq!(moved.len(), if base == 0 { 20 } else { 24 });
        assert_eq!(moved_capabilities(&moved, base), Some(moved), "moved twice");
    }
}
