//! The write-ahead log: durable, ordered storage of opaque payloads.
//!
//! ```text
//!  recover ──► Writer ──► segment files ──► Reader ──► Item::Data | Item::Gap
//!                │
//!                ├── SegmentWriter     the open segment: append, flush, sync, seal
//!                ├── Rotation          enters the next segment
//!                │     └── SegmentAllocator   zeroes a file ahead, or recycles a delivered segment
//!                └── Log               the catalogue of segments, shared with the readers of this process
//! ```
//!
//! A [`Reader`] returns every sequence number up to the durable one exactly once, as data or inside a gap.
//! docs/WAL.md has the guarantees, the on-disk format, the recovery procedure and the limits. The log does
//! not interpret payloads.

mod catalogue;
mod compress;
mod error;
pub mod format;
pub mod inspect;
mod options;
mod read;
mod recovery;
mod seq;
mod storage;
mod write;

pub use crate::log_id::LogId;
pub use catalogue::{Log, is_log_file};
pub use error::{Full, IoCause, OpenError, ReadError, SalvageError, WriteError};
pub use format::{GapReason, PAYLOAD_BYTES_MAX};
pub use options::{Options, StateSnapshot};
pub use read::losses::Loss;
pub use read::reader::{Item, Reader};
pub use recovery::recover::{Recovered, recover};
pub use recovery::salvage::{Salvaged, salvage};
pub use recovery::tail::Damage;
pub use seq::SeqNo;
pub use storage::disk::Disk;
pub use storage::safe_open;
pub use storage::{Space, Storage, StorageFile};
pub use write::segment_writer::AbandonedSegment;
pub use write::usage::Usage;
pub use write::writer::Writer;
