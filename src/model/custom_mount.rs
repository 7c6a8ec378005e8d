// SPDX-License-Identifier: LGPL-2.1-or-later
//! Mounts that were asked for.

use serde::Serialize;
use std::path::PathBuf;

/// One mount option of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CustomMount {
    /// `--bind=`, `--bind-ro=`
    Bind(Bind),
    /// `--tmpfs=`
    Tmpfs(Tmpfs),
    /// `--overlay=`, `--overlay-ro=`
    Overlay(Overlay),
    /// `--inaccessible=`: an absolute path in the container.
    Inaccessible(PathBuf),
}

/// Where a bind's source lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindSource {
    /// On the host, absolute.
    Host(PathBuf),
    /// `+PATH`: in the image, resolved inside its root.
    Image(PathBuf),
    /// Empty: a temporary directory below `/var/tmp`.
    Temporary,
}

/// How the owners of a bind appear in a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindIdmap {
    /// `noidmap`
    #[default]
    None,
    /// `idmap`
    Range,
    /// `rootidmap`
    Root,
    /// `owneridmap`
    Owner,
}

/// `SOURCE[:TARGET[:OPTIONS]]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bind {
    /// What is mounted.
    pub source: BindSource,
    /// Where, absolute, in the container.
    pub target: PathBuf,
    /// `--bind-ro=`
    pub read_only: bool,
    /// `rbind` (default) or `norbind`.
    pub recursive: bool,
    /// The owners' map.
    pub idmap: BindIdmap,
}

/// `PATH[:OPTIONS]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tmpfs {
    /// Where, absolute, in the container.
    pub target: PathBuf,
    /// Mount options as given; `mode=0755` when none.
    pub options: String,
}

/// `LOWER[:LOWER…]:UPPER:TARGET`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overlay {
    /// Lower directories, the topmost last, as given.
    pub lower: Vec<BindSource>,
    /// The writable one.
    pub upper: BindSource,
    /// Where, absolute, in the container.
    pub target: PathBuf,
    /// `--overlay-ro=`
    pub read_only: bool,
}

/// `NEW[:OLD]` of `--pivot-root=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PivotRoot {
    /// Becomes the root.
    pub new: PathBuf,
    /// Where the old root goes.
    pub old: Option<PathBuf>,
}
