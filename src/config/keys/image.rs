// SPDX-License-Identifier: LGPL-2.1-or-later
//! What is booted.

use super::words;
use crate::config::file::values as grammar;
use crate::config::{Key, Section::*, Takes::*, Topic::Image};
use crate::model::{PivotRoot, Volatile};

const NO_IMAGES: &str = "disk images cannot be opened yet";

pub(super) const KEYS: &[Key] = &[
    Key::option("directory", Image, Value("PATH"), "Root directory of the container", |s, v| v.path(&mut s.directory))
        .short('D')
        .mask(26)
        .own_file(Files, "Directory", |s| s.directory = None),
    Key::option("template", Image, Value("PATH"), "Copy the tree from here if it is missing", |s, v| {
        v.path(&mut s.template)
    })
    .mask(26)
    .since("v219")
    .own_file(Files, "Template", |s| s.template = None),
    Key::option("ephemeral", Image, Flag, "Run on a copy that is thrown away", |s, v| v.flag(&mut s.ephemeral))
        .short('x')
        .file(Exec, "Ephemeral", |s| s.ephemeral = None)
        .reads(|s, v| v.tristate(&mut s.ephemeral))
        .default_is("no")
        .trusted()
        .mask(24)
        .since("v219"),
    Key::option("image", Image, Value("PATH"), "Disk image or device of the container", |s, v| v.path(&mut s.image))
        .short('i')
        .mask(26)
        .since("v211")
        .not_built(NO_IMAGES)
        .own_file(Files, "Image", |s| s.image = None),
    Key::option("image-policy", Image, Value("POLICY"), "What partitions may be used", |s, v| {
        v.string(&mut s.image_policy)
    })
    .since("v254")
    .not_built(NO_IMAGES)
    .own_file(Files, "ImagePolicy", |s| s.image_policy = None),
    Key::option("mstack", Image, Value("PATH"), "Directory of layers", |s, v| v.path(&mut s.mstack))
        .mask(26)
        .since("v260")
        .not_built("stacks of layers cannot be mounted yet")
        .own_file(Files, "MStack", |s| s.mstack = None),
    Key::option("oci-bundle", Image, Value("PATH"), "OCI bundle to run", |s, v| v.path(&mut s.oci_bundle))
        .since("v242")
        .not_built("OCI bundles cannot be read yet"),
    Key::option("read-only", Image, Flag, "Mount the root directory read-only", |s, v| v.flag(&mut s.read_only))
        .file(Files, "ReadOnly", |s| s.read_only = None)
        .reads(|s, v| v.tristate(&mut s.read_only))
        .default_is("no")
        .mask(9),
    Key::option("volatile", Image, Optional("MODE"), "Keep no changes: yes, state, overlay, no", |s, v| {
        match v.value {
            None => v.put(&mut s.volatile, Volatile::Yes),
            Some(_) => v.one(&mut s.volatile),
        }
    })
    .file(Files, "Volatile", |s| s.volatile = None)
    .default_is("no")
    .mask(10)
    .since("v216")
    .values(|| words(Volatile::ALL)),
    Key::option("root-hash", Image, Value("HASH"), "Verity root hash, in hexadecimal", |s, v| {
        let text = v.text()?;
        if text.len() < 32 || text.len() % 2 != 0 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("must be at least 32 hexadecimal digits, in pairs".into());
        }
        v.string(&mut s.root_hash)
    })
    .since("v233")
    .not_built(NO_IMAGES)
    .own_file(Files, "RootHash", |s| s.root_hash = None),
    Key::option("root-hash-sig", Image, Value("SIG"), "Signature of the root hash: file or base64:…", |s, v| {
        v.string(&mut s.root_hash_sig)
    })
    .since("v246")
    .not_built(NO_IMAGES)
    .own_file(Files, "RootHashSignature", |s| s.root_hash_sig = None),
    Key::option("verity-data", Image, Value("PATH"), "Verity hash tree of the image", |s, v| {
        v.path(&mut s.verity_data)
    })
    .since("v246")
    .not_built(NO_IMAGES)
    .own_file(Files, "VerityData", |s| s.verity_data = None),
    Key::option("pivot-root", Image, Value("NEW[:OLD]"), "Make a directory of the tree its root", |s, v| {
        v.put(&mut s.pivot_root, PivotRoot::parse_os(v.raw())?)
    })
    .file(Exec, "PivotRoot", |s| s.pivot_root = None)
    .reads(grammar::pivot_root)
    .mask(15)
    .since("v233"),
];
