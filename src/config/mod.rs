// SPDX-License-Identifier: LGPL-2.1-or-later
//! What was said: options and files, each value with its origin.
//!
//! [`keys`] holds the table of settings, [`Key`] is one row of it, [`Settings`] what was said.

mod boot_words;
mod key;
pub mod keys;
mod settings;

pub use boot_words::split_boot_words;
pub use key::{Apply, Built, Does, Key, Lacking, Listing, Repeat, Said, Section, Takes, Topic, Trust};
pub use settings::{Invocation, Many, One, Settings};
