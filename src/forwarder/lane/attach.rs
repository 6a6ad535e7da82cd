//! Attaches to the lane.

use std::sync::Arc;

use super::{LaneResources, Task};
use crate::forwarder::error::LaneError;
use crate::forwarder::machine::Event;
use crate::forwarder::options::Settings;
use crate::forwarder::status::LaneState;
use crate::sink::{self, Connection};
use crate::wal::{SeqNo, Storage};

impl<S: Storage> Task<S> {
    /// Fails if the server has closed the connection, so that a lane without anything to deliver notices it,
    /// or if another lane has found another database than it expected.
    pub(super) async fn check_connection(&self, resources: &LaneResources<S>) -> Result<(), LaneError> {
        match &resources.connection {
            Some(_) if self.positions.must_attach(self.lane.number) => Err(LaneError::OtherLaneBehind),
            Some(connection) => Ok(connection.check().await?),
            None => Ok(()),
        }
    }

    /// Connects and attaches to the lane. A database without the schema gets it.
    pub(super) async fn attach(&self, resources: &mut LaneResources<S>) -> Result<Event, LaneError> {
        resources.connection = None;
        let Settings { options, target } = self.settings.borrow().clone();
        let attach = || Connection::attach(&target, &self.lane, self.owner, resources.epoch);
        let (mut connection, attached) = match attach().await {
            // The database was recreated without a schema: batches that the log still holds are delivered
            // again.
            Err(error) if error.lacks_schema() => {
                let mut client = target.connect().await?;
                let migrated = sink::migrate(&mut client, target.layout(), options.chunk_interval_days).await;
                migrated.map_err(LaneError::Migrate)?;
                attach().await?
            }
            other => other?,
        };
        connection.share_peers(Arc::clone(&self.shared_peers));
        let history = connection.choose_history_storage(options.direct_compress).await?;
        resources.reading.set_whole_rows(history.is_whole);
        resources.connection = Some(connection);
        (resources.epoch, resources.stored) = (Some(attached.epoch), attached.last_seq);
        tracing::info!(
            lane = self.lane.number,
            epoch = attached.epoch,
            last_seq = attached.last_seq,
            "lane_attached"
        );
        self.report(|status| {
            status.state = LaneState::Draining;
            status.delivered = SeqNo(attached.last_seq);
            status.was_attached = true;
            status.history = Some(history);
        });
        self.positions.attached(self.lane.number, attached.last_seq);
        self.resolve_doubt(resources, attached.last_seq);
        Ok(Event::Attached { last_seq: attached.last_seq })
    }
}
