//! A fault of a schedule: when, what, and whom it names.

use serde::{Deserialize, Serialize};

use crate::queue::Time;

/// No time, rate or factor of a fault is larger: ten years in microseconds.
const NUMBER_MAX: u64 = 10 * 365 * 24 * 3600 * 1_000_000;

/// No disk is slower, and no clock faster, by a larger factor.
const SCALE_MAX: u64 = 1_000_000;

/// Something that happens at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When.
    pub at: Time,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What a fault does. Members are counted from 1; `lasting` and `down` are times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum What {
    /// The process dies within the next steps of its work, and starts again after `down`.
    Crash {
        /// Who.
        member: usize,
        /// Parts of its work that it still does.
        steps: u32,
        /// How long it stays down.
        down: Time,
        /// Decides what the disk keeps.
        salt: u32,
    },
    /// All processes die.
    CrashAll {
        /// How long they stay down, at most.
        down: Time,
        /// Decides what the disks keep, and who starts when.
        salt: u32,
    },
    /// Whoever is elected next crashes within some steps, and so do the leaders after it.
    CrashElected {
        /// How many leaders.
        times: u32,
        /// Parts of its work that each still does, at most.
        steps: u32,
        /// How long each stays down, at most.
        down: Time,
        /// Decides what the disks keep, and the details.
        salt: u32,
    },
    /// The leader crashes or stands still; in the election that follows, some crash right after
    /// they voted.
    CrashVoters {
        /// How long each stays down, at most.
        down: Time,
        /// How long it goes on.
        lasting: Time,
        /// Decides what the disks keep, and who crashes.
        salt: u32,
    },
    /// The leader is cut off from all others.
    CutLeader {
        /// It does not hear them.
        deaf: bool,
        /// They do not hear it.
        dumb: bool,
        /// What they say to it is held back and reaches it in the end.
        late: bool,
        /// Its clock stands still.
        stopped: bool,
        /// How long.
        lasting: Time,
    },
    /// The process is stopped in order, and starts again.
    Restart {
        /// Who.
        member: usize,
        /// How long it stays down.
        down: Time,
    },
    /// The leader is told to hand its leadership over.
    Transfer {
        /// To whom; 0: to whoever can take over soonest.
        to: usize,
        /// For how long what the leader says to that member is held back, the word to take over
        /// with it. Then often another is told to take over.
        lasting: Time,
    },
    /// The process stands still.
    Pause {
        /// Who.
        member: usize,
        /// How long.
        lasting: Time,
    },
    /// The process dies and its disk is emptied.
    Wipe {
        /// Who.
        member: usize,
    },
    /// Links let nothing through.
    Cut {
        /// Pairs of who is not heard by whom.
        links: Vec<(usize, usize)>,
        /// How long.
        lasting: Time,
    },
    /// A link holds everything back.
    Clog {
        /// From whom.
        from: usize,
        /// To whom.
        to: usize,
        /// How long.
        lasting: Time,
    },
    /// The connection between two members breaks, and is made anew.
    Reset {
        /// One end.
        from: usize,
        /// The other.
        to: usize,
    },
    /// A byte on the disk changes.
    Rot {
        /// Whose disk.
        member: usize,
        /// Decides which.
        salt: u32,
    },
    /// A sector of the disk cannot be read.
    Unreadable {
        /// Whose disk.
        member: usize,
        /// Decides which.
        salt: u32,
    },
    /// A write goes astray.
    Misdirect {
        /// Whose disk.
        member: usize,
        /// Decides which, and where to.
        salt: u32,
    },
    /// A write never reaches the disk, though it was synced.
    LostWrite {
        /// Whose disk.
        member: usize,
        /// Decides which.
        salt: u32,
    },
    /// The disk fails once, or from now on until the process starts again.
    SyncError {
        /// Whose disk.
        member: usize,
        /// Decides which operation fails, and how.
        salt: u32,
    },
    /// The disk has hardly any space.
    DiskFull {
        /// Whose disk.
        member: usize,
        /// Bytes that are left.
        left: u64,
        /// How long.
        lasting: Time,
    },
    /// The disk takes longer.
    SlowDisk {
        /// Whose disk.
        member: usize,
        /// How many times as long; 0: it does nothing at all.
        factor: u64,
        /// How long.
        lasting: Time,
    },
    /// The clock jumps.
    ClockJump {
        /// Whose clock.
        member: usize,
        /// By how much.
        by: i64,
    },
    /// The clock runs at another rate.
    ClockRate {
        /// Whose clock.
        member: usize,
        /// In thousandths; 0: it stands.
        rate: u64,
        /// How long.
        lasting: Time,
    },
}

impl Fault {
    /// Whether it can happen to so many members.
    pub(crate) fn check(&self, members: usize) -> Result<(), String> {
        let numbers = [self.at, self.what.time().unwrap_or(0), self.what.other_number()];
        if let Some(number) = numbers.into_iter().find(|number| *number > NUMBER_MAX) {
            return Err(format!("the fault at {} has the number {number}", self.at));
        }
        let names = self.what.names();
        match names.into_iter().find(|member| !(1..=members).contains(member)) {
            Some(member) => {
                Err(format!("the fault at {} names member {member} of {members}", self.at))
            }
            None => Ok(()),
        }
    }
}

impl What {
    /// The members that it names. Some faults find their member when they happen.
    pub(crate) fn names(&self) -> Vec<usize> {
        let mut names = Vec::new();
        self.clone().for_each_name(|member| names.push(*member));
        names
    }

    /// Calls `act` with each member that it names.
    pub(crate) fn for_each_name(&mut self, mut act: impl FnMut(&mut usize)) {
        match self {
            Self::CrashAll { .. }
            | Self::CrashElected { .. }
            | Self::CrashVoters { .. }
            | Self::CutLeader { .. }
            | Self::Transfer { to: 0, .. } => {}
            Self::Transfer { to, .. } => act(to),
            Self::Crash { member, .. }
            | Self::Restart { member, .. }
            | Self::Pause { member, .. }
            | Self::Wipe { member }
            | Self::Rot { member, .. }
            | Self::Unreadable { member, .. }
            | Self::Misdirect { member, .. }
            | Self::LostWrite { member, .. }
            | Self::SyncError { member, .. }
            | Self::DiskFull { member, .. }
            | Self::SlowDisk { member, .. }
            | Self::ClockJump { member, .. }
            | Self::ClockRate { member, .. } => act(member),
            Self::Clog { from, to, .. } | Self::Reset { from, to } => {
                act(from);
                act(to);
            }
            Self::Cut { links, .. } => {
                for (from, to) in links {
                    act(from);
                    act(to);
                }
            }
        }
    }

    /// How long it lasts, if it does not happen at once.
    pub(crate) fn time(&self) -> Option<Time> {
        self.clone().time_mut().copied()
    }

    /// The same, to be changed.
    pub(crate) fn time_mut(&mut self) -> Option<&mut Time> {
        match self {
            Self::Crash { down: time, .. }
            | Self::CrashAll { down: time, .. }
            | Self::CrashElected { down: time, .. }
            | Self::CrashVoters { lasting: time, .. }
            | Self::CutLeader { lasting: time, .. }
            | Self::Transfer { lasting: time, .. }
            | Self::Restart { down: time, .. }
            | Self::Pause { lasting: time, .. }
            | Self::Cut { lasting: time, .. }
            | Self::Clog { lasting: time, .. }
            | Self::DiskFull { lasting: time, .. }
            | Self::SlowDisk { lasting: time, .. }
            | Self::ClockRate { lasting: time, .. } => Some(time),
            Self::Wipe { .. }
            | Self::Reset { .. }
            | Self::Rot { .. }
            | Self::Unreadable { .. }
            | Self::Misdirect { .. }
            | Self::LostWrite { .. }
            | Self::SyncError { .. }
            | Self::ClockJump { .. } => None,
        }
    }

    /// Whether it may make a disk lose what was synced.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Rot { .. }
                | Self::Unreadable { .. }
                | Self::Misdirect { .. }
                | Self::LostWrite { .. }
        )
    }

    /// Another number that time is made of; a factor as what it makes of the largest time.
    fn other_number(&self) -> u64 {
        match self {
            Self::CrashVoters { down, .. } => *down,
            Self::SlowDisk { factor: scale, .. } | Self::ClockRate { rate: scale, .. } => {
                scale.saturating_mul(NUMBER_MAX / SCALE_MAX)
            }
            Self::ClockJump { by, .. } => by.unsigned_abs(),
            Self::Crash { .. }
            | Self::CrashAll { .. }
            | Self::CrashElected { .. }
            | Self::CutLeader { .. }
            | Self::Restart { .. }
            | Self::Transfer { .. }
            | Self::Pause { .. }
            | Self::Cut { .. }
            | Self::Clog { .. }
            | Self::DiskFull { .. }
            | Self::Wipe { .. }
            | Self::Reset { .. }
            | Self::Rot { .. }
            | Self::Unreadable { .. }
            | Self::Misdirect { .. }
            | Self::LostWrite { .. }
            | Self::SyncError { .. } => 0,
        }
    }
}
