//! Faults that somebody could build into the program: each changes one rule of the disk, of the database, or of the
//! shells around the step machines. A run without any is green; with any of them it must turn red.
//!
//! Not among them, because the program withstands them: a drain that asks for what is not durable (a reader gives nothing
//! of it), and a takeover that leaves the epoch as it is (the fence compares the owner too).

/// One planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// None: the program as it is.
    None,
    // What the log believes of the disk.
    /// `fdatasync` returns at once and does nothing.
    SyncIsNothing,
    /// A failed sync is tried again, and believed.
    SyncIsRetried,
    /// The directory is never synced.
    NoDirectorySync,
    /// A failed write is reported as done.
    WriteErrorsAreSwallowed,
    /// A short write is taken for a whole one.
    ShortWritesAreBelieved,
    // What is told of the log.
    /// A batch is called durable when it is in the page cache.
    DurableBeforeSync,
    /// Segments are reused when one lane has passed them.
    RetireByTheFastestLane,
    /// The committer's queue forgets a batch that did not fit.
    FullDropsTheBatch,
    // What the drain believes of the database.
    /// A store whose answer was lost is taken for stored.
    LostAnswerMeansStored,
    /// A store whose answer was lost is sent again on the same terms, without looking at the checkpoint.
    RetryWithoutAttach,
    /// A lane goes on behind what it remembers, not behind the checkpoint row.
    MemoryBeatsTheRow,
    /// A lane that waits is not told that there is more.
    LostWakeUp,
    /// Gaps of the log are passed over in silence.
    GapsAreSkipped,
    /// A gap that another lane has told already is told once more.
    GapsAreToldTwice,
    /// A lane stores the rows of all peers.
    LanesOverlap,
    /// A batch that ends a chunk is left out when the chunk is full.
    LastBatchIsForgotten,
    // What the database's functions do.
    /// The fence looks at nothing.
    NoFence,
    /// The fence does not compare the place.
    FenceWithoutPlace,
    /// The fence does not compare the holder.
    FenceWithoutHolder,
    /// The fence is called behind the rows, outside their transaction.
    FenceAfterRows,
    /// The checkpoint moves in a transaction of its own, after the rows.
    CheckpointAfterwards,
    /// The checkpoint moves in a transaction of its own, before the rows.
    CheckpointBefore,
    /// A reconnect wins a lost lane back.
    ReconnectWinsBack,
}

/// All that must be caught.
pub(crate) const ALL: [Bug; 23] = [
    Bug::SyncIsNothing,
    Bug::SyncIsRetried,
    Bug::NoDirectorySync,
    Bug::WriteErrorsAreSwallowed,
    Bug::ShortWritesAreBelieved,
    Bug::DurableBeforeSync,
    Bug::RetireByTheFastestLane,
    Bug::FullDropsTheBatch,
    Bug::LostAnswerMeansStored,
    Bug::RetryWithoutAttach,
    Bug::MemoryBeatsTheRow,
    Bug::LostWakeUp,
    Bug::GapsAreSkipped,
    Bug::GapsAreToldTwice,
    Bug::LanesOverlap,
    Bug::LastBatchIsForgotten,
    Bug::NoFence,
    Bug::FenceWithoutPlace,
    Bug::FenceWithoutHolder,
    Bug::FenceAfterRows,
    Bug::CheckpointAfterwards,
    Bug::CheckpointBefore,
    Bug::ReconnectWinsBack,
];
