//! Stores batches in a database, for tests of the resulting tables.

use holdfast::route::Batch;
use holdfast::sink::{Connection, Dedup, Lane, TransactionBuilder};
use holdfast::wal::LogId;
use tokio_postgres::error::SqlState;

use crate::common::db::{Database, Edition};

pub const COLLECTOR: &str = "c1";
pub const OWNER: [u8; 16] = [9; 16];
/// The current routes, one line each.
pub const CURRENT: &str = "SELECT concat_ws(' ', bgp_peer_ip, rib, prefix, array_to_string(as_path, ','),
    CASE WHEN is_stale THEN 'stale' END) FROM route_state WHERE NOT is_withdrawn
    ORDER BY bgp_peer_ip, rib, prefix";

pub fn lane() -> Lane {
    Lane { collector: COLLECTOR.to_owned(), log_id: LogId([7; 16]), number: 0, count: 1 }
}

/// A database and a connection of the sink.
pub struct Store {
    pub database: Database,
    pub connection: Connection,
    pub next: u64,
    /// The setting HISTORY_DEDUP.
    pub dedup: Dedup,
}

impl Store {
    pub async fn open(edition: Edition, test: &str) -> Option<Self> {
        Some(Self::with(Database::migrated(edition, test).await?).await)
    }

    /// A connection to a database that is migrated.
    pub async fn with(database: Database) -> Self {
        let (connection, attached) =
            Connection::attach(&database.target, &lane(), OWNER, None).await.unwrap();
        Self { database, connection, next: attached.last_seq + 1, dedup: Dedup::ReDumps }
    }

    pub async fn put(&mut self, batches: &[Batch]) {
        let mut transaction = TransactionBuilder::new(lane(), self.next).with_dedup(self.dedup);
        for batch in batches {
            transaction.push(transaction.next_seq(), b"payload", batch).unwrap();
        }
        let transaction = transaction.build();
        if let Err(error) = self.connection.store(&transaction).await {
            // Another writer has changed a peer: as a lane does, attach again, and then ask for its state.
            assert_eq!(error.sqlstate().map(SqlState::code), Some("BM004"), "{error}");
            self.connection =
                Connection::attach(&self.database.target, &lane(), OWNER, None).await.unwrap().0;
            self.connection.store(&transaction).await.unwrap();
        }
        self.next = transaction.last_seq + 1;
    }

    pub async fn current(&self) -> Vec<String> {
        self.database.texts(CURRENT).await
    }

    pub async fn close(self) {
        assert_eq!(self.database.missing_and_doubled(COLLECTOR).await, (0, 0));
        drop(self.connection);
        self.database.drop().await;
    }
}

/// Compares the current routes on both editions, with each batch in its own transaction and with all in one.
pub async fn each_way(test: &str, batches: &[Batch], expected: &[&str]) {
    for edition in Edition::ALL {
        for together in [false, true] {
            let Some(mut store) = Store::open(edition, &format!("{test}_{together}")).await else { continue };
            if together {
                store.put(batches).await;
            } else {
                for batch in batches {
                    store.put(std::slice::from_ref(batch)).await;
                }
            }
            assert_eq!(store.current().await, expected, "{edition:?}, in one transaction: {together}");
            store.close().await;
        }
    }
}
