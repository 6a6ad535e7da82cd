//! Resources that the accept loop and all connections share: settings, log, state, and registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::hold::Hold;
use super::options::Options;
use super::registry::Registry;
use crate::codec;
use crate::committer::fair_share::Source;
use crate::committer::{AppendError, Committer};
use crate::num::to_u32_saturating;
use crate::route::{Batch, Class, SessionEnd};
use crate::state::StateStore;
use crate::telemetry::clock;

/// Shared by the accept loop and all connections.
pub(super) struct Shared {
    /// Replaced by a reload. A connection looks at it when it begins, and once a second.
    pub(super) options: watch::Sender<Arc<Options>>,
    pub(super) committer: Committer,
    pub(super) state: Arc<StateStore>,
    pub(super) registry: Arc<Registry>,
    pub(super) hold: Hold,
    /// Last batch of class bulk, or the last batch of the log at the start if it is later.
    pub(super) last_bulk: AtomicU64,
}

impl Shared {
    /// The present settings.
    pub(super) fn options(&self) -> Arc<Options> {
        Arc::clone(&self.options.borrow())
    }

    /// Logs the end of sessions whose task ended without logging it, from the local state.
    pub(super) async fn end_unfinished_sessions(&self) {
        let sessions = self.registry.take_unfinished();
        for batch in self.state.session_end_batches(&sessions, &SessionEnd::Protocol, clock::now()) {
            self.log_end(&batch, &mut 0).await;
        }
    }

    /// Logs a batch that ends a session; see [`Shared::log`]. The end of a session does not wait for the
    /// router's share of the log. Returns false if the log has stopped.
    pub(super) async fn log_end(&self, batch: &Batch, payload_bytes: &mut usize) -> bool {
        let ticket = self.state.begin_end(batch.clone());
        let seq = self.append(batch, payload_bytes, true).await;
        self.state.end_logged(ticket, seq.unwrap_or_default());
        seq.is_ok()
    }

    /// Encodes a batch and appends it to the log. Waits while the router is at its share of the log, and
    /// while the queue of the log is full.
    ///
    /// Returns the sequence number, or `None` if the batch cannot be logged, which is a bug and is reported
    /// as an error event. `payload_bytes` is the size of the previous payload, used as the initial capacity,
    /// and is set to the size of this one.
    ///
    /// # Errors
    /// The log has stopped.
    pub(super) async fn log(
        &self,
        batch: &Batch,
        payload_bytes: &mut usize,
    ) -> Result<Option<u64>, AppendError> {
        self.append(batch, payload_bytes, false).await
    }

    async fn append(
        &self,
        batch: &Batch,
        payload_bytes: &mut usize,
        is_exempt: bool,
    ) -> Result<Option<u64>, AppendError> {
        let mut payload = Vec::with_capacity(*payload_bytes + *payload_bytes / 8);
        let ordered;
        let batch = if batch.follows_bulk || is_exempt {
            let after = batch.after.max(self.last_bulk.load(Ordering::Relaxed));
            ordered = Batch { after, ..batch.clone() };
            &ordered
        } else {
            batch
        };
        if let Err(error) = codec::encode(batch, &mut payload) {
            let (router, records) = (&batch.router.name, batch.records());
            tracing::error!(router, records, %error, "batch_encode_failed");
            return Ok(None);
        }
        *payload_bytes = payload.len();
        let source = Source { router: &batch.router.name, address: batch.router.address, is_exempt };
        match self.committer.append_from(source, payload, to_u32_saturating(batch.records())).await {
            Ok(seq) => {
                self.registry.appended(batch);
                if batch.class == Class::Bulk {
                    self.last_bulk.fetch_max(seq.0, Ordering::Relaxed);
                }
                Ok(Some(seq.0))
            }
            Err(AppendError::Stopped) => Err(AppendError::Stopped),
            // Cannot happen: the size limit of a batch is far below that of the log.
            Err(error @ AppendError::TooLarge { .. }) => {
                let (router, records) = (&batch.router.name, batch.records());
                tracing::error!(router, records, %error, "batch_lost");
                Ok(None)
            }
        }
    }
}
