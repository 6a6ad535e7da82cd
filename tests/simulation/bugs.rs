//! Planted faults: each changes one rule of the disk, of the database, or of the code around the state
//! machines. A run without a planted fault passes; a run with any of them must fail.
//!
//! Two faults are not included, because the program tolerates them: a lane that reads beyond the durable
//! batch (a reader returns nothing there), and a takeover that does not increase the epoch (the fence also
//! compares the owner).

/// One planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// No fault.
    None,
    // Disk.
    /// `fdatasync` succeeds without an effect.
    SyncHasNoEffect,
    /// A failed sync is retried, and the success of the retry is trusted.
    SyncIsRetried,
    /// The directory is never synced.
    NoDirectorySync,
    /// A failed write is reported as successful.
    WriteErrorsAreIgnored,
    /// A short write is reported as complete.
    ShortWritesAreComplete,
    // Log.
    /// A batch is reported as durable when it is in the page cache.
    DurableBeforeSync,
    /// Segments are reused when the fastest lane has passed them.
    RetireByFastestLane,
    /// The committer drops a batch for which the log has no space.
    FullDropsBatch,
    // Delivery.
    /// A commit in doubt is assumed to be committed.
    InDoubtMeansCommitted,
    /// A transaction whose commit is in doubt is stored again without reading the checkpoint.
    RetryWithoutAttach,
    /// A lane resumes after the batch in its memory instead of after the checkpoint.
    MemoryOverridesCheckpoint,
    /// A waiting lane is not woken by new batches.
    LostWakeUp,
    /// Gaps of the log are not recorded.
    GapsAreSkipped,
    /// A gap that another lane has recorded is recorded again.
    GapsAreRecordedTwice,
    /// A live lane does not wait for the dump lanes.
    LiveLaneDoesNotWait,
    /// A dump lane does not wait for the live lane.
    DumpLaneDoesNotWait,
    /// A dump lane stores routes of class bulk before another one has stored the records before them.
    BulkDoesNotWait,
    /// A dump lane stores records that follow routes of class bulk before another one has stored these.
    DumpDoesNotFollowBulk,
    /// A dump lane does not wait for the others at a gap, which may hide what later batches follow.
    GapsDoNotWait,
    /// A lane has passed what it has read, although it is not committed.
    PassedBeforeCommitted,
    /// A lane stores the rows of all peers.
    LanesOverlap,
    /// The last batch of a full transaction is left out.
    LastBatchIsLeftOut,
    /// The transaction that was sent ahead counts as stored once the one before it is.
    ReplyCountsForBoth,
    /// The transaction after one that failed is stored without it.
    NextIsStoredAfterAFailure,
    /// The transaction that is sent ahead does not wait for other lanes.
    NextDoesNotWait,
    // Functions of the database.
    /// The fence checks nothing.
    NoFence,
    /// The fence does not compare the sequence number of the checkpoint.
    FenceWithoutSequence,
    /// The fence does not compare epoch and owner.
    FenceWithoutOwner,
    /// The order with other lanes is not checked.
    OrderIsNotChecked,
    /// The fence is checked after the rows, outside their transaction.
    FenceAfterRows,
    /// The checkpoint is updated in a separate transaction, after the rows.
    CheckpointAfterwards,
    /// The checkpoint is updated in a separate transaction, before the rows.
    CheckpointBefore,
    /// A reconnect regains a lane that another collector has taken over.
    ReconnectWinsBack,
}

/// All faults that must be detected.
pub(crate) const ALL: [Bug; 33] = [
    Bug::SyncHasNoEffect,
    Bug::SyncIsRetried,
    Bug::NoDirectorySync,
    Bug::WriteErrorsAreIgnored,
    Bug::ShortWritesAreComplete,
    Bug::DurableBeforeSync,
    Bug::RetireByFastestLane,
    Bug::FullDropsBatch,
    Bug::InDoubtMeansCommitted,
    Bug::RetryWithoutAttach,
    Bug::MemoryOverridesCheckpoint,
    Bug::LostWakeUp,
    Bug::GapsAreSkipped,
    Bug::GapsAreRecordedTwice,
    Bug::LiveLaneDoesNotWait,
    Bug::DumpLaneDoesNotWait,
    Bug::BulkDoesNotWait,
    Bug::DumpDoesNotFollowBulk,
    Bug::GapsDoNotWait,
    Bug::PassedBeforeCommitted,
    Bug::LanesOverlap,
    Bug::LastBatchIsLeftOut,
    Bug::ReplyCountsForBoth,
    Bug::NextIsStoredAfterAFailure,
    Bug::NextDoesNotWait,
    Bug::NoFence,
    Bug::FenceWithoutSequence,
    Bug::FenceWithoutOwner,
    Bug::OrderIsNotChecked,
    Bug::FenceAfterRows,
    Bug::CheckpointAfterwards,
    Bug::CheckpointBefore,
    Bug::ReconnectWinsBack,
];
