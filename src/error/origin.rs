// SPDX-License-Identifier: LGPL-2.1-or-later
//! Where a value came from.

use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Where a setting was made. Credential values and values of `-E` must never be put in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Built in.
    Default,
    /// The command line, as the option reads there ("--bind=/x:/y").
    Option(String),
    /// An environment variable, by name.
    Environment(String),
    /// A line of a file.
    File {
        /// The file.
        #[serde(serialize_with = "crate::model::shown::path")]
        path: PathBuf,
        /// Counted from 1.
        line: u32,
        /// The key, without `=`.
        key: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("the built-in default"),
            Origin::Option(o) => f.write_str(o),
            Origin::Environment(n) => write!(f, "${n}"),
            Origin::File { path, line, key } => write!(f, "{}:{line} {key}=", path.display()),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

impl<T> Sourced<T> {
    /// Pairs a value with its origin.
    pub fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}
