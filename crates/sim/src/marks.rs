//! Places that a good campaign must have reached.
//!
//! A simulator proves only what it reaches. Each mark names a rare situation; a campaign counts how
//! often each occurred and lists those that never did.

macro_rules! marks {
    ($($mark:ident = $name:literal,)*) => {
        /// A situation that a good campaign must have met.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark {
            $(
                #[doc = $name]
                $mark,
            )*
        }

        impl Mark {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$mark,)*];

            /// What it says, in one line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$mark => $name,)*
                }
            }
        }
    };
}

marks! {
    // Elections.
    Elected = "a leader was elected",
    AskedWithoutLeader = "pre-votes were asked for without a known leader",
    AskedSilent = "pre-votes were asked for since the leader was silent",
    AskedDisconnected = "pre-votes were asked for since the connection to the leader broke",
    PreVoteGranted = "a pre-vote was granted",
    PreVoteLeaderAlive = "a pre-vote was refused since the leader lives",
    PreVoteLogBehind = "a pre-vote was refused since the log is behind",
    PreVoteTermBehind = "a pre-vote was refused since the term is behind",
    Candidate = "a member stood for election",
    CandidateAgain = "a member stood for election again, without a result",
    VoteGranted = "a vote was granted",
    VoteLeaderAlive = "a vote was refused since the leader lives",
    VoteTaken = "a vote was refused since it was given to another",
    VoteLogBehind = "a vote was refused since the log is behind",
    TermRaised = "a message raised a term",
    DeposedByTerm = "a leader was deposed by a higher term",
    DeposedByQuorum = "a leader gave up since it heard no quorum",
    DeposedWithReads = "a leader was deposed while reads were pending",
    DeposedWithProposals = "a leader was deposed while its clients' proposals were pending",
    TransferBegan = "a leader began to hand its leadership over",
    TransferTaken = "a member that the leader had called took over",
    TransferFailed = "a member that the leader had called did not take over in time",
    TransferHeld = "a proposal waited while the leadership was handed over",
    TwoLeaders = "a deposed leader did not know it yet while the next one led",
    // Replication.
    Truncated = "a follower truncated",
    TruncatedDurable = "a follower truncated what was durable",
    AppendRefused = "an append was refused",
    ProbedRejected = "a leader probed a peer after a refusal",
    ProbedNoProgress = "a leader probed a peer that made no progress",
    ProbedConnection = "a leader probed a peer after its connection broke",
    Replicates = "a leader found where a peer's log agrees",
    IgnoredLowerTerm = "a message of an earlier term was ignored",
    IgnoredStale = "an answer to a question no longer open was ignored",
    IgnoredRole = "a message that the role has no use for was ignored",
    EarlierTermCommitted = "an entry of an earlier term was committed by one of the leader's own",
    CommittedByOthers = "an entry was committed before the leader's own disk had it",
    AppliedUnsynced = "a member applied an entry before its own disk had it",
    CaughtUp = "a member that was far behind was brought up to date",
    // Proposals and reads.
    Forwarded = "a follower forwarded proposals",
    ForwardedAgain = "forwarded proposals were sent again",
    ForwardGap = "a leader refused forwarded proposals since some before them were missing",
    Unwelcome = "a member said that proposals find no space",
    Overloaded = "a proposal was refused since too many waited",
    RefusedFull = "a proposal was refused since the disk was full",
    ReadAtLeader = "a linearizable read was served at the leader",
    ReadAtFollower = "a linearizable read was served at a follower",
    ReadStale = "a serializable read was served from an older state",
    ReadHistory = "a read of an earlier revision was served",
    AnsweredCompacted = "a read or a compaction came too late: compacted",
    AnsweredFuture = "a read or a compaction came too early: a future revision",
    Swapped = "a compare-and-set succeeded",
    SwapFailed = "a compare-and-set failed",
    DeletedNothing = "a deletion found nothing",
    ClientGaveUp = "a client gave up waiting",
    UnknownDone = "a write whose client gave up was done",
    UnknownNotDone = "a write whose client gave up was never done",
    AnswerTooLate = "an answer came after its client had given up",
    // Processes.
    Crashed = "a member crashed",
    CrashedMidJob = "a member crashed in the middle of a write to its disk",
    CrashedMidSteps = "a member crashed between two steps of its work",
    CrashedStarting = "a member crashed before it had caught up after its start",
    CrashedLeader = "a leader crashed",
    CrashedVoter = "a member crashed right after it voted",
    Killed = "a process was killed and its disk kept what was not synced",
    AllDown = "all members were down at once",
    RestartedInOrder = "a member was stopped in order and started again",
    PausedLeader = "a leader stood still",
    WokeDeposed = "a leader that stood still woke up in an earlier term than the others",
    Wiped = "a member lost its disk for good",
    // Disks.
    TornTail = "recovery met a torn record",
    ManySegments = "recovery read a log of several segments",
    UnsyncedKept = "recovery found more than was known to be durable",
    SyncFailed = "a failed sync stopped a member",
    JobFull = "a job waited for space on a full disk",
    OpenFull = "a member could not start since its disk was full",
    OpenFailed = "a member could not start since its disk failed",
    Refused = "a damaged log was refused",
    ReadDamaged = "a running member met damage on its disk and stopped",
    NotNoticeable = "damage was done that no log can notice",
    Stalled = "a disk did nothing for a while",
    // Snapshots.
    SnapshotTaken = "a member took a snapshot",
    SnapshotWanted = "a follower was told that its log ends before its leader's begins",
    SnapshotServed = "a part of a snapshot was read for another member",
    SnapshotResumed = "a snapshot of which a part was received before was gone on with",
    SnapshotTakenIn = "another member's snapshot took the place of a state",
    LogReset = "another member's snapshot took the place of a log",
    StartedFromSnapshot = "a member started from a snapshot",
    SnapshotNotWritten = "a snapshot could not be written",
    SnapshotNotReceived = "a snapshot was not received",
    SnapshotUnusable = "a damaged snapshot was found at a start",
    StateMissing = "a member started without a state, to fetch that of another",
    CrashedMidSnapshot = "a member crashed while it worked on a snapshot",
    // Network and clocks.
    Lost = "a message was lost",
    CutOff = "a message did not come through a cut link",
    Doubled = "a message arrived twice",
    ReplayedTerm = "an old message of an earlier term arrived again",
    ReplayedLife = "an old message to an earlier life of its receiver arrived again",
    Overtaken = "a message overtook another",
    DamageRefused = "a damaged frame was refused",
    Clogged = "a clogged link let go of what it held",
    ResetUnderWay = "a connection broke with messages on their way",
    ClockBack = "a clock jumped backwards",
    ClockYear = "a clock jumped by more than a day",
    ClockStoodLeader = "the clock of a leader stood still",
    // The end.
    HealedMinority = "the healing left members out",
    HealedWithoutLeader = "there was no leader when the healing began",
}

/// How often each mark was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks(Vec<u64>);

impl Default for Marks {
    fn default() -> Self {
        Self(vec![0; Mark::ALL.len()])
    }
}

impl Marks {
    pub(crate) fn hit(&mut self, mark: Mark) {
        self.0[mark as usize] += 1;
    }

    /// Adds the counts of another run.
    pub fn merge(&mut self, other: &Self) {
        for (here, there) in self.0.iter_mut().zip(&other.0) {
            *here += there;
        }
    }

    /// How often a mark was met.
    #[must_use]
    pub fn count(&self, mark: Mark) -> u64 {
        self.0[mark as usize]
    }

    /// The marks that were never met.
    pub fn missing(&self) -> impl Iterator<Item = Mark> + '_ {
        Mark::ALL.iter().copied().filter(|mark| self.count(*mark) == 0)
    }
}
