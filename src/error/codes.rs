// SPDX-License-Identifier: LGPL-2.1-or-later
//! The table of error codes: stable numbers, one line of meaning each.

use std::fmt;

macro_rules! codes {
    ($($name:ident = $number:literal, $meaning:literal;)*) => {
        /// A kind of failure. Numbers are stable: scripts and documentation name them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $meaning] $name,)* }
        impl Code {
            /// Every code, in order of number.
            pub const ALL: &[Code] = &[$(Code::$name,)*];
            /// The stable number.
            pub fn number(self) -> u16 { match self { $(Code::$name => $number,)* } }
            /// What it means, in one line.
            pub fn meaning(self) -> &'static str { match self { $(Code::$name => $meaning,)* } }
        }
    };
}

codes! {
    // 01xx command line and configuration
    OptionUnknown = 101, "an option does not exist";
    OptionAmbiguous = 102, "an abbreviated option fits several";
    OptionValue = 103, "the value of an option is not allowed";
    OptionValueMissing = 104, "an option lacks its value";
    OptionConflict = 105, "two settings exclude each other";
    NotBuiltYet = 106, "a known option that this version cannot do yet";
    SettingsFile = 107, "a .nspawn file cannot be read, or holds what cannot be done";
    // 02xx image and tree
    TreeMissing = 201, "the tree of the container cannot be opened";
    TreeNotAnOs = 202, "the tree does not look like an operating system";
    TreeBusy = 203, "the tree is in use";
    NameBusy = 204, "the machine name is in use";
    NameUnusable = 205, "no machine name could be derived, or it is not valid";
    ImageObject = 206, "something in the image is not what it must be";
    TreeNotCopied = 207, "the tree could not be copied";
    // 03xx this machine
    NeedRoot = 301, "a power is missing that the start needs";
    KernelTooOld = 302, "the kernel lacks something that was asked for";
    // 04xx preparing and mounting
    Prepare = 401, "something could not be opened or made";
    Mount = 402, "a mount could not be made";
    ReleaseFailed = 403, "something acquired could not be released";
    // 05xx the children between clone and execve
    Clone = 501, "a process could not be made";
    ChildStep = 502, "a step between clone and execve failed";
    PayloadNotFound = 503, "the program to run was not found in the container";
    PayloadNotExecutable = 504, "the program to run cannot be executed";
    ChildGone = 505, "a child was killed before the payload ran";
    // 06xx bus, scope, registration
    BusUnavailable = 601, "no connection to the system bus";
    BusCall = 602, "a call over the bus failed";
    ScopeFailed = 603, "systemd did not make the scope";
    RegisterFailed = 604, "machined did not register the machine";
    PropertyUnknown = 605, "a unit property is not known or not valid";
    // 07xx cgroups
    CgroupFailed = 701, "a control group operation failed";
    DevicePolicy = 702, "the device policy could not be attached";
    // 08xx network
    NetworkFailed = 801, "a network operation failed";
    LinkUnusable = 802, "a network link cannot be what was asked for";
    NetworkNamespace = 803, "the network namespace cannot be joined";
    PortForward = 804, "a port could not be forwarded";
    // 09xx console
    ConsoleFailed = 901, "a console operation failed";
    SuperviseFailed = 902, "the supervisor cannot watch over the container";
    // 10xx identity, capabilities, filters
    UserUnknown = 1001, "the user is not known in the image";
    IdRange = 1002, "no range of user ids could be had";
    SeccompFailed = 1003, "the system call filter could not be built";
    CredentialFailed = 1004, "a credential could not be read";
    BindUser = 1005, "a user of the host cannot be shown in the container";
    // 11xx journal and notifications
    JournalLink = 1101, "the journal of the container cannot be linked";
    NotifyFailed = 1102, "a notification could not be exchanged";
    JournalForward = 1103, "the journal of the container cannot be forwarded";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{:04}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_so_none_is_used_twice() {
        assert!(Code::ALL.windows(2).all(|w| w[0].number() < w[1].number()));
    }
}
