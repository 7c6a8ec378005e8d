// SPDX-License-Identifier: LGPL-2.1-or-later
pub mod conflicts;
