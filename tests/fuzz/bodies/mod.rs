// SPDX-License-Identifier: LGPL-2.1-or-later
//! Every reader of bytes that somebody else wrote, as a function of bytes: what `tests/fuzz` runs on any toolchain and
//! `fuzz/` with coverage. A new reader belongs here, with a folder of the same name below `tests/corpus`.

mod image;
mod kernel;
mod said;
mod services;

/// One of them. It panics when something is wrong, and returns nothing.
pub struct Body {
    /// Also the name of the folder with its corpus.
    pub name: &'static str,
    /// What is done with the bytes.
    pub run: fn(&[u8]),
    /// How many inputs it gets where a cheap one gets a hundred.
    pub share: u32,
}

const fn body(name: &'static str, share: u32, run: fn(&[u8])) -> Body {
    Body { name, run, share }
}

/// All of them.
pub const BODIES: &[Body] = &[
    body("nspawn", 15, said::nspawn_file),
    body("options", 5, said::options),
    body("environment", 50, said::environment),
    body("mounts", 100, said::mounts),
    body("credentials", 100, said::credentials),
    body("values", 50, said::values),
    body("properties", 20, said::properties),
    body("filters", 5, said::filters),
    body("users", 100, image::users),
    body("os-release", 100, image::os_release),
    body("attributes", 100, image::attributes),
    body("mountinfo", 100, kernel::mount_table),
    body("rtnetlink", 100, kernel::rtnetlink),
    body("varlink", 100, services::varlink),
    body("notify", 100, services::notify),
    body("console", 100, services::console),
    body("keeper", 100, services::keeper),
    body("record", 100, services::record),
];

/// What is likely to matter, besides the words of the corpus: names of options, keys and variables, and marks of all the
/// formats.
pub fn dictionary() -> Vec<Vec<u8>> {
    use spawn::config::keys;
    let marks = [
        "\0",
        "\n",
        "\r\n",
        "=",
        ":",
        ",",
        "\\",
        "\\:",
        "\\040",
        "\\x41",
        "\\777",
        "\\u0000",
        "\"",
        "'",
        "#",
        ";",
        "[",
        "]",
        "{",
        "}",
        "+",
        "-",
        "~",
        "@",
        "%",
        "/",
        "..",
        "/../",
        "\u{feff}",
        "\u{1b}[",
        "\u{7f}",
        "ä",
        "infinity",
        "yes",
        "0x",
        "-1",
        "65535",
        "65536",
        "4294967295",
        "4294967296",
        "18446744073709551615",
        "18446744073709551616",
        "1K",
        "100%",
        "help",
        "auto",
        "null",
        "true",
        "1e999",
        "- cgroup2 ",
        "STATUS=",
        "READY=1",
        "NAME=",
        "root",
        ":0:0:",
        "[Exec]\n",
        "[Files]\n",
        "[Network]\n",
    ];
    let mut words: Vec<Vec<u8>> = marks.iter().map(|word| word.as_bytes().to_vec()).collect();
    words.extend([0xffff_ffff_u32, 0x7fff_ffff, 0x8000_0000, 16, 20, 2, 3, 0].map(|n| n.to_ne_bytes().to_vec()));
    words.extend([&b"\xff"[..], b"\xc3", b"\xf0\x9f"].map(<[u8]>::to_vec));
    for key in keys::all() {
        words.extend(key.long.map(|long| format!("--{long}=").into_bytes()));
        words.extend(key.short.map(|short| format!("-{short}").into_bytes()));
        words.extend(key.file.map(|file| format!("{}=", file.name).into_bytes()));
    }
    words.extend(keys::environment::VARIABLES.iter().map(|variable| format!("{}=", variable.name).into_bytes()));
    words
}
