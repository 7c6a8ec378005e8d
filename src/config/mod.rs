// SPDX-License-Identifier: LGPL-2.1-or-later
//! What was said: options and files, each value with its origin.
//!
//! [`keys`] holds the table of settings, [`Key`] is one row of it, [`Settings`] what was said.

mod boot_words;
pub mod file;
mod file_key;
mod key;
pub mod keys;
mod settings;

pub use boot_words::split_boot_words;
pub use file_key::{Adds, BadValue, FileKey, Section, Trust};
pub use key::{Apply, Built, Does, Key, Lacking, Listing, Repeat, Said, Takes, Topic};
pub use settings::{Assigned, Invocation, Many, One, Settings};
