// SPDX-License-Identifier: LGPL-2.1-or-later
//! Files and journal shared with the host.

use super::words;
use crate::config::{Key, Section::Exec, Takes::*, Topic::Integration};
use crate::model::{LinkJournal, ResolvConf, Timezone, parse_size};

pub(super) const KEYS: &[Key] = &[
    Key::option("resolv-conf", Integration, Value("MODE"), "Name servers: off, auto, copy-host, …", |s, v| {
        v.one(&mut s.resolv_conf)
    })
    .file(Exec, "ResolvConf", |s| s.resolv_conf = None)
    .default_is("auto")
    .mask(21)
    .since("v239")
    .values(|| words(ResolvConf::ALL)),
    Key::option("timezone", Integration, Value("MODE"), "Time zone: off, auto, copy, …", |s, v| {
        v.one(&mut s.timezone)
    })
    .file(Exec, "Timezone", |s| s.timezone = None)
    .default_is("auto")
    .mask(23)
    .since("v239")
    .values(|| words(Timezone::ALL)),
    Key::option("link-journal", Integration, Value("MODE"), "Share the journal: no, auto, guest, host, …", |s, v| {
        v.one(&mut s.link_journal)
    })
    .file(Exec, "LinkJournal", |s| s.link_journal = None)
    .default_is("auto")
    .trusted()
    .mask(22)
    .since("v187"),
    Key::letter("j", 'j', Integration, "As --link-journal=try-guest", |s, v| {
        v.put(&mut s.link_journal, LinkJournal::TryGuest)
    })
    .mask(22)
    .since("v187"),
    Key::option("forward-journal", Integration, Value("PATH"), "Store the journal of the guest here", |s, v| {
        v.path(&mut s.forward_journal)
    })
    .since("v261")
    .own_file(Exec, "ForwardJournal", |s| s.forward_journal = None),
    Key::option("forward-journal-max-use", Integration, Value("SIZE"), "Size that it may take", |s, v| {
        v.put(&mut s.forward_journal_max_use, parse_size(v.text()?)?)
    })
    .since("v261")
    .own_file(Exec, "ForwardJournalMaxUse", |s| s.forward_journal_max_use = None),
    Key::option("forward-journal-keep-free", Integration, Value("SIZE"), "Size that it leaves free", |s, v| {
        v.put(&mut s.forward_journal_keep_free, parse_size(v.text()?)?)
    })
    .since("v261")
    .own_file(Exec, "ForwardJournalKeepFree", |s| s.forward_journal_keep_free = None),
    Key::option("forward-journal-max-file-size", Integration, Value("SIZE"), "Size of one of its files", |s, v| {
        v.put(&mut s.forward_journal_max_file_size, parse_size(v.text()?)?)
    })
    .since("v261")
    .own_file(Exec, "ForwardJournalMaxFileSize", |s| s.forward_journal_max_file_size = None),
    Key::option("forward-journal-max-files", Integration, Value("N"), "Number of its files", |s, v| {
        let number = v.text()?.parse().map_err(|_| "must be a number of files")?;
        v.put(&mut s.forward_journal_max_files, number)
    })
    .since("v261")
    .own_file(Exec, "ForwardJournalMaxFiles", |s| s.forward_journal_max_files = None),
];
