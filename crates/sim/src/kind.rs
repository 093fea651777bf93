//! The kinds of faults, by name.

use std::fmt;
use std::str::FromStr;

use crate::named::named;

named! {
    /// A kind of fault. Each may be on or off in a run, and rare or frequent.
    pub enum Kind {
        /// messages between members are lost
        Loss = "loss",
        /// messages between members arrive twice
        Duplicate = "duplicate",
        /// old messages arrive again, over restarts and terms
        Replay = "replay",
        /// messages take longer, each by itself, and overtake one another
        Jitter = "jitter",
        /// bits of frames flip on the way; the checksum refuses them and the connection breaks
        Damage = "damage",
        /// a link holds everything back for a while, then lets go of it at once
        Clog = "clog",
        /// the members fall into groups that do not hear each other
        Partition = "partition",
        /// some members are not heard, though they hear
        OneWay = "one-way",
        /// single links are cut, in one direction or both
        Partial = "partial",
        /// the leader is cut off, in one direction or both, often with its clock standing still
        CutLeader = "cut-leader",
        /// connections break and are made anew, with what was on its way lost
        Reset = "reset",
        /// a member crashes at any step and loses what was not synced
        Crash = "crash",
        /// all members crash at once
        CrashAll = "crash-all",
        /// a member crashes again and again, moments after each start
        CrashLoop = "crash-loop",
        /// leaders crash moments after their election, several in a row
        CrashElected = "crash-elected",
        /// the leader crashes or stands still, and who votes or stands for election crashes
        CrashVoters = "crash-voters",
        /// a member is stopped in order and started again
        Restart = "restart",
        /// a leader is told to hand its leadership over, and the word may come late
        Transfer = "transfer",
        /// a member stands still while the clock runs on
        Pause = "pause",
        /// a member's disk is emptied; the member is lost for good
        Wipe = "wipe",
        /// a byte on a disk changes
        Rot = "rot",
        /// a sector of a disk cannot be read
        Unreadable = "unreadable",
        /// a write lands elsewhere in its file
        Misdirect = "misdirect",
        /// a write is acknowledged and synced, but never reaches the disk
        LostWrite = "lost-write",
        /// a sync or a write fails
        SyncError = "sync-error",
        /// a disk has no space left
        DiskFull = "disk-full",
        /// a disk is many times slower
        SlowDisk = "slow-disk",
        /// a disk does nothing for a while
        StalledDisk = "stalled-disk",
        /// a clock jumps, up to a year, forwards or backwards
        ClockJump = "clock-jump",
        /// a clock runs at half to double speed
        ClockDrift = "clock-drift",
        /// a clock stands still
        ClockStop = "clock-stop",
    }
}

impl Kind {
    /// Whether it makes a disk lose what was synced.
    pub(crate) const fn is_damage(self) -> bool {
        matches!(self, Self::Rot | Self::Unreadable | Self::Misdirect | Self::LostWrite)
    }

    /// Its place among [`Self::ALL`].
    pub(crate) const fn place(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name).ok_or(())
    }
}
