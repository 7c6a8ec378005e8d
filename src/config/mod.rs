// SPDX-License-Identifier: LGPL-2.1-or-later
//! What was said: options and files, each value with its origin.

mod settings;

pub use settings::{Invocation, Settings};
