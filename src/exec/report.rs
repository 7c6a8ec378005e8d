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

/// Which part of a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// Nothing more to say than the step.
    Whole = 0,
    /// The target could not be opened inside the root.
    Open = 1,
    /// The target could not be made.
    Create = 2,
    /// The target is of the wrong type.
    Type = 3,
    /// The mount could not be cloned.
    Clone = 4,
    /// The mount's attributes could not be set.
    Attributes = 5,
    /// The mount could not be attached.
    Attach = 6,
    /// The file system could not be configured.
    Configure = 7,
    /// A file could not be written.
    Write = 8,
    /// The source inside the container could not be opened.
    Source = 9,
    /// A helper process could not be made or failed.
    Helper = 10,
}

/// Steps of init, in their order; numbers of a record's `step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
#[allow(missing_docs, reason = "the words are in `InitStep::what`")]
pub enum InitStep {
    CgroupNamespace = 1,
    Wait,
    SetIds,
    MountNamespace,
    Propagation,
    Session,
    Keyring,
    Hostname,
    Affinity,
    Personality,
    Rlimit,
    Console,
    Stdio,
    WorkingDirectory,
    Seccomp,
    Capabilities,
    UserIds,
    DeathSignal,
    NoNewPrivileges,
    Signals,
    Descriptors,
    Fork,
    Exec,
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
        let part = Part::ALL.into_iter().find(|p| *p as u8 == b[2])?;
        Some(Self {
            kind,
            stage,
            part,
            step: u16::from_ne_bytes([b[4], b[5]]),
            errno: i32::from_ne_bytes([b[8], b[9], b[10], b[11]]),
            value: i32::from_ne_bytes([b[12], b[13], b[14], b[15]]),
        })
    }
}

impl Part {
    /// Every part.
    pub const ALL: [Part; 11] = [
        Part::Whole,
        Part::Open,
        Part::Create,
        Part::Type,
        Part::Clone,
        Part::Attributes,
        Part::Attach,
        Part::Configure,
        Part::Write,
        Part::Source,
        Part::Helper,
    ];
}

impl InitStep {
    /// Every step, in order.
    pub const ALL: [InitStep; 23] = {
        use InitStep::*;
        [
            CgroupNamespace,
            Wait,
            SetIds,
            MountNamespace,
            Propagation,
            Session,
            Keyring,
            Hostname,
            Affinity,
            Personality,
            Rlimit,
            Console,
            Stdio,
            WorkingDirectory,
            Seccomp,
            Capabilities,
            UserIds,
            DeathSignal,
            NoNewPrivileges,
            Signals,
            Descriptors,
            Fork,
            Exec,
        ]
    };

    /// The step as the object of "cannot".
    pub fn what(self) -> &'static str {
        match self {
            InitStep::CgroupNamespace => "make the cgroup namespace",
            InitStep::Wait => "go on without the supervisor",
            InitStep::SetIds => "become root of the container",
            InitStep::MountNamespace => "make the container's own mount namespace",
            InitStep::Propagation => "share the container's mounts with its own processes",
            InitStep::Session => "start a session",
            InitStep::Keyring => "make a session keyring",
            InitStep::Hostname => "set the host name",
            InitStep::Affinity => "set the CPU affinity",
            InitStep::Personality => "set the personality",
            InitStep::Rlimit => "set a resource limit",
            InitStep::Console => "open the console",
            InitStep::Stdio => "set up standard input and output",
            InitStep::WorkingDirectory => "enter the working directory",
            InitStep::Seccomp => "install the system call filter",
            InitStep::Capabilities => "set the capabilities",
            InitStep::UserIds => "become the user",
            InitStep::DeathSignal => "ask for a signal at the supervisor's death",
            InitStep::NoNewPrivileges => "give up new privileges",
            InitStep::Signals => "reset the signals",
            InitStep::Descriptors => "close inherited descriptors",
            InitStep::Fork => "start the program below the stub init",
            InitStep::Exec => "execute the program",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were() {
        for part in Part::ALL {
            let r = Record { kind: Kind::Failed, stage: Stage::Init, part, step: 512, errno: 13, value: -7 };
            assert_eq!(Record::decode(&r.encode()), Some(r));
        }
        assert_eq!(Record::decode(&[9; Record::SIZE]), None);
        let exec = Record {
            kind: Kind::Failed,
            stage: Stage::Init,
            part: Part::Whole,
            step: InitStep::Exec as u16,
            errno: 13,
            value: 1,
        };
        assert_eq!(crate::sys::programs::wire::exec_failed(13, 1), exec.encode());
    }

    #[test]
    fn init_steps_are_numbered_in_order() {
        assert!(InitStep::ALL.iter().enumerate().all(|(i, s)| *s as usize == i + 1));
    }
}
