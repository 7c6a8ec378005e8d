// SPDX-License-Identifier: LGPL-2.1-or-later
//! A program that does nothing: what any program takes to be started.

fn main() {}
