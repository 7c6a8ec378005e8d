// SPDX-License-Identifier: LGPL-2.1-or-later
//! The table of journal message ids: what kinds of messages spawn writes, and what the catalog says of each.

use std::fmt::Write as _;

macro_rules! message_ids {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal, $subject:literal, $body:literal;)*) => {
        /// A kind of message. The ids are stable: `journalctl MESSAGE_ID=…` and the catalog find messages by them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum MessageId { $($(#[doc = $doc])+ $name,)* }
        impl MessageId {
            /// Every kind, in the order of the catalog.
            pub const ALL: &[MessageId] = &[$(MessageId::$name,)*];
            /// The id: 32 lower-case hexadecimal digits (`MESSAGE_ID=` of systemd.journal-fields(7)).
            pub fn as_str(self) -> &'static str { match self { $(MessageId::$name => $id,)* } }
            /// Heading in the catalog; `@FIELD@` stands for a journal field.
            pub fn subject(self) -> &'static str { match self { $(MessageId::$name => $subject,)* } }
            /// Explanation in the catalog.
            pub fn body(self) -> &'static str { match self { $(MessageId::$name => $body,)* } }
        }
    };
}

message_ids! {
    /// The payload runs.
    Started = "8e738a5a7cbd4ad88ba815b0a7d94ccd", "Machine @SPAWN_MACHINE@ has started",
        "The first process of the machine @SPAWN_MACHINE@ runs. On the host it is process @SPAWN_LEADER@.";
    /// The payload ended by itself.
    Exited = "1c1c08721b964b8c9e9ce5faabf41b5b", "Machine @SPAWN_MACHINE@ has ended",
        "The first process of the machine @SPAWN_MACHINE@ has ended. The message says with which status.";
    /// The payload asked for a restart.
    Rebooting = "d5a81883b4014a079aded9087160dc94", "Machine @SPAWN_MACHINE@ restarts",
        "The machine @SPAWN_MACHINE@ asked for a reboot and is started again under the same name.";
    /// spawn could not do what was asked.
    Failed = "e9e5e55df0f44791856a72981e7b0e76", "Machine @SPAWN_MACHINE@ could not be run",
        "Something that the machine @SPAWN_MACHINE@ needs could not be done. SPAWN_CODE= holds the code of the error,\nwhich spawn-errors(7) explains; the message says on what it failed and what to do.";
    /// A part that may fail did.
    Degraded = "c39f4c315f30407b835615791616f4f2", "Machine @SPAWN_MACHINE@ runs without something optional",
        "Something that may be absent could not be had. The machine runs without it; the message says what is missing.";
    /// machined knows the machine.
    Registered = "8966868eb87c4b0ca80b3351e9d61a65", "Machine @SPAWN_MACHINE@ is registered",
        "systemd-machined knows the machine @SPAWN_MACHINE@: machinectl(1) lists it.";
    /// machined no longer knows the machine.
    RegistrationLost = "62a1b895a5054b6b8afcf4941c172d5e", "Registration of machine @SPAWN_MACHINE@ was lost",
        "systemd-machined no longer knows the machine @SPAWN_MACHINE@, although it runs. spawn tries to register it again.";
    /// machined knows it again.
    RegistrationRepaired = "ff47af8d156445a793099a9e006a5503", "Registration of machine @SPAWN_MACHINE@ was repaired",
        "systemd-machined knows the machine @SPAWN_MACHINE@ again.";
    /// The bus was restarted: systemd cannot ask for an orderly stop any more.
    OrderlyStopLost = "14aafdc3315f448394712db7f776e8ef", "An orderly stop of @SPAWN_MACHINE@ by its scope is no longer possible",
        "The system bus was restarted, and systemd cannot be told again whom to ask for an orderly stop of the scope.\nStopping the scope now kills the machine. Use machinectl poweroff @SPAWN_MACHINE@ instead.";
    /// The kernel killed a process of the payload for want of memory.
    OomKill = "ef72001a54a6488a8c53617e0177022b", "A process of machine @SPAWN_MACHINE@ was killed for want of memory",
        "The machine @SPAWN_MACHINE@ reached a limit of memory, and the kernel killed at least one of its processes.\nsystemctl set-property can raise the limit (MemoryMax=, systemd.resource-control(5)).";
    /// What the machine used up.
    Consumed = "34a4c7b6d02b4ccaa7de64ef03d824fb", "Resources consumed by machine @SPAWN_MACHINE@",
        "The machine @SPAWN_MACHINE@ has ended and consumed the resources that the message names.";
    /// An orderly stop was asked for.
    Stopping = "5fd91606c5e24ac4afcc289c2866cf04", "Machine @SPAWN_MACHINE@ is asked to stop",
        "The machine @SPAWN_MACHINE@ was asked to shut down. It is killed if it does not do so in time.";
    /// The guest's journal is not reachable from the host.
    JournalNotLinked = "52b9484798a54db09113b52af487a0c5", "The journal of machine @SPAWN_MACHINE@ is not linked",
        "journalctl on the host does not show the journal of the machine @SPAWN_MACHINE@. The message says why.\n--link-journal= of spawn(1) chooses whether and how it is linked.";
    /// systemd, its bus or machined is not there.
    NoManager = "bcff3aa6e0b143248776873bbb08de40", "Machine @SPAWN_MACHINE@ runs without a service manager",
        "The machine @SPAWN_MACHINE@ has no scope, is not registered, or both, since what this needs is not running here.";
    /// Something acquired could not be released.
    ReleaseFailed = "e4444069741445da921a5d38d8b13118", "Something of machine @SPAWN_MACHINE@ was left behind",
        "Something that was made for the machine @SPAWN_MACHINE@ could not be removed. The message names it.";
    /// Lines of the console were not written to the journal.
    ConsoleLinesLost = "51c4cff3245d4a3392336c9e8f0c97e9", "Console output of machine @SPAWN_MACHINE@ was lost",
        "The journal did not take the console output of the machine @SPAWN_MACHINE@ fast enough. Some lines are missing.";
    /// A `.nspawn` file has a mistake, or says something that does not count.
    SettingsFile = "711f7de9396c48f4b73616d7ee412508", "Something in a .nspawn file does not count",
        "A line of a settings file was left out. The message names file and line and says why.\nspawn verify FILE lists every mistake of a file.";
    /// Anything else worth a word.
    Notice = "b121583360fd4e498018a414a6564a74", "A notice about machine @SPAWN_MACHINE@",
        "The message says what is worth knowing about the machine @SPAWN_MACHINE@.";
}

/// The journal catalog for [`MessageId`], in the format of journalctl(1) `--update-catalog`.
pub fn catalog() -> String {
    let mut out = String::from("# SPDX-License-Identifier: LGPL-2.1-or-later\n");
    for id in MessageId::ALL {
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "\n-- {}\nSubject: {}\nDefined-By: spawn\nDocumentation: man:spawn-journal(7)\n\n{}\n",
            id.as_str(),
            id.subject(),
            id.body()
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_unique_random_and_well_formed() {
        let mut seen = HashSet::new();
        for id in MessageId::ALL {
            let text = id.as_str();
            assert_eq!(text.len(), 32, "{id:?}");
            assert!(text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{id:?}");
            assert_eq!(&text[12..13], "4", "{id:?} is not a random id");
            assert!(seen.insert(text), "{id:?} is used twice");
        }
    }

    #[test]
    fn the_shipped_catalog_is_this_table() {
        expect_test::expect_file!["../../units/spawn.catalog"].assert_eq(&catalog());
    }
}
