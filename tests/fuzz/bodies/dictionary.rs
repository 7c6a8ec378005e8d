// SPDX-License-Identifier: LGPL-2.1-or-later
//! Words for inputs.

use spawn::config::keys;

/// What is likely to matter, besides the words of the corpus: names of options, keys and variables, and marks of all the
/// formats.
pub fn dictionary() -> Vec<Vec<u8>> {
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
