// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every reader of bytes that somebody else wrote, as a function of bytes: what `tests/fuzz` runs on any toolchain and
//! `fuzz/` with coverage. A new reader belongs here, with a folder of the same name below `tests/corpus`.

mod dictionary;
#[path = "../../../src/plan/testing/facts.rs"]
mod facts;
mod host;
mod image;
mod kernel;
mod said;
mod services;

pub use dictionary::dictionary;

/// One of them. It panics when something is wrong, and returns nothing.
pub struct Body {
    /// Also the name of the folder with its corpus.
    pub name: &'static str,
    /// What is done with the bytes.
    pub run: fn(&[u8]),
    /// How many inputs it gets where a cheap one gets a hundred.
    #[allow(dead_code, reason = "with coverage each has its time")]
    pub share: u32,
}

const fn body(name: &'static str, share: u32, run: fn(&[u8])) -> Body {
    Body { name, run, share }
}

/// All of them.
pub const BODIES: &[Body] = &[
    body("nspawn", 30, said::nspawn_file),
    body("options", 10, said::options),
    body("environment", 10, said::environment),
    body("mounts", 100, said::mounts),
    body("credentials", 100, said::credentials),
    body("values", 10, said::values),
    body("properties", 5, said::properties),
    body("filters", 100, said::filters),
    body("host-users", 100, host::host_users),
    body("getent", 100, host::getent),
    body("userdb", 100, host::userdb),
    body("users", 100, image::users),
    body("os-release", 100, image::os_release),
    body("attributes", 100, image::attributes),
    body("mountinfo", 100, kernel::mount_table),
    body("processes", 100, kernel::processes),
    body("figures", 100, kernel::figures),
    body("netlink", 100, kernel::netlink),
    body("varlink", 100, services::varlink),
    body("control", 100, services::control),
    body("reports", 100, services::reports),
    body("notify", 100, services::notify),
    body("terminal", 100, services::terminal),
    body("console", 100, services::console),
    body("keeper", 100, services::keeper),
    body("record", 100, services::record),
];
