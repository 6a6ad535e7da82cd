//! What the state machine of a lane asks for, and the outcomes that it accepts.

use std::time::Duration;

use crate::sink::ErrorAction;

/// The outcome of a step, or a change outside the lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// All batches up to this sequence number are durable and can be read.
    Durable(u64),
    /// The log holds batches up to this sequence number. Those after the durable one cannot be read yet.
    LogEnd(u64),
    /// The lane may read batches up to this sequence number. Those after it wait for the lane of the other
    /// class.
    Allowed(u64),
    /// This process holds the lane.
    Attached {
        /// Sequence number of the checkpoint: all batches up to it are stored.
        last_seq: u64,
    },
    /// Batches were added to the open transaction.
    Read {
        /// Sequence number of the last batch in the transaction.
        last_seq: u64,
        /// True if the transaction has reached its size limit.
        is_full: bool,
    },
    /// The transaction was committed and the commit acknowledged.
    Stored,
    /// The transaction was committed without its rejected records and the commit acknowledged.
    Isolated {
        /// Number of rejected records, without those of sources that had been quarantined before.
        rejected: u64,
    },
    /// Attaching, reading, or storing failed. The connection is closed.
    Failed {
        /// Action that the error requires.
        action: ErrorAction,
        /// Random number for the delay.
        jitter: u64,
    },
    /// The lane is to deliver what is durable now, without waiting for more, and then end.
    Stop,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Connect and attach to the lane.
    Attach {
        /// True for the first attachment of this process, which fences out any earlier holder. A later one
        /// fails if another process has taken the lane over.
        takeover: bool,
    },
    /// Begin an empty transaction.
    Begin {
        /// Sequence number of the last stored batch.
        after: u64,
    },
    /// Read batches into the transaction.
    Read {
        /// Sequence number of the last durable batch.
        limit: u64,
    },
    /// Store the transaction.
    Store,
    /// Store the transaction without the records that the database rejects.
    Isolate,
    /// Wait for an event.
    Wait {
        /// Time at which to call [`Machine::next`](super::Machine::next) again without one, as the machine
        /// measures time. `None` if only an event changes the next step.
        until: Option<Duration>,
    },
    /// End the lane.
    End(End),
}

/// Why a lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Orderly stop.
    Stopped,
    /// An error after which another attempt could do harm.
    Halted,
    /// The checkpoint is beyond the end of the log: another log was delivered under this id.
    Fork {
        /// Sequence number of the checkpoint.
        database_seq: u64,
        /// Sequence number of the last durable batch of the log.
        durable_seq: u64,
    },
}
