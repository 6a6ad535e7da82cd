//! Reports to the database how current it is, every few seconds, so that the last contents of a collector
//! that no longer runs are not taken for the present.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::committer::Progress;
use crate::forwarder::{self, DeliveryStatus, Forwarder};
use crate::route::Timestamp;
use crate::sink::{self, Client};
use crate::state::StateStore;
use crate::wal::SeqNo;

/// Interval between two reports.
const INTERVAL: Duration = Duration::from_secs(10);

/// Time limit for a report.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Reports {
    settings: watch::Receiver<forwarder::Settings>,
    collector: String,
    state: Arc<StateStore>,
    progress: watch::Receiver<Progress>,
    delivered: watch::Receiver<DeliveryStatus>,
    client: Option<Client>,
    currency: Currency,
}

/// The time up to which everything received is in the database.
#[derive(Default)]
struct Currency {
    /// `None` until it is known.
    as_of: Option<Timestamp>,
    /// A batch that is not delivered yet, and the time before which everything received is in the log up to
    /// it.
    pending: Option<(SeqNo, Timestamp)>,
}

impl Currency {
    /// Updates the time. Everything received before `logged_until` is in the log up to `durable`.
    fn update(&mut self, delivered: SeqNo, durable: SeqNo, logged_until: Timestamp) {
        if let Some((_, until)) = self.pending.take_if(|(seq, _)| delivered >= *seq) {
            self.as_of = Some(until);
        }
        if delivered >= durable {
            self.as_of = Some(logged_until);
        } else if self.pending.is_none() {
            self.pending = Some((durable, logged_until));
        }
    }
}

impl Reports {
    pub(super) fn new(
        forwarder: &Forwarder,
        collector: String,
        state: Arc<StateStore>,
        progress: watch::Receiver<Progress>,
    ) -> Self {
        let (settings, delivered) = (forwarder.settings().subscribe(), forwarder.delivered());
        Self { settings, collector, state, progress, delivered, client: None, currency: Currency::default() }
    }

    pub(super) async fn run(mut self) {
        let mut clock = tokio::time::interval(INTERVAL);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            let (delivered, is_healthy) = {
                let status = self.delivered.borrow();
                (status.seq(), status.is_healthy())
            };
            // The time is read first: the log contains everything received before it.
            let logged_until = self.state.logged_until();
            let durable = self.progress.borrow().durable;
            self.currency.update(delivered, durable, logged_until);
            // A lane that does not deliver, because another process has taken it over, reports nothing.
            if let Some(as_of) = self.currency.as_of.filter(|_| is_healthy) {
                match tokio::time::timeout(TIMEOUT, self.report(as_of)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "report_failed");
                    }
                    Err(_) => self.client = None,
                }
            }
        }
    }

    async fn report(&mut self, as_of: Timestamp) -> Result<(), sink::Error> {
        let client = match self.client.take() {
            Some(client) => client,
            None => {
                let target = self.settings.borrow().target.clone();
                target.connect().await?
            }
        };
        sink::report_currency(&client, &self.collector, as_of).await?;
        // After an error the connection is dropped.
        self.client = Some(client);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_as_current_as_its_oldest_lane_and_no_more() {
        let mut currency = Currency::default();
        let mut after = |delivered, durable, logged_until| {
            currency.update(SeqNo(delivered), SeqNo(durable), Timestamp(logged_until));
            currency.as_of.map(|as_of| as_of.0)
        };
        assert_eq!(after(0, 5, 100), None, "a backlog from the start");
        assert_eq!(after(4, 9, 110), None);
        assert_eq!(after(5, 12, 120), Some(100), "what was logged by then is delivered");
        assert_eq!(after(11, 14, 130), Some(100));
        assert_eq!(after(14, 14, 140), Some(140), "caught up");
        assert_eq!(after(14, 14, 150), Some(150), "idle");
        assert_eq!(after(14, 15, 160), Some(150));
        assert_eq!(after(15, 16, 170), Some(160));
    }
}
