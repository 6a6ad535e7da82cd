//! Collects the progress of all lanes: publishes it, records it in a marker file, and releases delivered
//! segments.

use std::path::PathBuf;

use tokio::sync::watch;

use super::marker_files;
use super::status::{DeliveryStatus, LaneStatus};
use crate::committer::Committer;
use crate::num::u32_to_usize;
use crate::route::Class;
use crate::wal::{LogId, SeqNo};

/// Receives the progress of every lane.
pub(super) struct Reporter {
    status: watch::Sender<DeliveryStatus>,
    committer: Committer,
    /// The log's own id, which marker files name.
    log_id: LogId,
    /// Directory of the segments; `None` if no marker file is written.
    directory: Option<PathBuf>,
}

impl Reporter {
    pub(super) const fn new(
        status: watch::Sender<DeliveryStatus>,
        committer: Committer,
        log_id: LogId,
        directory: Option<PathBuf>,
    ) -> Self {
        Self { status, committer, log_id, directory }
    }

    /// The log writer's handle, for its progress.
    pub(super) const fn committer(&self) -> &Committer {
        &self.committer
    }

    /// Changes the status of the delivery as a whole.
    pub(super) fn update(&self, change: impl FnOnce(&mut DeliveryStatus)) {
        self.status.send_modify(change);
    }

    /// Counts a failed attempt by the class of its error.
    pub(super) fn failed(&self, class: &'static str) {
        self.update(|status| *status.failures.entry(class).or_default() += 1);
    }

    /// Changes the status of a lane, and retires the segments that every lane has passed.
    pub(super) fn update_lane(&self, lane: u32, change: impl FnOnce(&mut LaneStatus)) {
        let (mut before, mut after) = (Watermarks::default(), Watermarks::default());
        self.update(|status| {
            before = Watermarks::from_status(status);
            if let Some(lane_status) = status.lanes.get_mut(u32_to_usize(lane)) {
                change(lane_status);
            }
            after = Watermarks::from_status(status);
        });
        if after.fastest > before.fastest
            && let Some(directory) = &self.directory
            && let Err(error) =
                marker_files::DELIVERED.write(directory, self.log_id, u128::from(after.fastest.0))
        {
            tracing::warn!(%error, "delivered_marker_not_written");
        }
        if after.slowest > before.slowest {
            self.committer.retire(after.slowest);
        }
        if after.dump != before.dump {
            self.committer.set_dump_delivered(after.dump);
        }
    }
}

/// Delivered sequence numbers over all lanes.
#[derive(Default)]
struct Watermarks {
    /// Last batch that every lane has delivered.
    slowest: SeqNo,
    /// Last batch that at least one lane has delivered.
    fastest: SeqNo,
    /// Last batch that every dump lane has delivered.
    dump: SeqNo,
}

impl Watermarks {
    fn from_status(status: &DeliveryStatus) -> Self {
        let fastest = status.lanes.iter().map(|lane| lane.delivered).max().unwrap_or_default();
        let dump = status.lanes.iter().filter(|lane| lane.class == Class::Dump);
        let dump = dump.map(|lane| lane.delivered).min().unwrap_or_default();
        Self { slowest: status.seq(), fastest, dump }
    }
}
