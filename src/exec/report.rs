// SPDX-License-Identifier: LGPL-2.1-or-later
//! The fixed-size records by which the children tell the supervisor how far they are and what failed.

/// Which child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// The stager.
    Stager = 1,
    /// Init.
    Init = 2,
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A step failed; the child has ended.
    Failed = 1,
    /// An optional step failed; the child goes on.
    Skipped = 2,
    /// Init exists; `value` is its pid.
    Cloned = 3,
    /// Every mount is in place.
    Mounted = 4,
}

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident: $int:ty { $($variant:ident = $number:literal, $words:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr($int)]
        pub enum $name { $(#[doc = $words] $variant = $number,)* }
        impl $name {
            /// Every one, in order of number.
            pub const ALL: &[$name] = &[$($name::$variant,)*];
            /// What it is, in words.
            pub fn what(self) -> &'static str { match self { $($name::$variant => $words,)* } }
            fn from_number(number: $int) -> Option<Self> {
                Self::ALL.iter().copied().find(|x| *x as $int == number)
            }
        }
    };
}

numbered! {
    /// Which part of a step failed.
    Part: u8 {
        Whole = 0, "nothing more to say than the step";
        Open = 1, "the target could not be opened inside the root";
        Create = 2, "the target could not be made";
        Type = 3, "the target is of the wrong type";
        Clone = 4, "the mount could not be cloned";
        Attributes = 5, "the mount's attributes could not be set";
        Attach = 6, "the mount could not be attached";
        Configure = 7, "the file system could not be configured";
        Write = 8, "a file could not be written";
        Source = 9, "the source inside the container could not be opened";
        Helper = 10, "a helper process could not be made or failed";
        Owner = 11, "the owner could not be set";
    }
}

numbered! {
    /// Steps of init, in their order, as the object of "cannot"; numbers of a record's `step`.
    InitStep: u16 {
        CgroupNamespace = 1, "make the cgroup namespace";
        Wait = 2, "go on without the supervisor";
        SetIds = 3, "become root of the container";
        MountNamespace = 4, "make the container's own mount namespace";
        Propagation = 5, "share the container's mounts with its own processes";
        Session = 6, "start a session";
        Keyring = 7, "make a session keyring";
        Hostname = 8, "set the host name";
        Affinity = 9, "set the CPU affinity";
        Personality = 10, "set the personality";
        Rlimit = 11, "set a resource limit";
        Console = 12, "open the console";
        Stdio = 13, "set up standard input and output";
        WorkingDirectory = 14, "enter the working directory";
        Seccomp = 15, "install the system call filter";
        Capabilities = 16, "set the capabilities";
        UserIds = 17, "become the user";
        DeathSignal = 18, "ask for a signal at the supervisor's death";
        NoNewPrivileges = 19, "give up new privileges";
        Signals = 20, "reset the signals";
        Descriptors = 21, "close inherited descriptors";
        Fork = 22, "start the program below the stub init";
        Exec = 23, "execute the program";
        Label = 24, "set the SELinux label of the program";
        Home = 25, "make the user's home directory";
    }
}

/// One record, written by one write(2), which pipes keep whole (pipe(7), PIPE_BUF).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What it says.
    pub kind: Kind,
    /// Who says it.
    pub stage: Stage,
    /// Which part of the step.
    pub part: Part,
    /// A plan's step index, or an [`InitStep`].
    pub step: u16,
    /// The errno, 0 when there is none.
    pub errno: i32,
    /// A pid, or an index within the step.
    pub value: i32,
}

impl InitStep {
    /// The step of a record of init.
    pub fn of(record: &Record) -> Option<Self> {
        Self::from_number(record.step)
    }
}

impl Record {
    /// Size on the wire.
    pub const SIZE: usize = 16;

    /// To the wire. Child-safe.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut b = [0; Self::SIZE];
        b[0] = self.kind as u8;
        b[1] = self.stage as u8;
        b[2] = self.part as u8;
        b[4..6].copy_from_slice(&self.step.to_ne_bytes());
        b[8..12].copy_from_slice(&self.errno.to_ne_bytes());
        b[12..16].copy_from_slice(&self.value.to_ne_bytes());
        b
    }

    /// From the wire; `None` for what no child of ours writes.
    pub fn decode(b: &[u8; Self::SIZE]) -> Option<Self> {
        let kind = [Kind::Failed, Kind::Skipped, Kind::Cloned, Kind::Mounted].into_iter().find(|k| *k as u8 == b[0])?;
        let stage = [Stage::Stager, Stage::Init].into_iter().find(|s| *s as u8 == b[1])?;
        let part = Part::from_number(b[2])?;
        let errno = i32::from_ne_bytes([b[8], b[9], b[10], b[11]]);
        // What has failed says why; the kernel's errnos end there (include/linux/err.h, MAX_ERRNO).
        let least = i32::from(matches!(kind, Kind::Failed | Kind::Skipped));
        (least..=4095).contains(&errno).then_some(())?;
        Some(Self {
            kind,
            stage,
            part,
            step: u16::from_ne_bytes([b[4], b[5]]),
            errno,
            value: i32::from_ne_bytes([b[12], b[13], b[14], b[15]]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were() {
        for part in Part::ALL.iter().copied() {
            let r = Record { kind: Kind::Failed, stage: Stage::Init, part, step: 512, errno: 13, value: -7 };
            assert_eq!(Record::decode(&r.encode()), Some(r));
        }
        assert_eq!(Record::decode(&[9; Record::SIZE]), None);
        for (kind, errno, whole) in [
            (Kind::Failed, 0, false),
            (Kind::Skipped, 4096, false),
            (Kind::Failed, 4095, true),
            (Kind::Cloned, 0, true),
        ] {
            let (stage, part) = (Stage::Stager, Part::Whole);
            let record = Record { kind, stage, part, step: 0, errno, value: 0 };
            assert_eq!(Record::decode(&record.encode()), whole.then_some(record));
        }
        let exec = Record {
            kind: Kind::Failed,
            stage: Stage::Init,
            part: Part::Whole,
            step: InitStep::Exec as u16,
            errno: 13,
            value: 1,
        };
        assert_eq!(crate::sys::programs::wire::exec_failed(13, 1), exec.encode());
        let label = Record { step: InitStep::Label as u16, errno: 22, value: 0, ..exec };
        assert_eq!(crate::sys::programs::wire::label_failed(22), label.encode());
    }

    #[test]
    fn init_steps_are_numbered_in_order() {
        assert!(InitStep::ALL.iter().enumerate().all(|(i, s)| *s as usize == i + 1));
    }
}
