//! A lane without anything to deliver notices that its database is away, and returns by itself.

use crate::common::db::{Database, Edition};
use crate::common::source::{PATIENCE, Source, batch, delivered};
use holdfast::forwarder::{Forwarder, LaneState};

/// Waits until all lanes are in this state.
async fn all_are(forwarder: &Forwarder, state: LaneState) {
    let mut status = forwarder.delivered();
    let is_reached = status.wait_for(|status| status.lanes.iter().all(|lane| lane.state == state));
    let reached = tokio::time::timeout(PATIENCE, is_reached).await;
    assert!(reached.is_ok(), "waited for {state:?} in vain: {:?}", forwarder.delivered().borrow().lanes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_lane_notices_that_its_database_is_away_and_returns_by_itself() {
    let Some(database) = Database::migrated(Edition::Plain, "idle_away").await else { return };
    let source = Source::new();
    source.put(&batch(0)).await;
    let forwarder = source.drain(database.target.clone(), 2, 100);
    delivered(&forwarder, 1).await;
    all_are(&forwarder, LaneState::CaughtUp).await;
    let admin = database.admin().await;
    let name: String = database.value("SELECT current_database()::text").await;
    admin.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    admin.execute(end, &[&name]).await.unwrap();
    all_are(&forwarder, LaneState::Retrying).await;
    admin.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await.unwrap();
    all_are(&forwarder, LaneState::CaughtUp).await;
    assert!(forwarder.stop(PATIENCE).await);
    database.drop().await;
}
