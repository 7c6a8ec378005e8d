// SPDX-License-Identifier: LGPL-2.1-or-later
//! The system bus: scopes from systemd, registration with machined. No zbus type leaves this folder.

mod runtime;
