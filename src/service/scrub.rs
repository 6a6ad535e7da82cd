//! Verifies the undelivered part of the log in the background, so that damage is found while the routers
//! still have the routes, and not when the database returns.
//!
//! The reads go through the page cache, like those of the delivery.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::snapshot::Snapshot;
use crate::committer::Progress;
use crate::num::to_u64;
use crate::wal::{Disk, Item, Log, ReadError, Reader, SeqNo};

/// Pause between two passes. A pass verifies what was in the log at the start of the pass before, so that
/// nothing is verified that is delivered without delay.
const PAUSE: Duration = Duration::from_secs(30);

/// Bytes of payloads that are verified between two pauses of [`PART_PAUSE`]: 8 MiB per second, about one
/// percent of a core.
const PART_BYTES: u64 = 1 << 20;
const PART_PAUSE: Duration = Duration::from_millis(125);

/// Verifies the undelivered part of the log again and again.
pub(super) struct Scrub {
    snapshot: Arc<Snapshot>,
    log: Arc<Log<Disk>>,
    progress: watch::Receiver<Progress>,
}

impl Scrub {
    pub(super) fn new(snapshot: &Arc<Snapshot>) -> Self {
        let (log, progress) = (Arc::clone(&snapshot.log), snapshot.progress.clone());
        Self { snapshot: Arc::clone(snapshot), log, progress }
    }

    /// Never returns.
    pub(super) async fn run(self) {
        let mut limit = self.progress.borrow().durable;
        loop {
            let next_limit = self.progress.borrow().durable;
            if let Err(error) = self.pass(limit).await {
                tracing::warn!(%error, "log_not_verified");
            }
            limit = next_limit;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Verifies the undelivered batches up to `limit`. Ends early if the delivery overtakes it.
    async fn pass(&self, limit: SeqNo) -> Result<(), ReadError> {
        let mut reader = self.log.reader(self.snapshot.first_undelivered());
        while reader.position() <= limit && reader.position() >= self.snapshot.first_undelivered() {
            let position = reader.position();
            let read = tokio::task::spawn_blocking(move || verify_part(&mut reader, limit).map(|()| reader));
            reader = match read.await {
                Ok(result) => result?,
                Err(error) => return Err(ReadError::Io(error.into())),
            };
            if reader.position() == position {
                break;
            }
            tokio::time::sleep(PART_PAUSE).await;
        }
        Ok(())
    }
}

/// Verifies the next batches up to `limit`, and reports damage.
fn verify_part(reader: &mut Reader<Disk>, limit: SeqNo) -> Result<(), ReadError> {
    let mut bytes = 0;
    while bytes < PART_BYTES {
        match reader.next(limit)? {
            None => break,
            Some(Item::Data { payload, .. }) => bytes += to_u64(payload.len()),
            Some(Item::Gap { reason, .. }) if reason.is_damage() => reader.report_loss(),
            // Batches that were dropped or never durable are reported when the delivery meets them.
            Some(Item::Gap { .. }) => {}
        }
    }
    Ok(())
}
