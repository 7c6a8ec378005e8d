// SPDX-License-Identifier: LGPL-2.1-or-later
//! Options of a file system and of its mount in one list, as mount(8) takes them.

use rustix::mount::MountAttrFlags as A;

/// Takes the words that say something of the mount out of a list of options (mount(8), "Filesystem-independent mount
/// options"); what is left is for the file system. A later word wins over an earlier one and over `attributes`.
pub fn split(options: &str, mut attributes: A) -> (A, String) {
    let mut left = Vec::new();
    for option in options.split(',') {
        if !apply(option, &mut attributes) {
            left.push(option);
        }
    }
    (attributes, left.join(","))
}

/// False for a word that says nothing of the mount.
fn apply(option: &str, attributes: &mut A) -> bool {
    let (flag, on) = match option {
        "ro" => (A::MOUNT_ATTR_RDONLY, true),
        "rw" => (A::MOUNT_ATTR_RDONLY, false),
        "nosuid" => (A::MOUNT_ATTR_NOSUID, true),
        "suid" => (A::MOUNT_ATTR_NOSUID, false),
        "nodev" => (A::MOUNT_ATTR_NODEV, true),
        "dev" => (A::MOUNT_ATTR_NODEV, false),
        "noexec" => (A::MOUNT_ATTR_NOEXEC, true),
        "exec" => (A::MOUNT_ATTR_NOEXEC, false),
        "nosymfollow" => (A::MOUNT_ATTR_NOSYMFOLLOW, true),
        "symfollow" => (A::MOUNT_ATTR_NOSYMFOLLOW, false),
        "nodiratime" => (A::MOUNT_ATTR_NODIRATIME, true),
        "diratime" => (A::MOUNT_ATTR_NODIRATIME, false),
        // One of three, and not flags of their own (mount_setattr(2)).
        "noatime" | "relatime" | "strictatime" => {
            attributes.remove(A::MOUNT_ATTR__ATIME);
            let chosen = match option {
                "noatime" => A::MOUNT_ATTR_NOATIME,
                "strictatime" => A::MOUNT_ATTR_STRICTATIME,
                _ => A::MOUNT_ATTR_RELATIME,
            };
            (chosen, true)
        }
        "atime" => (A::MOUNT_ATTR_NOATIME, false),
        _ => return false,
    };
    attributes.set(flag, on);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_mount_are_taken_out() {
        let base = A::MOUNT_ATTR_NODEV | A::MOUNT_ATTR_STRICTATIME;
        for (options, attributes, left) in [
            ("mode=0755", base, "mode=0755"),
            ("rw,nosuid,noexec", base | A::MOUNT_ATTR_NOSUID | A::MOUNT_ATTR_NOEXEC, ""),
            ("size=1m,dev,ro,mode=1777", A::MOUNT_ATTR_STRICTATIME | A::MOUNT_ATTR_RDONLY, "size=1m,mode=1777"),
            ("noatime", A::MOUNT_ATTR_NODEV | A::MOUNT_ATTR_NOATIME, ""),
            ("relatime", A::MOUNT_ATTR_NODEV, ""),
            ("ro,rw,nonsense", base, "nonsense"),
        ] {
            assert_eq!(split(options, base), (attributes, left.to_string()), "{options}");
        }
    }
}
